// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "session_transport.hpp"

#include <algorithm>

#include "exdb/large_buffers.hpp"
#include "identity.hpp"

namespace exdb::mpi {
namespace {

/// While something is under way inside MPI nobody rings for it: polling moves it.
constexpr std::chrono::nanoseconds nap_while_moving{50'000};

}  // namespace

std::size_t bound_bytes_of(const Options& options) {
  if (options.send_bound_bytes != 0) return options.send_bound_bytes;
  return std::max<std::size_t>(send_bound_bytes_default, 4 * options.send_buffer_bytes);
}

SessionTransport::SessionTransport(std::shared_ptr<Session> session)
    : session_(std::move(session)),
      rank_(session_->opened.rank),
      size_(session_->opened.size),
      removed_(size_),
      crowded_(session_->opened.crowded),
      doorbell_(*session_->opened.doorbell) {}

SessionTransport::~SessionTransport() { unwatch(this); }

Status SessionTransport::start() {
  watch(this);
  std::lock_guard guard(lock_);
  see_who_wakes();
  return remember(session_->inbox.start());
}

void SessionTransport::see_who_wakes() {
  bool all = true;
  for (std::uint32_t node = 0; node < size_; ++node)
    all &= !takes_part(node) || doorbell_.reaches(node);
  wakes_ = all;
}

std::string SessionTransport::described(const char* how) const {
  return "MPI (" + library_name() + ", " + std::to_string(size_) + " " + session_->opened.members +
         (size_ == 1 ? ", " : "s, ") + how + ")";
}

Status SessionTransport::usable() const {
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

Status SessionTransport::remember(Status status) {
  if (!status && failure_) {
    failure_ = Status(status.code(),
                      "node " + std::to_string(rank_) + ", MPI transport: " + status.text());
  }
  return status ? status : failure_;
}

Status SessionTransport::is_other(std::uint32_t node) const {
  if (node < size_ && node != rank_) return {};
  return {ErrorCode::cluster_invalid_parameter, "there is no other node " + std::to_string(node)};
}

Status SessionTransport::hand_over(std::uint32_t to, const Frame& frame, bool after_collective) {
  counters_.count_sent(1, frame->size(), !session_->outbox.fits(to, frame->size()));
  return remember(session_->outbox.send(to, frame, after_collective));
}

std::optional<std::uint32_t> SessionTransport::first_without_room() const {
  for (std::uint32_t to = 0; to < size_; ++to) {
    if (takes_part(to) && !session_->outbox.has_room(to)) return to;
  }
  return std::nullopt;
}

Status SessionTransport::poll(FrameSink& sink, bool& any) {
  counters_.polls.add(1);
  Inbox::Sweep sweep;
  std::optional<Arrival> arrival;
  struct GiveBack {  // also when the sink throws
    SessionTransport& transport;
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
      if (arrival) heard(arrival->from);
    }
    if (!arrival) return {};
    any = some = true;
    counters_.count_received(arrival->bytes.size());
    if (arrival->owned.size() >= LargeBuffers::buffer_bytes_min)
      sink.on_whole_frame(arrival->from, LargeBuffers::share(std::move(arrival->owned)));
    else
      sink.on_frame(arrival->from, arrival->bytes);
  }
}

void SessionTransport::wait(std::chrono::nanoseconds cap) {
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

void SessionTransport::close(bool collective) {
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  end(collective);
}

void SessionTransport::mpi_ends() {
  mpi_ended_ = true;
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  end_with_mpi();
}

}  // namespace exdb::mpi
