// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/cluster_route.hpp"

namespace exdb {

/// The turn may belong to a transaction that is being exchanged, of this very thread by
/// commit_later(): the exchange is driven meanwhile.
void ClusterRoute::take_local_turn() {
  constexpr std::chrono::microseconds look_up{100};
  while (!replica_.local()->take_turn(look_up)) (void)node_.progress();
}

ItemOutcome ClusterRoute::commit_local(Outgoing& out) {
  take_local_turn();
  return replica_.local()->commit(out.local, out.shared, node_.drive_lock());
}

Result<std::shared_ptr<PendingItem>> ClusterRoute::submit(Outgoing& out) {
  // What it read of local classes must hold until its place in the order, too.
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

Result<std::shared_ptr<PendingItem>> ClusterRoute::send(Outgoing& out) {
  if (stopping() && node_.failure().ok())
    return Status(ErrorCode::cluster_stopped,
                  "stop() was called on this node, so nothing can be committed here any more");
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
  if (auto status = node_.submit(item); !status.ok()) return status;
  return item;
}

ItemOutcome ClusterRoute::wait(PendingItem& item) {
  auto outcome = node_.wait(item);
  // Of a round that came, its local part came with it; of none that will.
  if (outcome.code != ErrorCode::ok && replica_.local() != nullptr)
    replica_.local()->drop(item.sequence);
  if (owes_.load(std::memory_order_relaxed)) send_owed();
  return outcome;
}

bool ClusterRoute::send_ahead(TxnId id, std::vector<std::byte> part, int priority) {
  return !stopping() && node_.try_submit(RoundItem::Kind::fragment, id.sequence, std::move(part),
                                         priority, self());
}

/// Without room it waits for the next answer, which makes some: the window was full, so somebody is
/// waiting for one. If the node has failed or left, its parts are forgotten with it.
void ClusterRoute::discard(TxnId id) {
  if (node_.try_submit(RoundItem::Kind::discard, id.sequence, {}, 0, self()) || node_.stopped())
    return;
  const std::lock_guard lock(owed_lock_);
  owed_.push_back(id.sequence);
  owes_.store(true, std::memory_order_relaxed);
}

void ClusterRoute::send_owed() {
  const std::lock_guard lock(owed_lock_);
  while (!owed_.empty() && node_.try_submit(RoundItem::Kind::discard, owed_.back(), {}, 0, self()))
    owed_.pop_back();
  owes_.store(!owed_.empty(), std::memory_order_relaxed);
}

}  // namespace exdb
