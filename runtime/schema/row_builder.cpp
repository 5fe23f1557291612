// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The working buffer is a row with gaps: a value that does not fit where the old one was is
// appended, and when gaps have doubled the buffer it is squeezed. So a setter costs its value's
// size, amortised, however often it is called.
#include <algorithm>

#include "schema/convert.hpp"
#include "schema/row_layout.hpp"
#include "schema/row_path.hpp"

namespace exdb {
namespace {

constexpr std::size_t slack_bytes = 1024;

void set_presence(std::vector<std::byte>& row, std::int64_t bit, bool present) {
  if (bit < 0) return;
  const auto mask = std::byte(1U << (bit % 8));
  auto& at = row[std::size_t(bit) / 8];
  at = present ? at | mask : at & ~mask;
}

}  // namespace

/// One change of a row: all of it happens, or (when it throws) nothing.
class RowWriter {
 public:
  RowWriter(RowBuilder& builder, Where where)
      : builder_((builder.own(), builder)),
        row_(builder.buffer_),
        where_(where),
        size_before_(row_.size()),
        canonical_before_(builder.canonical_) {}

  template <class Change>
  void run(Change change) {
    try {
      change(*this);
    } catch (...) {
      undo();
      throw;
    }
    if (row_.size() > builder_.compact_at_) builder_.compact();
  }

  void set(const Location& at, const Value& value) {
    refuse_autoid(*at.field);
    const auto bit = at.element ? -1 : presence_at(*at.field, at.base);
    if (value.is_null()) return set_null(at, bit);
    const bool whole = !at.element && !at.field->is_single();
    if (whole || at.field->type == FieldType::structure) save(at);
    whole ? set_whole(*at.field, at.offset, value, where_)
          : set_one(*at.field, at.offset, value, where_);
    set_presence(row_, bit, true);
  }

  /// The bytes of a string, blob, char<n> or binary<n>, or one scalar; checked by the caller.
  void set_bytes(const Location& at, Bytes value) {
    refuse_autoid(*at.field);
    if (at.field->is_reference()) {
      replace_tail(*at.field, at.offset, value, value.size());
    } else {
      write_padded(*at.field, at.offset, value);
    }
    set_presence(row_, presence_at(*at.field, at.base), true);
  }

  void set_raw(const Location& at, FieldType type, Bytes elements) {
    const auto& field = *at.field;
    if (at.element || field.is_single() || !is_scalar(field.type) || storage_of(field.type) != type)
      throw Error(ErrorCode::conversion, where_.to_text() + " is " + field.type_text() +
                                             ": it cannot be set from " +
                                             std::string(name_of(type)) + " elements");
    const auto count = elements.size() / field.element_size;
    if (elements.size() % field.element_size != 0 ||
        (field.is_array() && count != field.array_length))
      throw_misfit(where_, std::to_string(elements.size()) + " bytes of elements", field);
    check_elements(field, elements, count);
    if (field.is_vector) {
      replace_tail(field, at.offset, elements, count);
    } else if (!elements.empty()) {
      std::memmove(row_.data() + at.offset, elements.data(), elements.size());
    }
  }

  /// A struct that was absent becomes present, with its defaults. Gives true: see EnterAbsent.
  bool make_present(const FieldDef& field, std::size_t base) {
    const auto bit = presence_at(field, base);
    if (made_present_ == nullptr) {
      made_present_ = &field;
      made_present_base_ = base;
    }
    set_presence(row_, bit, true);
    write_defaults(*field.record, base + field.offset);
    return true;
  }

  /// As make_present, for all structs on the way to a place that is the same in every row.
  void enter(const FieldPlace& place) {
    const RecordDef* record = &builder_.type_->record;
    std::size_t base = 0;
    while (true) {
      const auto& field =
          *std::find_if(record->fields.begin(), record->fields.end(), [&](const auto& f) {
            return &f == place.field || place.offset < base + f.offset + extent_of(f);
          });
      if (&field == place.field) return;
      if (!builder_.view().present(presence_at(field, base))) make_present(field, base);
      base += field.offset;
      record = field.record;
    }
  }

 private:
  void refuse_autoid(const FieldDef& field) const {
    if (&field == builder_.type_->autoid)
      throw Error(ErrorCode::access, where_.to_text() + " is given by the database: do not set it");
  }

  void write_defaults(const RecordDef& record, std::size_t offset) {
    std::memcpy(row_.data() + offset, record.defaults.data(), record.size);
  }

  void set_null(const Location& at, std::int64_t bit) {
    if (bit < 0) {
      const bool is_struct = at.field->type == FieldType::structure && at.field->is_single();
      throw Error(ErrorCode::conversion, where_.to_text() + ": null does not fit " +
                                             at.field->type_text() + " (declare it '" +
                                             (is_struct ? "optional" : "nullable") + "')");
    }
    if (!builder_.view().present(bit)) return;
    if (element_has_references(*at.field)) builder_.canonical_ = false;
    std::fill_n(row_.begin() + std::ptrdiff_t(at.offset), extent_of(*at.field), std::byte{0});
    set_presence(row_, bit, false);
  }

  void set_whole(const FieldDef& field, std::size_t offset, const Value& value,
                 const Where& where) {
    if (value.kind() != Value::Kind::list)
      throw Error(ErrorCode::conversion, where.to_text() + ": " + value.to_text() +
                                             " does not fit " + field.type_text() +
                                             " (a list of its elements)");
    const auto& list = value.as_list();
    if (field.is_array() && list.size() != field.array_length)
      throw Error(ErrorCode::conversion, where.to_text() + ": a list of " +
                                             std::to_string(list.size()) + " does not fit " +
                                             field.type_text() + " (exactly " +
                                             std::to_string(field.array_length) + " elements)");
    std::size_t at = offset;
    if (field.is_vector)
      at = append_block(std::size_t{field.element_size} * list.size(), tail_alignment(field));
    for (std::size_t i = 0; i < list.size(); ++i)
      set_one(field, at + i * field.element_size, list[i], Where{&where, {}, std::int64_t(i)});
    if (!field.is_vector) return;
    builder_.canonical_ = false;
    const auto length = std::uint32_t(list.size());
    store_at(row_, offset, length == 0 ? Reference{} : Reference{std::uint32_t(at), length});
  }

  /// A single value or an element. Where it changes more than one thing, save() or a new block is
  /// under it.
  void set_one(const FieldDef& field, std::size_t offset, const Value& value, const Where& where) {
    if (is_scalar(field.type)) return convert_scalar(field, value, row_.data() + offset, where);
    if (field.type == FieldType::structure) return set_record(field, offset, value, where);
    const auto bytes = convert_bytes(field, value, where);
    if (element_has_references(field)) {
      replace_text(offset, bytes);
    } else {
      write_padded(field, offset, bytes);
    }
  }

  void set_record(const FieldDef& field, std::size_t offset, const Value& value,
                  const Where& where) {
    if (value.kind() != Value::Kind::record) throw_refused(where, value, field);
    if (field.record->has_references) builder_.canonical_ = false;
    write_defaults(*field.record, offset);
    for (const auto& [name, part] : value.as_record()) {
      const auto& inner = field.record->at(name);
      const Where inside{&where, inner.name};
      const auto bit = presence_at(inner, offset);
      if (part.is_null()) {
        if (bit < 0) throw_misfit(inside, "null", inner);
        std::fill_n(row_.begin() + std::ptrdiff_t(offset + inner.offset), extent_of(inner),
                    std::byte{0});
      } else if (inner.is_single()) {
        set_one(inner, offset + inner.offset, part, inside);
      } else {
        set_whole(inner, offset + inner.offset, part, inside);
      }
      set_presence(row_, bit, !part.is_null());
    }
  }

  void write_padded(const FieldDef& field, std::size_t offset, Bytes value) {
    auto* at = row_.data() + offset;
    if (!value.empty()) std::memmove(at, value.data(), value.size());
    std::fill(at + value.size(), at + field.element_size, std::byte{0});
  }

  void replace_text(std::size_t offset, Bytes bytes) {
    replace_block(offset, bytes, bytes.size(), 1, 1);
  }

  void replace_tail(const FieldDef& field, std::size_t offset, Bytes bytes, std::size_t count) {
    replace_block(offset, bytes, count, field.is_vector ? field.element_size : 1,
                  tail_alignment(field));
  }

  /// Points the reference at `offset` to a copy of `bytes`, in place when they fit there and
  /// nothing is to be undone.
  void replace_block(std::size_t offset, Bytes bytes, std::size_t count, std::size_t element_size,
                     std::size_t alignment) {
    const auto old = load_at<Reference>(row_, offset);
    const auto old_bytes = std::size_t{old.length} * element_size;
    if (bytes.size() != old_bytes || saved_any_) builder_.canonical_ = false;
    if (bytes.empty()) return store_at(row_, offset, Reference{});
    if (bytes.size() <= old_bytes && !saved_any_) {
      std::memmove(row_.data() + old.offset, bytes.data(), bytes.size());
      return store_at(row_, offset, Reference{old.offset, std::uint32_t(count)});
    }
    std::vector<std::byte> copy;
    if (std::less_equal<>()(row_.data(), bytes.data()) &&
        std::less<>()(bytes.data(), row_.data() + row_.size())) {
      copy.assign(bytes.begin(), bytes.end());  // a part of this very row: growing would move it
      bytes = copy;
    }
    const auto at = append_block(bytes.size(), alignment);
    std::memcpy(row_.data() + at, bytes.data(), bytes.size());
    store_at(row_, offset, Reference{std::uint32_t(at), std::uint32_t(count)});
  }

  /// Zero bytes at the end of the buffer; gives their offset.
  std::size_t append_block(std::size_t bytes, std::size_t alignment) {
    const auto at = align_up(row_.size(), alignment);
    if (bytes > row_bytes_max || at + bytes > row_bytes_max)
      throw Error(ErrorCode::too_large, where_.to_text() + ": a row holds at most 4 GiB, and " +
                                            std::to_string(bytes) + " bytes more do not fit");
    row_.resize(at + bytes);
    return at;
  }

  void check_elements(const FieldDef& field, Bytes elements, std::size_t count) const {
    if (field.type != FieldType::boolean && field.type != FieldType::time &&
        field.type != FieldType::enumeration)
      return;
    for (std::size_t i = 0; i < count; ++i) {
      const auto* fault = scalar_fault(field, elements.data() + i * field.element_size);
      if (fault != nullptr) throw_misfit(Where{&where_, {}, std::int64_t(i)}, fault, field);
    }
  }

  void save(const Location& at) {
    const auto bytes = at.element ? at.field->element_size : extent_of(*at.field);
    const auto from = row_.begin() + std::ptrdiff_t(at.offset);
    saved_.assign(from, from + std::ptrdiff_t(bytes));
    saved_at_ = at.offset;
    saved_any_ = true;
  }

  void undo() {
    row_.resize(size_before_);
    builder_.canonical_ = canonical_before_;
    std::copy(saved_.begin(), saved_.end(), row_.begin() + std::ptrdiff_t(saved_at_));
    if (made_present_ == nullptr) return;
    const auto at = row_.begin() + std::ptrdiff_t(made_present_base_ + made_present_->offset);
    std::fill_n(at, extent_of(*made_present_), std::byte{0});
    set_presence(row_, presence_at(*made_present_, made_present_base_), false);
  }

  RowBuilder& builder_;
  std::vector<std::byte>& row_;
  Where where_;
  std::size_t size_before_;
  bool canonical_before_;
  bool saved_any_ = false;
  std::vector<std::byte> saved_;
  std::size_t saved_at_ = 0;
  const FieldDef* made_present_ = nullptr;  // the outermost struct that this change made present
  std::size_t made_present_base_ = 0;
};

namespace {

/// A top-level field given by its definition, which must be of this class.
Location top_level(const ClassDef& type, const FieldDef& field) {
  const auto fields = type.fields();
  if (std::less<>()(&field, fields.data()) || !std::less<>()(&field, fields.data() + fields.size()))
    throw Error(ErrorCode::ddl_field_not_found,
                "'" + field.name + "' is not a field of class " + type.name);
  return {&field, 0, field.offset, false, false};
}

/// The chain of names that stands for "Class.path" in messages.
struct Names {
  Names(const ClassDef& type, std::string_view path)
      : type_name{nullptr, type.name}, whole{&type_name, path} {}
  Where type_name;
  Where whole;
};

}  // namespace

void RowBuilder::reset(const ClassDef& type) { reset(type, type.record.defaults); }

void RowBuilder::reset(const ClassDef& type, Bytes row) {
  type_ = &type;
  buffer_.assign(row.begin(), row.end());
  lent_ = nullptr;
  canonical_ = true;
  compact_at_ = 2 * buffer_.size() + slack_bytes;
}

void RowBuilder::refer_to(const ClassDef& type, Bytes row) {
  type_ = &type;
  lent_ = row.data();
  lent_bytes_ = std::uint32_t(row.size());  // R4
  canonical_ = true;
}

void RowBuilder::compact() {
  canonicalise(type_->record, buffer_, spare_);
  buffer_.swap(spare_);
  canonical_ = true;
  compact_at_ = 2 * buffer_.size() + slack_bytes;
}

Bytes RowBuilder::finish() {
  if (!canonical_) compact();
  return view().bytes();
}

void RowBuilder::set(std::string_view path, const Value& value) {
  const Names names(*type_, path);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) {
    const auto enter = [&](const FieldDef& field, std::size_t base) {
      // Null into an absent struct changes nothing, so it must not make the struct present either.
      return !value.is_null() && writer.make_present(field, base);
    };
    const auto at = locate_value(view(), path, enter);
    if (!at.absent) writer.set(at, value);
  });
}

void RowBuilder::set(const FieldDef& field, const Value& value) {
  const auto at = top_level(*type_, field);
  const Names names(*type_, field.name);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) { writer.set(at, value); });
}

void RowBuilder::set_raw(std::string_view path, FieldType type, Bytes elements) {
  const Names names(*type_, path);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) {
    const auto at = locate_value(view(), path, [&](const FieldDef& field, std::size_t base) {
      return writer.make_present(field, base);
    });
    writer.set_raw(at, type, elements);
  });
}

void RowBuilder::set_raw(const FieldDef& field, FieldType type, Bytes elements) {
  const auto at = top_level(*type_, field);
  const Names names(*type_, field.name);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) { writer.set_raw(at, type, elements); });
}

void RowBuilder::set_autoid(std::uint64_t id) {
  if (type_->autoid == nullptr) return;
  own();
  store_at(buffer_, type_->autoid->offset, id);
}

void RowBuilder::store_scalar(const FieldPlace& place, const void* value, std::size_t size) {
  const auto& field = *place.field;
  const auto* bytes = static_cast<const std::byte*>(value);
  const bool checked = field.type == FieldType::time || field.type == FieldType::enumeration;
  if (!checked && &field != type_->autoid && view().present(place.presence)) {
    own();
    std::memcpy(buffer_.data() + place.offset, value, size);
    return;
  }
  const Names names(*type_, field.name);
  if (const auto* fault = scalar_fault(field, bytes)) throw_misfit(names.whole, fault, field);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) {
    writer.enter(place);
    writer.set_bytes({&field, place.offset - field.offset, place.offset, false, false},
                     Bytes(bytes, size));
  });
}

void RowBuilder::store_bytes(const FieldPlace& place, Bytes value) {
  const auto& field = *place.field;
  const Names names(*type_, field.name);
  check_bytes(field, value, names.whole);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) {
    writer.enter(place);
    writer.set_bytes({&field, place.offset - field.offset, place.offset, false, false}, value);
  });
}

void RowBuilder::store_elements(const FieldPlace& place, Bytes elements) {
  const auto& field = *place.field;
  const Names names(*type_, field.name);
  RowWriter(*this, names.whole).run([&](RowWriter& writer) {
    writer.enter(place);
    writer.set_raw({&field, place.offset - field.offset, place.offset, false, false},
                   storage_of(field.type), elements);
  });
}

}  // namespace exdb
