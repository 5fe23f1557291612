// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A state on its way to a node that the rounds kept by others do not reach back to: begin, chunks
// with numbers, acknowledgements that are credit for more, an end that has the digest of all of it.
// What the bytes are is the layer's above.
//
// Invariants
//   T1  At most `credit` chunks are on their way, or `credit_bytes` in more of them, so neither side
//       holds more.
//   T2  A state is taken only when every chunk has come, in order, and all of them together have the
//       digest that the end promises. A transfer that breaks leaves nothing behind.
//   T3  Rounds that become final while a state comes are fetched beside it, so that a state of any
//       size is of use however soon the giver forgets rounds. They take no more memory than the
//       state has taken so far, or `rounds_ahead_bytes_min`.
// Threads: none; the caller has one lock around it.
// Failure: a Status that says at which chunk.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "cluster/mutation.hpp"
#include "cluster/view_messages.hpp"

namespace exdb {

/// The chunks of one state, each within the bounds that its maker has for them.
class StateStream {
 public:
  virtual ~StateStream() = default;
  /// The next chunk; false when there is none. Does not block.
  virtual bool next(std::vector<std::byte>& chunk) = 0;
};

/// Where the state is: the replica, as membership sees it.
class StateSource {
 public:
  virtual ~StateSource() = default;
  /// The state as it is now, which is that after `upto`: called between two rounds. Writing goes on
  /// while the stream is read.
  virtual Result<std::unique_ptr<StateStream>> open(RoundHistory::Chain upto) = 0;
};

/// Where a state goes.
class StateSink {
 public:
  virtual ~StateSink() = default;
  /// A new state comes; forgets what a former transfer gave. What is in use stays in use. `parted`:
  /// it is that of another history than what is in use, and may be older.
  virtual void begin(bool parted) = 0;
  virtual Status add(Bytes chunk) = 0;
  /// All is here: begins to make the state after `upto` fit for use, beside this thread. Does not
  /// block.
  virtual Status finish(RoundHistory::Chain upto) = 0;
  /// After finish(): whether it is fit for use. When it is, it has taken the place of the one in use
  /// in this call, which does not block.
  virtual Result<bool> ready() = 0;
  /// Forgets what has come; what is in use stays.
  virtual void drop() = 0;
};

/// A state that is given to one node.
class Donation {
 public:
  using Send = std::function<void(const ViewMessage&)>;

  /// Small chunks go in greater numbers: an answer takes as long as the receiver waits for a
  /// processor.
  static constexpr std::size_t credit_bytes = std::size_t{1} << 20;

  Donation(std::uint64_t transfer, std::unique_ptr<StateStream> stream, std::uint64_t credit)
      : transfer_(transfer), credit_(credit), stream_(std::move(stream)) {}
  /// The receiver has the chunks before `next`. False: that is no acknowledgement of this transfer.
  bool on_ack(const SnapAck& ack);
  /// Sends what credit there is for, and nothing more once `bytes_max` have been sent. Returns how
  /// many bytes it sent.
  std::size_t pump(const Send& send, std::size_t bytes_max);
  /// All is sent and received.
  [[nodiscard]] bool over() const { return ended_ && acknowledged_ == sent_; }

 private:
  std::uint64_t transfer_, credit_;
  std::unique_ptr<StateStream> stream_;
  std::uint64_t sent_ = 0, acknowledged_ = 0, digest_ = 0;
  std::deque<std::size_t> under_way_;  ///< sizes of the chunks from acknowledged_ on
  std::size_t under_way_bytes_ = 0;
  bool ended_ = false;
};

/// Rounds after a state that is on its way, in order and without gaps.
class RoundsAhead {
 public:
  /// Those after `after` are wanted.
  void begin(RoundHistory::Chain after);
  /// After which round the giver is to be asked now; nothing while it has not answered, has
  /// forgotten them, or as many as `bytes_max` are here.
  std::optional<RoundHistory::Chain> ask(std::size_t bytes_max);
  /// Its answer, whose rounds it takes. True: it has more.
  bool take(Rounds& rounds);
  /// Gives them away; oldest first.
  std::deque<CompletedRound> release() { return std::exchange(rounds_, {}); }
  /// No answer comes any more.
  void end() { asked_ = broken_ = true; }

 private:
  RoundHistory::Chain upto_;
  std::deque<CompletedRound> rounds_;
  std::size_t bytes_ = 0;
  bool asked_ = false, broken_ = false;
};

/// A state that is taken from one node.
class Intake {
 public:
  Intake(StateSink& sink, ViewMutation mutation) : sink_(sink), mutation_(mutation) {}
  void begin(const SnapBegin& begin, bool parted);
  [[nodiscard]] bool under_way() const { return begun_.has_value(); }
  /// The state that comes is one of another history. REQUIRES: one came, or comes.
  [[nodiscard]] bool parted() const { return parted_; }
  /// Of the state that comes. REQUIRES: under_way().
  [[nodiscard]] const Lineage& lineage() const { return begun_->lineage; }
  /// The answer to a chunk that fits, when one is due: for a quarter of the credit (an answer each
  /// would cost both sides more than a small chunk does), or when `now`; nothing when it is of another
  /// transfer.
  Result<std::optional<SnapAck>> on_chunk(const SnapChunk& chunk, bool now);
  /// The answer to all chunks that have come; nothing when there is none due, or `transfer` is another.
  std::optional<SnapAck> owed(std::uint64_t transfer);
  /// All has come; not when it is of another transfer. From then on ready() is to be asked.
  Status on_end(const SnapEnd& end);
  [[nodiscard]] bool whole() const { return whole_; }
  /// The state that is in place now; nothing while it is made fit for use. REQUIRES: whole().
  Result<std::optional<SnapBegin>> ready();
  void abandon();
  /// Of the chunks that have come.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  [[nodiscard]] bool fits(std::uint64_t transfer) const;
  Status broken(std::string what);

  StateSink& sink_;
  ViewMutation mutation_;
  std::optional<SnapBegin> begun_;
  bool whole_ = false, parted_ = false;
  std::uint64_t next_ = 0, digest_ = 0;
  std::size_t bytes_ = 0, unanswered_bytes_ = 0;
};

}  // namespace exdb
