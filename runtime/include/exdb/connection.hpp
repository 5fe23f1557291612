// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Connection, Object and Cursor: work with a database, one transaction at a time on a connection.
//
// Invariants
//   I1  Objects and cursors end with their transaction: using one later throws invalid_handle or
//       cursor_closed. They must not outlive their Connection object.
// Threads: a connection, its objects and cursors are used by one thread at a time; many connections
//   may be open.
// Failure: misuse throws Error (no transaction, a field that does not exist, a value that does not
//   fit, use after close) and leaves the transaction as it was.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "exdb/columns.hpp"
#include "exdb/row.hpp"
#include "exdb/schema.hpp"
#include "exdb/transaction.hpp"
#include "exdb/value.hpp"

namespace exdb {

class Connection;
class RowBuilder;
struct Assigned;
struct DatabaseCore;
struct Snapshots;
class Transaction;
struct RowId;

/// The product's numbers.
enum class Operation : int {
  less_than = 1,
  less_or_equals = 2,
  equals = 3,
  greater_or_equals = 4,
  greater_than = 5,
  prefix_match = 10,
};

/// One row within the transaction in which it was found or made.
class Object {
 public:
  Object() = default;
  [[nodiscard]] const ClassDef& type() const;
  [[nodiscard]] bool valid() const;  ///< its transaction is open and it has not been removed

  /// The row as this transaction sees it. A view: until the next write to this object, or the end
  /// of the transaction.
  [[nodiscard]] RowView row() const;
  /// The same, with a hold on what it shows: the bytes stay as they are for as long as the returned
  /// holder lives, beyond the end of the transaction. Costs a pin, shared by all of one
  /// transaction.
  [[nodiscard]] RowView row(std::shared_ptr<const void>& hold) const;
  /// Field by path: "month", "origin.airport", "samples[2]".
  [[nodiscard]] Value get(std::string_view path) const;
  template <class T>
  [[nodiscard]] T get(const Field<T>& field) const;

  /// Writes need a transaction that may write. Visible to this transaction's reads and searches at
  /// once. A write that throws changes nothing: too_large for a value that is more than a row or a
  /// commit may have, before it is copied; duplicate for a unique key of a row that this transaction
  /// made, when the snapshot or another row that it made has that key. A key of several parts is looked
  /// at when all of them have been assigned; that of a row that was there before at the commit, for
  /// rows may swap their keys. Cost: the value's size; a look-up for each unique key looked at.
  void set(std::string_view path, const Value& value);
  void set(const FieldDef& field, const Value& value);
  void set_raw(const FieldDef& field, FieldType type, std::span<const std::byte> elements);
  /// A string or char<n> from its UTF-8, a binary<n> or blob from its bytes: without the copy that a
  /// Value is. A top-level field.
  void set_bytes(const FieldDef& field, std::span<const std::byte> value);
  template <class T>
  void set(const Field<T>& field, std::type_identity_t<T> value);
  void remove();
  /// Throws too_large as a set() of a value of so many bytes would, for who has to convert it first.
  void require_fits(std::string_view path, std::size_t bytes) const;

  /// The same row?
  bool operator==(const Object& other) const;

 private:
  friend class Connection;
  friend class Cursor;
  friend class Transaction;
  template <class Set>
  void change(const Assigned& what, std::size_t least, std::size_t most, Set&& set);
  void store_scalar(const FieldPlace& place, const void* value, std::size_t size);
  void store_bytes(const FieldPlace& place, Bytes value);
  void store_elements(const FieldPlace& place, Bytes elements);
  Transaction* state_ = nullptr;
  std::uint64_t generation_ = 0;  ///< of the transaction
  ClassId class_;
  std::uint64_t row_ = 0;  ///< slot, or number of a new row with the top bit set
};

/// A position among the rows of a class in the order of an index, within the bounds of a range or a
/// search. Over a list, hash or autoid index (and without one) rows come in storage order, those of
/// the snapshot before those that the transaction made; after a search in a hash, its matches in that
/// order.
///
/// Invariants
///   C1  A cursor gives the rows that its transaction saw when the walk began: when it was opened, or
///       at the latest first(), last(), search() or find() of it. They stay where they were then.
///   C2  A row that the transaction inserts later is not given; it is seen by a find, by another
///       cursor, and once a walk begins anew. A loop that moves rows ahead of its cursor ends.
///   C3  A row that the transaction changes later is given once a pass, at the place of the key that
///       it had, with its current content: even if that matches the search no more.
///   C4  A row that the transaction removes later is passed over, and is current() no more; the walk
///       goes on from where it was.
///   C5  C1 to C4 hold in both directions, and for all walks. prev() after an end gives the row at
///       that end.
/// Cost: O(log n) to begin, O(1) a row in order, O(log) of the transaction's own rows where it wrote.
///   Rows of the snapshot that it has changed or removed are walked over once, not by each walk;
///   ConnectionStatistics::entries_walked counts.
/// Nothing here blocks.
class Cursor {
 public:
  Cursor();  ///< not open
  ~Cursor();
  Cursor(Cursor&&) noexcept;
  Cursor& operator=(Cursor&&) noexcept;

  static constexpr std::size_t no_limit = ~std::size_t{0};

  /// search(equals, key), then next().
  std::optional<Object> find(std::span<const Value> key);
  /// Positions before the first match; next() then gives the match itself first, and goes on
  /// through all rows that match: upward for equals, greater and prefix_match, downward from the
  /// largest for the less operations. False when nothing matches. A tree takes the leading parts of
  /// its key; a hash takes equals and the whole key only. A range's cursor finds what is in the
  /// range. Throws unsupported where the index cannot do it, conversion for values that do not fit.
  bool search(Operation operation, std::span<const Value> key);
  /// Move and give the row there, or nothing at an end. first() and last() drop the bounds of a
  /// search, not those of a range. Of a range with a limit, next() gives no more than that many rows
  /// (first() is the first of them), whatever prev() gives, until the walk begins anew.
  std::optional<Object> first();
  std::optional<Object> last();
  std::optional<Object> next();
  std::optional<Object> prev();
  /// The row that the last move gave.
  [[nodiscard]] std::optional<Object> current() const;
  void close();
  [[nodiscard]] bool is_open() const;

 private:
  friend class Connection;
  struct Inside;
  explicit Cursor(std::unique_ptr<Inside> inside);
  Inside& inside() const;
  std::optional<Object> object(std::optional<RowId> row) const;
  std::unique_ptr<Inside> inside_;
};

template <class T>
T Object::get(const Field<T>& field) const {
  return row().get(field);
}

template <class T>
void Object::set(const Field<T>& field, std::type_identity_t<T> value) {
  if constexpr (std::is_arithmetic_v<T>) {
    store_scalar(field.place(), &value, sizeof value);
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    store_bytes(field.place(), std::as_bytes(std::span(value)));
  } else if constexpr (std::is_same_v<T, Bytes>) {
    store_bytes(field.place(), value);
  } else {
    store_elements(field.place(), std::as_bytes(value));
  }
}

struct ConnectionStatistics {
  std::uint64_t committed = 0, aborted = 0, conflicts = 0, rolled_back = 0, read_only = 0;
  /// Rows and entries of indexes that finds, counts and cursors have looked at: much more than the
  /// rows they gave means that the transactions' own writes, or a missing index, make them dear.
  /// A find_many that reads the snapshot alone is not counted.
  std::uint64_t entries_walked = 0;
};

class Connection {
 public:
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Throws transaction_active when one is open, or when both this one and one that this thread
  /// began on another connection are exclusive. Blocks for at_least, fresh and exclusive only, and
  /// not beyond Database::close or abandon in another thread.
  void start(const TransactionOptions& options = {});
  /// Ends the transaction: sends what was written (if anything) and waits for its place in the
  /// order. Blocks for about one exchange. NOT collective.
  CommitResult commit();
  /// Sends what was written and returns; the connection may start the next transaction at once,
  /// whose snapshot may not have it yet. At most one such commit is on its way: until wait() has
  /// taken its result, commit() and commit_later() throw transaction_active.
  void commit_later();
  /// The result of commit_later(). Blocks. Throws transaction_not_active when there is none.
  CommitResult wait();
  void rollback();
  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] Csn snapshot() const;  ///< of the open transaction

  Object create(const ClassDef& type);
  /// Makes `rows` rows of columns, about twice as fast as one by one: what no column is of has its
  /// default. Throws as setting the fields would, at once and for all rows: conversion for a column or
  /// a value that does not fit, key_too_long, too_large, and duplicate, also for two of these rows;
  /// then none of them is there. O(bytes), a look-up a row and unique key; does not block.
  void insert_many(const ClassDef& type, std::size_t rows, std::span<const Column> columns);
  void remove(const Object& object);
  /// Removes all rows of the class that the transaction sees; returns how many.
  std::uint64_t delete_all(const ClassDef& type);

  /// The row with this key (the first of several), or nothing. A tree takes the leading parts of its
  /// key too, and gives the first match in its order; a hash needs the whole key. O(log n), own
  /// writes or not; O(1) for a unique hash. Throws conversion for values that do not fit or are too
  /// many (for a hash: too few), unsupported for a list.
  std::optional<Object> find(const IndexDef& index, std::span<const Value> key);
  /// find() for each key: one result a key, in order; much faster than one by one on large data.
  std::vector<std::optional<Object>> find_many(const IndexDef& index,
                                               std::span<const std::vector<Value>> keys);
  /// Over `index`, or over all rows in storage order.
  Cursor cursor(const ClassDef& type, const IndexDef* index = nullptr);
  /// The rows from one key to another, in the order of a tree index. Both ends are included, each may
  /// be the leading parts of a key (all that begin so are included), empty = no bound on this side.
  /// `low` and `high` are values, low <= high also where the index descends: rows come as the index
  /// runs, from `high` down to `low` if it descends in the first part in which the two differ, or
  /// which only one of them has. Nothing is between them if low is greater. Searches of this cursor
  /// look within the range; next() gives at most `limit` rows (see Cursor::next). Reads nothing
  /// yet. Throws unsupported for another index, conversion for values that do not fit or are too
  /// many.
  Cursor range(const IndexDef& index, std::span<const Value> low, std::span<const Value> high,
               std::size_t limit = Cursor::no_limit);
  /// Rows of the class that the transaction sees. Cost: a scan.
  std::uint64_t count(const ClassDef& type);
  /// As many as range() would give. Cost: O(log n + the count), no row is read. Throws as range().
  std::uint64_t count(const IndexDef& index, std::span<const Value> low,
                      std::span<const Value> high);

  /// Drives the cluster in this thread until it stops. Throws cluster_not_initialized without a
  /// cluster.
  void listen();
  /// Says that this node is done; returns after ALL nodes have said so or have left. Blocks for as
  /// long as nodes live that have not, as Database::close() says; with `deadline`, and for what else
  /// ends it, see there too. Throws cluster_not_initialized without a cluster, and refuses while this
  /// connection has a transaction open.
  void stop(std::optional<std::chrono::milliseconds> deadline = {});
  /// Rolls back what is open. Idempotent.
  void close();
  [[nodiscard]] bool is_open() const;
  [[nodiscard]] ConnectionStatistics statistics() const;

 private:
  friend class Database;
  /// `at`: the state that all its transactions read; none: the newest.
  explicit Connection(std::shared_ptr<DatabaseCore> core, std::shared_ptr<Snapshots> at = {});
  Object object(const ClassDef& type, RowId row);
  std::unique_ptr<Transaction> state_;
};

}  // namespace exdb
