// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "outbox.hpp"

#include <algorithm>

#include "calls.hpp"
#include "inbox.hpp"

namespace exdb::mpi {

Status Outbox::hand_over(MPI_Comm communicator, int tag, const void* data, std::size_t bytes,
                         Sending sending) {
  const auto send = sending.mark.frames != 0 ? &MPI_Issend : &MPI_Isend;
  Status status = status_of(send(data, static_cast<int>(bytes), MPI_BYTE,
                                 static_cast<int>(sending.to), tag, communicator, &sending.request),
                            "MPI_Isend");
  int done = 0;
  // A short message is nearly always gone already; then there is nothing to remember.
  if (status) status = status_of(MPI_Test(&sending.request, &done, MPI_STATUS_IGNORE), "sending");
  if (!status) {
    if (!tolerates(sending.to)) return status;
    keep_for_ever(std::make_shared<Sending>(std::move(sending)));
    return {};
  }
  if (done != 0) {
    completed(sending);
  } else {
    moving_ += sending.moving ? 1 : 0;
    sending_.push_back(std::move(sending));
  }
  return {};
}

/// Marks may be found complete in another order than they were sent.
void Outbox::completed(const Sending& sending) {
  UnderWay& taken = peers_[sending.to].taken;
  if (sending.mark.frames > taken.frames) taken = sending.mark;
}

UnderWay Outbox::mark_if_due(std::uint32_t to) {
  Peer& peer = peers_[to];
  if (peer.sent.frames - peer.marked.frames < mark_every_frames &&
      peer.sent.bytes - peer.marked.bytes < bound_bytes_ / 4)
    return {};
  peer.marked = peer.sent;
  return peer.sent;
}

Status Outbox::send(std::uint32_t to, const Frame& frame, bool after_collective) {
  peers_[to].sent.add(frame->size());
  const UnderWay mark = mark_if_due(to);
  Status status;
  if (fits(to, frame->size())) {
    status =
        hand_over(control_, after_collective ? tag_inline_after : tag_inline, frame->data(),
                  frame->size(), {MPI_REQUEST_NULL, to, mark.frames == 0, frame, nullptr, mark});
  } else {
    status = send_long(to, after_collective ? tag_long_after : tag_long, frame, mark);
  }
  doorbell_.ring(to);
  return status;
}

/// The mark is the last piece: its receive is posted when the announcement is accepted, which comes
/// after everything that was sent before.
Status Outbox::send_long(std::uint32_t to, int tag, const Frame& frame, const UnderWay& mark) {
  auto length = std::make_unique<std::uint64_t>(frame->size());
  const void* header = length.get();
  Status status = hand_over(control_, tag, header, sizeof(std::uint64_t),
                            {MPI_REQUEST_NULL, to, true, nullptr, std::move(length), {}});
  for (std::size_t at = 0; status && at < frame->size(); at += chunk_bytes_max) {
    const std::size_t bytes = std::min(chunk_bytes_max, frame->size() - at);
    const bool last = at + bytes == frame->size();
    status = hand_over(data_, tag_long, frame->data() + at, bytes,
                       {MPI_REQUEST_NULL, to, true, frame, nullptr, last ? mark : UnderWay{}});
  }
  return status;
}

Status Outbox::send_end(std::uint32_t to, int tag, std::uint64_t exchanges) {
  auto number = std::make_unique<std::uint64_t>(exchanges);
  const void* data = number.get();
  Status status = hand_over(control_, tag, data, sizeof(std::uint64_t),
                            {MPI_REQUEST_NULL, to, true, nullptr, std::move(number), {}});
  doorbell_.ring(to);
  return status;
}

bool Outbox::tolerates(std::uint32_t peer) {
  if (failed_ != nullptr) failed_->push_back(peer);
  return failed_ != nullptr;
}

void Outbox::drop(std::uint32_t peer) {
  const auto others = std::partition(sending_.begin(), sending_.end(),
                                     [peer](const Sending& sending) { return sending.to != peer; });
  auto stuck = std::make_shared<std::vector<Sending>>();
  for (auto one = others; one != sending_.end(); ++one) {
    moving_ -= one->moving ? 1 : 0;
    stuck->push_back(std::move(*one));
  }
  sending_.erase(others, sending_.end());
  if (!stuck->empty()) keep_for_ever(std::move(stuck));
  peers_[peer].taken = peers_[peer].marked = peers_[peer].sent;
}

Status Outbox::step() {
  for (std::size_t i = 0; i < sending_.size();) {
    Sending& sending = sending_[i];
    int done = 0;
    if (Status s = status_of(MPI_Test(&sending.request, &done, MPI_STATUS_IGNORE), "sending"); !s) {
      if (!tolerates(sending.to)) return s;
      keep_for_ever(std::make_shared<Frame>(sending.frame));
      done = 1;
    }
    // A rendezvous moves only while both sides poll, and a sleeping receiver does not know of it.
    if (sending.moving) doorbell_.ring(sending.to);
    if (done == 0) {
      ++i;
      continue;
    }
    completed(sending);
    moving_ -= sending.moving ? 1 : 0;
    if (i + 1 != sending_.size()) sending = std::move(sending_.back());
    sending_.pop_back();
  }
  return {};
}

}  // namespace exdb::mpi
