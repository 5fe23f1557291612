// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Which unique keys the write of a field takes part in, so that one that is taken is refused where
// the program still knows what it was doing. The commit looks again, whatever was found here.
//
// Invariants
//   I1  Only rows that the transaction inserts are looked at. A row that was there may take a key
//       that another is about to give up: keys are swapped, and all of a class moved by one, in one
//       transaction.
//   I2  Own keys are noted by their hash, and not put in order for this: a row of a bulk load costs
//       its indexes once, when it is installed. A note may be of a key that was given up since.
//   I3  A key is looked at when each of its parts was assigned since it was last looked at: one
//       that is half set is never refused.
// Threads: pure but for the entry.
#pragma once
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "transaction/workspace.hpp"

namespace exdb {

/// Keys that entries were given: entries by hash of the key. Linear probing in a table of twice the
/// notes at least.
class OwnKeys {
 public:
  /// Calls `same_key` with entries under this hash until it gives true, and gives the entry; else
  /// notes `entry`, once, and gives nothing.
  template <class SameKey>
  std::optional<std::size_t> find_or_note(std::uint64_t hash, std::size_t entry,
                                          SameKey&& same_key) {
    if (2 * (notes_ + 1) > table_.size()) grow();
    const Note mine{std::uint32_t(hash), std::uint32_t(entry)};
    EXDB_ASSERT(entry < nobody, "the limit of a transaction is reached before");
    auto at = mine.hash & (table_.size() - 1);
    for (; table_[at].entry != nobody; at = (at + 1) & (table_.size() - 1)) {
      if (table_[at].hash != mine.hash) continue;
      if (table_[at].entry == mine.entry) return std::nullopt;
      if (same_key(std::size_t{table_[at].entry})) return table_[at].entry;
    }
    table_[at] = mine;
    ++notes_;
    return std::nullopt;
  }
  void clear();

 private:
  static constexpr std::uint32_t nobody = ~std::uint32_t{0};
  struct Note {
    std::uint32_t hash = 0;
    std::uint32_t entry = nobody;
  };
  void grow();
  std::vector<Note> table_;
  std::size_t notes_ = 0;
};

/// What a write assigns: a field by path, or by its stretch of the fixed part of the row.
struct Assigned {
  std::string_view name;           ///< the path, or the field's own name
  std::size_t begin = 0, end = 0;  ///< none of a path

  static Assigned of(std::string_view path) { return {path, 0, 0}; }
  static Assigned of(const FieldDef& field, std::size_t offset);
  [[nodiscard]] bool covers(const IndexPart& part) const;
};

/// Whether it is a part of some unique key. Cost: a comparison a part.
bool assigns_key(const Dictionary& dictionary, const ClassDef& type, const Assigned& what);

/// Notes in the entry what is assigned, and calls `look` with each unique index whose key is to be
/// looked at now (I3).
template <class Look>
void each_key_assigned(const Dictionary& dictionary, const ClassDef& type, WorkEntry& entry,
                       const Assigned& what, Look&& look) {
  unsigned first = 0;  // number of the index's first part among those of all unique indexes
  for (const auto id : type.indexes) {
    const auto& index = dictionary.index_of(id);
    if (!index.unique) continue;
    const auto parts = unsigned(index.parts.size());
    std::uint64_t assigned = 0;
    for (unsigned i = 0; i < parts; ++i)
      if (what.covers(index.parts[i])) assigned |= std::uint64_t{1} << i;
    const auto at = std::exchange(first, first + parts);
    if (assigned == 0) continue;
    if (parts > 1) {
      if (first > 32) continue;  // more than an entry can note: left to the commit
      const auto all = ((std::uint64_t{1} << parts) - 1) << at;
      entry.key_parts |= std::uint32_t(assigned << at);
      if ((entry.key_parts & all) != all) continue;
      entry.key_parts &= ~std::uint32_t(all);
    }
    look(index);
  }
}

}  // namespace exdb
