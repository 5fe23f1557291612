// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Transport moves frames between the nodes of one cluster. It is the whole of what the runtime
// knows about networks: MPI (mpi/), TCP (tcp/) and the in-process one for tests implement it, and
// the same conformance suite runs over each. What only some of them can do is marked optional, and
// is off unless a transport says otherwise.
//
// Invariants
//   I1  Frames from one node to another arrive whole, once, in the order of the calls; send and
//       broadcast keep one order (where a broadcast is collective, sends keep theirs and broadcasts
//       theirs, but a send may overtake a broadcast).
//   I2  send, broadcast and poll never block.
//   I3  wait() returns within its cap; and soon after wake(), or after a frame arrived where the
//       transport can tell. A wake() or a frame that came between the last poll() and wait() is not
//       slept over.
//   I4  What is on its way to one node is bounded: frames_always_taken frames of any length, and
//       beyond those no frame is taken while send_bound_bytes() are under way. A frame is under way
//       until the receiver's transport has taken it in. The round protocol never meets the bound:
//       it posts round r+1 after it has everybody's batch of r, which a node posts after it has all
//       of r-1; so at most the batches of r and r+1 are on their way to anybody, and a doorbell of
//       each.
//   I5  Between on_gone(n) and on_up(n) nothing arrives from n, and what is sent to it is lost.
//       After on_up nothing of the former incarnation arrives. Nodes are up when a transport is
//       made, unless its first poll says otherwise.
// Threads: send, broadcast, has_room, remove, add, poll and close by one thread at a time (the
//   caller holds the drive lock). wait() by one thread at a time too, but without the drive lock:
//   beside poll(), send() and broadcast() of another. wake, wakes, by_system, statistics, crowded,
//   self and size by any.
// Failure: a failed transport says so from poll(); frames handed over before may or may not have
//   arrived.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb {

class CollectiveGather;

/// One message, shared by all its receivers and never changed after it was handed over.
using Frame = std::shared_ptr<const std::vector<std::byte>>;

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  /// `frame` is valid during the call only.
  virtual void on_frame(std::uint32_t from, std::span<const std::byte> frame) = 0;
  /// The same for a large frame that the sink may keep.
  virtual void on_whole_frame(std::uint32_t from, const Frame& frame) { on_frame(from, *frame); }
  /// The transport knows that a node is gone: until on_up, if that ever comes (a plain MPI job
  /// never tells either).
  virtual void on_gone(std::uint32_t node) = 0;
  /// A node is there that was not. `incarnation` counts its starts as this transport knows them, 0
  /// being the first; it takes part in broadcasts as before, so a removed one only after add().
  virtual void on_up(std::uint32_t /*node*/, std::uint32_t /*incarnation*/) {}
};

struct TransportStatistics {
  std::uint64_t frames_sent = 0, frames_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t frames_long =
      0;  ///< did not fit a receive buffer and travelled as a second message
  std::uint64_t collectives = 0;  ///< exchanges made by a collective call
  std::uint64_t polls = 0, sleeps = 0;
};

class Transport {
 public:
  /// Of I4: so many are taken whatever their length.
  static constexpr std::size_t frames_always_taken = 4;

  virtual ~Transport() = default;

  [[nodiscard]] virtual std::uint32_t self() const = 0;
  /// Nodes that there can be; numbered from 0.
  [[nodiscard]] virtual std::uint32_t size() const = 0;
  /// For people: "MPI (MPICH 5.0.2, 4 ranks)".
  [[nodiscard]] virtual std::string describe() const = 0;

  /// Fails with `cluster`, and changes nothing, when has_room() is false.
  virtual Status send(std::uint32_t to, Frame frame) = 0;
  /// To every other node that has not been removed: to all of them, or, without room for one of
  /// them, to none.
  virtual Status broadcast(Frame frame) = 0;
  /// Whether I4 lets a frame to `node` be taken now; with node == self(), a broadcast. It becomes
  /// true again by polling here and there. Cheap.
  [[nodiscard]] virtual bool has_room(std::uint32_t node) const = 0;
  [[nodiscard]] virtual std::size_t send_bound_bytes() const = 0;
  /// True: what is sent from now on may wait, so that frames to one node can go together. False: it
  /// goes. Never from one poll to the next.
  virtual void hold(bool /*on*/) {}

  /// From now on `node` takes no part in broadcasts. To be called at the same point of the order of
  /// broadcasts everywhere. Idempotent.
  virtual void remove(std::uint32_t node) = 0;
  /// Takes a removed node into the broadcasts again, from the next one on; it has forgotten nothing
  /// and must remove nobody itself unless the others do. Fails with `unsupported` unless
  /// can_rejoin(). Idempotent.
  virtual Status add(std::uint32_t node) = 0;
  /// False where broadcasts are, or were, collective calls: one that a removed node has begun never
  /// completes, and cannot be taken back, so that node is lost to the order for good.
  [[nodiscard]] virtual bool can_rejoin() const { return !broadcast_is_collective(); }

  /// Moves what can be moved and hands arrived frames to `sink`. Sets `any` when something arrived.
  virtual Status poll(FrameSink& sink, bool& any) = 0;
  /// Sleeps until something may have arrived, wake() was called, or `cap` has passed. Holds nothing
  /// that poll() needs: a thread that wants to drive takes over at once while another one sleeps
  /// here.
  virtual void wait(std::chrono::nanoseconds cap) = 0;
  virtual void wake() = 0;
  /// True while a frame from any node that is not removed ends wait() by itself: then the cap need
  /// not be short. False where only looking tells (MPI between hosts).
  [[nodiscard]] virtual bool wakes() const { return false; }
  /// Frames come by system calls, and the system decides where a thread wakes that waits for them.
  [[nodiscard]] virtual bool by_system() const { return false; }
  /// True when more threads than processing units poll on this host: do not spin, yield.
  [[nodiscard]] virtual bool crowded() const = 0;

  [[nodiscard]] virtual TransportStatistics statistics() const = 0;

  /// Ends use. `collective`: every node calls it (waits for what is on its way, frees
  /// communicators); otherwise only local things are let go, and nothing is waited for longer than
  /// a second. Idempotent; send, broadcast and poll fail afterwards.
  virtual void close(bool collective) = 0;

  // --- optional ---
  /// True: a node that is gone is dead and never up again, so there is nothing to wait for.
  [[nodiscard]] virtual bool gone_is_final() const { return false; }
  /// The call by which all nodes find each other at opening; owned by the transport. Null: there is
  /// none, and who the nodes are is told by other means.
  [[nodiscard]] virtual CollectiveGather* gather() { return nullptr; }
  /// Why `node` and this one do not let each other in, as far as this side knows: the newest reason
  /// since that node was up last; ok when there is none. With node == self(): the same of somebody
  /// who did not get as far as saying who he is. By the thread that polls.
  [[nodiscard]] virtual Status refused(std::uint32_t /*node*/) const { return {}; }
  /// True: a broadcast arrives only after every node has made its own (a collective exchange), so
  /// nodes that have nothing to say must be asked to take part first. May become false by remove(),
  /// never true again.
  [[nodiscard]] virtual bool broadcast_is_collective() const { return false; }
};

}  // namespace exdb
