// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A follower's side of the segment: records into its submit ring, answers out of the other, and the
// waiting for both, which ends with the leader.
//
// Invariants
//   I1  A sent transaction is answered once: by the leader; with unknown_outcome when the leader
//       died, left, failed or fell silent with it; or with a certain refusal when it never took it.
//
//   I2  Order of locks: submitting_ -> pending_lock_; draining_ -> pending_lock_. try_send() waits
//       neither for a record that is being written nor for room.
//
//   I3  Who waits looks at most poll_cap later whether the leader lives, and sees its end. Nobody
//       spins for longer than spin_cap.
//
//   I4  What was said to be certainly nowhere is never taken by a leader that wakes later: this process
//       has left before it says so.
//
//   I5  Whoever waits takes out the answers of all. A thread that sleeps is woken by who took out
//       its answer.
//
//   I6  A leader of which nothing has shown for the whole timeout, from one look of a waiting thread to
//       the next, is silent, and the channel fails. Whatever it does begins that time anew.
// Threads: all functions from any thread.
// Failure: once failed, whatever comes after is refused with the same Status, which names the
//   leader.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cluster/round_item.hpp"
#include "host/host_segment.hpp"
#include "host/process_watch.hpp"
#include "host/record_stream.hpp"

namespace exdb {

class FollowerChannel {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds poll_cap{50};
  static constexpr std::chrono::microseconds spin_cap{30};

  struct Options {
    std::chrono::milliseconds timeout{60'000};  ///< of a silent leader; 0 = for ever
    std::uint32_t in_exchange_max = 50;         ///< sent and not answered
    bool crowded = false;                       ///< there are more processes than processing units
    Clock::time_point (*now)() noexcept = Clock::now;  ///< by which a leader is silent (I6)
  };

  FollowerChannel(HostSegment& segment, const ProcessWatch& leader, Options options);

  /// Puts a transaction into the ring: kind, sequence, bytes, priority and overrules_quorum are given
  /// in it. Blocks for room. The bytes are gone then.
  Status send(const std::shared_ptr<PendingItem>& item);
  /// A fragment or a discard, whose outcome nobody asks for. False when there is no room at once.
  bool try_send(RoundItem::Kind kind, std::uint64_t sequence, Bytes bytes, int priority);
  /// Blocks until it is answered; takes the answer.
  ItemOutcome wait(PendingItem& item);
  /// The leader's answer to a question. Blocks.
  Result<std::vector<std::byte>> ask(std::uint32_t question, Bytes bytes);
  /// Blocks until `done`, which somebody's wake of `word` follows; fails with the channel.
  Status wait_on(WakeWord& word, const std::function<bool()>& done);
  /// Takes out what answers there are; true when there were any. Does not block.
  bool drain();

  /// ok while the leader serves. Makes a system call.
  [[nodiscard]] Status look();
  /// ok, or why this channel has failed, as far as that is known without looking.
  [[nodiscard]] Status failure() const;
  /// This process goes: what waits is answered. The first failure stays.
  void fail(const Status& why);

 private:
  struct Pending {
    std::shared_ptr<PendingItem> item;
    std::uint64_t ends_at = 0;  ///< of its record in the submit ring
  };
  /// When the leader was last seen to do something.
  struct Patience {
    std::uint64_t seen = 0;
    Clock::time_point since;
  };

  [[nodiscard]] std::string leader_name() const;
  Status look_with(Patience& patience);
  Status write(Bytes bytes);
  Status put(const SubmitHead& head, const std::shared_ptr<PendingItem>& item);
  void take(const AnswerHead& head, const std::vector<std::byte>& text);
  [[nodiscard]] std::shared_ptr<PendingItem> take_pending(std::uint64_t key);
  [[nodiscard]] bool spin(const std::function<bool()>& done) const;

  HostSegment& segment_;
  FollowerLine& line_;
  const ProcessWatch& leader_;
  const Options options_;
  std::atomic<std::uint32_t> in_exchange_{0};

  std::mutex submitting_;
  ByteRing ring_;  ///< writing under submitting_
  std::mutex draining_;
  RecordReader<AnswerHead> answers_;  ///< under draining_
  mutable std::mutex pending_lock_;   ///< of what follows
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::uint64_t next_question_ = question_bit;
  Status failure_;
  std::atomic<bool> failed_{false};

  /// Keys of questions; numbers of transactions stay below.
  static constexpr std::uint64_t question_bit = std::uint64_t{1} << 63;
};

}  // namespace exdb
