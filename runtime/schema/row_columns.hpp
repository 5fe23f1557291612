// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rows made of columns: in canonical form at once, without a look at fields that no column is of.
//
// Invariants
//   I1  What build() makes is what a RowBuilder makes of the same values, byte for byte.
// Threads: used by one thread at a time.
// Failure: the constructor throws Error 99 for a column or a value that does not fit, naming the
//   row's number, and 2002 where a row would be too large; build() throws nothing then.
#pragma once
#include <vector>

#include "exdb/columns.hpp"
#include "schema/row.hpp"

namespace exdb {

class RowsOfColumns {
 public:
  /// Checks all values. O(bytes).
  RowsOfColumns(const ClassDef& type, std::size_t rows, std::span<const Column> columns);

  [[nodiscard]] std::size_t size() const { return rows_; }
  /// Of all rows together.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  /// Row number `at`, with the id that the database gives it if its class has one. Gives its size.
  /// REQUIRES: room at `to` for what bytes() counts.
  std::size_t build(std::size_t at, std::uint64_t autoid, std::byte* to) const;

 private:
  struct Part {
    Column column;
    std::size_t inline_bytes = 0;  ///< in the fixed part; 0: a reference to the tail
  };
  void check_column(const Column& column) const;
  void check_values(const Part& part) const;
  [[nodiscard]] static Bytes value_of(const Column& column, std::size_t at);

  const ClassDef& type_;
  const std::size_t rows_;
  std::vector<Part> parts_;          ///< in the order of the fields
  std::vector<std::byte> defaults_;  ///< the fixed part, what columns fill marked as present
  std::size_t bytes_ = 0;
};

}  // namespace exdb
