// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/index_keys.hpp"

#include "base/assert.hpp"

namespace exdb {
namespace {

IndexForm form_of(const IndexDef& index) {
  switch (index.kind) {
    case IndexKind::tree:
      return IndexForm::ordered;
    case IndexKind::hash:
      return index.unique ? IndexForm::hash : IndexForm::ordered_hashes;
    case IndexKind::autoid:
      return IndexForm::hash;
    case IndexKind::list:
      break;
  }
  return IndexForm::none;
}

bool is_integer(FieldType type) {
  return is_scalar(type) && type != FieldType::float32 && type != FieldType::float64;
}

bool is_signed(FieldType type) {
  switch (storage_of(type)) {
    case FieldType::int8:
    case FieldType::int16:
    case FieldType::int32:
    case FieldType::int64:
      return true;
    default:
      return false;
  }
}

}  // namespace

IndexKeys::IndexKeys(const Dictionary& dictionary, IndexId id)
    : index_(&dictionary.index_of(id)),
      class_(&dictionary.class_of(index_->class_id)),
      form_(form_of(*index_)) {
  // Presence bits count as well: a null and a zero have the same field bytes and different keys.
  for (const auto& part : index_->parts) {
    const auto& field = *part.place.field;
    if (field.is_reference() || !field.is_single()) fixed_ = false;
    ranges_.push_back({part.place.offset, field.element_size});
    if (part.nullable())
      ranges_.push_back({static_cast<std::uint32_t>(part.place.presence / 8), 1});
  }
  if (index_->parts.size() != 1) return;
  const auto& part = index_->parts.front();
  const auto& field = *part.place.field;
  if (!fixed_ || part.nullable() || !is_integer(field.type)) return;
  // Keys are big-endian with the sign turned, so that memcmp orders them (schema/key.hpp); the field
  // is little-endian. One xor and one byte swap lead from one to the other.
  width_ = field.element_size;
  offset_ = part.place.offset;
  const auto all = ~std::uint64_t{0} >> (64 - 8 * width_);
  if (is_signed(field.type)) flip_ = all & ~(all >> 1);
  if (part.descending) flip_ ^= all;
}

void IndexKeys::key_of(Bytes row, KeyBytes& out) const {
  out.clear();
  if (width_ == 0) return append_key(*index_, RowView(*class_, row), out);
  const auto big_endian = __builtin_bswap64((load(row) ^ flip_) << (64 - 8 * width_));
  std::memcpy(out.extend(width_), &big_endian, width_);
}

// May say "changed" of what is not (a string that moved in the row): then keys are built and compared.
bool IndexKeys::unchanged(Bytes before, Bytes after) const {
  if (width_ != 0) return load(before) == load(after);
  if (!fixed_) return false;
  for (const auto& range : ranges_)
    if (std::memcmp(before.data() + range.offset, after.data() + range.offset, range.bytes) != 0)
      return false;
  return true;
}

bool IndexKeys::Matcher::compare(Bytes row) const {
  KeyBytes built;
  keys_.key_of(row, built);
  return compare_keys(built, key_) == 0;
}

}  // namespace exdb
