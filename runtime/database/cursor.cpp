// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Cursors: a walk in the order of an index or of storage, its bounds, and what it has read.
#include "database/ordered_walk.hpp"
#include "database/search_bounds.hpp"
#include "database/storage_walk.hpp"
#include "database/transaction.hpp"
#include "exdb/connection.hpp"

namespace exdb {

/// One walk at a time: over a tree, or the rows of one key of a hash (`ordered`), or in storage order
/// (`storage`); first, last and a search begin another one (C1).
struct Cursor::Inside {
  Transaction& state;
  const ClassDef& type;
  const IndexDef* index;
  std::uint64_t generation;
  bool open = true;
  std::shared_ptr<Snapshots> snapshots;  ///< read_committed alone: those of its own statement
  std::uint64_t statement = 0;

  KeyRange within;  ///< of Connection::range; all keys otherwise
  std::size_t limit = no_limit, given = 0;
  bool downward = false;  ///< next() goes down (after a search for less)
  std::optional<OrderedWalk> ordered;
  std::optional<StorageWalk> storage;
  std::optional<std::size_t> range;  ///< into state.work().ranges
  bool scan_noted = false;

  Inside(Transaction& state_in, const ClassDef& type_in, const IndexDef* index_in)
      : state(state_in), type(type_in), index(index_in), generation(state_in.generation()) {}

  [[nodiscard]] bool tree_index() const { return index && index->ordered(); }

  void require() const {
    state.require_connection();
    if (!open) throw Error(ErrorCode::cursor_closed, "this cursor is closed");
    if (!state.active() || generation != state.generation()) {
      throw Error(
          ErrorCode::cursor_closed,
          "this cursor belongs to a transaction that has ended: open one in the new transaction");
    }
  }

  // ---- a walk begins ----

  const Snapshot& begin() {
    state.statement();
    ordered.reset();
    storage.reset();
    range.reset();
    downward = false;
    given = 0;
    if (state.view().per_statement()) snapshots = state.snapshots();
    statement = state.statement_number();
    return state.snapshot_in(*state.snapshots(), type);
  }
  void walk_keys(KeyRange bounds) {
    state.work().settle(type.id);
    const auto& snapshot = begin();
    ordered.emplace(state.work(), *index, snapshot, state.work().begin_walk(), std::move(bounds));
  }
  void walk_all() {
    if (tree_index()) return walk_keys(within);
    const auto& snapshot = begin();
    storage.emplace(state.work(), type, snapshot);
  }

  // ---- reads of serializable transactions ----

  void cover(Bytes from, const KeyBytes& to) {
    const KeyRange read{KeyBytes(from), to};
    if (empty(read)) return;
    auto& ranges = state.work().ranges;
    if (!range) {
      range = ranges.size();
      ranges.push_back({index->id, read.low, read.high});
      return;
    }
    auto& covered = ranges[*range];
    if (read.low < covered.low) covered.low = read.low;
    if (!covered.high.empty() && (read.high.empty() || read.high > covered.high))
      covered.high = read.high;
  }
  /// From where a step begins to where it ends: the row there (null: the bound), and all with its
  /// key. One that begins at an end and goes beyond it reads nothing.
  void cover_step(bool up, const WalkPlace* from, const WalkPlace* to) {
    const auto& bounds = ordered->bounds();
    if (up) {
      cover(from ? from->key : bounds.low, to ? key_successor(to->key) : bounds.high);
    } else {
      cover(to ? to->key : bounds.low, from ? key_successor(from->key) : bounds.high);
    }
  }
  /// The whole class, by its first step: who opens a cursor to search a hash has read nothing yet.
  void note_scan() {
    if (scan_noted || !state.records_reads()) return;
    state.work().whole_classes.push_back(type.id);
    scan_noted = true;
  }

  // ---- steps ----

  std::optional<RowId> step(bool up) {
    if (ordered) return step_keys(up);
    if (!storage) return std::nullopt;
    note_scan();
    return storage->move(up) ? std::optional(storage->row()) : std::nullopt;
  }

  std::optional<RowId> step_keys(bool up) {
    if (ordered->at_end(up)) return std::nullopt;
    if (state.records_reads() && tree_index()) {
      const auto* to = ordered->look(up);
      cover_step(up, ordered->on_row() ? &ordered->place() : nullptr, to);
    }
    if (!ordered->move(up)) return std::nullopt;
    state.saw(type, ordered->place().row);
    return ordered->place().row;
  }

  [[nodiscard]] std::optional<RowId> current() const {
    std::optional<RowId> row;
    if (ordered && ordered->on_row()) row = ordered->place().row;
    if (storage && storage->on_row()) row = storage->row();
    if (!row) return row;
    const auto* entry = state.work().find(type.id, *row);
    return entry && !entry->live() ? std::nullopt : row;
  }

  // ---- searches ----

  /// Is there a match? It is looked at, and given by the next step.
  bool search(Operation operation, std::span<const Value> values) {
    auto bounds = search_bounds(*index, operation, values);
    if (tree_index()) bounds = common(std::move(bounds), within);
    walk_keys(std::move(bounds));
    downward = operation == Operation::less_than || operation == Operation::less_or_equals;
    ordered->to_end(downward);
    const auto* match = ordered->look(!downward);
    if (!state.records_reads()) return match != nullptr;
    if (tree_index()) {
      cover_step(!downward, nullptr, match);
      if (match) state.saw(type, match->row);
    } else {
      cover(ordered->bounds().low, ordered->bounds().high);
    }
    return match != nullptr;
  }
};

Cursor::Cursor(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Cursor::Cursor() = default;
Cursor::~Cursor() = default;
Cursor::Cursor(Cursor&&) noexcept = default;
Cursor& Cursor::operator=(Cursor&&) noexcept = default;

void Cursor::close() {
  if (!inside_) return;
  inside_->open = false;
  inside_->ordered.reset();
  inside_->storage.reset();
  inside_->snapshots.reset();
}

bool Cursor::is_open() const {
  return inside_ && inside_->open && inside_->state.active() &&
         inside_->generation == inside_->state.generation();
}

Cursor::Inside& Cursor::inside() const {
  if (!inside_) throw Error(ErrorCode::cursor_closed, "this cursor was never opened");
  inside_->require();
  return *inside_;
}

std::optional<Object> Cursor::object(std::optional<RowId> row) const {
  if (!row) return std::nullopt;
  Object object;
  object.state_ = &inside_->state;
  object.generation_ = inside_->generation;
  object.class_ = inside_->type.id;
  object.row_ = RowHandle::of(*row, inside_->statement).value;
  return object;
}

std::optional<Object> Cursor::find(std::span<const Value> key) {
  return search(Operation::equals, key) ? next() : std::nullopt;
}

bool Cursor::search(Operation operation, std::span<const Value> key) {
  auto& in = inside();
  require_searchable(in.type, in.index, operation, key.size());
  return in.search(operation, key);
}

std::optional<Object> Cursor::first() {
  inside().walk_all();
  return next();
}

std::optional<Object> Cursor::last() {
  auto& in = inside();
  in.walk_all();
  if (in.ordered) in.ordered->to_end(true);
  if (in.storage) in.storage->to_end(true);
  return object(in.step(false));
}

std::optional<Object> Cursor::next() {
  auto& in = inside();
  if (in.given >= in.limit) return std::nullopt;
  const auto row = in.step(!in.downward);
  if (row) ++in.given;
  return object(row);
}

std::optional<Object> Cursor::prev() {
  auto& in = inside();
  return object(in.step(in.downward));
}

std::optional<Object> Cursor::current() const { return object(inside().current()); }

// ---- Connection ----

Cursor Connection::cursor(const ClassDef& type, const IndexDef* index) {
  state_->require_active();
  if (index && index->class_id != type.id) {
    throw Error(ErrorCode::invalid_handle, "index " + index->name + " is of class " +
                                               index->class_name + ", not of " + type.name);
  }
  auto inside = std::make_unique<Cursor::Inside>(*state_, type, index);
  inside->walk_all();
  return Cursor(std::move(inside));
}

Cursor Connection::range(const IndexDef& index, std::span<const Value> low,
                         std::span<const Value> high, std::size_t limit) {
  state_->require_active();
  const auto& type = state_->dictionary().class_of(index.class_id);
  auto inside = std::make_unique<Cursor::Inside>(*state_, type, &index);
  inside->within = range_bounds(index, low, high);
  inside->limit = limit;
  inside->walk_all();
  return Cursor(std::move(inside));
}

}  // namespace exdb
