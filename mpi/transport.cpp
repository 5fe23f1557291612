// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transport.hpp"

#include <algorithm>

#include "identity.hpp"
#include "left_sessions.hpp"
#include "resilient_transport.hpp"

namespace exdb::mpi {
namespace {

/// 'auto' exchanges by collective calls above this. Measured with 64 bytes, MPICH 5.0.2 ch4:ucx, 2
/// cores, medians in µs, p2p against Iallgather: 2 ranks 0.42 / 0.77, 3 ranks 4.6 / 12.3, 4
/// ranks 8.1 / 18.4, 8 ranks 242 / 642 (the last three share 2 cores). p2p wins wherever we could
/// measure; its cost grows with the ranks (about 0.2 µs a message and side), the collective's with
/// their logarithm, so the lines should cross between 32 and 128. Not measured there.
constexpr std::uint32_t collective_above_nodes = 64;

/// While something is under way inside MPI nobody rings for it: polling moves it.
constexpr std::chrono::nanoseconds nap_while_moving{50'000};

std::chrono::milliseconds close_deadline_of(const Options& options) {
  if (options.deadline.count() == 0) return options.close_deadline;
  if (options.close_deadline.count() == 0) return options.deadline;
  return std::min(options.deadline, options.close_deadline);
}

std::size_t bound_bytes_of(const Options& options) {
  if (options.send_bound_bytes != 0) return options.send_bound_bytes;
  return std::max<std::size_t>(send_bound_bytes_default, 4 * options.send_buffer_bytes);
}

bool begins_collective(const Opened& opened, const Options& options) {
  return opened.size > 1 &&
         (options.exchange == Exchange::collective ||
          (options.exchange == Exchange::automatic && opened.size > collective_above_nodes));
}

}  // namespace

MpiTransport::MpiTransport(Opened opened, const Options& options)
    : rank_(opened.rank),
      size_(opened.size),
      close_deadline_(close_deadline_of(options)),
      crowded_(too_many_for_the_units(opened)),
      began_collective_(begins_collective(opened, options)),
      collective_(began_collective_),
      removed_(opened.size),
      session_(std::make_shared<Session>(std::move(opened), bound_bytes_of(options))),
      doorbell_(*session_->opened.doorbell) {}

MpiTransport::~MpiTransport() {
  MpiTransport::close(false);
  unwatch(this);
}

/// Under lock_, or before anybody else has this object.
void MpiTransport::see_who_wakes() {
  bool all = true;
  for (std::uint32_t node = 0; node < size_; ++node)
    all &= node == rank_ || removed_[node] || doorbell_.reaches(node);
  wakes_ = all;
}

Status MpiTransport::start() {
  watch(this);
  std::lock_guard guard(lock_);
  see_who_wakes();
  return remember(session_->inbox.start());
}

std::string MpiTransport::describe() const {
  return "MPI (" + library_name() + ", " + std::to_string(size_) +
         (size_ == 1 ? " rank, " : " ranks, ") + (collective_ ? "collective)" : "p2p)");
}

Status MpiTransport::usable() const {
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

Status MpiTransport::remember(Status status) {
  if (!status && failure_) {
    failure_ = Status(status.code(),
                      "node " + std::to_string(rank_) + ", MPI transport: " + status.text());
  }
  return status ? status : failure_;
}

Result<std::vector<std::vector<std::byte>>> MpiTransport::collective_gather(
    std::span<const std::byte> mine, std::chrono::milliseconds deadline) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  auto blocks = collective_gather_blocks(session_->opened.data, mine, Deadline(deadline));
  if (!blocks) return remember(blocks.status());
  return blocks;
}

Status MpiTransport::send_point_to_point(std::uint32_t to, const Frame& frame,
                                         bool after_collective) {
  counters_.count_sent(1, frame->size(), !session_->outbox.fits(to, frame->size()));
  return remember(session_->outbox.send(to, frame, after_collective));
}

Status MpiTransport::send(std::uint32_t to, Frame frame) {
  if (to >= size_ || to == rank_) {
    return Status(ErrorCode::cluster_invalid_parameter,
                  "there is no other node " + std::to_string(to));
  }
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (!session_->outbox.has_room(to)) return no_room_for(to, session_->outbox.under_way(to));
  return send_point_to_point(to, frame, false);
}

Status MpiTransport::broadcast(Frame frame) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (collective_) return broadcast_collectively(std::move(frame));
  if (const auto full = first_without_room())
    return no_room_for(*full, session_->outbox.under_way(*full));
  const bool after_collective = session_->exchange.promised() != 0;
  // Each rank begins with its successor, so that not all send to the same one first.
  for (std::uint32_t to = rank_ + 1 == size_ ? 0 : rank_ + 1; to != rank_;
       to = to + 1 == size_ ? 0 : to + 1) {
    if (removed_[to]) continue;
    if (Status s = send_point_to_point(to, frame, after_collective); !s) return s;
  }
  return {};
}

Status MpiTransport::broadcast_collectively(Frame frame) {
  CollectiveExchange& exchange = session_->exchange;
  if (const UnderWay there = exchanges_under_way(); !there.leaves_room(send_bound_bytes()))
    return no_room_for(rank_, there);
  counters_.collectives.add(1);
  counters_.count_sent(size_ - 1, frame->size(), !exchange.fits(frame->size()));
  Status status = remember(exchange.broadcast(std::move(frame)));
  session_->ring_all();
  return status;
}

UnderWay MpiTransport::exchanges_under_way() const { return session_->exchange.held(); }

std::optional<std::uint32_t> MpiTransport::first_without_room() const {
  for (std::uint32_t to = 0; to < size_; ++to) {
    if (to != rank_ && !removed_[to] && !session_->outbox.has_room(to)) return to;
  }
  return std::nullopt;
}

bool MpiTransport::has_room(std::uint32_t node) const {
  std::lock_guard guard(lock_);
  if (node != rank_) return session_->outbox.has_room(node);
  return collective_ ? exchanges_under_way().leaves_room(send_bound_bytes())
                     : !first_without_room();
}

void MpiTransport::remove(std::uint32_t node) {
  std::lock_guard guard(lock_);
  if (node >= size_ || removed_[node]) return;
  removed_[node] = true;
  ever_removed_ = true;
  collective_ = false;
  see_who_wakes();
  // A node that left may be closing collectively right now: it must not wait for this one.
  if (node != rank_ && usable()) (void)remember(session_->say_alone(node));
}

Status MpiTransport::add(std::uint32_t node) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (!can_rejoin()) {
    return Status(
        ErrorCode::unsupported,
        "rank " + std::to_string(node) +
            " cannot come back: broadcasts began as collective calls, and one that it has "
            "begun never completes (exchange='p2p' has no such limit)");
  }
  if (node < size_) removed_[node] = false;
  see_who_wakes();
  return {};
}

Status MpiTransport::poll(FrameSink& sink, bool& any) {
  counters_.polls.add(1);
  Inbox::Sweep sweep;
  std::optional<Arrival> arrival;
  struct GiveBack {  // also when the sink throws
    MpiTransport& transport;
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
    }
    if (!arrival) return {};
    any = some = true;
    counters_.count_received(arrival->bytes.size());
    sink.on_frame(arrival->from, arrival->bytes);
  }
}

void MpiTransport::wait(std::chrono::nanoseconds cap) {
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

void MpiTransport::say_alone() {
  for (std::uint32_t node = 0; node < size_; ++node) {
    if (node != rank_ && !removed_[node] && !session_->say_alone(node)) return;
  }
}

/// A close without the others, who hear of it. What is on its way out is given a second; the rest
/// waits until the ranks of this cluster meet again.
void MpiTransport::leave_session() {
  if (failure_ && !session_->barrier_begun) say_alone();
  session_->flush(std::chrono::milliseconds(1000));
  if (failure_ && session_->opened.id != 0 && !session_->barrier_begun)
    return leave_behind(session_);
  session_->cancel();
  keep_for_ever(session_);
}

void MpiTransport::close(bool collective) {
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  if (!mpi_usable()) return keep_for_ever(session_);
  // With a node removed, or after a failure, not every rank comes here, and freeing a communicator
  // is collective.
  const Deadline deadline(close_deadline_);
  if (collective && failure_ && !ever_removed_ && session_->collective_drain(tag_end, deadline) &&
      session_->collective_barrier(deadline)) {
    session_->cancel();
    session_->free();
  } else {
    leave_session();
  }
}

void MpiTransport::mpi_ends() {
  mpi_ended_ = true;
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  if (failure_) say_alone();
  session_->flush(std::chrono::milliseconds(1000));
  session_->cancel();
  keep_for_ever(session_);
}

Result<std::unique_ptr<Transport>> transport(MPI_Comm communicator, const Options& options) {
  auto opened = collective_open(communicator, options);
  if (!opened) return opened.status();
  if (options.resilient) return resilient_transport(*std::move(opened), options);
  auto made = std::make_unique<MpiTransport>(*std::move(opened), options);
  if (Status s = made->start(); !s) return s;
  return std::unique_ptr<Transport>(std::move(made));
}

}  // namespace exdb::mpi
