// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "cluster/round_protocol.hpp"

namespace exdb {
namespace {

FrameHeader some_header() {
  return {FrameType::batch,
          0x1234567890abcdefULL,
          MemberId{3},
          Round{17},
          {.stop = true,
           .leave = false,
           .more = true,
           .oldest_snapshot = Csn{99},
           .digest = 7,
           .digest_lag = 3}};
}

/// A frame that a correct checksum does not protect: what an attacker or a wrong version would
/// send.
std::vector<std::byte> with_checksum(std::vector<std::byte> frame) {
  if (frame.size() < frame_header_bytes) return frame;
  const Bytes bytes(frame);
  const auto sum = hash_bytes(bytes.subspan(frame_header_bytes), hash_bytes(bytes.first(56)));
  ByteWriter(frame).patch(56, sum);
  return frame;
}

TEST(Frame, comes_back_as_it_was) {
  const auto frame = encode_frame(some_header(), as_bytes("payload"));
  EXPECT_EQ(frame->size(), frame_header_bytes + 7);
  auto decoded = decode_frame(*frame);
  ASSERT_TRUE(decoded.ok()) << decoded.status().text();
  EXPECT_EQ(decoded->header.type, FrameType::batch);
  EXPECT_EQ(decoded->header.cluster_id, 0x1234567890abcdefULL);
  EXPECT_EQ(decoded->header.sender, MemberId{3});
  EXPECT_EQ(decoded->header.round, Round{17});
  EXPECT_TRUE(decoded->header.batch.stop);
  EXPECT_FALSE(decoded->header.batch.leave);
  EXPECT_TRUE(decoded->header.batch.more);
  EXPECT_EQ(decoded->header.batch.oldest_snapshot, Csn{99});
  EXPECT_EQ(decoded->header.batch.digest, 7U);
  EXPECT_EQ(decoded->header.batch.digest_lag, 3U);
  EXPECT_EQ(decoded->checksum, checksum_in(frame));
  EXPECT_EQ(decoded->checksum, frame_checksum(some_header(), as_bytes("payload")));
  EXPECT_EQ(as_text(decoded->payload), "payload");
}

TEST(Frame, made_in_place_is_the_same_and_where_it_was) {
  const auto payload = as_bytes("payload");
  std::vector<std::byte> bytes(frame_header_bytes + payload.size());
  std::copy(payload.begin(), payload.end(), bytes.begin() + frame_header_bytes);
  const auto* const lies_at = bytes.data();
  const auto frame = frame_in_place(some_header(), std::move(bytes));
  EXPECT_EQ(*frame, *encode_frame(some_header(), as_bytes("payload")));
  EXPECT_EQ(frame->data(), lies_at);
}

TEST(Frame, is_refused_when_any_single_bit_is_flipped) {
  const auto frame = *encode_frame(some_header(), as_bytes("payload"));
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    auto flipped = frame;
    flipped[bit / 8] ^= std::byte(1U << (bit % 8));
    EXPECT_FALSE(decode_frame(flipped).ok()) << "bit " << bit;
  }
}

TEST(Frame, is_refused_when_it_is_cut_or_has_a_tail) {
  const auto frame = *encode_frame(some_header(), as_bytes("payload"));
  for (std::size_t size = 0; size < frame.size(); ++size)
    EXPECT_FALSE(decode_frame(Bytes(frame).first(size)).ok()) << size;
  auto longer = frame;
  longer.push_back(std::byte(0));
  EXPECT_FALSE(decode_frame(longer).ok());
}

TEST(Frame, refusal_says_what_is_wrong) {
  auto frame = *encode_frame(some_header(), {});
  ByteWriter(frame).patch(4, std::uint16_t(9));
  EXPECT_EQ(decode_frame(frame).status().code(), ErrorCode::cluster_protocol);
  EXPECT_NE(decode_frame(frame).status().text().find("version 9"), std::string::npos);
}

/// Mutated frames, with and without a repaired checksum, change a protocol in a legal way or are
/// refused: no crash, no allocation beyond the frame, no round that was not posted here.
TEST(Frame, decoder_and_protocol_survive_mutated_frames) {
  std::mt19937_64 random(20240917);
  for (int run = 0; run < 400; ++run) {
    RoundProtocol protocol({MemberId{0}, 4, 5, false});
    for (int step = 0; step < 250; ++step) {
      FrameHeader header{random() % 4 ? FrameType::batch : FrameType::doorbell,
                         5,
                         MemberId{std::uint32_t(random() % 4)},
                         Round{protocol.completed().value + random() % 4},
                         {.stop = random() % 8 == 0,
                          .leave = random() % 32 == 0,
                          .more = random() % 8 == 0,
                          .oldest_snapshot = {},
                          .digest = 0,
                          .digest_lag = 0}};
      auto frame = *encode_frame(header, std::vector<std::byte>(random() % 20));
      const auto from = random() % 16 ? header.sender : MemberId{std::uint32_t(random() % 6)};
      const auto mutations = random() % 3;
      for (std::uint64_t i = 0; i < mutations; ++i)
        frame[random() % frame.size()] = std::byte(random());
      if (random() % 8 == 0) frame.resize(random() % (frame.size() + 8));
      if (random() % 4) frame = with_checksum(std::move(frame));
      (void)protocol.on_frame(from, frame);
      EXPECT_LE(protocol.completed(), protocol.posted());
      const auto round = protocol.take_round();
      EXPECT_LE(round ? round->batches.size() : 0, 4U);
      if (protocol.may_post() && random() % 4 == 0) protocol.post({}, {});
      (void)protocol.take_outputs();
      (void)protocol.missing();
    }
  }
}

TEST(Frame, decoder_survives_arbitrary_bytes) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    std::vector<std::byte> bytes(random() % 160);
    for (auto& byte : bytes) byte = std::byte(random());
    EXPECT_FALSE(decode_frame(bytes).ok());
  }
}

}  // namespace
}  // namespace exdb
