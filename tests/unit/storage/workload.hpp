// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Random changes to a few classes with every kind of index, and a plain model of what they give.
// The model knows rows and the key function, nothing of versions, snapshots or structures: a
// snapshot of the model is a copy of it.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "schema/key.hpp"
#include "schema/row.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

namespace exdb::storage_test {

using Row = std::vector<std::byte>;

inline std::shared_ptr<const Dictionary> test_dictionary() {
  static const auto dictionary = Dictionary::parse(R"(
    declare database test;
    class Item {
      signed<8> id; unsigned<4> grp; string name; double weight; nullable signed<4> rank; blob data;
      unique hash<id> by_id[100];
      nonunique hash<grp> by_group;
      unique tree<name> by_name;
      tree<weight> by_weight;
      tree<rank desc, grp> by_rank;
      list all;
    };
    class Event {
      autoid_t id; string kind; signed<2> level;
      autoid<id> by_own_id;
      unique hash<kind, level> by_kind;
      unique tree<level desc, kind> by_level;
    };
    class Plain { unsigned<8> value; list; };
  )")
                                     .value();
  return dictionary;
}

inline IndexId index_named(const Dictionary& dictionary, std::string_view cls,
                           std::string_view name) {
  return dictionary.find_index(dictionary.find_class(cls)->id, name)->id;
}

inline KeyBytes key_of(const Dictionary& dictionary, IndexId id, Bytes row) {
  const auto& index = dictionary.index_of(id);
  KeyBytes key;
  append_key(index, RowView(dictionary.class_of(index.class_id), row), key);
  return key;
}

struct Operation {
  enum class Kind { insert, update, remove };
  Kind kind = Kind::insert;
  ClassId cls;
  SlotId slot;  ///< insert: where the model says it must go
  Row row;
  Csn csn;
};

class Model {
 public:
  using Entries = std::map<KeyBytes, std::set<std::uint64_t>>;

  explicit Model(std::shared_ptr<const Dictionary> dictionary)
      : dictionary_(std::move(dictionary)), rows_(dictionary_->classes().size()) {}

  [[nodiscard]] const Dictionary& dictionary() const { return *dictionary_; }
  [[nodiscard]] const std::map<std::uint64_t, Row>& rows(ClassId cls) const {
    return rows_[cls.value];
  }

  [[nodiscard]] SlotId lowest_free(ClassId cls) const {
    std::uint64_t slot = 0;
    for (auto it = rows(cls).begin(); it != rows(cls).end() && it->first == slot; ++it) ++slot;
    return {slot};
  }

  [[nodiscard]] Entries entries(IndexId index) const {
    Entries entries;
    for (const auto& [slot, row] : rows(dictionary_->index_of(index).class_id))
      entries[key_of(*dictionary_, index, row)].insert(slot);
    return entries;
  }

  /// Whether `row` in `slot` would take no unique key of another row.
  [[nodiscard]] bool fits(ClassId cls, SlotId slot, Bytes row) const {
    for (const auto index : dictionary_->class_of(cls).indexes) {
      if (!dictionary_->index_of(index).unique) continue;
      const auto key = key_of(*dictionary_, index, row);
      for (const auto& [other, other_row] : rows(cls))
        if (other != slot.value && key_of(*dictionary_, index, other_row) == key) return false;
    }
    return true;
  }

  void apply(const Operation& operation) {
    if (operation.kind == Operation::Kind::remove)
      rows_[operation.cls.value].erase(operation.slot.value);
    else
      rows_[operation.cls.value][operation.slot.value] = operation.row;
  }

 private:
  std::shared_ptr<const Dictionary> dictionary_;
  std::vector<std::map<std::uint64_t, Row>> rows_;
};

inline void apply(Storage& storage, const Operation& operation) {
  switch (operation.kind) {
    case Operation::Kind::insert:
      ASSERT_EQ(storage.insert(operation.cls, operation.row, operation.csn), operation.slot);
      break;
    case Operation::Kind::update:
      storage.update(operation.cls, operation.slot, operation.row, operation.csn);
      break;
    case Operation::Kind::remove:
      storage.remove(operation.cls, operation.slot, operation.csn);
      break;
  }
}

/// Makes changes that are allowed in the model, in few keys and slots, so that keys come back,
/// slots are used again, and several changes of one commit hit one row.
class Workload {
 public:
  Workload(std::uint64_t seed, Model& model) : random_(seed), model_(model) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  /// The next change, done to the model already; its csn is `csn`.
  Operation next(Csn csn) {
    for (;;) {
      Operation operation;
      operation.csn = csn;
      operation.cls = model_.dictionary().classes()[below(3)].id;
      const auto& rows = model_.rows(operation.cls);
      const bool insert = rows.empty() || (below(100) < 34 && rows.size() < rows_max);
      operation.slot = insert ? model_.lowest_free(operation.cls) : any_slot(operation.cls);
      if (!insert && below(3) == 0) {
        operation.kind = Operation::Kind::remove;
      } else {
        operation.kind = insert ? Operation::Kind::insert : Operation::Kind::update;
        operation.row =
            row_for(operation.cls, insert ? Bytes() : Bytes(rows.at(operation.slot.value)));
        if (!model_.fits(operation.cls, operation.slot, operation.row)) continue;
      }
      model_.apply(operation);
      return operation;
    }
  }

 private:
  static constexpr std::size_t rows_max = 60;

  SlotId any_slot(ClassId cls) {
    const auto& rows = model_.rows(cls);
    return {std::next(rows.begin(), static_cast<std::ptrdiff_t>(below(rows.size())))->first};
  }

  Row row_for(ClassId cls, Bytes before) {
    const auto& type = model_.dictionary().class_of(cls);
    RowBuilder row(type);
    if (!before.empty()) row.reset(type, before);
    const auto change = [&](unsigned percent) { return before.empty() || below(100) < percent; };
    if (type.name == "Item") {
      if (change(20)) row.set("id", std::int64_t(below(200)) - 100);
      if (change(20)) row.set("grp", below(4));
      if (change(20))
        row.set("name", "name " + std::string(below(40), 'x') + std::to_string(below(9)));
      if (change(20)) row.set("weight", below(2) == 0 ? -0.0 : double(below(10)) - 5);
      if (change(20)) row.set("rank", below(3) == 0 ? Value() : Value(std::int64_t(below(5)) - 2));
      if (change(60)) row.set("data", Value(ByteString(below(300), std::byte(below(256)))));
    } else if (type.name == "Event") {
      if (change(10)) row.set_autoid(1 + below(200));
      if (change(30)) row.set("kind", std::string(1 + below(5), char('a' + below(4))));
      if (change(30)) row.set("level", std::int64_t(below(8)) - 4);
    } else {
      row.set("value", below(1'000'000));
    }
    const auto bytes = row.finish();
    return {bytes.begin(), bytes.end()};
  }

  std::mt19937_64 random_;
  Model& model_;
};

inline void expect_same_rows(const Snapshot& snapshot, const Model& model, ClassId cls) {
  auto at = snapshot.scan(cls, SlotId{0});
  for (const auto& [slot, row] : model.rows(cls)) {
    ASSERT_EQ(at, SlotId{slot});
    const auto bytes = snapshot.row(cls, at);
    ASSERT_TRUE(bytes && std::ranges::equal(*bytes, row)) << "slot " << slot;
    at = snapshot.scan(cls, SlotId{slot + 1});
  }
  ASSERT_EQ(at, SlotId::none());
  at = snapshot.scan_back(cls, SlotId::none());
  for (auto it = model.rows(cls).rbegin(); it != model.rows(cls).rend(); ++it) {
    ASSERT_EQ(at, SlotId{it->first});
    at = at.value == 0 ? SlotId::none() : snapshot.scan_back(cls, SlotId{at.value - 1});
    if (it->first == 0) break;
  }
}

inline void expect_same_tree(RangeCursor cursor, const Model::Entries& entries) {
  bool on = cursor.first();
  for (const auto& [key, slots] : entries) {
    for (const auto slot : slots) {
      ASSERT_TRUE(on);
      ASSERT_TRUE(compare_keys(cursor.key(), key) == 0);
      ASSERT_EQ(cursor.slot(), SlotId{slot});
      on = cursor.next();
    }
  }
  ASSERT_FALSE(on);
  on = cursor.last();
  for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
    for (auto slot = it->second.rbegin(); slot != it->second.rend(); ++slot, on = cursor.prev()) {
      ASSERT_TRUE(on);
      ASSERT_EQ(cursor.slot(), SlotId{*slot});
    }
  }
  ASSERT_FALSE(on);
}

/// `others`: keys that may be in the index or not (those of other snapshots are the interesting
/// ones).
inline void expect_same_index(const Snapshot& snapshot, const Model& model, IndexId index,
                              const Model::Entries& others) {
  const auto entries = model.entries(index);
  std::vector<Bytes> keys;
  for (const auto& [key, slots] : entries) keys.push_back(key);
  for (const auto& [key, slots] : others)
    if (!entries.contains(key)) keys.push_back(key);
  std::vector<SlotId> many(keys.size());
  snapshot.find_many(index, keys, many);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::vector<SlotId> found, expected;
    snapshot.find_all(index, keys[i], found);
    if (const auto it = entries.find(KeyBytes(keys[i])); it != entries.end())
      for (const auto slot : it->second) expected.push_back({slot});
    const auto name = model.dictionary().index_of(index).name;
    ASSERT_EQ(found, expected) << name << " "
                               << describe_key(model.dictionary().index_of(index), keys[i]);
    ASSERT_EQ(snapshot.find(index, keys[i]), expected.empty() ? SlotId::none() : expected.front());
    ASSERT_EQ(many[i], expected.empty() ? SlotId::none() : expected.front());
  }
  if (model.dictionary().index_of(index).ordered())
    expect_same_tree(snapshot.range(index), entries);
}

/// Everything that can be read of the snapshot is as in `model`; keys that are in `newest` only are
/// looked up, too, and not found.
inline void expect_same(const Snapshot& snapshot, const Model& model, const Model& newest) {
  for (const auto& cls : model.dictionary().classes()) {
    ASSERT_NO_FATAL_FAILURE(expect_same_rows(snapshot, model, cls.id));
  }
  for (const auto& index : model.dictionary().indexes()) {
    if (index.kind == IndexKind::list) continue;
    ASSERT_NO_FATAL_FAILURE(expect_same_index(snapshot, model, index.id, newest.entries(index.id)));
  }
}

}  // namespace exdb::storage_test
