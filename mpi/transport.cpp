// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transport.hpp"

#include <algorithm>

#include "exchange_choice.hpp"
#include "identity.hpp"
#include "left_sessions.hpp"
#include "resilient_transport.hpp"

namespace exdb::mpi {
namespace {

std::chrono::milliseconds close_deadline_of(const Options& options) {
  if (options.deadline.count() == 0) return options.close_deadline;
  if (options.close_deadline.count() == 0) return options.deadline;
  return std::min(options.deadline, options.close_deadline);
}

bool begins_collective(const Opened& opened, const Options& options) {
  std::vector<HostCard> hosts;
  for (const NodeCard& card : opened.cards) hosts.push_back(card.host);
  return is_collective(options.exchange, hosts);
}

}  // namespace

MpiTransport::MpiTransport(Opened opened, const Options& options)
    : SessionTransport(std::make_shared<Session>(std::move(opened), bound_bytes_of(options))),
      close_deadline_(close_deadline_of(options)),
      began_collective_(begins_collective(session_->opened, options)),
      collective_(began_collective_) {}

MpiTransport::~MpiTransport() { close(false); }

std::string MpiTransport::describe() const { return described(collective_ ? "collective" : "p2p"); }

Result<std::vector<std::vector<std::byte>>> MpiTransport::collective_gather(
    std::span<const std::byte> mine, std::chrono::milliseconds deadline) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  auto blocks = collective_gather_blocks(session_->opened.data, mine, Deadline(deadline));
  if (!blocks) return remember(blocks.status());
  return blocks;
}

Status MpiTransport::send(std::uint32_t to, Frame frame) {
  if (Status s = is_other(to); !s) return s;
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (!session_->outbox.has_room(to)) return no_room_for(to, session_->outbox.under_way(to));
  return hand_over(to, frame, false);
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
    if (Status s = hand_over(to, frame, after_collective); !s) return s;
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

void MpiTransport::end(bool collective) {
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

void MpiTransport::end_with_mpi() {
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
