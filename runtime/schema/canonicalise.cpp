// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "schema/row_layout.hpp"

namespace exdb {
namespace {

class Canonicaliser {
 public:
  Canonicaliser(Bytes row, std::vector<std::byte>& out) : row_(row), out_(out) {}

  /// The fixed part is in `out` already; brings its tail over and corrects its references.
  void bring_record(const RecordDef& record, std::size_t from, std::size_t to) {
    if (!record.has_references) return;
    for (const auto& field : record.fields) {
      if (!field.is_vector && !element_has_references(field)) continue;
      // What is absent is zero, so its references are empty: no need to ask for presence.
      if (field.is_vector) {
        bring_vector(field, from + field.offset, to + field.offset);
      } else {
        bring_elements(field, inline_count(field), from + field.offset, to + field.offset);
      }
    }
  }

 private:
  void bring_elements(const FieldDef& field, std::size_t count, std::size_t from, std::size_t to) {
    for (std::size_t i = 0; i < count; ++i, from += field.element_size, to += field.element_size) {
      if (field.type == FieldType::structure) {
        bring_record(*field.record, from, to);
      } else {
        const auto ref = load_at<Reference>(row_, from);
        bring_block(ref, ref.length, 1, to);
      }
    }
  }

  void bring_vector(const FieldDef& field, std::size_t from, std::size_t to) {
    const auto ref = load_at<Reference>(row_, from);
    const auto bytes = std::size_t{ref.length} * field.element_size;
    const auto block = bring_block(ref, bytes, tail_alignment(field), to);
    if (element_has_references(field)) bring_elements(field, ref.length, ref.offset, block);
  }

  /// Appends what `ref` refers to and writes the new reference at `to`; gives the new offset.
  std::size_t bring_block(Reference ref, std::size_t bytes, std::size_t alignment, std::size_t to) {
    if (bytes == 0) {
      store_at(out_, to, Reference{});
      return 0;
    }
    const auto at = align_up(out_.size(), alignment);
    out_.resize(at);  // zero bytes
    const auto source = row_.subspan(ref.offset, bytes);
    out_.insert(out_.end(), source.begin(), source.end());
    store_at(out_, to, Reference{std::uint32_t(at), ref.length});
    return at;
  }

  Bytes row_;
  std::vector<std::byte>& out_;
};

}  // namespace

void canonicalise(const RecordDef& record, Bytes row, std::vector<std::byte>& out) {
  // The fixed part first, with its old references: the walk needs them to find what to bring, and
  // overwrites each as it goes.
  out.assign(row.begin(), row.begin() + record.size);
  Canonicaliser(row, out).bring_record(record, 0, 0);
}

}  // namespace exdb
