// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "session.hpp"

#include <algorithm>

namespace exdb::mpi {
namespace {

/// Frames up to this ride in the cells of the collective exchange. All cells travel every time, so
/// they are short.
constexpr std::size_t cell_inline_bytes = 512;

std::vector<std::size_t> inline_bytes_by_peer(const Opened& opened) {
  std::vector<std::size_t> bytes;
  for (const NodeCard& card : opened.cards) {
    bytes.push_back(
        std::min(card.receive_buffer_bytes, opened.cards[opened.rank].send_buffer_bytes));
  }
  return bytes;
}

std::size_t collective_inline_bytes(const Opened& opened) {
  std::uint64_t bytes = cell_inline_bytes;
  for (const NodeCard& card : opened.cards) {
    bytes = std::min({bytes, card.receive_buffer_bytes, card.send_buffer_bytes});
  }
  return bytes;
}

}  // namespace

Session::Session(Opened from, std::size_t bound_bytes)
    : opened(std::move(from)),
      inbox(opened.control, opened.data, opened.rank, opened.size,
            opened.cards[opened.rank].receive_buffer_bytes),
      outbox(opened.control, opened.data, inline_bytes_by_peer(opened), bound_bytes,
             *opened.doorbell),
      exchange(opened.collective, opened.rank, opened.size, collective_inline_bytes(opened)) {}

void Session::ring_all() {
  for (std::uint32_t node = 0; node < opened.size; ++node) opened.doorbell->ring(node);
}

Status Session::move_and_take(Inbox::Sweep& sweep, bool first, std::optional<Arrival>& arrival) {
  if (first) {
    if (!outbox.empty()) {
      if (Status s = outbox.step(); !s) return s;
    }
    if (exchange.under_way()) {
      if (Status s = exchange.step(); !s) return s;
      // A later step of the collective may wait for a neighbour that has gone to sleep.
      ring_all();
    }
  }
  if (Status s = exchange.next(arrival); !s || arrival) return s;
  return inbox.next(sweep, !exchange.idle(), arrival);
}

Result<bool> Session::something_there() {
  if (exchange.something_there()) return true;
  return inbox.something_there();
}

bool Session::all_ended(int tag, std::uint64_t& exchanges) const {
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (node == opened.rank) continue;
    const auto& ended = inbox.ended(node, tag);
    if (!ended) return false;
    exchanges = std::max(exchanges, *ended);
  }
  return true;
}

bool Session::left_out() const {
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (inbox.ended(node, tag_end) == end_without_you) return true;
  }
  return false;
}

Status Session::drain_turn() {
  Inbox::Sweep sweep;
  for (bool first = true;; first = false) {
    std::optional<Arrival> arrival;
    if (Status s = move_and_take(sweep, first, arrival); !s) return s;
    if (!arrival) return {};
    inbox.release(*arrival);
  }
}

bool Session::collective_drain(int tag, const Deadline& deadline) {
  // Who has gone alone has said so before: this rank need not promise to wait (I2).
  if (tag == tag_end && (!drain_turn() || left_out())) return false;
  std::uint64_t exchanges = exchange.promised();
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (node != opened.rank && !outbox.send_end(node, tag, exchanges)) return false;
  }
  for (Patience patience;; patience.pause()) {
    if (deadline.passed() || !drain_turn()) return false;
    // Where the transports are long closed (tag_end_left), whoever is here has agreed to be.
    if (tag == tag_end && left_out()) return false;
    if (!all_ended(tag, exchanges)) continue;
    // A rank that has begun more exchanges than others: they join in, with nothing to say.
    if (exchange.promised() < exchanges && !exchange.broadcast(nullptr)) return false;
    if (outbox.empty() && exchange.idle() && exchange.promised() == exchanges) return true;
  }
}

/// Who gives up between its drain and the barrier (its deadline, a failed call) has said alone, and
/// never comes: that ends the wait too.
bool Session::collective_barrier(const Deadline& deadline) {
  barrier_begun = true;
  MPI_Request barrier = MPI_REQUEST_NULL;
  if (!status_of(MPI_Ibarrier(opened.control, &barrier), "MPI_Ibarrier")) return false;
  for (Patience patience;; patience.pause()) {
    int done = 0;
    if (!status_of(MPI_Test(&barrier, &done, MPI_STATUS_IGNORE), "closing")) return false;
    if (done != 0) return true;
    if (deadline.passed() || !drain_turn() || left_out()) return false;
  }
}

void Session::flush(std::chrono::milliseconds patience) {
  const Deadline deadline(patience);
  for (Patience turns; outbox.moving() && outbox.step() && !deadline.passed();) turns.pause();
}

}  // namespace exdb::mpi
