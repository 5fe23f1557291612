// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A state on its way to a node that the rounds kept by others do not reach back to: begin, chunks
// with numbers, acknowledgements that are credit for more, an end that has the digest of all of it.
// What the bytes are is the layer's above.
//
// Invariants
//   T1  At most `credit` chunks are on their way, so neither side holds more of them.
//   T2  A state is taken only when every chunk has come, in order, and all of them together have the
//       digest that the end promises. A transfer that breaks leaves nothing behind: the next one
//       begins with begin().
// Threads: none; the caller has one lock around it.
// Failure: a Status that says at which chunk.
#pragma once
#include <functional>
#include <memory>

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
  /// A new state comes; forgets what a former transfer gave. What is in use stays in use.
  virtual void begin() = 0;
  virtual Status add(Bytes chunk) = 0;
  /// All is here: the state after `upto` takes the place of the one in use.
  virtual Status finish(RoundHistory::Chain upto) = 0;
};

/// A state that is given to one node.
class Donation {
 public:
  using Send = std::function<void(const ViewMessage&)>;

  Donation(std::uint64_t transfer, std::unique_ptr<StateStream> stream, std::uint64_t credit)
      : transfer_(transfer), credit_(credit), stream_(std::move(stream)) {}
  /// Sends what credit there is for. The receiver has the chunks before `next`. False: that is no
  /// acknowledgement of this transfer.
  bool on_ack(const SnapAck& ack, const Send& send);
  void pump(const Send& send);
  /// All is sent and received.
  [[nodiscard]] bool over() const { return ended_ && acknowledged_ == sent_; }

 private:
  std::uint64_t transfer_, credit_;
  std::unique_ptr<StateStream> stream_;
  std::uint64_t sent_ = 0, acknowledged_ = 0, digest_ = 0;
  bool ended_ = false;
};

/// A state that is taken from one node.
class Intake {
 public:
  Intake(StateSink& sink, ViewMutation mutation) : sink_(sink), mutation_(mutation) {}
  void begin(const SnapBegin& begin);
  [[nodiscard]] bool under_way() const { return begun_.has_value(); }
  /// The answer to a chunk that fits; nothing when it is of another transfer.
  Result<std::optional<SnapAck>> on_chunk(const SnapChunk& chunk);
  /// The state that is in place now; nothing when it is of another transfer.
  Result<std::optional<SnapBegin>> on_end(const SnapEnd& end);
  void abandon() { begun_.reset(); }

 private:
  [[nodiscard]] bool fits(std::uint64_t transfer) const;
  Status broken(std::string what);

  StateSink& sink_;
  ViewMutation mutation_;
  std::optional<SnapBegin> begun_;
  std::uint64_t next_ = 0, digest_ = 0;
};

}  // namespace exdb
