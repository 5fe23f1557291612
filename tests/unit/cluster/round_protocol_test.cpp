// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/round_protocol.hpp"

#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "simulated_rounds.hpp"

namespace exdb {
namespace {

using Mutation = RoundProtocol::Mutation;

Frame batch_frame(std::uint32_t from, std::uint64_t round, BatchHeader header = {}) {
  return encode_frame({FrameType::batch, 5, MemberId{from}, Round{round}, header}, {});
}

RoundProtocol three_nodes(bool collective = false) {
  return RoundProtocol({MemberId{0}, 3, 5, collective});
}

TEST(RoundProtocol, completes_at_once_when_alone) {
  RoundProtocol protocol({MemberId{0}, 1, 5, false});
  EXPECT_TRUE(protocol.may_post());
  protocol.post({}, {std::byte('x')});
  EXPECT_TRUE(protocol.take_outputs().empty());
  auto round = protocol.take_round();
  ASSERT_TRUE(round.has_value());
  EXPECT_EQ(round->round, Round{1});
  EXPECT_EQ(as_text(round->batches.at(0).payload), "x");
  EXPECT_FALSE(round->last);
}

TEST(RoundProtocol, waits_for_every_member_and_names_who_is_missing) {
  auto protocol = three_nodes();
  protocol.post({}, {});
  EXPECT_FALSE(protocol.may_post());
  ASSERT_EQ(protocol.take_outputs().size(), 1U);
  EXPECT_EQ(protocol.missing(), (std::vector{MemberId{1}, MemberId{2}}));
  EXPECT_TRUE(protocol.on_frame(MemberId{2}, *batch_frame(2, 1)).ok());
  EXPECT_FALSE(protocol.take_round().has_value());
  EXPECT_EQ(protocol.missing(), (std::vector{MemberId{1}}));
  EXPECT_TRUE(protocol.on_frame(MemberId{1}, *batch_frame(1, 1)).ok());
  auto round = protocol.take_round();
  ASSERT_TRUE(round.has_value());
  EXPECT_EQ(round->batches.at(0).member, MemberId{1}) << "round 1 begins with node 1";
  EXPECT_EQ(round->batches.at(2).member, MemberId{0});
}

TEST(RoundProtocol, batches_stay_in_the_frames_in_which_they_come_and_leave) {
  const auto whole = [](std::uint32_t from, const char* text) {
    return encode_frame({FrameType::batch, 5, MemberId{from}, Round{1}, {}}, as_bytes(text));
  };
  auto copied = three_nodes(), kept = three_nodes();
  const auto one = whole(1, "one"), two = whole(2, "two");
  copied.post({}, {std::byte('x')});
  std::vector<std::byte> roomy(frame_header_bytes + 1, std::byte('x'));
  kept.post({}, std::move(roomy), frame_header_bytes);
  const auto frame = kept.take_outputs().at(0).frame;
  EXPECT_EQ(*frame, *copied.take_outputs().at(0).frame);
  for (const auto& each : {one, two}) {
    const MemberId from{each == one ? 1U : 2U};
    EXPECT_TRUE(copied.on_frame(from, *each).ok());
    EXPECT_TRUE(kept.on_whole_frame(from, each).ok());
  }
  auto a = copied.take_round(), b = kept.take_round();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(payload_bytes(*a), 7U);
  EXPECT_EQ(payload_bytes(*b), 7U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(as_text(a->batches[i].bytes()), as_text(b->batches[i].bytes()));
    EXPECT_EQ(a->batches[i].checksum, b->batches[i].checksum);
    EXPECT_TRUE(b->batches[i].frame && b->batches[i].payload.empty());
  }
  EXPECT_EQ(one.use_count(), 2) << "held by the round";
  kept.reuse(std::move(*b));
  EXPECT_EQ(one.use_count(), 1) << "let go with it";
}

TEST(RoundProtocol, is_asked_by_a_batch_a_doorbell_and_a_batch_that_promises_more) {
  auto by_batch = three_nodes();
  EXPECT_FALSE(by_batch.asked());
  EXPECT_TRUE(by_batch.on_frame(MemberId{1}, *batch_frame(1, 1)).ok());
  EXPECT_TRUE(by_batch.asked());

  auto by_bell = three_nodes(true);
  const auto bell = encode_frame({FrameType::doorbell, 5, MemberId{1}, Round{1}, {}}, {});
  EXPECT_TRUE(by_bell.on_frame(MemberId{1}, *bell).ok());
  EXPECT_TRUE(by_bell.asked());

  auto by_more = three_nodes();
  by_more.post({}, {});
  BatchHeader more;
  more.more = true;
  EXPECT_TRUE(by_more.on_frame(MemberId{1}, *batch_frame(1, 1, more)).ok());
  EXPECT_TRUE(by_more.on_frame(MemberId{2}, *batch_frame(2, 1)).ok());
  EXPECT_TRUE(by_more.asked());
}

TEST(RoundProtocol, rings_every_member_only_where_broadcasts_are_collective) {
  auto plain = three_nodes();
  plain.ring();
  EXPECT_TRUE(plain.take_outputs().empty());
  auto collective = three_nodes(true);
  collective.ring();
  EXPECT_EQ(collective.take_outputs().size(), 2U);
}

TEST(RoundProtocol, refuses_what_cannot_be) {
  const auto refused = [](RoundProtocol& protocol, std::uint32_t from, const Frame& frame) {
    return protocol.on_frame(MemberId{from}, *frame).code() == ErrorCode::cluster_protocol;
  };
  auto protocol = three_nodes();
  EXPECT_TRUE(refused(protocol, 1, batch_frame(2, 1))) << "sender is not the link's";
  EXPECT_TRUE(refused(protocol, 7, batch_frame(7, 1))) << "no such node";
  EXPECT_TRUE(refused(protocol, 0, batch_frame(0, 1))) << "from itself";
  EXPECT_TRUE(refused(protocol, 1, batch_frame(1, 3))) << "too far ahead";
  EXPECT_TRUE(refused(protocol, 1, batch_frame(1, 2))) << "round 1 needs this node's batch";
  EXPECT_TRUE(protocol.on_frame(MemberId{1}, *batch_frame(1, 1)).ok());
  EXPECT_TRUE(refused(protocol, 1, batch_frame(1, 1))) << "twice";
  protocol.post({}, {});
  EXPECT_TRUE(refused(protocol, 2, batch_frame(2, 2))) << "its batch of round 1 comes first";
  EXPECT_TRUE(protocol.on_frame(MemberId{1}, *batch_frame(1, 2)).ok()) << "one ahead is legal";
}

TEST(RoundProtocol, goes_on_without_a_node_that_left_or_was_expelled) {
  auto protocol = three_nodes();
  BatchHeader leave;
  leave.leave = true;
  protocol.post({}, {});
  EXPECT_TRUE(protocol.on_frame(MemberId{1}, *batch_frame(1, 1, leave)).ok());
  EXPECT_TRUE(protocol.leaving(MemberId{1}));
  EXPECT_TRUE(protocol.on_frame(MemberId{2}, *batch_frame(2, 1)).ok());
  EXPECT_TRUE(protocol.take_round().has_value());
  EXPECT_FALSE(protocol.member(MemberId{1}));
  protocol.expel(MemberId{2});
  EXPECT_TRUE(protocol.asked()) << "who is left goes on at once";
  protocol.post({}, {});
  EXPECT_EQ(protocol.take_round()->batches.size(), 1U);
}

TEST(RoundProtocol, keeps_its_invariants_over_random_networks) {
  std::uint64_t events = 0;
  for (std::uint64_t seed = 1; seed <= 600; ++seed)
    for (const bool collective : {false, true}) {
      SimulatedRounds rounds({.nodes = std::uint32_t(1 + seed % 7),
                              .seed = seed,
                              .collective = collective,
                              .leaves = seed % 3 != 0});
      EXPECT_EQ(rounds.run(), "") << "seed " << seed << " collective " << collective;
      events += rounds.events();
    }
  EXPECT_GT(events, 100'000U);
}

class Mutants : public testing::TestWithParam<std::pair<Mutation, const char*>> {};

/// The checker can fail: each rule taken out is noticed within some seeds.
TEST_P(Mutants, are_caught) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed)
    for (const bool collective : {false, true}) {
      SimulatedRounds rounds(
          {.nodes = 4, .seed = seed, .collective = collective, .mutation = GetParam().first});
      const auto broken = rounds.run();
      if (!broken.empty()) {
        RecordProperty("seed", std::to_string(seed));
        RecordProperty("broken", broken);
        return;
      }
    }
  FAIL() << "the mutant " << GetParam().second << " was not noticed";
}

INSTANTIATE_TEST_SUITE_P(
    RoundProtocol, Mutants,
    testing::Values(std::pair{Mutation::completes_without_one, "completes_without_one"},
                    std::pair{Mutation::posts_ahead, "posts_ahead"},
                    std::pair{Mutation::keeps_leavers, "keeps_leavers"},
                    std::pair{Mutation::ends_with_first_stop, "ends_with_first_stop"},
                    std::pair{Mutation::takes_old_rounds, "takes_old_rounds"},
                    std::pair{Mutation::takes_foreign_frames, "takes_foreign_frames"},
                    std::pair{Mutation::own_order, "own_order"},
                    std::pair{Mutation::forgets_early_batches, "forgets_early_batches"},
                    std::pair{Mutation::forgets_early_bells, "forgets_early_bells"}),
    [](const auto& parameter) { return std::string(parameter.param.second); });

}  // namespace
}  // namespace exdb
