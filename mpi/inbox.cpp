// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "inbox.hpp"

#include <algorithm>
#include <cstring>

#include "calls.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb::mpi {
namespace {
constexpr int slots_of_one_peer = 4;
constexpr int slots_of_any = 64;
constexpr int sweep_of_any = 32;  ///< frames taken from the shared ring before others get a turn

std::uint64_t number_in(const std::vector<std::byte>& memory) {
  std::uint64_t number = 0;
  std::memcpy(&number, memory.data(), sizeof number);
  return number;
}

/// Of a broadcast that came after the collective ones.
bool is_after(int tag) { return tag == tag_inline_after || tag == tag_long_after; }

}  // namespace

Inbox::Inbox(MPI_Comm control, MPI_Comm data, std::uint32_t self, std::uint32_t size,
             std::size_t slot_bytes)
    : control_(control), data_(data), self_(self), slot_bytes_(slot_bytes), peers_(size) {}

Status Inbox::start() {
  const auto size = static_cast<std::uint32_t>(peers_.size());
  if (size == 1) return {};
  if (size - 1 > peers_with_own_ring) return add_ring(MPI_ANY_SOURCE, slots_of_any);
  rings_.reserve(size - 1);
  for (std::uint32_t peer = 0; peer < size; ++peer) {
    if (peer == self_) continue;
    if (Status s = add_ring(static_cast<int>(peer), slots_of_one_peer); !s) return s;
  }
  return {};
}

Status Inbox::add_ring(int source, int slots) {
  Ring& ring = rings_.emplace_back();
  ring.slots.resize(static_cast<std::size_t>(slots));
  for (Slot& slot : ring.slots) {
    slot.memory.resize(slot_bytes_);
    Status s = status_of(MPI_Recv_init(slot.memory.data(), static_cast<int>(slot_bytes_), MPI_BYTE,
                                       source, MPI_ANY_TAG, control_, &slot.request),
                         "MPI_Recv_init");
    if (s) s = status_of(MPI_Start(&slot.request), "MPI_Start");
    if (!s) return s;
  }
  return {};
}

Status Inbox::test_head(Ring& ring, bool& there) {
  if (!ring.there && !ring.delivering && !ring.closed) {
    int done = 0;
    if (Status s = status_of(MPI_Test(&ring.slots[ring.head].request, &done, &ring.status),
                             "receiving from the other nodes");
        !s) {
      if (!own_rings()) return s;
      const auto index = static_cast<std::uint32_t>(&ring - rings_.data());
      ring.closed = failed_ != nullptr;
      return failed_with(index + (index >= self_), s);
    }
    ring.there = done != 0;
  }
  there = ring.there;
  return {};
}

Status Inbox::pass_head(Ring& ring) {
  ring.head = (ring.head + 1) % ring.slots.size();
  ring.there = ring.delivering = false;
  ++ring.owed;
  ++owed_;
  return 2 * ring.owed < ring.slots.size() ? Status() : repost(ring);
}

Status Inbox::repost(Ring& ring) {
  if (ring.closed) return {};
  const std::size_t size = ring.slots.size();
  for (; ring.owed > 0; --ring.owed, --owed_) {
    Slot& slot = ring.slots[(ring.head + size - ring.owed) % size];
    if (Status s = status_of(MPI_Start(&slot.request), "MPI_Start"); !s) return s;
  }
  return {};
}

Status Inbox::repost() {
  if (owed_ == 0) return {};
  for (Ring& ring : rings_) {
    if (Status s = repost(ring); !s) return s;
  }
  return {};
}

Status Inbox::next(Sweep& sweep, bool exchanging, std::optional<Arrival>& arrival) {
  const int turn = peers_.size() - 1 > peers_with_own_ring ? sweep_of_any : 1;
  if (transfers_ != 0) {
    if (Status s = next_waiting(arrival); !s || arrival) return s;
  }
  while (sweep.ring < rings_.size()) {
    bool there = false;
    if (sweep.taken < turn) {
      if (Status s = test_head(rings_[sweep.ring], there); !s) return s;
    }
    if (!there || (exchanging && is_after(rings_[sweep.ring].status.MPI_TAG))) {
      ++sweep.ring;
      sweep.taken = 0;
      continue;
    }
    ++sweep.taken;
    if (Status s = accept(sweep.ring, arrival); !s || arrival) return s;
  }
  return {};
}

Status Inbox::accept(std::size_t index, std::optional<Arrival>& arrival) {
  Ring& ring = rings_[index];
  const std::vector<std::byte>& memory = ring.slots[ring.head].memory;
  const auto from = static_cast<std::uint32_t>(ring.status.MPI_SOURCE);
  int count = 0;
  MPI_Get_count(&ring.status, MPI_BYTE, &count);
  const auto length = static_cast<std::size_t>(count);
  switch (ring.status.MPI_TAG) {
    case tag_inline:
    case tag_inline_after:
      if (peers_[from].waiting.empty()) {
        ring.there = false;
        ring.delivering = true;
        arrival = Arrival{from, std::span(memory.data(), length), {}, static_cast<int>(index)};
        return {};
      }
      add_waiting(from,
                  Waiting{std::vector<std::byte>(memory.begin(), memory.begin() + count), {}});
      break;
    case tag_long:
    case tag_long_after:
      if (Status s = begin_long(from, number_in(memory)); !s) return s;
      break;
    case tag_end:
      peers_[from].ended = number_in(memory);
      break;
    case tag_end_left:
      peers_[from].ended_left = number_in(memory);
      break;
    case tag_finish:
      peers_[from].finished = number_in(memory);
      break;
    default:
      return Status(ErrorCode::cluster_protocol, "a message of node " + std::to_string(from) +
                                                     " has the unknown tag " +
                                                     std::to_string(ring.status.MPI_TAG));
  }
  return pass_head(ring);
}

Status Inbox::begin_long(std::uint32_t from, std::uint64_t length) {
  Waiting waiting;
  try {
    waiting.bytes = LargeBuffers::shared().bytes(length);
  } catch (const std::exception&) {
    return Status(ErrorCode::no_memory, "no memory for a frame of " + std::to_string(length) +
                                            " bytes from node " + std::to_string(from));
  }
  for (std::size_t at = 0; at < length; at += chunk_bytes_max) {
    const auto bytes = static_cast<int>(std::min<std::size_t>(chunk_bytes_max, length - at));
    MPI_Request request = MPI_REQUEST_NULL;
    if (Status s = status_of(MPI_Irecv(waiting.bytes.data() + at, bytes, MPI_BYTE,
                                       static_cast<int>(from), tag_long, data_, &request),
                             "MPI_Irecv");
        !s) {
      return failed_with(from, s);
    }
    waiting.chunks.push_back(request);
  }
  add_waiting(from, std::move(waiting));
  return {};
}

void Inbox::add_waiting(std::uint32_t from, Waiting waiting) {
  if (peers_[from].waiting.empty()) busy_peers_.push_back(from);
  peers_[from].waiting.push_back(std::move(waiting));
  ++transfers_;
}

Status Inbox::next_waiting(std::optional<Arrival>& arrival) {
  for (std::size_t i = 0; i < busy_peers_.size(); ++i) {
    const std::uint32_t from = busy_peers_[i];
    auto& waiting = peers_[from].waiting;
    auto& chunks = waiting.front().chunks;
    while (!chunks.empty()) {
      int done = 0;
      if (Status s = status_of(MPI_Test(&chunks.back(), &done, MPI_STATUS_IGNORE),
                               "receiving a long frame");
          !s) {
        // Not asked again: what a failed request holds is not known.
        return failed_with(from, s);
      }
      if (done == 0) break;
      chunks.pop_back();
    }
    if (!chunks.empty()) continue;
    arrival.emplace();
    arrival->from = from;
    arrival->owned = std::move(waiting.front().bytes);
    arrival->bytes = arrival->owned;
    waiting.pop_front();
    --transfers_;
    if (waiting.empty()) busy_peers_.erase(busy_peers_.begin() + static_cast<std::ptrdiff_t>(i));
    return {};
  }
  return {};
}

void Inbox::release(Arrival& arrival) {
  if (arrival.ring < 0) return LargeBuffers::shared().give(std::move(arrival.owned));
  // A failure shows itself again at the next test of this ring.
  (void)pass_head(rings_[static_cast<std::size_t>(arrival.ring)]);
}

Result<bool> Inbox::something_there() {
  for (Ring& ring : rings_) {
    bool there = false;
    if (Status s = test_head(ring, there); !s) return s;
    if (there) return true;
  }
  return false;
}

Status Inbox::failed_with(std::uint32_t peer, const Status& status) {
  if (failed_ == nullptr) return status;
  failed_->push_back(peer);
  return {};
}

bool Inbox::take_back(MPI_Request& request) {
  if (request == MPI_REQUEST_NULL) return true;
  MPI_Cancel(&request);
  int done = 0;
  // A receive that already takes a message in cannot be cancelled; some tests are given to it, no
  // more.
  for (int turn = 0; turn < 1000 && done == 0; ++turn) MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  return done != 0;
}

bool Inbox::take_back(Ring& ring) {
  bool clean = true;
  for (std::size_t i = 0; i < ring.slots.size(); ++i) {
    Slot& slot = ring.slots[i];
    // A head that has completed is not active, nor are the slots owed to MPI, and only active
    // receives may be cancelled.
    const std::size_t behind = (ring.head + ring.slots.size() - i) % ring.slots.size();
    const bool done = behind == 0 && (ring.there || ring.delivering);
    const bool owed = behind != 0 && behind <= ring.owed;
    if (!done && !owed) clean = take_back(slot.request) && clean;
    if (clean && slot.request != MPI_REQUEST_NULL) MPI_Request_free(&slot.request);
  }
  return clean;
}

void Inbox::drop(std::uint32_t peer) {
  auto& waiting = peers_[peer].waiting;
  for (Waiting& one : waiting) {
    bool clean = true;
    for (MPI_Request& chunk : one.chunks) clean = take_back(chunk) && clean;
    if (!clean) keep_for_ever(std::make_shared<Waiting>(std::move(one)));
    --transfers_;
  }
  if (!waiting.empty()) std::erase(busy_peers_, peer);
  waiting.clear();
  if (!own_rings()) return;
  Ring& ring = rings_[ring_of(peer)];
  if (!take_back(ring)) {
    auto slots = std::make_shared<std::vector<Slot>>(std::move(ring.slots));
    ring.slots.assign(slots->size(), {});
    keep_for_ever(slots);
  }
  owed_ -= ring.owed;
  ring.owed = 0;
  ring.closed = true;
  ring.there = ring.delivering = false;
}

bool Inbox::cancel() {
  bool clean = true;
  for (Peer& peer : peers_) {
    for (Waiting& waiting : peer.waiting) {
      for (MPI_Request& chunk : waiting.chunks) clean = take_back(chunk) && clean;
    }
  }
  for (Ring& ring : rings_) clean = take_back(ring) && clean;
  return clean;
}

}  // namespace exdb::mpi
