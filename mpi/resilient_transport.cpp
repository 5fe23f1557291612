// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "resilient_transport.hpp"

#include <algorithm>

#include "identity.hpp"

namespace exdb::mpi {

ResilientTransport::ResilientTransport(std::shared_ptr<ResilientSession> session)
    : SessionTransport(session), resilient_(std::move(session)) {}

ResilientTransport::~ResilientTransport() { close(false); }

Status ResilientTransport::send(std::uint32_t to, Frame frame) {
  if (Status s = is_other(to); !s) return s;
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (resilient_->gone(to)) return {};
  if (!session_->outbox.has_room(to)) return no_room_for(to, session_->outbox.under_way(to));
  return hand_over(to, frame, false);
}

Status ResilientTransport::broadcast(Frame frame) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (const auto full = first_without_room())
    return no_room_for(*full, session_->outbox.under_way(*full));
  // Each rank begins with its successor, so that not all send to the same one first.
  for (std::uint32_t step = 1; step < size_; ++step) {
    const std::uint32_t to = (rank_ + step) % size_;
    if (!takes_part(to)) continue;
    if (Status s = hand_over(to, frame, false); !s) return s;
  }
  return {};
}

bool ResilientTransport::has_room(std::uint32_t node) const {
  std::lock_guard guard(lock_);
  if (node != rank_) return resilient_->gone(node) || session_->outbox.has_room(node);
  return !first_without_room();
}

void ResilientTransport::remove(std::uint32_t node) {
  std::lock_guard guard(lock_);
  if (node >= size_) return;
  removed_[node] = true;
  see_who_wakes();
}

Status ResilientTransport::add(std::uint32_t node) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (node < size_) removed_[node] = false;
  see_who_wakes();
  return {};
}

Status ResilientTransport::tell_who_is_gone(FrameSink& sink) {
  std::vector<std::uint32_t> news;
  {
    std::lock_guard guard(lock_);
    if (Status s = usable(); !s) return s;
    resilient_->look(false, news);
    if (!news.empty()) see_who_wakes();
  }
  for (const auto node : news) sink.on_gone(node);
  return {};
}

Status ResilientTransport::poll(FrameSink& sink, bool& any) {
  if (Status s = tell_who_is_gone(sink); !s) return s;
  return SessionTransport::poll(sink, any);
}

/// The session stays with its receives posted, until MPI ends (survivors.hpp).
void ResilientTransport::end_with_mpi() {
  resilient_->tell_all(tag_end, end_without_you);
  session_->flush(std::chrono::milliseconds(1000));
  resilient_->closed = true;
}

void ResilientTransport::end(bool /*collective*/) {
  if (mpi_usable()) end_with_mpi();
}

Result<std::unique_ptr<Transport>> resilient_transport(Opened opened, const Options& options) {
  auto session = std::make_shared<ResilientSession>(std::move(opened), bound_bytes_of(options),
                                                    options.keep_alive);
  auto made = std::make_unique<ResilientTransport>(session);
  Status status = made->start();
  // Nobody may end before all watch it: its number could be another process's by then.
  auto all = collective_gather_records<std::uint8_t>(session->opened.control, status ? 1 : 0,
                                                     Deadline(options.deadline),
                                                     "watching the other ranks");
  if (status && !all) status = all.status();
  if (!status) {
    keep_for_ever(std::move(session));
    return status;
  }
  unlink_mapped_segments();
  keep(std::move(session));
  return std::unique_ptr<Transport>(std::move(made));
}

}  // namespace exdb::mpi
