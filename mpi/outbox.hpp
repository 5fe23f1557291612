// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Point-to-point sending. A frame that fits the receiver's buffer is one message on the control
// communicator; a longer one is announced there and follows on the data communicator in pieces that
// an int can count.
//
// How far a peer has taken what was sent MPI does not tell: a short send is complete when MPI has
// copied it, and what the receiver does not match piles up in the receiver's MPI. So now and then a
// message is sent synchronously (a mark): when that completes, the receiver has matched it, and by
// I2 everything before it. One in mark_every_frames, so that its acknowledgement costs nothing.
//
// Invariants
//   I1  A frame is kept alive until MPI has let go of it, and no longer.
//   I2  Messages to one peer are handed to MPI in the order of the calls.
//   I3  While under_way(to) leaves no room for `bound_bytes`, a mark is on its way to `to`: marks
//       are at most a quarter of the bound apart.
// Threads: one at a time (the transport's lock).
// Failure: a Status of a failed MPI call; the transport then ends.
#pragma once
#include <mpi.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "exdb/host.hpp"
#include "exdb/send_bound.hpp"

namespace exdb::mpi {

class Outbox {
 public:
  /// `inline_bytes[r]`: what rank r's receives hold, at most this node's own send buffer.
  Outbox(MPI_Comm control, MPI_Comm data, std::vector<std::size_t> inline_bytes,
         std::size_t bound_bytes, Doorbell& doorbell)
      : control_(control),
        data_(data),
        inline_bytes_(std::move(inline_bytes)),
        bound_bytes_(bound_bytes),
        doorbell_(doorbell),
        peers_(inline_bytes_.size()) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  [[nodiscard]] bool fits(std::uint32_t to, std::size_t bytes) const {
    return bytes <= inline_bytes_[to];
  }
  /// Sent, and not known to be taken.
  [[nodiscard]] UnderWay under_way(std::uint32_t to) const {
    const Peer& peer = peers_[to];
    return {peer.sent.frames - peer.taken.frames, peer.sent.bytes - peer.taken.bytes};
  }
  [[nodiscard]] bool has_room(std::uint32_t to) const {
    return under_way(to).leaves_room(bound_bytes_);
  }
  [[nodiscard]] std::size_t bound_bytes() const { return bound_bytes_; }
  /// `after_collective`: a broadcast that must not overtake the collective ones before it.
  Status send(std::uint32_t to, const Frame& frame, bool after_collective);
  /// A last message to `to`, with tag_end or tag_end_left: how many exchanges this node has begun.
  Status send_end(std::uint32_t to, int tag, std::uint64_t exchanges);
  /// Lets go of what MPI has taken. Rings those again whose answer a long transfer needs.
  Status step();
  /// As Inbox::tolerate.
  void tolerate(std::vector<std::uint32_t>& failed) { failed_ = &failed; }
  /// `peer` is dead: what MPI has not let go of stays in memory, and nothing is under way to it.
  void drop(std::uint32_t peer);
  /// MPI holds nothing of this object.
  [[nodiscard]] bool empty() const { return sending_.empty(); }
  /// Something is on its way that moves only while both sides poll. A mark alone does not count: it
  /// is with the receiver, who takes it when it looks.
  [[nodiscard]] bool moving() const { return moving_ != 0; }

 private:
  static constexpr std::size_t mark_every_frames = 32;

  struct Sending {
    MPI_Request request;
    std::uint32_t to;
    bool moving;  ///< false: a short mark
    Frame frame;  ///< kept alive; none for a number
    std::unique_ptr<std::uint64_t> number;
    UnderWay mark;  ///< what has been taken when this has; frames 0 = no mark
  };
  /// Totals since the beginning.
  struct Peer {
    UnderWay sent, marked, taken;
  };

  MPI_Comm control_, data_;
  std::vector<std::size_t> inline_bytes_;
  std::size_t bound_bytes_;
  Doorbell& doorbell_;
  std::vector<Peer> peers_;
  std::vector<Sending> sending_;
  std::size_t moving_ = 0;
  std::vector<std::uint32_t>* failed_ = nullptr;

  Status hand_over(MPI_Comm communicator, int tag, const void* data, std::size_t bytes,
                   Sending sending);
  Status send_long(std::uint32_t to, int tag, const Frame& frame, const UnderWay& mark);
  UnderWay mark_if_due(std::uint32_t to);
  void completed(const Sending& sending);
  bool tolerates(std::uint32_t peer);
};

}  // namespace exdb::mpi
