// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/round_history.hpp"

#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "cluster/round_protocol.hpp"

namespace exdb {
namespace {

CompletedRound round_of(std::uint64_t number, std::size_t bytes = 10, std::uint64_t checksum = 7) {
  CompletedRound round;
  round.round = Round{number};
  round.batches.push_back({MemberId{0}, {}, std::vector<std::byte>(bytes), checksum});
  round.batches.push_back({MemberId{1}, {}, {}, checksum + 1});
  return round;
}

std::vector<std::uint64_t> read(const RoundHistory& history, std::uint64_t from) {
  std::vector<std::uint64_t> rounds;
  EXPECT_TRUE(history
                  .read_from(Round{from},
                             [&](const CompletedRound& round) {
                               rounds.push_back(round.round.value);
                               return Status();
                             })
                  .ok());
  return rounds;
}

TEST(RoundHistory, keeps_what_is_not_released_whatever_its_bound) {
  MemoryRoundHistory history(0);
  for (std::uint64_t number = 1; number <= 5; ++number)
    ASSERT_TRUE(history.append(round_of(number, number)).ok());
  for (std::uint64_t number = 1; number <= 5; ++number)
    EXPECT_EQ(history.held(Round{number}).batches[0].payload.size(), number);
  history.release(Round{3});
  EXPECT_EQ(history.held(Round{4}).round, Round{4});
  EXPECT_EQ(read(history, 4), (std::vector<std::uint64_t>{4, 5}));
  history.release(Round{5});
  EXPECT_EQ(read(history, 6), std::vector<std::uint64_t>{}) << "nothing is missing";
  EXPECT_TRUE(history.append(round_of(6)).ok());
  EXPECT_EQ(history.held(Round{6}).round, Round{6});
}

TEST(RoundHistory, keeps_the_newest_released_rounds_that_fit_its_bound) {
  MemoryRoundHistory history(35);
  for (std::uint64_t number = 1; number <= 5; ++number) {
    ASSERT_TRUE(history.append(round_of(number)).ok());
    history.release(Round{number});
  }
  EXPECT_EQ(read(history, 3), (std::vector<std::uint64_t>{3, 4, 5}));
  const auto status = history.read_from(Round{2}, [](const auto&) { return Status(); });
  EXPECT_EQ(status.code(), ErrorCode::not_found);
  EXPECT_NE(status.text().find("the oldest here is 3"), std::string::npos) << status.text();
}

TEST(RoundHistory, a_reader_that_fails_ends_the_reading_with_its_status) {
  MemoryRoundHistory history(1000);
  for (std::uint64_t number = 1; number <= 3; ++number)
    ASSERT_TRUE(history.append(round_of(number)).ok());
  int seen = 0;
  const auto status = history.read_from(Round{1}, [&](const CompletedRound&) {
    return ++seen == 2 ? Status(ErrorCode::no_memory, "full") : Status();
  });
  EXPECT_EQ(status.code(), ErrorCode::no_memory);
  EXPECT_EQ(seen, 2);
}

TEST(RoundHistory, its_chain_depends_on_every_round_its_number_and_its_order_of_batches) {
  const auto chain = [](std::vector<CompletedRound> rounds) {
    MemoryRoundHistory history;
    for (auto& round : rounds) EXPECT_TRUE(history.append(std::move(round)).ok());
    return history.chain();
  };
  std::vector<CompletedRound> plain, other, turned;
  for (std::uint64_t number = 1; number <= 3; ++number) {
    plain.push_back(round_of(number));
    other.push_back(round_of(number, 10, number == 1 ? 8 : 7));
    turned.push_back(round_of(number));
  }
  std::swap(turned[1].batches[0], turned[1].batches[1]);
  const auto expected = chain(plain);
  EXPECT_EQ(expected.round, Round{3});
  EXPECT_EQ(chain(plain), expected);
  EXPECT_NE(chain(other).hash, expected.hash) << "the first round tells to the end";
  EXPECT_NE(chain(turned).hash, expected.hash);
  plain.pop_back();
  EXPECT_NE(chain(plain).hash, expected.hash);
}

/// The checksum of a batch is its frame's, at the sender as at the receivers, and also where no
/// frame was made since nobody else was there.
TEST(RoundHistory, chains_are_equal_on_all_members_of_a_round) {
  const auto protocol_of = [](std::uint32_t self) {
    return RoundProtocol({.self = MemberId{self}, .nodes = 2, .cluster_id = 5});
  };
  auto zero = protocol_of(0), one = protocol_of(1);
  BatchHeader header;
  header.digest = 99;
  const auto text = as_bytes("payload");
  zero.post(header, {text.begin(), text.end()});
  one.post(header, {});
  ASSERT_TRUE(one.on_frame(MemberId{0}, *zero.take_outputs().at(0).frame).ok());
  ASSERT_TRUE(zero.on_frame(MemberId{1}, *one.take_outputs().at(0).frame).ok());
  const auto here = *zero.take_round(), there = *one.take_round();
  EXPECT_EQ(chained(0, here), chained(0, there));
  EXPECT_NE(here.batches[0].checksum, here.batches[1].checksum);
  RoundProtocol alone({.self = MemberId{0}, .nodes = 1, .cluster_id = 5});
  alone.post(header, {text.begin(), text.end()});
  EXPECT_EQ(alone.take_round()->batches[0].checksum, here.batches[1].checksum);
}

TEST(RoundHistory, takes_back_what_is_not_released_and_goes_on_with_others) {
  MemoryRoundHistory history(1000);
  for (std::uint64_t number = 1; number <= 5; ++number)
    ASSERT_TRUE(history.append(round_of(number)).ok());
  history.release(Round{2});
  auto third = history.chain_at(Round{3});
  ASSERT_TRUE(third.ok());
  ASSERT_TRUE(history.drop_after(Round{3}).ok());
  EXPECT_EQ(history.chain(), *third);
  ASSERT_TRUE(history.append(round_of(4, 10, 99)).ok());
  EXPECT_EQ(history.held(Round{4}).batches[0].checksum, 99U);
  MemoryRoundHistory straight;
  for (std::uint64_t number = 1; number <= 3; ++number)
    ASSERT_TRUE(straight.append(round_of(number)).ok());
  ASSERT_TRUE(straight.append(round_of(4, 10, 99)).ok());
  EXPECT_EQ(history.chain(), straight.chain());
  EXPECT_EQ(read(history, 1), (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

TEST(RoundHistory, knows_the_chain_after_every_round_it_keeps) {
  MemoryRoundHistory history(25);
  std::vector<RoundHistory::Chain> chains{history.chain()};
  for (std::uint64_t number = 1; number <= 6; ++number) {
    ASSERT_TRUE(history.append(round_of(number)).ok());
    history.release(Round{number});
    chains.push_back(history.chain());
  }
  for (const std::uint64_t number : {4, 5, 6}) {
    auto chain = history.chain_at(Round{number});
    ASSERT_TRUE(chain.ok()) << number;
    EXPECT_EQ(*chain, chains[number]);
  }
  EXPECT_EQ(history.chain_at(Round{3}).status().code(), ErrorCode::not_found);
  EXPECT_EQ(history.chain_at(Round{7}).status().code(), ErrorCode::not_found);
}

TEST(RoundHistory, begins_anew_after_a_state_that_was_not_made_of_rounds) {
  MemoryRoundHistory history(1000);
  ASSERT_TRUE(history.append(round_of(1)).ok());
  ASSERT_TRUE(history.restart({Round{40}, 4242}).ok());
  EXPECT_EQ(history.chain(), (RoundHistory::Chain{Round{40}, 4242}));
  EXPECT_EQ(*history.chain_at(Round{40}), history.chain());
  EXPECT_EQ(history.read_from(Round{40}, [](const auto&) { return Status(); }).code(),
            ErrorCode::not_found);
  ASSERT_TRUE(history.append(round_of(41)).ok());
  EXPECT_EQ(read(history, 41), (std::vector<std::uint64_t>{41}));
}

TEST(RoundHistory, empty_rounds_that_are_released_do_not_pile_up) {
  for (const std::size_t bytes_max : {0U, 1000U}) {
    MemoryRoundHistory history(bytes_max, 10);
    for (std::uint64_t number = 1; number <= 100; ++number) {
      ASSERT_TRUE(history.append(round_of(number, 0)).ok());
      history.release(Round{number});
    }
    const auto oldest = bytes_max == 0 ? 101 : 91;
    EXPECT_TRUE(history.chain_at(Round{std::uint64_t(oldest) - 1}).ok());
    EXPECT_FALSE(history.chain_at(Round{std::uint64_t(oldest) - 2}).ok()) << bytes_max;
  }
}

}  // namespace
}  // namespace exdb
