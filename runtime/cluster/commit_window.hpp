// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The window: local items that wait for the next batch, and the rules of when a batch leaves.
//
// Invariants
//   I1  Items leave by priority, higher first, in the order of their coming within one priority.
//       Fragments and discards leave before transactions: a fragment must never come after its own
//       transaction. That an origin is gone leaves after all that it has sent.
//   I2  Never more than in_exchange_max items are accepted and not answered.
//   I3  After shut() no item is accepted but of the engine, and those neither after abandon(); what is
//       there is due at once.
//   I4  A window in which nobody else can put anything (I2) is due, whatever its bounds say. A
//       window whose timeout is off is held for held_max at the longest, so that bounds nobody
//       reaches do not turn into a timeout of the cluster.
//   I5  A transaction that read a history older than that of the last begin_history() does not leave,
//       however the two calls meet.
// Threads: all functions from any thread.
#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.hpp"
#include "cluster/frame.hpp"
#include "cluster/round_item.hpp"
#include "exdb/cluster.hpp"

namespace exdb {

class CommitWindow {
 public:
  using Clock = std::chrono::steady_clock;
  using Items = std::vector<std::shared_ptr<PendingItem>>;
  enum class Admission { accepted, full, shut, outdated };

  struct Taken {
    std::size_t count = 0;
    std::vector<std::byte> payload;  ///< the items, encoded, in the order in which they travel
    std::size_t head_room = 0;       ///< before them in the vector, for the header of a frame
    bool more = false;               ///< there was more than fits one batch
  };

  /// Upper bound of what an item takes beside its bytes: kind, origin, sequence, length.
  static constexpr std::size_t item_overhead_bytes = 1 + 5 + 10 + 10;
  /// PendingItem::head_room of an item that, when it is taken alone, travels where it lies.
  static constexpr std::size_t item_head_room = frame_header_bytes + item_overhead_bytes;

  /// A batch takes no further item beyond this: every node holds the batches of a round in memory,
  /// times the nodes.
  static constexpr std::size_t batch_bytes_max = std::size_t(64) << 20;

  CommitWindow(const ClusterWindow& bounds, std::uint32_t in_exchange_max,
               std::chrono::nanoseconds held_max);

  Admission add(const std::shared_ptr<PendingItem>& item);
  [[nodiscard]] bool has_room() const { return in_exchange_.load() < in_exchange_max_; }
  [[nodiscard]] bool empty() const { return waiting_.load(std::memory_order_acquire) == 0; }

  /// How long until the batch shall leave: 0 = now, max = nothing is waiting.
  [[nodiscard]] std::chrono::nanoseconds due_in(Clock::time_point now) const;
  /// Nothing is held back: what is added is due at once.
  [[nodiscard]] bool unbounded() const { return unbounded_.load(std::memory_order_relaxed); }
  /// All that is waiting, up to batch_bytes_max, as the batch of `member`: an item of its own
  /// number carries no origin. The items are appended to `items`, so that both vectors keep their
  /// memory from batch to batch.
  /// `room`: an empty payload whose memory may be used.
  Taken take(MemberId member, Items& items, std::vector<std::byte> room = {});
  /// `count` items of take() or abandon() were answered.
  void answered(std::size_t count) { in_exchange_ -= std::uint32_t(count); }

  void shut();
  [[nodiscard]] bool is_shut() const { return shut_.load(std::memory_order_acquire); }
  /// shut(), and gives back what never left.
  Items abandon();
  /// Gives back what has not left yet.
  Items take_back();
  /// As RoundConsumer::history(): gives back what read one before it, and what is no transaction.
  Items begin_history(std::uint64_t history);

  void set_bounds(const ClusterWindow& bounds);
  [[nodiscard]] ClusterWindow bounds() const;

 private:
  [[nodiscard]] bool outdated(const PendingItem& item) const;
  Items take_waiting();
  void count_waiting() { waiting_.store(items_.size(), std::memory_order_release); }

  mutable std::mutex mutex_;
  ClusterWindow bounds_;
  const std::uint32_t in_exchange_max_;
  const std::chrono::nanoseconds held_max_;
  Items items_;
  std::atomic<bool> unbounded_;  ///< as bounds_ says: read without the mutex, once a round
  std::uint64_t item_bytes_ = 0;
  Clock::time_point oldest_;  ///< when the first of items_ came, if there are bounds
  std::uint64_t history_ = 0;
  bool left_over_ = false;
  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::uint32_t> in_exchange_{0};
  std::atomic<bool> shut_{false};
  bool abandoned_ = false;
};

/// Appends an item to the payload of a batch of item.member.
void encode_item(const RoundItem& item, ByteWriter& out);
/// The same but for the bytes, of which there are `length`: to be appended by the caller.
void encode_item_head(const RoundItem& item, std::size_t length, ByteWriter& out);
/// The items of the payload of a batch of `member`, in order, with views into it.
Status decode_items(MemberId member, Bytes payload, std::vector<RoundItem>& items);
/// How many transactions are in it, that is answers when it was applied.
[[nodiscard]] std::size_t transactions_in(Bytes payload);

}  // namespace exdb
