// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The ordered index against std::set. Numbers of steps are the same with every build; the seeds are
// fixed, and printed by the traces when something fails.
#include <algorithm>
#include <functional>
#include <random>

#include "ordered_index_ground.hpp"

namespace exdb {
namespace {

using Random = std::mt19937_64;

// Every entry, forwards and backwards.
void expect_same(RangeCursor cursor, const Model& model) {
  auto expected = model.begin();
  for (bool more = cursor.first(); more; more = cursor.next(), ++expected) {
    ASSERT_NE(expected, model.end()) << "more entries than in the model";
    ASSERT_EQ(on(cursor), *expected);
  }
  ASSERT_EQ(expected, model.end()) << "fewer entries than in the model";
  ASSERT_FALSE(cursor.on_entry());
  auto backwards = model.rbegin();
  for (bool more = cursor.last(); more; more = cursor.prev(), ++backwards) {
    ASSERT_NE(backwards, model.rend());
    ASSERT_EQ(on(cursor), *backwards);
  }
  ASSERT_EQ(backwards, model.rend());
}

void expect_same_seek(RangeCursor cursor, const Model& model, const Pair& probe) {
  const auto bytes = as_bytes(probe.first);
  const auto from = model.lower_bound(probe);
  ASSERT_EQ(cursor.seek(bytes, SlotId{probe.second}), from != model.end());
  ASSERT_EQ(cursor.on_entry(), from != model.end());
  if (from != model.end()) {
    ASSERT_EQ(on(cursor), *from);
    ASSERT_EQ(cursor.prev(), from != model.begin());
    if (from != model.begin()) {
      ASSERT_EQ(on(cursor), *std::prev(from));
    }
  }
  ASSERT_EQ(cursor.seek_before(bytes, SlotId{probe.second}), from != model.begin());
  if (from != model.begin()) {
    ASSERT_EQ(on(cursor), *std::prev(from));
    ASSERT_EQ(cursor.next(), from != model.end());
    if (from != model.end()) {
      ASSERT_EQ(on(cursor), *from);
    }
  }
}

struct Shape {
  const char* name;
  std::function<Pair(Random&)> draw;
};

std::string letters(Random& random, std::size_t length, const std::string& alphabet) {
  std::string key(length, '\0');
  for (auto& letter : key) letter = alphabet[random() % alphabet.size()];
  return key;
}

const Shape shapes[] = {
    {"integers", [](Random& r) { return Pair(big_endian(r() % 20'000), 0); }},
    {"short_strings", [](Random& r) { return Pair(letters(r, r() % 20, "abcdef"), r() % 3); }},
    {"zeros_and_extremes",
     [](Random& r) {
       return Pair(letters(r, r() % 12, std::string("\0\1\x7f\x80\xff", 5)), r() % 4);
     }},
    {"long_common_prefixes",
     [](Random& r) {
       return Pair(std::string(r() % 4 * 300, 'p') + letters(r, r() % 125, "xy"), r() % 2);
     }},
    {"few_keys_many_slots", [](Random& r) { return Pair(big_endian(r() % 5), r() % 4'000); }},
    {"few_long_keys_many_slots",
     [](Random& r) { return Pair(std::string(500, 'k') + letters(r, 1, "abc"), r() % 2'000); }},
};

class EveryShape : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(OrderedIndex, EveryShape, testing::ValuesIn(shapes),
                         [](const auto& shape) { return std::string(shape.param.name); });

// A round of random changes to both; `growth` of 100 changes are insertions.
void change(Ground& ground, Model& model, const Shape& shape, Random& random, unsigned changes,
            unsigned growth) {
  for (unsigned i = 0; i < changes; ++i) {
    auto drawn = shape.draw(random);
    if (random() % 100 < growth) {
      if (model.insert(drawn).second) ground.insert(drawn.first, drawn.second);
    } else if (!model.empty()) {
      auto victim = model.lower_bound(drawn);
      if (victim == model.end()) victim = std::prev(victim);
      ground.remove(victim->first, victim->second);
      model.erase(victim);
    }
  }
}

TEST_P(EveryShape, behaves_like_a_sorted_set) {
  Random random(1);
  Ground ground;
  Model model;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    const unsigned growth = round % 100 < 60 ? 80 : 20;
    change(ground, model, GetParam(), random, static_cast<unsigned>(random() % 120), growth);
    ASSERT_EQ(ground.index().check(), model.size());
    if (random() % 8 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_same(ground.index().newest(), model));
    }
    ground.publish();
    const auto cursor = ground.at(ground.published());
    for (int i = 0; i < 20; ++i) {
      ASSERT_NO_FATAL_FAILURE(expect_same_seek(cursor, model, GetParam().draw(random)));
    }
  }
  ASSERT_NO_FATAL_FAILURE(expect_same(ground.at(ground.published()), model));
}

TEST_P(EveryShape, pinned_snapshots_never_change) {
  Random random(2);
  Ground ground;
  Model model;
  struct Pinned {
    std::uint32_t place;
    Csn csn;
    Model model;
  };
  std::vector<Pinned> pinned;
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE(round);
    change(ground, model, GetParam(), random, static_cast<unsigned>(random() % 60),
           round % 150 < 90 ? 75 : 25);
    ground.publish();
    if (round % 40 == 20) {
      const auto place = ground.readers().claim().value();
      pinned.push_back({place, ground.readers().pin(place), model});
      ASSERT_EQ(pinned.back().csn, ground.published());
    }
    if (round % 100 == 99) {
      for (const auto& old : pinned)
        ASSERT_NO_FATAL_FAILURE(expect_same(ground.at(old.csn), old.model));
      // From the middle, so that neither the oldest nor the newest pin is the one that goes.
      const auto gone = pinned.begin() + static_cast<std::ptrdiff_t>(pinned.size() / 2);
      ground.readers().unpin(gone->place);
      ground.readers().release(gone->place);
      pinned.erase(gone);
    }
  }
  for (const auto& old : pinned) {
    ASSERT_NO_FATAL_FAILURE(expect_same(ground.at(old.csn), old.model));
    for (int i = 0; i < 50; ++i) {
      ASSERT_NO_FATAL_FAILURE(
          expect_same_seek(ground.at(old.csn), old.model, GetParam().draw(random)));
    }
  }
  ASSERT_EQ(ground.index().check(), model.size());
}

TEST_P(EveryShape, gives_all_memory_back_when_emptied) {
  Random random(3);
  Ground ground;
  // One record stays for ever, that of the empty tree.
  ground.insert("x", 1);
  ground.remove("x", 1);
  ground.publish();
  ground.collect_all();
  const auto at_start = ground.allocator().bytes_used();

  Model model;
  for (int cycle = 0; cycle < 3; ++cycle) {
    const auto place = ground.readers().claim().value();
    for (int round = 0; round < 40; ++round) {
      change(ground, model, GetParam(), random, 100, 85);
      ground.publish();
      if (round == 20) ground.readers().pin(place);
    }
    while (!model.empty()) {
      change(ground, model, GetParam(), random, 50, 0);
      ASSERT_EQ(ground.index().check(), model.size());
      ground.publish();
    }
    ground.collect_all();
    EXPECT_GT(ground.reclaimer().size(), 0u) << "the pin holds nothing back";
    EXPECT_GT(ground.allocator().bytes_used(), at_start);
    ground.readers().unpin(place);
    ground.readers().release(place);
    ground.collect_all();
    EXPECT_EQ(ground.reclaimer().size(), 0u);
    EXPECT_EQ(ground.allocator().bytes_used(), at_start);
    EXPECT_FALSE(ground.at(ground.published()).first());
  }
}

TEST_P(EveryShape, is_built_from_sorted_entries) {
  for (const std::size_t size : {0, 1, 26, 27, 28, 54, 55, 800, 3'000}) {
    SCOPED_TRACE(size);
    Random random(size);
    Ground ground;
    Model model;
    for (std::size_t i = 0; i < size * 4 && model.size() < size; ++i) {
      model.insert(GetParam().draw(random));
    }
    ground.build(model);
    ASSERT_EQ(ground.index().check(), model.size());
    ground.publish();
    ASSERT_NO_FATAL_FAILURE(expect_same(ground.at(ground.published()), model));
    for (int round = 0; round < 30; ++round) {
      change(ground, model, GetParam(), random, 50, 40);
      ASSERT_EQ(ground.index().check(), model.size());
      ground.publish();
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(ground.at(ground.published()), model));
  }
}

TEST(OrderedIndex, keeps_its_shape_whatever_the_order_of_insertion_and_removal) {
  constexpr std::uint64_t count = 20'000;
  std::vector<std::uint64_t> ascending(count), descending(count), shuffled(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    ascending[i] = shuffled[i] = i * 1'000'003;
    descending[count - 1 - i] = ascending[i];
  }
  std::shuffle(shuffled.begin(), shuffled.end(), Random(4));
  const std::vector<std::uint64_t>* orders[] = {&ascending, &descending, &shuffled};
  for (const auto* in : orders) {
    for (const auto* out : orders) {
      for (const bool long_keys : {false, true}) {
        const auto key = [&](std::uint64_t i) {
          return (long_keys ? "a prefix of some length" : "") + big_endian(i);
        };
        Ground ground;
        for (std::uint64_t i = 0; i < count; ++i) {
          ground.insert(key((*in)[i]), i);
          if (i % 2'500 == 0) {
            ASSERT_EQ(ground.index().check(), i + 1);
          }
          if (i % 64 == 0) ground.publish();
        }
        ASSERT_EQ(ground.index().check(), count);
        std::vector<std::uint64_t> slot_of(count);
        for (std::uint64_t i = 0; i < count; ++i) slot_of[(*in)[i] / 1'000'003] = i;
        for (std::uint64_t i = 0; i < count; ++i) {
          ground.remove(key((*out)[i]), slot_of[(*out)[i] / 1'000'003]);
          if (i % 2'500 == 0) {
            ASSERT_EQ(ground.index().check(), count - i - 1);
          }
          if (i % 64 == 0) ground.publish();
        }
        ASSERT_EQ(ground.index().check(), 0u);
      }
    }
  }
}

TEST(OrderedIndex, fills_its_leaves_when_keys_only_ascend_or_only_descend) {
  for (const bool down : {false, true}) {
    Ground ground;
    constexpr std::uint64_t count = 31'000;
    for (std::uint64_t i = 0; i < count; ++i) ground.insert(big_endian(down ? count - i : i), i);
    ground.publish();
    ground.collect_all();
    // 24 bytes an entry in a full leaf of 31, and the levels above.
    EXPECT_LT(ground.allocator().bytes_used(), count * 28);
    EXPECT_EQ(ground.index().check(), count);
  }
}

TEST(OrderedIndex, shrinks_when_most_entries_are_removed_here_and_there) {
  Ground ground;
  Random random(7);
  std::vector<std::uint64_t> keys(30'000);
  for (auto& key : keys) ground.insert(big_endian(key = random()), 0);
  constexpr std::size_t left = 1'500;
  while (keys.size() > left) {
    ground.remove(big_endian(keys.back()), 0);
    keys.pop_back();
  }
  ground.publish();
  ground.collect_all();
  // Leaves are at least a quarter full.
  EXPECT_LT(ground.allocator().bytes_used(), left * 24 * 4);
  EXPECT_EQ(ground.index().check(), left);
}

TEST(OrderedIndex, is_empty_before_the_first_change_and_at_csns_before_it) {
  Ground ground;
  auto nothing = ground.at(Csn{0});
  EXPECT_FALSE(nothing.first());
  EXPECT_FALSE(nothing.last());
  EXPECT_FALSE(nothing.seek(as_bytes("a")));
  EXPECT_FALSE(nothing.seek_before(as_bytes("a")));
  EXPECT_FALSE(nothing.next());
  EXPECT_FALSE(nothing.prev());
  EXPECT_FALSE(ground.index().newest().first());
  EXPECT_EQ(ground.index().check(), 0u);
  ground.insert("a", 1);
  EXPECT_FALSE(ground.at(ground.published()).first()) << "not published yet";
  EXPECT_TRUE(ground.index().newest().first());
  ground.publish();
  EXPECT_TRUE(ground.at(ground.published()).first());
}

TEST(OrderedIndex, takes_the_empty_key_for_the_least_of_all) {
  Ground ground;
  ground.insert("a", 1);
  ground.insert("", 5);
  ground.insert(std::string(1, '\0'), 0);
  auto cursor = ground.index().newest();
  ASSERT_TRUE(cursor.seek({}));
  EXPECT_EQ(on(cursor), Pair("", 5));
  ASSERT_TRUE(cursor.seek({}, SlotId{6}));
  EXPECT_EQ(on(cursor), Pair(std::string(1, '\0'), 0));
  EXPECT_FALSE(cursor.seek_before({}, SlotId{5}));
  EXPECT_EQ(ground.index().check(), 3u);
}

TEST(OrderedIndex, changes_its_own_nodes_in_place_within_a_round) {
  Ground ground;
  for (std::uint64_t i = 0; i < 10'000; ++i) ground.insert(big_endian(i * 2), i);
  EXPECT_EQ(ground.reclaimer().size(), 0u) << "nothing of an unpublished round is garbage";
  ground.publish();
  ground.insert(big_endian(101), 0);
  const auto path = ground.reclaimer().size();
  EXPECT_LE(path, 6u) << "a path of nodes and the root record";
  const auto used = ground.allocator().bytes_used();
  ground.insert(big_endian(103), 0);
  ground.remove(big_endian(101), 0);
  ground.remove(big_endian(103), 0);
  EXPECT_EQ(ground.reclaimer().size(), path);
  EXPECT_EQ(ground.allocator().bytes_used(), used);
}

}  // namespace
}  // namespace exdb
