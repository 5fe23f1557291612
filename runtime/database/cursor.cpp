// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Cursors: the rows of a snapshot merged with the transaction's own, in the order of an index or of
// storage.
#include <algorithm>

#include "database/transaction.hpp"
#include "exdb/connection.hpp"

namespace exdb {

/// Three walks behind one cursor:
///   tree  both sources are ordered by (key, row); each step takes the nearer of the two;
///   list  the rows of the snapshot that a search in a hash or autoid index found, all at once, and
///         the own ones with that key; each step takes the nearer of the two;
///   scan  slots in storage order, then the transaction's new rows.
/// A step never trusts what it saw before: own writes may have come in between, so the own keys are
/// looked up anew and a snapshot row is checked for being shadowed when it is about to be given.
struct Cursor::Inside {
  enum class Walk { tree, list, scan };
  enum class At { before, on, after };
  enum class BaseAt { unknown, here };  ///< here: the tree cursor stands on the row given last

  Transaction& state;
  const ClassDef& type;
  const IndexDef* index;
  std::uint64_t generation;
  bool open = true;
  std::shared_ptr<Snapshots> snapshots;  ///< read_committed alone: those of its own statement
  std::uint64_t statement = 0;

  Walk walk = Walk::scan;
  bool downward = false;  ///< next() goes down (after a search for less)
  At at = At::before;     ///< in the upward sense
  KeyBytes low, high;     ///< bounds [low, high); empty high = none
  KeyBytes key;           ///< tree: of the row given last
  RowId row;              ///< the row given last
  RangeCursor base;
  BaseAt base_at = BaseAt::unknown;
  std::vector<RowId> matches;        ///< list: those of the snapshot, ascending
  std::optional<std::size_t> range;  ///< into state.work().ranges
  bool scan_noted = false;

  Inside(Transaction& state_in, const ClassDef& type_in, const IndexDef* index_in)
      : state(state_in), type(type_in), index(index_in), generation(state_in.generation()) {
    hold_statement();
  }

  void hold_statement() {
    if (state.view().per_statement()) snapshots = state.snapshots();
    statement = state.statement_number();
  }
  [[nodiscard]] const Snapshot& snapshot() const {
    return state.snapshot_in(snapshots ? *snapshots : *state.snapshots(), type);
  }
  [[nodiscard]] bool tree_index() const { return index && index->kind == IndexKind::tree; }

  void require() const {
    state.require_connection();
    if (!open) throw Error(ErrorCode::cursor_closed, "this cursor is closed");
    if (!state.active() || generation != state.generation()) {
      throw Error(
          ErrorCode::cursor_closed,
          "this cursor belongs to a transaction that has ended: open one in the new transaction");
    }
  }

  void restart(Walk wanted) {
    state.statement();
    hold_statement();
    walk = wanted;
    low.clear();
    high.clear();
    downward = false;
    at = At::before;
    base_at = BaseAt::unknown;
    matches.clear();
    range.reset();
    if (walk == Walk::tree) base = snapshot().range(index->id);
  }

  // ---- reads of serializable transactions ----

  void cover(Bytes from, const KeyBytes& to) {
    if (!state.records_reads() || !index) return;
    auto& ranges = state.work().ranges;
    if (!range) {
      range = ranges.size();
      ranges.push_back({index->id, KeyBytes(from), to});
      return;
    }
    auto& covered = ranges[*range];
    if (compare_keys(from, covered.low) < 0) covered.low = KeyBytes(from);
    if (!covered.high.empty() && (to.empty() || compare_keys(to, covered.high) > 0))
      covered.high = to;
  }

  /// The whole class, by its first step: who opens a cursor to search a hash has read nothing yet.
  void note_scan() {
    if (scan_noted || !state.records_reads()) return;
    state.work().whole_classes.push_back(type.id);
    scan_noted = true;
  }

  // ---- tree ----

  [[nodiscard]] bool hidden(SlotId slot) const { return state.shadowed(type.id, slot); }

  /// The snapshot's next row above (key, row), or from `low` on; false at the end.
  bool base_above() {
    bool on = at == At::before ? base.seek(low)
              : base_at == BaseAt::here
                  ? base.next()
                  : base.seek(key, SlotId{row.is_new() ? RowId::new_bit : row.value + 1});
    while (on && hidden(base.slot())) on = base.next();
    return on;
  }
  bool base_below() {
    bool on = at == At::after ? (high.empty() ? base.last() : base.seek_before(high))
              : base_at == BaseAt::here
                  ? base.prev()
                  : base.seek_before(key, SlotId{row.is_new() ? RowId::new_bit : row.value});
    while (on && hidden(base.slot())) on = base.prev();
    return on;
  }

  std::optional<RowId> tree_up() {
    if (at == At::after) return std::nullopt;
    state.work().settle(type.id);
    const auto& own = state.work().keys(index->id);
    const bool in_base = base_above() && (high.empty() || compare_keys(base.key(), high) < 0);
    auto mine = at == At::before ? own.lower_bound({low, RowId{}}) : own.upper_bound({key, row});
    const bool in_own = mine != own.end() && (high.empty() || mine->first < high);
    const auto from = at == At::before ? low : key;
    if (!in_base && !in_own) {
      base_at = BaseAt::unknown;
      cover(from, high);
      at = At::after;
      return std::nullopt;
    }
    take(in_base, in_own ? &*mine : nullptr, true);
    cover(from, key_successor(key));
    at = At::on;
    return row;
  }

  std::optional<RowId> tree_down() {
    if (at == At::before) return std::nullopt;
    state.work().settle(type.id);
    const auto& own = state.work().keys(index->id);
    const bool in_base = base_below() && compare_keys(base.key(), low) >= 0;
    auto mine = at == At::after ? (high.empty() ? own.end() : own.lower_bound({high, RowId{}}))
                                : own.lower_bound({key, row});
    bool in_own = mine != own.begin();
    if (in_own) in_own = (--mine)->first >= low;
    const auto to = at == At::after ? high : key_successor(key);
    if (!in_base && !in_own) {
      base_at = BaseAt::unknown;
      cover(low, to);
      at = At::before;
      return std::nullopt;
    }
    take(in_base, in_own ? &*mine : nullptr, false);
    cover(key, to);
    at = At::on;
    return row;
  }

  void take(bool in_base, const std::pair<KeyBytes, RowId>* mine, bool nearest_is_least) {
    bool base_wins = in_base;
    if (in_base && mine) {
      const auto order = compare_keys(base.key(), mine->first);
      const bool less = order != 0 ? order < 0 : RowId::of(base.slot()) < mine->second;
      base_wins = less == nearest_is_least;
    }
    if (base_wins) {
      key.clear();
      key.append(base.key());
      row = RowId::of(base.slot());
      base_at = BaseAt::here;
    } else {
      key = mine->first;
      row = mine->second;
      base_at = BaseAt::unknown;
    }
  }

  // ---- scan ----

  [[nodiscard]] bool dead(RowId id) const {
    const auto* entry = state.work().find(type.id, id);
    return entry && !entry->live();
  }

  std::optional<RowId> scan_up() {
    if (at == At::after) return std::nullopt;
    const bool in_slots = at == At::before || !row.is_new();
    if (in_slots) {
      auto slot = snapshot().scan(type.id, SlotId{at == At::before ? 0 : row.value + 1});
      while (slot != SlotId::none() && dead(RowId::of(slot)))
        slot = snapshot().scan(type.id, SlotId{slot.value + 1});
      if (slot != SlotId::none()) return give(RowId::of(slot));
    }
    const auto& fresh = state.work().inserted(type.id);
    auto next =
        in_slots ? fresh.begin() : std::upper_bound(fresh.begin(), fresh.end(), row.entry());
    while (next != fresh.end() && dead(RowId::of_new(*next))) ++next;
    if (next != fresh.end()) return give(RowId::of_new(*next));
    at = At::after;
    return std::nullopt;
  }

  std::optional<RowId> scan_down() {
    if (at == At::before) return std::nullopt;
    const auto& fresh = state.work().inserted(type.id);
    auto slot_from = SlotId::none();
    if (at == At::after || row.is_new()) {
      auto end =
          at == At::after ? fresh.end() : std::lower_bound(fresh.begin(), fresh.end(), row.entry());
      while (end != fresh.begin()) {
        --end;
        if (!dead(RowId::of_new(*end))) return give(RowId::of_new(*end));
      }
    } else if (row.value == 0) {
      at = At::before;
      return std::nullopt;
    } else {
      slot_from = SlotId{row.value - 1};
    }
    auto slot = snapshot().scan_back(type.id, slot_from);
    while (slot != SlotId::none() && dead(RowId::of(slot))) {
      slot =
          slot.value == 0 ? SlotId::none() : snapshot().scan_back(type.id, SlotId{slot.value - 1});
    }
    if (slot != SlotId::none()) return give(RowId::of(slot));
    at = At::before;
    return std::nullopt;
  }

  std::optional<RowId> give(RowId id) {
    at = At::on;
    row = id;
    return id;
  }

  // ---- list ----

  std::optional<RowId> list_up() {
    if (at == At::after) return std::nullopt;
    state.work().settle(type.id);
    auto match =
        at == At::before ? matches.begin() : std::upper_bound(matches.begin(), matches.end(), row);
    while (match != matches.end() && hidden(match->slot())) ++match;
    const auto& own = state.work().keys(index->id);
    const auto mine =
        at == At::before ? own.lower_bound({low, RowId{}}) : own.upper_bound({low, row});
    const bool in_own = mine != own.end() && mine->first == low;
    if (match != matches.end() && (!in_own || *match < mine->second)) return give(*match);
    if (in_own) return give(mine->second);
    at = At::after;
    return std::nullopt;
  }

  std::optional<RowId> list_down() {
    if (at == At::before) return std::nullopt;
    state.work().settle(type.id);
    const bool from_end = at == At::after;
    auto match = from_end ? matches.end() : std::lower_bound(matches.begin(), matches.end(), row);
    while (match != matches.begin() && hidden((match - 1)->slot())) --match;
    const auto& own = state.work().keys(index->id);
    auto mine = from_end ? own.lower_bound({high, RowId{}}) : own.lower_bound({low, row});
    if (from_end && high.empty()) mine = own.end();
    const bool in_own = mine != own.begin() && (--mine)->first == low;
    const bool in_matches = match != matches.begin();
    if (in_matches && (!in_own || mine->second < *(match - 1))) return give(*(match - 1));
    if (in_own) return give(mine->second);
    at = At::before;
    return std::nullopt;
  }

  std::optional<RowId> step(bool up) {
    const auto stepped = walk == Walk::tree   ? (up ? tree_up() : tree_down())
                         : walk == Walk::list ? (up ? list_up() : list_down())
                                              : (up ? scan_up() : scan_down());
    if (walk == Walk::scan) {
      note_scan();
    } else if (stepped) {
      state.saw(type, *stepped);
    }
    return stepped;
  }

  // ---- searches ----

  bool search_hash(std::span<const Value> values) {
    if (values.size() != index->parts.size()) {
      throw Error(ErrorCode::conversion, "index " + index->name + " of class " + type.name +
                                             " is searched with its whole key of " +
                                             std::to_string(index->parts.size()) + " parts, not " +
                                             std::to_string(values.size()));
    }
    restart(Walk::list);
    make_key(*index, values, low);
    high = key_successor(low);
    cover(low, high);
    std::vector<SlotId> slots;
    snapshot().find_all(index->id, low, slots);
    for (const auto slot : slots) matches.push_back(RowId::of(slot));
    std::sort(matches.begin(), matches.end());
    const bool found = list_up().has_value();
    at = At::before;
    return found;
  }

  bool search_tree(Operation operation, std::span<const Value> values) {
    restart(Walk::tree);
    KeyBytes wanted;
    if (operation == Operation::prefix_match) {
      auto found = prefix_range(*index, values);
      low = std::move(found.low);
      high = std::move(found.high);
    } else {
      make_key(*index, values, wanted);
    }
    switch (operation) {
      case Operation::prefix_match:
        break;
      case Operation::equals:
        low = wanted;
        high = key_successor(wanted);
        break;
      case Operation::greater_or_equals:
        low = wanted;
        break;
      case Operation::greater_than:
        low = key_successor(wanted);
        if (low.empty()) {  // nothing is above the greatest key
          at = At::after;
          return false;
        }
        break;
      case Operation::less_than:
        high = wanted;
        downward = true;
        break;
      case Operation::less_or_equals:
        high = key_successor(wanted);
        downward = true;
        break;
    }
    // An empty upper bound means none; a search below the least key of all is empty and not
    // unbounded.
    if (operation == Operation::less_than && high.empty()) return false;
    at = downward ? At::after : At::before;
    // Is there a match? Look, and step back.
    const auto found = step(!downward);
    at = downward ? At::after : At::before;
    base_at = BaseAt::unknown;
    return found.has_value();
  }
};

namespace {
const char* name_of(Operation operation) {
  switch (operation) {
    case Operation::less_than:
      return "LessThan";
    case Operation::less_or_equals:
      return "LessOrEquals";
    case Operation::equals:
      return "Equals";
    case Operation::greater_or_equals:
      return "GreaterOrEquals";
    case Operation::greater_than:
      return "GreaterThan";
    case Operation::prefix_match:
      return "PrefixMatch";
  }
  return "unknown";
}
}  // namespace

Cursor::Cursor(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Cursor::~Cursor() = default;
Cursor::Cursor(Cursor&&) noexcept = default;
Cursor& Cursor::operator=(Cursor&&) noexcept = default;

void Cursor::close() {
  if (!inside_) return;
  inside_->open = false;
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
  if (!in.index || in.index->kind == IndexKind::list) {
    throw Error(ErrorCode::unsupported,
                "a search needs a tree, hash or autoid index; class " + in.type.name +
                    " is here walked " +
                    (in.index ? "by list index " + in.index->name : "without an index"));
  }
  if (key.size() > in.index->parts.size() || key.empty()) {
    throw Error(ErrorCode::conversion, "index " + in.index->name + " of class " + in.type.name +
                                           " has " + std::to_string(in.index->parts.size()) +
                                           " key parts, not " + std::to_string(key.size()));
  }
  if (in.tree_index()) return in.search_tree(operation, key);
  if (operation != Operation::equals) {
    throw Error(ErrorCode::unsupported, std::string(name_of(operation)) + " needs a tree index; " +
                                            in.index->name + " of class " + in.type.name +
                                            " is a " + std::string(exdb::name_of(in.index->kind)) +
                                            " index, which knows Equals only");
  }
  return in.search_hash(key);
}

std::optional<Object> Cursor::first() {
  auto& in = inside();
  in.restart(in.tree_index() ? Inside::Walk::tree : Inside::Walk::scan);
  return object(in.step(true));
}

std::optional<Object> Cursor::last() {
  auto& in = inside();
  in.restart(in.tree_index() ? Inside::Walk::tree : Inside::Walk::scan);
  in.at = Inside::At::after;
  return object(in.step(false));
}

std::optional<Object> Cursor::next() {
  auto& in = inside();
  return object(in.step(!in.downward));
}

std::optional<Object> Cursor::prev() {
  auto& in = inside();
  return object(in.step(in.downward));
}

std::optional<Object> Cursor::current() const {
  auto& in = inside();
  if (in.at != Inside::At::on || in.dead(in.row)) return std::nullopt;
  return object(in.row);
}

// ---- Connection ----

Cursor Connection::cursor(const ClassDef& type, const IndexDef* index) {
  state_->statement();
  if (index && index->class_id != type.id) {
    throw Error(ErrorCode::invalid_handle, "index " + index->name + " is of class " +
                                               index->class_name + ", not of " + type.name);
  }
  auto inside = std::make_unique<Cursor::Inside>(*state_, type, index);
  if (inside->tree_index()) {
    inside->walk = Cursor::Inside::Walk::tree;
    inside->base = inside->snapshot().range(index->id);
  }
  return Cursor(std::move(inside));
}

}  // namespace exdb
