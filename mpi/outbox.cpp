// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "outbox.hpp"

#include <algorithm>

#include "calls.hpp"
#include "inbox.hpp"

namespace exdb::mpi {

Status Outbox::hand_over(MPI_Comm communicator, int tag, std::uint32_t to, const void* data,
                         std::size_t bytes, Frame frame, std::unique_ptr<std::uint64_t> number) {
  MPI_Request request = MPI_REQUEST_NULL;
  Status status = status_of(MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, static_cast<int>(to),
                                      tag, communicator, &request),
                            "MPI_Isend");
  int done = 0;
  // A short message is nearly always gone already; then there is nothing to remember.
  if (status) status = status_of(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "sending");
  if (status && done == 0) sending_.push_back({request, to, std::move(frame), std::move(number)});
  return status;
}

Status Outbox::send(std::uint32_t to, const Frame& frame, bool after_collective) {
  if (fits(to, frame->size())) {
    Status status = hand_over(control_, after_collective ? tag_inline_after : tag_inline, to,
                              frame->data(), frame->size(), frame, nullptr);
    doorbell_.ring(to);
    return status;
  }
  auto length = std::make_unique<std::uint64_t>(frame->size());
  const void* header = length.get();
  Status status = hand_over(control_, after_collective ? tag_long_after : tag_long, to, header,
                            sizeof(std::uint64_t), nullptr, std::move(length));
  for (std::size_t at = 0; status && at < frame->size(); at += chunk_bytes_max) {
    status = hand_over(data_, tag_long, to, frame->data() + at,
                       std::min(chunk_bytes_max, frame->size() - at), frame, nullptr);
  }
  doorbell_.ring(to);
  return status;
}

Status Outbox::send_end(std::uint32_t to, std::uint64_t exchanges) {
  auto number = std::make_unique<std::uint64_t>(exchanges);
  const void* data = number.get();
  Status status =
      hand_over(control_, tag_end, to, data, sizeof(std::uint64_t), nullptr, std::move(number));
  doorbell_.ring(to);
  return status;
}

Status Outbox::step() {
  for (std::size_t i = 0; i < sending_.size();) {
    int done = 0;
    if (Status s = status_of(MPI_Test(&sending_[i].request, &done, MPI_STATUS_IGNORE), "sending");
        !s)
      return s;
    // A rendezvous moves only while both sides poll, and a sleeping receiver does not know of it.
    doorbell_.ring(sending_[i].to);
    if (done == 0) {
      ++i;
      continue;
    }
    if (i + 1 != sending_.size()) sending_[i] = std::move(sending_.back());
    sending_.pop_back();
  }
  return {};
}

}  // namespace exdb::mpi
