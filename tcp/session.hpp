// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What two nodes have to say to each other, whatever connection carries it: frames with numbers,
// kept until the other side has taken them in, so that a connection that breaks is replaced and
// nobody above notices. No I/O, no clock.
//
// Both sides name a session, from a counter of their own; the pair of names is the session. On a
// new connection each says its name, the other's as it knows it (0: not yet), and how many frames
// it has taken in. When the names fit, each sends on from there. When they do not, one side has
// given the other up in the meantime: both begin a new session, and above the other was gone.
//
// Invariants
//   I1  Frames are taken in whole, once, in the order of push(), none left out.
//   I2  Frames that the peer has taken in are let go; the others are kept: under_way() of them.
//   I3  What the peer says it has taken in never shrinks, and is never more than was sent.
//   I4  A name is never used again by this process for this peer, once renew() was called.
// Threads: one at a time.
// Failure: a Status when the peer says what cannot be; the caller then ends the session.
#pragma once
#include <deque>

#include "exdb/send_bound.hpp"
#include "wire.hpp"

namespace exdb::tcp {

class Session {
 public:
  // --- of a connection
  [[nodiscard]] Link link(std::uint64_t attempt) const { return {mine_, yours_, attempt}; }
  /// Whether the names fit.
  [[nodiscard]] bool fits(const Link& theirs) const {
    return (yours_ == 0 || yours_ == theirs.mine) && (theirs.yours == 0 || theirs.yours == mine_);
  }
  /// Goes on over a new connection whose peer has taken in `taken` frames. REQUIRES: fits(theirs).
  Status resume(const Link& theirs, std::uint64_t taken);
  /// Whether the peer's name is known: the session was begun.
  [[nodiscard]] bool begun() const { return yours_ != 0; }
  /// Gives the session up: a new name, nothing kept.
  void renew();

  // --- sending
  /// REQUIRES: begun().
  void push(Frame frame);
  [[nodiscard]] const UnderWay& under_way() const { return under_way_; }
  /// What this connection has not been given yet.
  [[nodiscard]] bool has_unsent() const { return next_ < kept_.size(); }
  /// REQUIRES: has_unsent(). The frame's number and the frame.
  std::pair<std::uint64_t, Frame> next_unsent();
  Status peer_has_taken(std::uint64_t number);

  // --- receiving
  enum class Arrival { fresh, duplicate, gap };
  /// A fresh one counts as taken in.
  Arrival arrived(std::uint64_t number, std::size_t bytes);
  [[nodiscard]] std::uint64_t taken() const { return taken_; }
  /// Taken in, and the peer was not told yet.
  [[nodiscard]] const UnderWay& untold() const { return untold_; }
  void told() { untold_ = {}; }

 private:
  std::uint64_t mine_ = 1, yours_ = 0;
  std::deque<Frame> kept_;      ///< the first has number released_ + 1
  std::uint64_t released_ = 0;  ///< frames that the peer has taken in
  std::size_t next_ = 0;        ///< of kept_: the next to be sent on this connection
  UnderWay under_way_;
  std::uint64_t taken_ = 0;
  UnderWay untold_;
};

}  // namespace exdb::tcp
