// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/leader_route.hpp"

#include "cluster/node.hpp"

namespace exdb {

std::vector<std::byte> LeaderRoute::answer(const Replica& replica, std::uint32_t question,
                                           Bytes bytes) {
  std::vector<std::byte> made;
  ByteWriter out(made);
  if (question == static_cast<std::uint32_t>(HostQuestion::outcome)) {
    ByteReader in(bytes);
    TxnId id;
    id.origin.value = in.get<std::uint32_t>();
    id.sequence = in.get<std::uint64_t>();
    const auto code = in.ok() ? replica.outcome(id) : std::nullopt;
    out.put(static_cast<std::int32_t>(code.value_or(ErrorCode::not_found)));
  } else {
    const auto counts = replica.counters().now();
    for (const auto count : {counts.committed, counts.aborted, counts.rows_written,
                             counts.fragments, counts.remote_committed, counts.remote_aborted})
      out.put(count);
  }
  return made;
}

std::optional<ErrorCode> LeaderRoute::outcome(TxnId id) const {
  std::vector<std::byte> question;
  ByteWriter out(question);
  out.put(id.origin.value);
  out.put(id.sequence);
  auto answer = follower_.ask(HostQuestion::outcome, question);
  if (!answer.ok()) return std::nullopt;
  ByteReader in(*answer);
  const auto code = static_cast<ErrorCode>(in.get<std::int32_t>());
  return !in.ok() || code == ErrorCode::not_found ? std::nullopt : std::optional(code);
}

AppliedCounts LeaderRoute::applied() const {
  AppliedCounts counts;
  auto answer = follower_.ask(HostQuestion::applied, {});
  if (!answer.ok()) return counts;
  ByteReader in(*answer);
  for (auto* count : {&counts.committed, &counts.aborted, &counts.rows_written, &counts.fragments,
                      &counts.remote_committed, &counts.remote_aborted})
    *count = in.get<std::uint64_t>();
  return counts;
}

Status LeaderRoute::at_least(Csn csn) {
  return follower_.wait_applied([this, csn] { return published() >= csn; },
                                "csn " + std::to_string(csn.value), open_);
}

std::size_t LeaderRoute::record_bytes_max() const { return Node::item_bytes_max; }

/// The turn may belong to another thread's commit, which ends by itself: local commits wait for
/// nobody else.
ItemOutcome LeaderRoute::commit_local(Outgoing& out) {
  constexpr std::chrono::microseconds look_up{100};
  while (!replica_.local()->take_turn(look_up)) (void)follower_.progress();
  std::mutex nobodys;  // rounds are applied elsewhere
  return replica_.local()->commit(out.local, out.shared, nobodys);
}

Result<std::shared_ptr<PendingItem>> LeaderRoute::submit(Outgoing& out) {
  const auto& local = out.local;
  if (!local.ops.empty() || !local.ranges.empty() || !local.rows.empty() || !local.classes.empty())
    return Status(ErrorCode::unsupported,
                  "a transaction that writes replicated classes and uses local ones, too, is for "
                  "processes with a replica of their own (this one reads that of its host's "
                  "leader): use two transactions, or open without is_shm");
  out.shared.normalise_ops();
  out.shared.normalise_reads();
  const auto length = out.shared.encoded_bytes();
  if (length > record_bytes_max()) {
    return Status(ErrorCode::too_large, "the transaction has " + std::to_string(length) +
                                            " bytes with what it read, more than the " +
                                            std::to_string(record_bytes_max()) +
                                            " that one may have: split it");
  }
  const auto& item = unshared_item(out.spare);
  item->origin = self();
  item->sequence = out.id.sequence;
  item->priority = out.priority;
  item->bytes.reserve(length);
  out.shared.encode(item->bytes);
  if (auto status = follower_.submit(item); !status.ok()) return status;
  return item;
}

ItemOutcome LeaderRoute::wait(PendingItem& item) {
  auto outcome = follower_.wait(item);
  if (owes_.load(std::memory_order_relaxed)) send_owed();
  return outcome;
}

bool LeaderRoute::send_ahead(TxnId id, std::vector<std::byte> part, int priority) {
  return follower_.try_submit(RoundItem::Kind::fragment, id.sequence, part, priority);
}

void LeaderRoute::discard(TxnId id) {
  if (follower_.try_submit(RoundItem::Kind::discard, id.sequence, {}, 0) || follower_.stopped())
    return;
  const std::lock_guard lock(owed_lock_);
  owed_.push_back(id.sequence);
  owes_.store(true, std::memory_order_relaxed);
}

void LeaderRoute::send_owed() {
  const std::lock_guard lock(owed_lock_);
  while (!owed_.empty() && follower_.try_submit(RoundItem::Kind::discard, owed_.back(), {}, 0))
    owed_.pop_back();
  owes_.store(!owed_.empty(), std::memory_order_relaxed);
}

}  // namespace exdb
