// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Random rounds with everything that the state after them depends on: rows that come, change and
// go, slots that are used again, transactions on old snapshots, serializable ones with ranges, rows
// and whole classes, exclusive ones, parts that come rounds before their transaction. And what two
// replicas that had the same rounds must agree in.
#pragma once
#include <deque>
#include <map>
#include <random>
#include <string>

#include "replica/replica.hpp"
#include "schema/row.hpp"

namespace exdb {

inline std::shared_ptr<const Dictionary> workload_schema() {
  static const auto schema =
      Dictionary::parse(
          "class A { int4 id; int4 v; string more; unique hash<id> by_id; tree<v> by_v; };"
          "class B { int4 v; tree<v> by_v; };")
          .value();
  return schema;
}

/// A round with the bytes of its items, which point into it: it is moved, never copied.
struct TestRound {
  TestRound() = default;
  TestRound(TestRound&&) = default;
  Csn horizon;
  std::deque<std::vector<std::byte>> bytes;
  std::vector<RoundItem> items;

  void add(RoundItem::Kind kind, TxnId id, std::vector<std::byte> with) {
    bytes.push_back(std::move(with));
    items.push_back({kind, MemberId{id.origin.value}, id.origin, id.sequence, bytes.back()});
  }
};

struct Applied {
  Status status;
  std::vector<ItemOutcome> outcomes;
};

inline Applied apply(Replica& replica, const TestRound& round) {
  Applied applied;
  const std::vector<bool> mine(round.items.size(), true);
  applied.status =
      replica.apply_round(Round{1}, round.items, round.horizon, mine, applied.outcomes);
  return applied;
}

inline std::string difference(const Applied& a, const Applied& b) {
  if (a.status.code() != b.status.code()) return "status: " + b.status.text();
  for (std::size_t i = 0; i < a.outcomes.size(); ++i) {
    const auto &here = a.outcomes[i], &there = b.outcomes[i];
    if (here.code != there.code || here.csn != there.csn || here.text != there.text) {
      return "outcome " + std::to_string(i) + ": " + std::to_string(here.csn.value) + ' ' +
             here.text + " | " + std::to_string(there.csn.value) + ' ' + there.text;
    }
  }
  return "";
}

constexpr std::uint64_t workload_slots = 48, workload_origins = 4, workload_sequences = 4000;

inline std::string difference(const Replica& a, const Replica& b) {
  if (a.published() != b.published()) return "published";
  if (a.digest() != b.digest()) return "digest";
  for (const auto& type : workload_schema()->classes()) {
    for (SlotId slot{0}; slot.value < workload_slots; ++slot.value) {
      if (a.newest_change(type, slot) != b.newest_change(type, slot))
        return "csn of slot " + std::to_string(slot.value);
    }
  }
  for (std::uint32_t origin = 1; origin <= workload_origins; ++origin) {
    for (std::uint64_t at = 1; at < workload_sequences; ++at) {
      const TxnId id{NodeId{origin}, at};
      if (a.outcome(id) != b.outcome(id)) return "outcome of " + std::to_string(at);
    }
  }
  return "";
}

class RoundWorkload {
 public:
  explicit RoundWorkload(std::uint64_t seed) : random_(seed) {}

  /// One more round for a replica that had all before.
  TestRound next(const Replica& replica) {
    published_ = replica.published();
    if (below(4) == 0 && published_.value > 12)
      horizon_ = std::max(horizon_, Csn{published_.value - 12});
    TestRound round;
    round.horizon = horizon_;
    for (auto i = 1 + below(4); i > 0; --i) add_item(replica, round);
    return round;
  }
  TestRound insert_large(std::size_t bytes) {
    TestRound round;
    round.horizon = horizon_;
    TransactionRecord record;
    record.ops.push_back(insert(type(0), 1'000'000, bytes));
    round.add(RoundItem::Kind::transaction, new_id(), encoded(record));
    return round;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  static const ClassDef& type(std::size_t at) { return workload_schema()->classes()[at]; }
  static std::vector<std::byte> encoded(const TransactionRecord& record) {
    std::vector<std::byte> bytes;
    record.encode(bytes);
    return bytes;
  }
  TxnId new_id() {
    const NodeId origin{static_cast<std::uint32_t>(1 + below(workload_origins))};
    auto& sequence = sequences_[origin];
    sequence += 1 + (below(5) == 0);
    return {origin, sequence};
  }

  WriteOp insert(const ClassDef& cls, int id, std::size_t bytes = 0) {
    return {WriteOp::Kind::insert, cls.id, ++inserts_, {}, row(cls, id, bytes)};
  }
  Bytes row(const ClassDef& cls, int id, std::size_t bytes = 0) {
    RowBuilder builder(cls);
    builder.set("v", static_cast<int>(below(60)));
    if (cls.id == type(0).id) {
      builder.set("id", id);
      builder.set("more", std::string(bytes + below(60), 'x'));
    }
    const auto made = builder.finish();
    rows_.emplace_back(made.begin(), made.end());
    if (rows_.size() > 256) rows_.pop_front();
    return rows_.back();
  }
  /// Of a row that is or was there; rows are few, so that they meet.
  std::optional<WriteOp> change(const Replica& replica, Csn snapshot) {
    const auto& cls = type(below(2));
    const SlotId slot{below(30)};
    if (replica.newest_change(cls, slot) == Csn{0}) return std::nullopt;
    WriteOp op;
    op.kind = below(3) == 0 ? WriteOp::Kind::remove : WriteOp::Kind::update;
    op.cls = cls.id;
    op.row = slot.value;
    op.base = Csn{snapshot.value + below(published_.value - snapshot.value + 1)};
    if (op.kind == WriteOp::Kind::update) op.bytes = row(cls, static_cast<int>(below(50)));
    return op;
  }
  std::vector<WriteOp> some_ops(const Replica& replica, Csn snapshot) {
    std::vector<WriteOp> ops;
    for (auto i = 1 + below(3); i > 0; --i) {
      if (below(5) < 2) {
        ops.push_back(insert(type(below(2)), static_cast<int>(below(50))));
      } else if (const auto op = change(replica, snapshot)) {
        ops.push_back(*op);
      }
    }
    return ops;
  }
  Csn some_snapshot() {
    const auto back = below(4) == 0 ? below(30) : below(6);
    return {published_.value - std::min(published_.value, back)};
  }
  void add_reads(TransactionRecord& record) {
    record.serializable = true;
    for (auto i = below(3); i > 0; --i) {
      const auto& cls = type(below(2));
      const auto& index = workload_schema()->index_of(cls.indexes[below(cls.indexes.size())]);
      const int low = static_cast<int>(below(60));
      ReadRange range{index.id, {}, {}};
      make_key(index, std::vector<Value>{low}, range.low);
      make_key(index, std::vector<Value>{low + 1 + static_cast<int>(below(6))}, range.high);
      record.ranges.push_back(std::move(range));
    }
    if (below(3) == 0) record.rows.push_back({type(below(2)).id, SlotId{below(30)}});
    if (below(8) == 0) record.classes.push_back(type(below(2)).id);
  }

  void add_item(const Replica& replica, TestRound& round) {
    const auto dice = below(12);
    if (dice < 2) return add_part(replica, round);
    if (dice == 2 && !open_.empty()) return end_open(replica, round);
    add_transaction(replica, round, new_id(), {some_snapshot(), 0});
  }
  struct Open {
    Csn snapshot;
    std::uint64_t parts = 0;  ///< that were sent
  };
  void add_transaction(const Replica& replica, TestRound& round, TxnId id, Open open) {
    const auto snapshot = open.snapshot;
    TransactionRecord record;
    record.snapshot = snapshot;
    record.parts = open.parts;
    record.ops = some_ops(replica, snapshot);
    if (below(3) == 0) add_reads(record);
    record.exclusive = below(20) == 0;
    round.add(RoundItem::Kind::transaction, id, encoded(record));
  }
  void add_part(const Replica& replica, TestRound& round) {
    auto id = new_id();
    if (open_.size() > 3) id = std::next(open_.begin(), static_cast<long>(below(3)))->first;
    auto& open = open_.try_emplace(id, Open{some_snapshot()}).first->second;
    std::vector<std::byte> bytes;
    ByteWriter writer(bytes);
    writer.put_varint(open.parts++);
    writer.put_varint(open.snapshot.value);
    TransactionRecord::encode_ops(some_ops(replica, open.snapshot), open.snapshot, bytes);
    round.add(RoundItem::Kind::fragment, id, std::move(bytes));
  }
  void end_open(const Replica& replica, TestRound& round) {
    const auto at = std::next(open_.begin(), static_cast<long>(below(open_.size())));
    const auto [id, open] = *at;
    if (below(4) == 0) {
      round.add(RoundItem::Kind::discard, id, {});
    } else {
      add_transaction(replica, round, id, open);
    }
    open_.erase(id);
  }

  std::mt19937_64 random_;
  Csn published_, horizon_;
  std::map<NodeId, std::uint64_t> sequences_;
  std::map<TxnId, Open> open_;  ///< parts of them were sent
  std::deque<std::vector<std::byte>> rows_;
  std::uint64_t inserts_ = 0;
};

}  // namespace exdb
