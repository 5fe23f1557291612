// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/sending_route.hpp"

#include "cluster/node.hpp"
#include "exdb/cluster.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {

SendingRoute::SendingRoute(Replica& replica, NodeId self, unsigned mode_mask)
    : ReplicaRoute(replica, self, true),
      sends_ahead_((mode_mask & cluster_mode_early_data_send) != 0) {}

std::size_t SendingRoute::record_bytes_max() const { return Node::item_bytes_max; }

void SendingRoute::take_local_turn() {
  constexpr std::chrono::microseconds look_up{100};
  while (!replica_.local()->take_turn(look_up)) drive();
}

Result<std::shared_ptr<PendingItem>> SendingRoute::submit(Outgoing& out) {
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

Result<std::shared_ptr<PendingItem>> SendingRoute::send(Outgoing& out) {
  if (auto status = out.of_engine ? Status() : refusal(); !status.ok()) return status;
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
  item->of_engine = out.of_engine;
  item->history = out.shared.history;
  const auto before = length >= LargeBuffers::buffer_bytes_min ? head_room() : 0;
  if (before + length > item->bytes.capacity())
    item->bytes = LargeBuffers::shared().room(before + length);
  item->bytes.resize(before);
  item->head_room = before;
  out.shared.encode(item->bytes);
  if (auto status = put(item); !status.ok()) return status;
  return item;
}

ItemOutcome SendingRoute::wait(PendingItem& item) {
  auto outcome = await(item);
  // Of a round that came, its local part came with it; of none that will.
  if (auto* const local = replica_.local(); local != nullptr) {
    if (outcome.code != ErrorCode::ok)
      local->drop(item.sequence);
    else
      committed(item, outcome);
  }
  if (owes_.load(std::memory_order_relaxed)) send_owed();
  return outcome;
}

bool SendingRoute::send_ahead(TxnId id, std::vector<std::byte> part, int priority) {
  return refusal().ok() &&
         try_put(RoundItem::Kind::fragment, id.sequence, std::move(part), priority);
}

/// Without room it waits for the next answer, which makes some: what is full is so because somebody
/// waits for one. If this process has failed or left, its parts are forgotten with it.
void SendingRoute::discard(TxnId id) {
  if (try_put(RoundItem::Kind::discard, id.sequence, {}, 0) || over()) return;
  const std::lock_guard lock(owed_lock_);
  owed_.push_back(id.sequence);
  owes_.store(true, std::memory_order_relaxed);
}

void SendingRoute::send_owed() {
  const std::lock_guard lock(owed_lock_);
  while (!owed_.empty() && try_put(RoundItem::Kind::discard, owed_.back(), {}, 0)) owed_.pop_back();
  owes_.store(!owed_.empty(), std::memory_order_relaxed);
}

}  // namespace exdb
