// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_messages.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/bytes.hpp"
#include "cluster/crc32c.hpp"

namespace exdb {
namespace {

using Chain = RoundHistory::Chain;

const ViewHeader header{0x1234567890abcdefULL, MemberId{3}, Incarnation{17}, {9, MemberId{2}}};

MemberSet set_of(std::initializer_list<std::uint32_t> ids) {
  MemberSet set;
  for (const auto id : ids) set.add(MemberId{id});
  return set;
}

CompletedRound some_round(std::uint64_t number, bool last) {
  CompletedRound round;
  round.round = Round{number};
  round.view = {7, MemberId{1}};
  round.last = last;
  for (std::uint32_t member = 0; member < 3; ++member) {
    Batch batch;
    batch.member = MemberId{member};
    batch.header.stop = last;
    batch.header.more = member == 1;
    batch.header.oldest_snapshot = Csn{5};
    batch.header.digest = 6;
    batch.payload.assign(member * 7, std::byte(member));
    batch.checksum =
        batch_checksum(round.view, round.round, batch.member, batch.header, batch.payload);
    round.batches.push_back(batch);
  }
  return round;
}

const std::vector<std::byte> some_bytes(40, std::byte(0xa5));

/// One of each type, as full as it gets.
std::vector<ViewMessage> one_of_each() {
  Promise promise;
  promise.voter = promise.leaves = true;
  promise.promised = {9, MemberId{2}};
  promise.accepted = {8, MemberId{1}};
  promise.installed = {7, MemberId{0}};
  promise.last = {Round{12}, 99};
  promise.final = {Round{11}, 98};
  promise.reach = set_of({0, 3, 64, 130});
  promise.unconfirmed = {{3, MemberId{1}}, {4, MemberId{2}}};
  promise.consents = true;
  const Lineage line{{9, MemberId{2}, 5}, {6, MemberId{0}}, {8, MemberId{1}, 4}, Round{10}, true, 3,
                     {9, MemberId{2}, 5}, Round{11},        {1, MemberId{3}, 2}};
  promise.lineage = line;
  NewView view;
  view.seats = {{MemberId{0}, Incarnation{4}, true}, {MemberId{5}, Incarnation{1}, false}};
  view.after = {Round{12}, 99};
  view.source = {8, MemberId{1}};
  view.lineage = line;
  Rounds rounds;
  rounds.upto = {Round{6}, 1};
  rounds.final = {Round{5}, 2};
  rounds.lineage = line;
  rounds.rounds = {some_round(5, false), some_round(6, true)};
  BatchMessage batch{Round{4}, Round{3}, Round{2}, {}, some_bytes};
  batch.header.stop = true;
  batch.header.digest_lag = 3;
  return {Prepare{},
          promise,
          view,
          ViewAck{},
          Install{},
          Fetch{{Round{4}, 77}, true, true},
          rounds,
          Join{true,
               false,
               true,
               {4, MemberId{1}},
               {Round{3}, 5},
               Round{4},
               Round{2},
               set_of({1, 2}),
               line},
          Leave{},
          Evicted{Incarnation{6}},
          Ack{true, false, Round{8}, Round{7}, {Round{7}, 3}, set_of({0}), line},
          batch,
          SnapBegin{3, {Round{9}, 8}, {2, MemberId{1}}, Csn{4}, line},
          SnapChunk{3, 1, some_bytes},
          SnapAck{3, 2},
          SnapEnd{3, 2, 0x55}};
}

/// Equal frames are equal messages: encoding is a function, and decoding undoes it.
void expect_same(const ViewMessage& message, Bytes frame) {
  auto decoded = decode_view_frame(frame);
  ASSERT_TRUE(decoded.ok()) << decoded.status().text();
  EXPECT_STREQ(name_of(decoded->message), name_of(message));
  EXPECT_EQ(decoded->header.cluster_id, header.cluster_id);
  EXPECT_EQ(decoded->header.sender, header.sender);
  EXPECT_EQ(decoded->header.incarnation, header.incarnation);
  EXPECT_EQ(decoded->header.ballot, header.ballot);
  const auto again = encode_view_frame(decoded->header, decoded->message);
  EXPECT_TRUE(std::equal(again->begin(), again->end(), frame.begin(), frame.end()));
}

TEST(ViewMessages, come_back_as_they_were) {
  ASSERT_EQ(one_of_each().size(), std::variant_size_v<ViewMessage>);
  for (const auto& message : one_of_each())
    expect_same(message, *encode_view_frame(header, message));
  const auto frame = encode_view_frame(header, one_of_each()[1]);
  const auto promise = std::get<Promise>(decode_view_frame(*frame)->message);
  EXPECT_EQ(promise.reach, set_of({0, 3, 64, 130}));
  EXPECT_EQ(promise.accepted, (Ballot{8, MemberId{1}}));
  EXPECT_EQ(promise.unconfirmed.size(), 2U);
}

TEST(ViewMessages, a_batch_has_the_same_checksum_wherever_it_travels) {
  const auto frame = encode_view_frame(header, one_of_each()[6]);
  const auto rounds = std::get<Rounds>(decode_view_frame(*frame)->message);
  ASSERT_EQ(rounds.rounds.size(), 2U);
  EXPECT_EQ(chained(1, rounds.rounds[0]), chained(1, some_round(5, false)));
  EXPECT_NE(batch_checksum({8, MemberId{1}}, Round{5}, MemberId{0}, {}, {}),
            batch_checksum({7, MemberId{1}}, Round{5}, MemberId{0}, {}, {}));
  EXPECT_NE(batch_checksum({7, MemberId{1}}, Round{6}, MemberId{0}, {}, {}),
            batch_checksum({7, MemberId{1}}, Round{5}, MemberId{0}, {}, {}));
}

TEST(ViewMessages, are_refused_when_any_single_bit_is_flipped_or_cut_short) {
  for (const auto& message : one_of_each()) {
    const auto frame = *encode_view_frame(header, message);
    for (std::size_t bit = 0; bit < 8 * frame.size(); ++bit) {
      auto flipped = frame;
      flipped[bit / 8] ^= std::byte(1 << bit % 8);
      EXPECT_FALSE(decode_view_frame(flipped).ok()) << name_of(message) << " bit " << bit;
    }
    for (std::size_t length = 0; length < frame.size(); ++length)
      EXPECT_FALSE(decode_view_frame(Bytes(frame).first(length)).ok()) << name_of(message);
  }
}

/// Length and checksum are made right, so that the bodies' decoders are what is tried.
void make_plausible(std::vector<std::byte>& frame) {
  if (frame.size() < view_header_bytes) return;
  ByteWriter out(frame);
  out.patch(8, std::uint64_t(frame.size() - view_header_bytes));
  const Bytes bytes(frame);
  out.patch(48, crc32c(bytes.subspan(56), crc32c(bytes.first(48))));
}

/// What decodes must be exactly what encoding makes (M1), whatever it came from.
void try_frame(const std::vector<std::byte>& frame) {
  auto decoded = decode_view_frame(frame);
  if (!decoded.ok()) return;
  const auto again = encode_view_frame(decoded->header, decoded->message);
  ASSERT_EQ(*again, frame) << name_of(decoded->message);
}

TEST(ViewMessages, mutated_frames_are_refused_or_are_frames) {
  std::mt19937_64 random(7);
  const auto messages = one_of_each();
  std::uint64_t decoded = 0;
  for (int i = 0; i < 200'000; ++i) {
    auto frame = *encode_view_frame(header, messages[random() % messages.size()]);
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      const auto at = random() % frame.size();
      switch (random() % 4) {
        case 0:
          frame[at] = std::byte(random());
          break;
        case 1:
          frame[at] = std::byte(0xff);
          break;
        case 2:
          frame.erase(frame.begin() + std::ptrdiff_t(at));
          break;
        default:
          frame.insert(frame.begin() + std::ptrdiff_t(at), std::byte(random()));
      }
    }
    make_plausible(frame);
    decoded += decode_view_frame(frame).ok();
    try_frame(frame);
  }
  EXPECT_GT(decoded, 1000U) << "the mutations are to reach the bodies";
}

TEST(ViewMessages, random_bodies_of_every_type_are_refused_or_are_frames) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 200'000; ++i) {
    auto frame = *encode_view_frame(header, Prepare{});
    frame[6] = std::byte(random() % 20);
    for (auto length = random() % 200; length > 0; --length)
      frame.push_back(std::byte(random() % 3 ? random() % 4 : random()));
    make_plausible(frame);
    try_frame(frame);
  }
}

TEST(ViewMessages, a_length_is_not_believed) {
  // A set of 2^60 words, and a promise with 2^60 ballots.
  for (const auto index : {1, 7}) {
    auto frame = *encode_view_frame(header, one_of_each()[std::size_t(index)]);
    for (std::size_t at = view_header_bytes; at < frame.size(); ++at) {
      auto changed = frame;
      for (std::size_t i = 0; i < 8 && at + i < changed.size(); ++i)
        changed[at + i] = std::byte(0xff);
      make_plausible(changed);
      try_frame(changed);
    }
  }
}

TEST(Crc32c, is_castagnolis) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U) << "RFC 3720 B.4";
  EXPECT_EQ(crc32c_by_table(as_bytes("123456789")), 0xe3069283U);
  std::mt19937_64 random(9);
  for (int i = 0; i < 200; ++i) {
    // Also those of which three parts are worked on at once.
    std::vector<std::byte> bytes(random() % (i % 4 == 0 ? 20'000 : 100));
    for (auto& byte : bytes) byte = std::byte(random());
    EXPECT_EQ(crc32c(bytes), crc32c_by_table(bytes));
    const auto half = Bytes(bytes).first(bytes.size() / 2);
    EXPECT_EQ(crc32c(Bytes(bytes).subspan(half.size()), crc32c(half)), crc32c(bytes));
  }
}

}  // namespace
}  // namespace exdb
