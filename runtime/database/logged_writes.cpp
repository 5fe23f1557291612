// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/logged_writes.hpp"

#include "schema/key.hpp"

namespace exdb {
namespace {

std::string key_of(const IndexDef& index, const ClassDef& type, Bytes row) {
  KeyBytes key;
  append_key(index, RowView(type, row), key);
  return describe_key(index, key);
}

std::string names_of_indexes(const Dictionary& dictionary, const ClassDef& type) {
  std::string names;
  for (const auto id : type.indexes)
    names += (names.empty() ? "" : ", ") + dictionary.index_of(id).name;
  return names.empty() ? "none" : names;
}

}  // namespace

LoggedWrites::LoggedWrites(const Dictionary& dictionary, const ArchiveOptions& options)
    : dictionary_(dictionary), options_(options) {
  if (options.class_name.empty()) return;
  only_ = dictionary.find_class(options.class_name);
  if (only_ == nullptr) {
    std::string names;
    for (const auto& type : dictionary.classes()) names += (names.empty() ? "" : ", ") + type.name;
    throw Error(ErrorCode::not_found, "there is no class '" + options.class_name +
                                          "'; there are: " + (names.empty() ? "none" : names));
  }
  if (options.index_name.empty()) return;
  index_ = dictionary.find_index(only_->id, options.index_name);
  if (index_ == nullptr || index_->parts.empty())
    throw Error(ErrorCode::not_found,
                "class '" + only_->name + "' has no index '" + options.index_name +
                    "' with keys; its indexes are: " + names_of_indexes(dictionary, *only_));
}

/// The first unique one, or the first that has keys.
const IndexDef* LoggedWrites::index_of(const ClassDef& type) const {
  if (index_ != nullptr) return index_;
  const IndexDef* first = nullptr;
  for (const auto id : type.indexes) {
    const auto& index = dictionary_.index_of(id);
    if (index.parts.empty()) continue;
    if (index.unique) return &index;
    if (first == nullptr) first = &index;
  }
  return first;
}

LoggedWrite LoggedWrites::write_of(const WriteOp& op, const Snapshot& state) const {
  const auto& type = dictionary_.class_of(op.cls);
  const auto* const index = index_of(type);
  LoggedWrite write;
  write.class_name = type.name;
  write.kind = op.kind == WriteOp::Kind::insert   ? LoggedWrite::Kind::insert
               : op.kind == WriteOp::Kind::remove ? LoggedWrite::Kind::remove
                                                  : LoggedWrite::Kind::update;
  if (index == nullptr) {
    write.key = op.names_slot() ? "slot " + std::to_string(op.row) : "";
    return write;
  }
  write.index = index->name;
  if (op.names_slot()) {
    if (const auto row = state.row(op.cls, SlotId{op.row}))
      write.key_before = key_of(*index, type, *row);
  }
  write.key = op.has_row() ? key_of(*index, type, op.bytes) : write.key_before;
  if (write.key == write.key_before) write.key_before.clear();
  return write;
}

Status LoggedWrites::add_parts(const Parts& parts, TransactionRecord& record) const {
  std::vector<WriteOp> ops;
  for (const auto& part : parts) {
    ByteReader in(part);
    (void)in.get_varint();  // its number
    const Csn snapshot{in.get_varint()};
    if (auto status = TransactionRecord::decode_ops(dictionary_, snapshot, in, ops); !status)
      return status;
  }
  ops.insert(ops.end(), record.ops.begin(), record.ops.end());
  record.ops = std::move(ops);
  return {};
}

Status LoggedWrites::transaction(const RoundItem& item, const Snapshot& state) {
  const TxnId id{item.origin, item.sequence};
  TransactionRecord record;
  if (auto status = TransactionRecord::decode(dictionary_, item.bytes, record); !status)
    return status;
  auto went_ahead = parts_.extract(id);
  const auto parts = went_ahead ? std::move(went_ahead.mapped()) : Parts();
  if (auto status = add_parts(parts, record); !status) return status;
  record.normalise_ops();
  record.drop_cancelled();
  auto& told = told_.emplace_back();
  told.round = round_.value;
  told.member = item.member.value;
  told.id = id;
  told.parts_missing = parts.size() != record.parts;
  if (only_ == nullptr && !record.snapshot_name.empty() &&
      !AgreedWords::is_word(record.snapshot_name))
    told.writes.push_back(
        {record.drops_name ? LoggedWrite::Kind::drop_snapshot : LoggedWrite::Kind::snapshot,
         {},
         {},
         record.snapshot_name,
         {}});
  for (const auto& op : record.ops)
    if (only_ == nullptr || op.cls == only_->id) told.writes.push_back(write_of(op, state));
  return {};
}

Status LoggedWrites::before(Round round, std::span<const RoundItem> items, Replica& replica) {
  told_.clear();
  round_ = round;
  const bool wanted = round.value >= options_.from;
  auto state = replica.pin();
  if (!state) return state.status();
  for (const auto& item : items) {
    const TxnId id{item.origin, item.sequence};
    if (item.kind == RoundItem::Kind::fragment) {
      parts_[id].emplace_back(item.bytes.begin(), item.bytes.end());
    } else if (item.kind == RoundItem::Kind::gone) {
      std::erase_if(parts_, [&](const auto& part) { return part.first.origin == item.origin; });
    } else if (item.kind == RoundItem::Kind::discard || !wanted) {
      parts_.erase(id);
    } else if (auto status = transaction(item, (*state)->replicated); !status) {
      return status;
    }
  }
  return {};
}

Status LoggedWrites::after(std::span<const RoundItem> items,
                           const std::vector<ItemOutcome>& outcomes) {
  auto told = told_.begin();
  for (std::size_t i = 0; i < items.size() && told != told_.end(); ++i) {
    if (items[i].kind != RoundItem::Kind::transaction) continue;
    told->committed = outcomes[i].code == ErrorCode::ok;
    told->csn = outcomes[i].csn.value;
    told->why_not = outcomes[i].text;
    if (only_ == nullptr || !told->writes.empty()) options_.each(*told);
    ++told;
  }
  return {};
}

}  // namespace exdb
