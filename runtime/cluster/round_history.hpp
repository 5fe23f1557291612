// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Where complete rounds stay until they are final, and for a while after: between the protocol and
// the consumer. Only final rounds are applied, so storage never takes anything back; what makes a
// round final (all have it, a majority says so, the disk has it) is a Finality's to decide.
//
// Invariants
//   I1  Rounds are appended in order, without gaps, each once.
//   I2  chain() names all rounds so far by one number: H_r = h(H_{r-1}, r, the checksums of its
//       batches in the agreed order). Two members with equal chains hold equal histories.
//   I3  A round is kept until release() says that nobody here needs it; afterwards for as long as
//       the history can.
//   I4  What was released is never dropped: only rounds that are not final yet, in a change of view
//       that puts others in their place. But for restart() with another history.
// Threads: under the caller's lock (the drive lock of the node).
// Failure: a Status from append or sync stops the node: a history with a hole is none.
#pragma once
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "cluster/completed_round.hpp"

namespace exdb {

class RoundHistory {
 public:
  /// The newest round, and the number that stands for all rounds up to it.
  struct Chain {
    Round round;
    std::uint64_t hash = 0;
    bool operator==(const Chain&) const = default;
  };
  /// A Status other than ok ends the reading.
  using Reader = std::function<Status(const CompletedRound&)>;

  virtual ~RoundHistory() = default;
  /// Takes the next round. It may be read at once; whether it outlives this process is sync()'s.
  virtual Status append(CompletedRound&& round) = 0;
  /// Makes all rounds so far as safe as this history can. May block on a device.
  virtual Status sync() = 0;
  [[nodiscard]] virtual Chain chain() const = 0;
  /// A round that was not released. Valid until its release.
  [[nodiscard]] virtual const CompletedRound& held(Round round) const = 0;
  /// Rounds up to this one are applied here.
  virtual void release(Round upto) = 0;
  /// A round without meaning, for the memory of its batches, whose payloads are empty: of one that is
  /// not kept any more, if it was small. The next round made in it costs no allocation.
  virtual CompletedRound spare() { return {}; }
  /// Rounds from `from` to the newest, in order; not_found, naming the oldest that is kept, when it
  /// is not `from` any more. Cost: what is read.
  virtual Status read_from(Round from, const Reader& each) const = 0;
  /// The chain as it was after `round`: the newest, or one from that before the oldest kept on;
  /// else not_found. O(1).
  [[nodiscard]] virtual Result<Chain> chain_at(Round round) const;
  /// Takes back the rounds after `round`. REQUIRES: they are not released.
  virtual Status drop_after(Round round);
  /// Begins anew after `at`: what this node has from here on was not made of rounds. `parted`: nor is
  /// it what was here, and may be less.
  virtual Status restart(Chain at, bool parted = false);
};

/// The step of I2.
[[nodiscard]] std::uint64_t chained(std::uint64_t hash, const CompletedRound& round);

/// Keeps rounds in memory: all that are not released, and the newest of the others as long as their
/// payloads fit `bytes_max` together and they are `released_max` at most. With 0 it is nothing but
/// the chain: a node of a plain MPI job has nobody to give old rounds to, and payloads kept for
/// nothing would go through the caches for nothing.
class MemoryRoundHistory final : public RoundHistory {
 public:
  explicit MemoryRoundHistory(std::size_t bytes_max = 0, std::size_t released_max = 1 << 16)
      : bytes_max_(bytes_max), released_max_(bytes_max == 0 ? 0 : released_max) {}

  Status append(CompletedRound&& round) override;
  Status sync() override { return {}; }
  [[nodiscard]] Chain chain() const override { return chain_; }
  [[nodiscard]] const CompletedRound& held(Round round) const override;
  void release(Round upto) override;
  CompletedRound spare() override { return std::exchange(spare_, {}); }
  Status read_from(Round from, const Reader& each) const override;
  [[nodiscard]] Result<Chain> chain_at(Round round) const override;
  Status drop_after(Round round) override;
  Status restart(Chain at, bool parted = false) override;

 private:
  struct Kept {
    CompletedRound round;
    std::uint64_t hash_before;  ///< of the chain
  };
  [[nodiscard]] Round oldest() const { return {chain_.round.value + 1 - rounds_.size()}; }

  const std::size_t bytes_max_, released_max_;
  std::deque<Kept> rounds_;  ///< the newest, without gaps
  std::size_t bytes_ = 0;    ///< of their payloads
  CompletedRound spare_;
  Round released_;
  Chain chain_;
};

/// Decides which complete rounds are final.
class Finality {
 public:
  virtual ~Finality() = default;
  /// The newest final round: never less than before, never more than `history` holds. Asked after
  /// each completion, and at each step while rounds are held back; does not block.
  virtual Round newest_final(const RoundHistory& history) = 0;
  /// Why nothing more will be final; ok while it may be. Asked while rounds are held back.
  [[nodiscard]] virtual Status failure() const { return {}; }
  /// `tell` is called, from any thread, when newest_final() or failure() may have changed by itself.
  /// Without a `tell` it is not called any more, from when this returns.
  virtual void on_change(std::function<void()> /*tell*/) {}

  // --- where it takes the disks of other members, too (else none of these is called) ---
  [[nodiscard]] virtual bool asks_others() const { return false; }
  /// What the disk here has, if the others wait to hear of it: once.
  virtual std::optional<Round> to_tell() { return std::nullopt; }
  /// The disk of this member has all rounds up to this one.
  virtual void told(MemberId /*by*/, Round /*upto*/) {}
  /// This member tells nothing any more.
  virtual void gone(MemberId /*member*/) {}
};

/// Complete is final: for members that do not outlive each other, and histories in memory.
class FinalWhenComplete final : public Finality {
 public:
  Round newest_final(const RoundHistory& history) override { return history.chain().round; }
};

}  // namespace exdb
