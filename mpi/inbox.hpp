// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Point-to-point receiving: persistent receives kept ready on the control communicator, and the
// payloads of long frames on the data communicator.
//
// Up to peers_with_own_ring peers each has a ring of receives of its own; above that one ring takes
// from any source, so that memory does not grow with the ranks. Measured, 64 bytes all-to-all,
// MPICH 5.0.2 ch4:ucx, 2 cores: a ring a peer 0.42 µs at 2 ranks, 8.1 at 4; any source 0.48
// and 9.4.
//
// Invariants
//   I1  Frames of one peer come out in the order in which it sent them: a ring is emptied head
//       first, and what arrives after the header of a long frame waits behind it.
//   I2  A broadcast sent point-to-point after collective ones comes out after them.
//   I3  A slot is given back to MPI only after its frame was delivered (release), and in the order
//       of the ring. Not at once: that takes a tenth of an exchange, which is better spent while
//       waiting (repost); but at least half of the slots are always with MPI.
// Threads: one at a time (the transport's lock).
// Failure: a Status of a failed MPI call, or no_memory for a long frame; the transport then ends.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::mpi {

/// What a message on the control communicator is.
enum Tag : int {
  tag_inline = 1,  ///< the frame itself
  tag_long = 2,    ///< {length}: the frame follows on the data communicator
  tag_end = 3,     ///< {exchanges begun}: the last message of this peer
  // A broadcast of a node that has ended collective exchanging. The receiver may still be testing
  // the last exchange, whose frames come before this one.
  tag_inline_after = 4,
  tag_long_after = 5,
  tag_end_left = 6,  ///< as tag_end, of a session whose transport is closed already
  tag_finish = 7,    ///< {how}: this peer ends its MPI (survivors.hpp)
};
/// With tag_end: the sender has removed the receiver, and will not take part in a collective close
/// with it.
constexpr std::uint64_t end_without_you = ~std::uint64_t{0};

/// A frame that has arrived: in a slot of a ring, or in memory of its own.
struct Arrival {
  std::uint32_t from = 0;
  std::span<const std::byte> bytes;
  std::vector<std::byte> owned;
  int ring = -1;  ///< whose head holds it; -1 = none
};

class Inbox {
 public:
  static constexpr std::uint32_t peers_with_own_ring = 16;

  Inbox(MPI_Comm control, MPI_Comm data, std::uint32_t self, std::uint32_t size,
        std::size_t slot_bytes);
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  Status start();

  /// A position in one sweep over the rings: every ring is asked once, so that no peer keeps the
  /// others waiting.
  struct Sweep {
    std::size_t ring = 0;
    int taken = 0;
  };
  /// `exchanging`: a collective exchange is not yet delivered; frames that come after it are held
  /// back.
  Status next(Sweep& sweep, bool exchanging, std::optional<Arrival>& arrival);
  void release(Arrival& arrival);
  /// Gives all released slots back to MPI: when there is nothing better to do.
  Status repost();

  /// True when a message lies in a ring (a look for a thread about to sleep).
  Result<bool> something_there();
  /// Long frames are on their way: polling is what moves them.
  [[nodiscard]] bool transferring() const { return transfers_ != 0; }
  [[nodiscard]] bool transferring(std::uint32_t from) const {
    return !peers_[from].waiting.empty();
  }
  /// What `from` said with `tag` (tag_end, tag_end_left, tag_finish), once it did.
  [[nodiscard]] const std::optional<std::uint64_t>& ended(std::uint32_t from, int tag) const {
    const Peer& peer = peers_[from];
    return tag == tag_end ? peer.ended : tag == tag_finish ? peer.finished : peer.ended_left;
  }

  /// From now on a failed call that has one peer as its partner puts that into `failed` and is no
  /// failure of this object; nothing more comes from that peer.
  void tolerate(std::vector<std::uint32_t>& failed) { failed_ = &failed; }
  /// `peer` is dead: takes back what was to receive from it. REQUIRES: no frame of it is with the
  /// caller.
  void drop(std::uint32_t peer);

  /// Takes all receives back. True when MPI holds nothing of this object any more.
  bool cancel();

 private:
  struct Slot {
    std::vector<std::byte> memory;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  struct Ring {
    std::vector<Slot> slots;
    std::size_t head = 0;
    std::size_t owed = 0;  ///< slots before the head that MPI does not have
    bool there = false;    ///< the head has completed, as `status` says
    bool delivering = false;
    bool closed = false;  ///< of a peer that is dead: nothing more is taken
    MPI_Status status{};
  };
  /// A frame that must not overtake: long and on its way, or behind one.
  struct Waiting {
    std::vector<std::byte> bytes;
    std::vector<MPI_Request> chunks;
  };
  struct Peer {
    std::deque<Waiting> waiting;
    std::optional<std::uint64_t> ended, ended_left, finished;
  };

  MPI_Comm control_, data_;
  std::uint32_t self_;
  std::size_t slot_bytes_;
  std::vector<Ring> rings_;
  std::vector<Peer> peers_;
  std::vector<std::uint32_t> busy_peers_;  ///< with waiting frames
  std::size_t owed_ = 0;                   ///< over all rings
  std::size_t transfers_ = 0;              ///< waiting frames over all peers
  std::vector<std::uint32_t>* failed_ = nullptr;

  Status add_ring(int source, int slots);
  Status test_head(Ring& ring, bool& there);
  Status pass_head(Ring& ring);
  Status repost(Ring& ring);
  Status accept(std::size_t ring, std::optional<Arrival>& arrival);
  Status begin_long(std::uint32_t from, std::uint64_t length);
  void add_waiting(std::uint32_t from, Waiting waiting);
  Status next_waiting(std::optional<Arrival>& arrival);
  [[nodiscard]] bool own_rings() const { return peers_.size() - 1 <= peers_with_own_ring; }
  [[nodiscard]] std::size_t ring_of(std::uint32_t peer) const { return peer - (peer > self_); }
  Status failed_with(std::uint32_t peer, const Status& status);
  static bool take_back(MPI_Request& request);
  static bool take_back(Ring& ring);
};

}  // namespace exdb::mpi
