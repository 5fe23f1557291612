// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Rings against a plain queue of bytes, and messages through rings that are shorter than they.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <thread>

#include "host/record_stream.hpp"

namespace exdb {
namespace {

struct Ring {
  explicit Ring(std::size_t capacity)
      : data(capacity),
        ends(std::make_unique<RingEnds>()),
        ring(ends.get(), data.data(), capacity) {}
  std::vector<std::byte> data;
  std::unique_ptr<RingEnds> ends;
  ByteRing ring;
};

std::vector<std::byte> bytes_of(std::size_t length, unsigned seed) {
  std::vector<std::byte> made(length);
  for (std::size_t i = 0; i < length; ++i) made[i] = std::byte(seed * 31 + i * 7);
  return made;
}

TEST(ByteRing, gives_what_a_queue_gives_however_it_wraps) {
  Ring made(64);
  std::deque<std::byte> model;
  std::mt19937 random(1);
  unsigned next = 0;
  for (int turn = 0; turn < 20'000; ++turn) {
    if (random() % 2 == 0) {
      const auto bytes = bytes_of(random() % 90, next++);
      const auto wrote = made.ring.write(bytes);
      EXPECT_EQ(wrote, std::min(bytes.size(), 64 - model.size()));
      model.insert(model.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(wrote));
    } else {
      std::vector<std::byte> out(random() % 90);
      const auto got = made.ring.read(out);
      ASSERT_EQ(got, std::min(out.size(), model.size()));
      for (std::size_t i = 0; i < got; ++i) {
        ASSERT_EQ(out[i], model.front());
        model.pop_front();
      }
    }
    ASSERT_EQ(made.ring.filled(), model.size());
    ASSERT_EQ(made.ring.room(), 64 - model.size());
    ASSERT_EQ(made.ring.empty(), model.empty());
  }
}

/// One message of `length`, in as many parts as the ring wants.
void write_all(ByteRing& ring, Bytes bytes) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(ring.write(bytes));
    if (!bytes.empty()) std::this_thread::yield();
  }
}

SubmitHead head_of(std::uint64_t sequence, std::uint64_t bytes) {
  return {SubmitHead::Kind::transaction, 0, sequence, bytes, 0, 0};
}

TEST(RecordReader, gives_messages_of_any_length_whole_and_in_order_to_another_thread) {
  Ring made(256);
  constexpr std::uint64_t messages = 600;
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < messages; ++i) {
      const auto length = i % 100 == 99 ? 20'000 : i * 7 % 300;
      write_all(made.ring, bytes_of_head(head_of(i, length)));
      write_all(made.ring, bytes_of(length, unsigned(i)));
    }
  });
  RecordReader<SubmitHead> reader(made.ring, 1 << 20);
  bool moved = false;
  for (std::uint64_t i = 0; i < messages;) {
    const auto record = reader.take(moved);
    if (!record) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(record->head.sequence, i);
    ASSERT_EQ(record->bytes, bytes_of(record->head.bytes, unsigned(i)));
    ++i;
  }
  writer.join();
  EXPECT_FALSE(reader.has_more());
}

TEST(RecordReader, a_message_that_its_writer_did_not_finish_is_not_given) {
  Ring made(256);
  RecordReader<SubmitHead> reader(made.ring, 1 << 20);
  bool moved = false;
  const auto whole = head_of(1, 100);
  const auto head = bytes_of_head(whole);
  (void)made.ring.write(head.first(5));
  EXPECT_FALSE(reader.take(moved));
  EXPECT_TRUE(moved);
  (void)made.ring.write(head.subspan(5));
  (void)made.ring.write(bytes_of(99, 1));
  EXPECT_FALSE(reader.take(moved));
  (void)made.ring.write(bytes_of(1, 1));
  EXPECT_TRUE(reader.take(moved));
}

TEST(RecordReader, a_head_that_promises_too_much_breaks_the_stream) {
  Ring made(256);
  RecordReader<SubmitHead> reader(made.ring, 1000);
  bool moved = false;
  (void)made.ring.write(bytes_of_head(head_of(1, 1001)));
  EXPECT_FALSE(reader.take(moved));
  EXPECT_TRUE(reader.broken());
  (void)made.ring.write(bytes_of_head(head_of(2, 0)));
  EXPECT_FALSE(reader.take(moved));
}

}  // namespace
}  // namespace exdb
