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
                                "csn " + std::to_string(csn.value), true, open_);
}

std::size_t LeaderRoute::record_bytes_max() const { return Node::item_bytes_max; }

/// The turn may belong to a transaction that is on its way, of this very thread by commit_later():
/// its answer is taken out meanwhile.
void LeaderRoute::take_local_turn() {
  constexpr std::chrono::microseconds look_up{100};
  while (!replica_.local()->take_turn(look_up)) (void)follower_.progress();
}

ItemOutcome LeaderRoute::commit_local(Outgoing& out) {
  take_local_turn();
  std::mutex nobodys;  // rounds are applied elsewhere
  return replica_.local()->commit(out.local, out.shared, nobodys);
}

/// As ClusterRoute's, but for who installs the replicated part.
Result<std::shared_ptr<PendingItem>> LeaderRoute::submit(Outgoing& out) {
  const auto& local = out.local;
  const bool local_part = !local.ops.empty() || !local.ranges.empty() || !local.rows.empty() ||
                          !local.classes.empty() ||
                          (local.exclusive && replica_.local() != nullptr);
  if (!local_part) return send(out);
  take_local_turn();
  auto outcome = replica_.local()->prepare(out.id.sequence, std::move(out.local));
  if (outcome.code != ErrorCode::ok) return Status(outcome.code, std::move(outcome.text));
  struct Drop {
    LocalPart& part;
    std::uint64_t sequence;
    bool sent = false;
    ~Drop() {
      if (!sent) part.drop(sequence);
    }
  };
  Drop unless_sent{*replica_.local(), out.id.sequence};
  auto item = send(out);
  unless_sent.sent = item.ok();
  if (item) replica_.local()->sent(out.id.sequence, *item);
  return item;
}

Result<std::shared_ptr<PendingItem>> LeaderRoute::send(Outgoing& out) {
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
  if (auto* const local = replica_.local(); local != nullptr) {
    if (outcome.code != ErrorCode::ok)
      local->drop(item.sequence);
    else if (auto status = local->committed(item.sequence); !status.ok())
      outcome = {status.code(), {}, status.text()};
  }
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
