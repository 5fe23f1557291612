// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "resilient_transport.hpp"

#include <algorithm>

#include "identity.hpp"

namespace exdb::mpi {
namespace {

/// While something is under way inside MPI nobody rings for it: polling moves it.
constexpr std::chrono::nanoseconds nap_while_moving{50'000};

std::size_t bound_bytes_of(const Options& options) {
  if (options.send_bound_bytes != 0) return options.send_bound_bytes;
  return std::max<std::size_t>(send_bound_bytes_default, 4 * options.send_buffer_bytes);
}

}  // namespace

ResilientTransport::ResilientTransport(std::shared_ptr<ResilientSession> session)
    : session_(std::move(session)),
      rank_(session_->opened.rank),
      size_(session_->opened.size),
      crowded_(too_many_for_the_units(session_->opened)),
      removed_(size_),
      doorbell_(*session_->opened.doorbell) {}

ResilientTransport::~ResilientTransport() {
  ResilientTransport::close(false);
  unwatch(this);
}

Status ResilientTransport::start() {
  watch(this);
  std::lock_guard guard(lock_);
  see_who_wakes();
  return remember(session_->inbox.start());
}

void ResilientTransport::see_who_wakes() {
  bool all = true;
  for (std::uint32_t node = 0; node < size_; ++node)
    all &= !takes_part(node) || doorbell_.reaches(node);
  wakes_ = all;
}

std::string ResilientTransport::describe() const {
  return "MPI (" + library_name() + ", " + std::to_string(size_) +
         (size_ == 1 ? " rank, resilient)" : " ranks, resilient)");
}

Status ResilientTransport::usable() const {
  if (mpi_ended_) {
    return Status(ErrorCode::cluster,
                  "MPI_Finalize was called while the database was open: close it before");
  }
  if (closed_) return Status(ErrorCode::cluster, "the MPI transport is closed");
  if (in_forked_child())
    return Status(ErrorCode::cluster,
                  "this process is a fork of an MPI process: it cannot use the database");
  return failure_;
}

Status ResilientTransport::remember(Status status) {
  if (!status && failure_) {
    failure_ = Status(status.code(),
                      "node " + std::to_string(rank_) + ", MPI transport: " + status.text());
  }
  return status ? status : failure_;
}

Status ResilientTransport::hand_over(std::uint32_t to, const Frame& frame) {
  counters_.count_sent(1, frame->size(), !session_->outbox.fits(to, frame->size()));
  return remember(session_->outbox.send(to, frame, false));
}

Status ResilientTransport::send(std::uint32_t to, Frame frame) {
  if (to >= size_ || to == rank_) {
    return Status(ErrorCode::cluster_invalid_parameter,
                  "there is no other node " + std::to_string(to));
  }
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (session_->gone(to)) return {};
  if (!session_->outbox.has_room(to)) return no_room_for(to, session_->outbox.under_way(to));
  return hand_over(to, frame);
}

Status ResilientTransport::broadcast(Frame frame) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  for (std::uint32_t to = 0; to < size_; ++to) {
    if (takes_part(to) && !session_->outbox.has_room(to))
      return no_room_for(to, session_->outbox.under_way(to));
  }
  // Each rank begins with its successor, so that not all send to the same one first.
  for (std::uint32_t step = 1; step < size_; ++step) {
    const std::uint32_t to = (rank_ + step) % size_;
    if (!takes_part(to)) continue;
    if (Status s = hand_over(to, frame); !s) return s;
  }
  return {};
}

bool ResilientTransport::has_room(std::uint32_t node) const {
  std::lock_guard guard(lock_);
  if (node != rank_) return session_->gone(node) || session_->outbox.has_room(node);
  for (std::uint32_t to = 0; to < size_; ++to)
    if (takes_part(to) && !session_->outbox.has_room(to)) return false;
  return true;
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
    session_->look(false, news);
    if (!news.empty()) see_who_wakes();
  }
  for (const auto node : news) sink.on_gone(node);
  return {};
}

Status ResilientTransport::poll(FrameSink& sink, bool& any) {
  counters_.polls.add(1);
  if (Status s = tell_who_is_gone(sink); !s) return s;
  Inbox::Sweep sweep;
  std::optional<Arrival> arrival;
  struct GiveBack {  // also when the sink throws
    ResilientTransport& transport;
    std::optional<Arrival>& arrival;
    ~GiveBack() {
      if (!arrival) return;
      std::lock_guard guard(transport.lock_);
      if (transport.usable()) transport.session_->inbox.release(*arrival);
    }
  } give_back{*this, arrival};
  bool some = false;
  for (bool first = true;; first = false) {
    {
      std::lock_guard guard(lock_);
      if (Status s = usable(); !s) return s;
      if (arrival) session_->inbox.release(*arrival);
      arrival.reset();
      if (Status s = session_->move_and_take(sweep, first, arrival); !s) return remember(s);
      // Nothing to do but wait: the time to give MPI its receives back.
      if (!arrival && !some) return remember(session_->inbox.repost());
      if (arrival) session_->heard(arrival->from);
    }
    if (!arrival) return {};
    any = some = true;
    counters_.count_received(arrival->bytes.size());
    sink.on_frame(arrival->from, arrival->bytes);
  }
}

void ResilientTransport::wait(std::chrono::nanoseconds cap) {
  counters_.sleeps.add(1);
  {
    std::lock_guard guard(lock_);
    if (!usable()) return;
    if (session_->moving()) cap = std::min(cap, nap_while_moving);
  }
  doorbell_.sleep(cap, [this] {
    std::lock_guard guard(lock_);
    if (!usable()) return true;
    auto there = session_->something_there();
    return there ? *there : true;  // poll meets the same failure and tells of it
  });
}

/// The session stays with its receives posted, until MPI ends (survivors.hpp). REQUIRES: lock_.
void ResilientTransport::end() {
  session_->tell_all(tag_end, end_without_you);
  session_->flush(std::chrono::milliseconds(1000));
  session_->closed = true;
}

void ResilientTransport::close(bool /*collective*/) {
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  if (mpi_usable()) end();
}

void ResilientTransport::mpi_ends() {
  mpi_ended_ = true;
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  end();
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
