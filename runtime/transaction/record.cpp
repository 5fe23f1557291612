// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transaction/record.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "base/hash.hpp"

namespace exdb {
namespace {

constexpr std::uint8_t flag_serializable = 1;
constexpr std::uint8_t flag_exclusive = 2;
constexpr std::uint8_t flag_parts = 4;
constexpr std::uint8_t flag_name = 8, flag_drops_name = 16;

Status bad(const char* what) {
  return {ErrorCode::cluster_protocol,
          std::string("a transaction record from a node cannot be read: ") + what};
}

struct RowName {
  ClassId cls;
  std::uint64_t row;
  bool is_slot;
  bool operator==(const RowName&) const = default;
};
struct RowNameHash {
  std::size_t operator()(const RowName& name) const {
    return hash_word(name.row * 2 + name.is_slot + (std::uint64_t{name.cls.value} << 48));
  }
};

/// A bulk load would keep the room of its millions for ever.
constexpr std::size_t bytes_kept = 64 * 1024;

int group_of(WriteOp::Kind kind) {
  return kind == WriteOp::Kind::remove ? 0 : kind == WriteOp::Kind::update ? 1 : 2;
}

}  // namespace

void TransactionRecord::encode_ops(std::span<const WriteOp> ops, Csn snapshot,
                                   std::vector<std::byte>& out) {
  ByteWriter writer(out);
  writer.put_varint(ops.size());
  for (const auto& op : ops) {
    writer.put(static_cast<std::uint8_t>(op.kind));
    writer.put_varint(op.cls.value);
    writer.put_varint(op.row);
    // Relative to the snapshot: one zero byte unless the transaction is read_committed.
    if (op.names_slot()) writer.put_varint(op.base.value - snapshot.value);
    if (op.has_row()) writer.put_bytes(op.bytes);
  }
}

Status TransactionRecord::decode_ops(const Dictionary& dictionary, Csn snapshot, ByteReader& in,
                                     std::vector<WriteOp>& ops) {
  const auto count = in.get_varint();
  if (count > in.remaining()) return bad("more operations than bytes");
  ops.reserve(ops.size() + count);
  for (std::uint64_t i = 0; i < count; ++i) {
    WriteOp op;
    op.kind = static_cast<WriteOp::Kind>(in.get<std::uint8_t>());
    if (op.kind < WriteOp::Kind::insert || op.kind > WriteOp::Kind::cancel)
      return bad("unknown operation");
    const auto cls = in.get_varint();
    if (cls >= dictionary.classes().size()) return bad("unknown class");
    op.cls = ClassId{static_cast<std::uint32_t>(cls)};
    op.row = in.get_varint();
    if (op.names_slot()) op.base = Csn{snapshot.value + in.get_varint()};
    if (op.has_row()) op.bytes = in.get_bytes();
    if (!in.ok()) return bad("it is cut short");
    ops.push_back(op);
  }
  return {};
}

void TransactionRecord::encode(std::vector<std::byte>& out) const {
  ByteWriter writer(out);
  writer.put(static_cast<std::uint8_t>(
      (serializable ? flag_serializable : 0) | (exclusive ? flag_exclusive : 0) |
      (parts != 0 ? flag_parts : 0) | (snapshot_name.empty() ? 0 : flag_name) |
      (drops_name ? flag_drops_name : 0)));
  writer.put_varint(snapshot.value);
  if (parts != 0) writer.put_varint(parts);
  if (!snapshot_name.empty()) writer.put_text(snapshot_name);
  encode_ops(ops, snapshot, out);
  if (!serializable) return;
  writer.put_varint(ranges.size());
  for (const auto& range : ranges) {
    writer.put_varint(range.index.value);
    writer.put_bytes(range.low);
    writer.put_bytes(range.high);
  }
  writer.put_varint(rows.size());
  for (const auto& row : rows) {
    writer.put_varint(row.cls.value);
    writer.put_varint(row.slot.value);
  }
  writer.put_varint(classes.size());
  for (const auto cls : classes) writer.put_varint(cls.value);
}

std::size_t TransactionRecord::encoded_bytes() const {
  const auto with_length = [](Bytes bytes) { return varint_bytes(bytes.size()) + bytes.size(); };
  std::size_t sum = sizeof(std::uint8_t) + varint_bytes(snapshot.value) + varint_bytes(ops.size());
  if (parts != 0) sum += varint_bytes(parts);
  if (!snapshot_name.empty()) sum += with_length(as_bytes(snapshot_name));
  for (const auto& op : ops) {
    sum += sizeof(std::uint8_t) + varint_bytes(op.cls.value) + varint_bytes(op.row);
    if (op.names_slot()) sum += varint_bytes(op.base.value - snapshot.value);
    if (op.has_row()) sum += with_length(op.bytes);
  }
  if (!serializable) return sum;
  sum += varint_bytes(ranges.size()) + varint_bytes(rows.size()) + varint_bytes(classes.size());
  for (const auto& range : ranges)
    sum += varint_bytes(range.index.value) + with_length(range.low) + with_length(range.high);
  for (const auto& row : rows) sum += varint_bytes(row.cls.value) + varint_bytes(row.slot.value);
  for (const auto cls : classes) sum += varint_bytes(cls.value);
  return sum;
}

Status TransactionRecord::decode(const Dictionary& dictionary, Bytes bytes,
                                 TransactionRecord& out) {
  ByteReader in(bytes);
  const auto flags = in.get<std::uint8_t>();
  out.serializable = flags & flag_serializable;
  out.exclusive = flags & flag_exclusive;
  out.snapshot = Csn{in.get_varint()};
  if (flags & flag_parts) out.parts = in.get_varint();
  if (flags & flag_name) {
    out.snapshot_name = in.get_text();
    if (out.snapshot_name.empty() || out.snapshot_name.size() > name_bytes_max)
      return bad("the name of a snapshot is empty or too long");
  }
  out.drops_name = flags & flag_drops_name;
  if (auto status = decode_ops(dictionary, out.snapshot, in, out.ops); !status) return status;
  if (out.serializable) {
    const auto range_count = in.get_varint();
    if (range_count > in.remaining()) return bad("more ranges than bytes");
    out.ranges.resize(range_count);
    for (auto& range : out.ranges) {
      const auto index = in.get_varint();
      if (index >= dictionary.indexes().size()) return bad("unknown index");
      range.index = IndexId{static_cast<std::uint32_t>(index)};
      range.low.append(in.get_bytes());
      range.high.append(in.get_bytes());
    }
    const auto row_count = in.get_varint();
    if (row_count > in.remaining()) return bad("more rows than bytes");
    out.rows.resize(row_count);
    for (auto& row : out.rows) {
      const auto cls = in.get_varint();
      if (cls >= dictionary.classes().size()) return bad("unknown class");
      row = {ClassId{static_cast<std::uint32_t>(cls)}, SlotId{in.get_varint()}};
    }
    const auto class_count = in.get_varint();
    if (class_count > in.remaining()) return bad("more classes than bytes");
    for (std::uint64_t i = 0; i < class_count; ++i) {
      const auto cls = in.get_varint();
      if (cls >= dictionary.classes().size()) return bad("unknown class");
      out.classes.push_back(ClassId{static_cast<std::uint32_t>(cls)});
    }
  }
  if (!in.ok() || in.remaining() != 0) return bad("its length is wrong");
  return {};
}

void TransactionRecord::clear() {
  snapshot = {};
  history = 0;
  serializable = exclusive = false;
  parts = 0;
  snapshot_name.clear();
  drops_name = false;
  empty_keeping(ops, bytes_kept);
  empty_keeping(ranges, bytes_kept);
  empty_keeping(rows, bytes_kept);
  empty_keeping(classes, bytes_kept);
}

namespace {

std::pair<std::uint32_t, std::uint64_t> slot_of(const WriteOp& op) {
  return {op.cls.value, op.row};
}

/// REQUIRES: both ascend.
bool name_a_slot_in_common(std::span<const WriteOp> a, std::span<const WriteOp> b) {
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const auto order = slot_of(a[i]) <=> slot_of(b[j]);
    if (order == 0) return true;
    ++(order < 0 ? i : j);
  }
  return false;
}

/// Certainly in form T1: by group, the rows of each ascending, and none in two. A new row's number is
/// its transaction's alone, whatever its class. Most transactions are so, and a large one is spared a
/// table of its rows.
bool ascending(std::span<const WriteOp> ops) {
  const auto disorder =
      std::adjacent_find(ops.begin(), ops.end(), [](const auto& a, const auto& b) {
        const auto first = group_of(a.kind), second = group_of(b.kind);
        if (first != second) return first > second;
        return a.names_slot() ? slot_of(a) >= slot_of(b) : a.row >= b.row;
      });
  if (disorder != ops.end()) return false;
  const auto up_to = [&](int group) {
    return std::size_t(
        std::partition_point(ops.begin(), ops.end(),
                             [&](const auto& op) { return group_of(op.kind) <= group; }) -
        ops.begin());
  };
  const auto removals = up_to(0), slots = up_to(1);
  return !name_a_slot_in_common(ops.first(removals), ops.subspan(removals, slots - removals));
}

}  // namespace

void TransactionRecord::normalise_ops() {
  if (ops.size() < 2 || ascending(ops)) return;
  std::unordered_map<RowName, std::size_t, RowNameHash> last;
  last.reserve(ops.size());
  std::vector<WriteOp> merged;
  merged.reserve(ops.size());
  for (const auto& op : ops) {
    const auto [place, fresh] = last.try_emplace({op.cls, op.row, op.names_slot()}, merged.size());
    if (fresh) {
      merged.push_back(op);
    } else {
      merged[place->second] = op;
    }
  }
  std::stable_sort(merged.begin(), merged.end(), [](const WriteOp& a, const WriteOp& b) {
    return group_of(a.kind) < group_of(b.kind);
  });
  ops = std::move(merged);
}

void TransactionRecord::drop_cancelled() {
  std::erase_if(ops, [](const WriteOp& op) { return op.kind == WriteOp::Kind::cancel; });
}

void TransactionRecord::normalise_reads() {
  std::sort(ranges.begin(), ranges.end(), [](const ReadRange& a, const ReadRange& b) {
    return std::tie(a.index, a.low) < std::tie(b.index, b.low);
  });
  std::vector<ReadRange> merged;
  for (auto& range : ranges) {
    auto* before = merged.empty() ? nullptr : &merged.back();
    const bool joins = before && before->index == range.index &&
                       (before->high.empty() || compare_keys(range.low, before->high) <= 0);
    if (!joins) {
      merged.push_back(std::move(range));
    } else if (!before->high.empty() &&
               (range.high.empty() || compare_keys(range.high, before->high) > 0)) {
      before->high = std::move(range.high);
    }
  }
  ranges = std::move(merged);
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
}

}  // namespace exdb
