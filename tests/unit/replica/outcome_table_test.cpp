// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/outcome_table.hpp"

#include <gtest/gtest.h>

#include <random>

namespace exdb {
namespace {

constexpr ErrorCode codes[] = {ErrorCode::ok, ErrorCode::conflict, ErrorCode::duplicate,
                               ErrorCode::snapshot_too_old};

void record(OutcomeTable& table, TxnId id, ErrorCode code) {
  OutcomeTable::Writer(table).record(id, code);
}

std::vector<std::byte> encoded(const OutcomeTable& table) {
  std::vector<std::byte> bytes;
  for (const auto origin : table.origins()) table.encode(origin, bytes);
  return bytes;
}

/// What O2 says, by remembering everything.
class Model {
 public:
  void record(TxnId id, ErrorCode code) {
    auto& highest = highest_[id.origin];
    highest = std::max(highest, id.sequence);
    if (id.sequence + OutcomeTable::remembered > highest) all_[id] = code;
  }
  [[nodiscard]] std::optional<ErrorCode> find(TxnId id) const {
    const auto highest = highest_.find(id.origin);
    if (highest == highest_.end()) return std::nullopt;
    if (id.sequence + OutcomeTable::remembered <= highest->second) return std::nullopt;
    const auto found = all_.find(id);
    return found == all_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<NodeId, std::uint64_t> highest_;
  std::map<TxnId, ErrorCode> all_;
};

/// Numbers with gaps, out of order, late, and now and then far ahead.
class Sequences {
 public:
  explicit Sequences(std::uint64_t seed) : random_(seed) {}
  std::uint64_t next() {
    const auto kind = random_() % 1000;
    if (kind == 0) return highest_ += random_() % (3 * OutcomeTable::remembered);
    if (kind < 50) return 1 + random_() % (highest_ + 1);
    if (kind < 500 && highest_ > 40) return highest_ - random_() % 40;
    return highest_ += 1 + random_() % 3;
  }
  [[nodiscard]] std::uint64_t highest() const { return highest_; }
  std::mt19937_64& random() { return random_; }

 private:
  std::mt19937_64 random_;
  std::uint64_t highest_ = 0;
};

TEST(OutcomeTable, knows_of_the_newest_numbers_what_came_and_of_the_rest_nothing) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    OutcomeTable table, restored;
    Model model;
    Sequences sequences(seed);
    const NodeId origins[] = {{0}, {7}, {4'000'000'000}};
    for (int i = 0; i < 60'000; ++i) {
      const TxnId id{origins[sequences.random()() % 3], sequences.next()};
      const auto code = codes[sequences.random()() % 4];
      record(table, id, code);
      model.record(id, code);
    }
    const auto bytes = encoded(table);
    ByteReader in(bytes);
    while (in.remaining() != 0) ASSERT_TRUE(restored.decode(in).ok());
    EXPECT_EQ(encoded(restored), bytes);
    for (const auto origin : {NodeId{0}, NodeId{7}, NodeId{4'000'000'000}, NodeId{1}}) {
      const auto top = sequences.highest() + 10;
      const auto span = 2 * OutcomeTable::remembered;
      for (auto at = top > span ? top - span : 0; at <= top; ++at) {
        const TxnId id{origin, at};
        ASSERT_EQ(table.find(id), model.find(id)) << origin.value << ':' << at;
        ASSERT_EQ(restored.find(id), model.find(id)) << origin.value << ':' << at;
      }
    }
  }
}

TEST(OutcomeTable, a_number_that_never_came_is_unknown_also_where_an_older_one_was) {
  OutcomeTable table;
  const NodeId origin{3};
  for (std::uint64_t at = 1; at <= 10; ++at) record(table, {origin, at}, ErrorCode::ok);
  record(table, {origin, OutcomeTable::remembered + 11}, ErrorCode::conflict);
  EXPECT_EQ(table.find({origin, OutcomeTable::remembered + 5}), std::nullopt);
  EXPECT_EQ(table.find({origin, 5}), std::nullopt);
  record(table, {origin, 5}, ErrorCode::ok);  // late, and forgotten at once
  EXPECT_EQ(table.find({origin, 5}), std::nullopt);
  EXPECT_EQ(table.find({origin, OutcomeTable::remembered + 5}), std::nullopt);
  EXPECT_EQ(table.find({origin, OutcomeTable::remembered + 11}), ErrorCode::conflict);
  record(table, {origin, 0}, ErrorCode::ok);
  record(table, {origin, ~std::uint64_t{0}}, ErrorCode::ok);
  EXPECT_EQ(table.find({origin, ~std::uint64_t{0}}), std::nullopt);
  EXPECT_EQ(table.find({origin, OutcomeTable::remembered + 11}), ErrorCode::conflict);
}

TEST(OutcomeTable, of_an_origin_that_has_ended_what_never_came_never_will) {
  OutcomeTable table;
  OutcomeTable::Writer(table).record({NodeId{1}, 5}, ErrorCode::ok);
  OutcomeTable::Writer(table).record({NodeId{2}, 5}, ErrorCode::ok);
  table.end(NodeId{1});
  table.end(NodeId{3});
  EXPECT_EQ(table.find({NodeId{1}, 5}), ErrorCode::ok);
  for (const std::uint64_t never : {4U, 6U, 100'000U})
    EXPECT_EQ(table.find({NodeId{1}, never}), ErrorCode::transaction) << never;
  EXPECT_EQ(table.find({NodeId{3}, 1}), ErrorCode::transaction) << "it never sent anything";
  EXPECT_EQ(table.find({NodeId{2}, 6}), std::nullopt) << "this one goes on";
  OutcomeTable::Writer(table).record({NodeId{4}, OutcomeTable::remembered + 10}, ErrorCode::ok);
  table.end(NodeId{4});
  EXPECT_EQ(table.find({NodeId{4}, 10}), std::nullopt) << "forgotten: it may have been committed";
  EXPECT_EQ(table.find({NodeId{4}, 0}), std::nullopt) << "names no transaction";
}

TEST(OutcomeTable, numbers_passed_over_do_not_get_the_outcomes_of_the_lap_before) {
  OutcomeTable table;
  const NodeId origin{3};
  constexpr auto lap = OutcomeTable::remembered;
  for (std::uint64_t at = 1; at <= lap; ++at) record(table, {origin, at}, ErrorCode::ok);
  record(table, {origin, lap + 10}, ErrorCode::conflict);
  for (std::uint64_t at = lap + 1; at < lap + 10; ++at)
    EXPECT_EQ(table.find({origin, at}), std::nullopt) << at;
  EXPECT_EQ(table.find({origin, 10}), std::nullopt);
  EXPECT_EQ(table.find({origin, 11}), ErrorCode::ok);
  record(table, {origin, lap + 5}, ErrorCode::duplicate);  // late, within the window
  EXPECT_EQ(table.find({origin, lap + 5}), ErrorCode::duplicate);
}

TEST(OutcomeTable, memory_is_a_byte_a_number_of_an_origin_that_sends) {
  OutcomeTable table;
  EXPECT_EQ(table.bytes(), 0u);
  record(table, {NodeId{9}, 1}, ErrorCode::ok);
  EXPECT_EQ(table.bytes(), 4096u);
  for (std::uint64_t at = 1; at <= 3 * OutcomeTable::remembered; ++at)
    record(table, {NodeId{9}, at}, ErrorCode::ok);
  EXPECT_EQ(table.bytes(), OutcomeTable::remembered);
  record(table, {NodeId{9}, 5 * OutcomeTable::remembered}, ErrorCode::ok);
  EXPECT_EQ(table.bytes(), 4096u);
  record(table, {NodeId{2}, 70'000}, ErrorCode::ok);
  EXPECT_EQ(table.bytes(), 2 * 4096u);
  // Of a node that is started again and again two lives are kept.
  for (std::uint64_t life = 1; life <= 10; ++life)
    record(table, {NodeId{9}, life * OutcomeTable::life_gap * 2}, ErrorCode::ok);
  EXPECT_EQ(table.bytes(), 3 * 4096u);
}

TEST(OutcomeTable, the_life_before_can_still_be_asked_for_and_travels_along) {
  constexpr auto gap = OutcomeTable::life_gap;
  const NodeId origin{3};
  OutcomeTable table, restored;
  for (std::uint64_t at = 1; at <= 100; ++at) record(table, {origin, at}, codes[at % 4]);
  record(table, {origin, gap + 100}, ErrorCode::ok);
  record(table, {origin, 50}, ErrorCode::snapshot_too_old);  // late
  const auto bytes = encoded(table);
  ByteReader in(bytes);
  ASSERT_TRUE(restored.decode(in).ok());
  for (const auto* each : {&table, &restored}) {
    EXPECT_EQ(each->find({origin, gap + 100}), ErrorCode::ok);
    EXPECT_EQ(each->find({origin, 99}), codes[99 % 4]);
    EXPECT_EQ(each->find({origin, 50}), ErrorCode::snapshot_too_old);
    EXPECT_EQ(each->find({origin, 101}), std::nullopt);
    EXPECT_EQ(each->find({origin, gap + 99}), std::nullopt);
    EXPECT_EQ(each->decided({origin, 99}), codes[99 % 4]);
    EXPECT_EQ(each->decided({origin, 101}), ErrorCode::unknown_outcome);
  }
  EXPECT_EQ(encoded(restored), bytes);
  // The next one after that is one too many; one number less is no life of its own.
  record(table, {origin, 2 * gap + 100 - 1}, ErrorCode::ok);
  EXPECT_EQ(table.find({origin, gap + 100}), std::nullopt);
  EXPECT_EQ(table.find({origin, 99}), codes[99 % 4]);
  record(table, {origin, 3 * gap + 100}, ErrorCode::ok);
  EXPECT_EQ(table.find({origin, 99}), std::nullopt);
  EXPECT_EQ(table.find({origin, 2 * gap + 100 - 1}), ErrorCode::ok);
}

TEST(OutcomeTable, bytes_that_are_no_outcomes_are_refused_and_add_nothing) {
  OutcomeTable table;
  for (std::uint64_t at = 1; at <= 300; ++at) record(table, {NodeId{5}, at}, codes[at / 7 % 4]);
  const auto good = encoded(table);
  for (std::size_t length = 0; length < good.size(); ++length) {
    OutcomeTable other;
    ByteReader in(Bytes(good.data(), length));
    EXPECT_FALSE(other.decode(in).ok()) << length;
    EXPECT_TRUE(other.origins().empty());
  }
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {  // whatever comes out of it, it ends and stays within
    auto bytes = good;
    for (int times = 0; times < 3; ++times) bytes[random() % bytes.size()] = std::byte(random());
    OutcomeTable other;
    ByteReader in(bytes);
    if (!other.decode(in).ok()) {
      EXPECT_TRUE(other.origins().empty());
    }
  }
  ByteReader twice(good);
  EXPECT_FALSE(table.decode(twice).ok());
}

}  // namespace
}  // namespace exdb
