// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Messages through the writer and the reader in pieces of every size, and the reader under bytes
// that no node sends.
#include <gtest/gtest.h>

#include <random>

#include "frame_reader.hpp"
#include "frame_writer.hpp"

namespace exdb::tcp {
namespace {

using Bytes = std::vector<std::byte>;

Frame random_frame(std::mt19937& random, std::size_t bytes) {
  auto frame = std::make_shared<Bytes>(bytes);
  for (auto& one : *frame) one = std::byte(random());
  return frame;
}

std::unique_ptr<FrameMac> mac(int key) {
  std::array<std::byte, 32> bytes;
  bytes.fill(std::byte(key));
  return std::make_unique<FrameMac>(bytes);
}

/// What the writer wants written, taken in pieces of random length.
Bytes write_all(FrameWriter& writer, std::mt19937& random) {
  Bytes wire;
  std::array<iovec, 5> pieces;
  while (!writer.empty()) {
    const auto count = writer.pieces(pieces);
    std::size_t there = 0;
    for (std::size_t i = 0; i < count; ++i) there += pieces[i].iov_len;
    const auto taken = random() % there + 1;
    for (std::size_t i = 0, left = taken; left != 0; ++i) {
      const auto part = std::min(left, pieces[i].iov_len);
      const auto* begin = static_cast<const std::byte*>(pieces[i].iov_base);
      wire.insert(wire.end(), begin, begin + part);
      left -= part;
    }
    writer.written(taken);  // lets go of what is out
  }
  return wire;
}

struct Sent {
  Header header;
  Frame frame;
};

/// Some messages as bytes. Kept alive by `sent`.
Bytes some_messages(std::mt19937& random, std::vector<Sent>& sent, bool with_mac) {
  FrameWriter writer;
  if (with_mac) writer.put_mac(mac(1));
  Bytes wire;
  const std::size_t sizes[] = {0, 1, 24, 4000, 4096, 5000, 70'000, 2'500'000};
  const auto count = random() % 10 + 3;
  for (std::uint64_t i = 1; i <= count; ++i) {
    const auto frame = random_frame(random, sizes[random() % (i == 2 ? 8 : 7)]);
    const Header header{std::uint32_t(frame->size()), Kind::data, i, random()};
    sent.push_back({header, frame});
    writer.add(header, frame);
    const auto bytes = write_all(writer, random);
    wire.insert(wire.end(), bytes.begin(), bytes.end());
  }
  return wire;
}

/// Feeds all bytes in pieces of random length; false once the reader has failed.
template <class Take>
bool feed(FrameReader& reader, std::span<const std::byte> wire, std::mt19937& random, Take take) {
  while (!wire.empty()) {
    const auto space = reader.space();
    EXPECT_FALSE(space.empty());
    auto count = std::min(space.size(), wire.size());
    if (random() % 2 == 0) count = std::min<std::size_t>(count, random() % 100 + 1);
    std::memcpy(space.data(), wire.data(), count);
    reader.filled(count);
    wire = wire.subspan(count);
    Message message;
    while (true) {
      auto some = reader.next(message);
      if (!some) return false;
      if (!*some) break;
      take(message);
    }
  }
  return true;
}

TEST(Frames, come_out_as_they_went_in_whatever_the_pieces) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const bool with_mac = seed % 2 == 0;
    std::vector<Sent> sent;
    const auto wire = some_messages(random, sent, with_mac);
    FrameReader reader(4096);
    if (with_mac) reader.expect_mac(mac(1));
    std::size_t got = 0;
    EXPECT_TRUE(feed(reader, wire, random, [&](const Message& message) {
      ASSERT_LT(got, sent.size());
      EXPECT_EQ(message.header.number, sent[got].header.number);
      EXPECT_EQ(message.header.taken, sent[got].header.taken);
      EXPECT_TRUE(std::equal(message.payload.begin(), message.payload.end(),
                             sent[got].frame->begin(), sent[got].frame->end()));
      ++got;
    }));
    EXPECT_EQ(got, sent.size());
  }
}

TEST(Frames, with_a_mac_nothing_changed_lost_repeated_or_moved_gets_through) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<Bytes> wires;
    std::vector<Frame> frames;
    FrameWriter writer;
    writer.put_mac(mac(1));
    for (std::uint64_t i = 1; i <= 4; ++i) {
      frames.push_back(random_frame(random, random() % 6000));
      writer.add({std::uint32_t(frames.back()->size()), Kind::data, i, 0}, frames.back());
      wires.push_back(write_all(writer, random));
    }
    auto changed = wires;
    std::size_t intact = 1;  // messages that are still as they were
    switch (seed % 4) {
      case 0:
        changed[1][random() % changed[1].size()] ^= std::byte(1 << random() % 8);
        break;
      case 1:
        changed.erase(changed.begin() + 1);
        break;
      case 2:
        changed.insert(changed.begin() + 1, changed[0]);
        break;
      default:
        std::swap(changed[1], changed[2]);
    }
    Bytes wire;
    for (const auto& one : changed) wire.insert(wire.end(), one.begin(), one.end());
    FrameReader reader(4096);
    reader.expect_mac(mac(1));
    std::size_t got = 0;
    feed(reader, wire, random, [&](const Message& message) {
      ASSERT_LT(got, intact);
      EXPECT_TRUE(std::equal(message.payload.begin(), message.payload.end(), frames[got]->begin(),
                             frames[got]->end()));
      ++got;
    });
    EXPECT_LE(got, intact);
  }
}

TEST(Frames, another_key_gets_nothing_through) {
  std::mt19937 random(1);
  std::vector<Sent> sent;
  const auto wire = some_messages(random, sent, true);
  FrameReader reader(4096);
  reader.expect_mac(mac(2));
  EXPECT_FALSE(feed(reader, wire, random, [](const Message&) { FAIL(); }));
}

TEST(Frames, random_bytes_are_refused_and_the_reader_stays_refusing) {
  std::uint64_t refused = 0;
  for (std::uint32_t seed = 0; seed < 20'000; ++seed) {
    std::mt19937 random(seed);
    Bytes wire(random() % 400 + header_bytes);
    for (auto& one : wire) one = std::byte(random());
    // Half of them begin as a message might.
    if (seed % 2 == 0) {
      const Header header{std::uint32_t(random() % 300), Kind(1 + random() % 4), random() % 3, 0};
      const auto bytes = encode(header);
      std::copy(bytes.begin(), bytes.end(), wire.begin());
    }
    FrameReader reader(4096);
    const auto take = [](const Message& message) {
      EXPECT_LE(message.payload.size(), 400U);
      EXPECT_EQ(message.payload.size(), message.header.payload_bytes);
    };
    if (feed(reader, wire, random, take)) continue;
    ++refused;
    Message message;
    EXPECT_FALSE(reader.next(message).ok());
  }
  EXPECT_GT(refused, 10'000U);
}

TEST(Frames, a_length_alone_takes_no_memory) {
  const auto claim = encode({std::uint32_t(frame_bytes_max), Kind::data, 1, 0});
  FrameReader reader(4096);
  std::mt19937 random(1);
  EXPECT_TRUE(feed(reader, claim, random, [](const Message&) { FAIL(); }));
  std::size_t came = header_bytes;
  for (int i = 0; i < 50; ++i) {
    const auto space = reader.space();
    // At most twice what came, from long_at_first on.
    EXPECT_LE(space.size() + came, std::max(FrameReader::long_at_first, 2 * came));
    const auto count = std::min<std::size_t>(space.size(), 100'000);
    std::memset(space.data(), 0, count);
    reader.filled(count);
    came += count;
    Message message;
    EXPECT_FALSE(*reader.next(message));
  }
}

TEST(Frames, a_length_above_the_limit_is_refused) {
  auto claim = encode({std::uint32_t(frame_bytes_max + 1), Kind::data, 1, 0});
  FrameReader reader(4096);
  std::mt19937 random(1);
  EXPECT_FALSE(feed(reader, claim, random, [](const Message&) { FAIL(); }));
}

}  // namespace
}  // namespace exdb::tcp
