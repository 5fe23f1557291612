// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The page on which the leader of a host and its followers write to each other: rings for
// transactions and answers, what the leader has posted and applied, who is there. The replica itself
// is another segment (storage/segment.hpp).
//
// Layout: HostHeader | presence, a byte a node | OutcomeRing | FollowerLine a follower | the bytes of
// the rings
//
// Invariants
//   I1  The layout follows from the header's first line, which is written last, with the nonce.
//
//   I2  `posted` is stored before the leader's batch of that round is handed to the transport, and
//       `applied` after all of the round is published in the replica's segment. So a follower that
//       has read posted = r, and then waits until applied >= r, has every commit that returned
//       anywhere before it read: such a commit's round completed somewhere, so this host's batch of
//       it was on its way, so posted counted it (RoundProtocol I3). That holds for commits of this
//       host as well, which are answered after their round was applied. Both are sequentially
//       consistent, and where the commit and the read are in different processes the program has
//       ordered them itself, by a message that orders memory, too.
//
//   I3  `phase` goes from serving to one of the ends, once, after `end_code` and `end_text` are
//       written and every answer that there will be is in the rings.
//
//   I4  Of a follower's line the follower alone writes `state` (but for `dead`), `submit.written`,
//       `answers.read`, `order` and `oldest_open`; the leader the rest. What a dead follower has left is the
//       leader's.
// Threads: atomics by any thread of any process; rings as byte_ring.hpp.
// Failure: a Status that names what the system refused. A process that dies leaves nothing locked:
//   there are no locks in it.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "host/byte_ring.hpp"
#include "host/futex.hpp"
#include "host/outcome_ring.hpp"
#include "host/shared_file.hpp"

namespace exdb {

enum class HostPhase : std::uint32_t { serving, stopped, left, failed };
enum class FollowerState : std::uint32_t { absent, joined, stopped, left, dead };

/// What a process says of its order of closing (HostOrder): numbers of clusters, 0 = none.
struct OrderWords {
  std::atomic<std::uint64_t> waits_in, accuses;
};

struct HostHeader {
  static constexpr std::uint32_t version_now = 2;
  static constexpr std::size_t text_bytes_max = 1000;

  std::atomic<std::uint64_t> nonce;
  std::uint32_t version;
  std::uint32_t nodes;
  std::uint32_t followers;
  std::uint32_t leader;  ///< its node
  std::uint64_t submit_bytes, answer_bytes;

  alignas(64) std::atomic<HostPhase> phase;
  std::int32_t end_code;
  std::uint32_t end_text_bytes;
  char end_text[text_bytes_max];

  alignas(64) std::atomic<std::uint64_t> posted;
  alignas(64) std::atomic<std::uint64_t> applied;
  /// Rises while the leader lives, also when nothing happens.
  alignas(64) std::atomic<std::uint64_t> beats;
  /// Rises after anything of `presence` has changed.
  alignas(64) std::atomic<std::uint32_t> presence_changes;
  /// Rises after something was put into a submit ring, or a follower's state has changed.
  alignas(64) std::atomic<std::uint64_t> work_count;
  OrderWords order;  ///< of the leader
  WakeWord work;     ///< where the leader sleeps that has nothing to do
  WakeWord news;     ///< where followers sleep that wait for a round
  WakeWord changes;  ///< where they sleep that wait for presence or phase to change
};

/// What of a joint transaction of local and replicated classes the follower waits for.
struct JointCell {
  std::atomic<std::uint64_t> sequence;  ///< 0 = none is prepared
  std::atomic<std::uint64_t> decided;   ///< csn + 1 when it committed; 0 = not decided, or refused
};

struct FollowerLine {
  std::uint32_t node;
  std::atomic<std::int32_t> pid;
  std::atomic<FollowerState> state;
  /// csn + 1 of the oldest snapshot that is open and whose reads will be certified; 0 = none.
  alignas(64) std::atomic<std::uint64_t> oldest_open;
  alignas(64) JointCell joint;
  OrderWords order;
  RingEnds submit, answers;
  /// The leader has more answers than the ring had room for: it wants to know of room.
  alignas(64) std::atomic<std::uint32_t> answers_held;
  WakeWord room;      ///< where the follower sleeps whose submit ring is full
  WakeWord answered;  ///< where it sleeps that waits for an answer
};

class HostSegment {
 public:
  /// Of the rings of one follower; powers of two.
  struct Sizes {
    std::size_t submit_bytes, answer_bytes;
  };
  static constexpr Sizes sizes_default{std::size_t{512} << 10, std::size_t{64} << 10};

  /// Of the leader. `followers`: their nodes. O(followers) memory, which is taken at once.
  static Result<std::unique_ptr<HostSegment>> create(std::uint32_t leader, std::uint32_t nodes,
                                                     const std::vector<std::uint32_t>& followers,
                                                     const Sizes& sizes = sizes_default);
  /// Of a follower: the segment behind `descriptor`, if it has this nonce. The line of `self` is
  /// taken: state joined.
  static Result<std::unique_ptr<HostSegment>> attach(const Descriptor& descriptor,
                                                     std::uint64_t nonce, std::uint32_t self);
  ~HostSegment();
  HostSegment(const HostSegment&) = delete;
  HostSegment& operator=(const HostSegment&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  [[nodiscard]] std::uint64_t nonce() const { return header_->nonce.load(); }
  [[nodiscard]] HostHeader& header() const { return *header_; }
  [[nodiscard]] std::uint32_t followers() const { return header_->followers; }
  [[nodiscard]] FollowerLine& line(std::uint32_t index) const { return lines_[index]; }
  [[nodiscard]] ByteRing submit_ring(std::uint32_t index) const;
  [[nodiscard]] ByteRing answer_ring(std::uint32_t index) const;
  /// Of the follower that attached.
  [[nodiscard]] std::uint32_t own_index() const { return own_index_; }
  /// The line of a node; followers() when it has none.
  [[nodiscard]] std::uint32_t index_of(std::uint32_t node) const;
  [[nodiscard]] OutcomeRing& outcomes() const { return *outcomes_; }
  /// The leader, and those that have a line.
  [[nodiscard]] std::vector<std::uint32_t> nodes_here() const;
  /// REQUIRES: one of nodes_here(), as the next.
  [[nodiscard]] OrderWords& order_of(std::uint32_t node) const;
  /// A follower that has left or died.
  [[nodiscard]] bool gone(std::uint32_t node) const;

  [[nodiscard]] bool present(std::uint32_t node) const { return presence_[node].load() != 0; }

  // --- the leader ---
  void set_present(std::uint32_t node, bool present);
  /// Followers that sleep are woken.
  void end(HostPhase phase, ErrorCode code, const std::string& text);
  /// Wakes everybody who sleeps in here.
  void wake_followers();

  // --- a follower ---
  [[nodiscard]] HostPhase phase() const { return header_->phase.load(); }
  /// REQUIRES: the phase is an end.
  [[nodiscard]] Status end_status() const;
  /// After something was put where the leader looks.
  void tell_leader() {
    header_->work_count.fetch_add(1);
    header_->work.wake();
  }

 private:
  HostSegment() = default;
  Status map(std::size_t bytes);
  void find_parts();

  Descriptor descriptor_;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  HostHeader* header_ = nullptr;
  std::atomic<std::uint8_t>* presence_ = nullptr;
  OutcomeRing* outcomes_ = nullptr;
  FollowerLine* lines_ = nullptr;
  std::byte* rings_ = nullptr;
  std::uint32_t own_index_ = 0;
};

}  // namespace exdb
