// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A replica made from a stream must be equal to the one that was written, now and after whatever
// rounds come. And the test must see it when anything of the state is left out: for that, streams
// are taken apart and put together without it.
#include "replica/snapshot_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <thread>

#include "round_workload.hpp"

namespace exdb {
namespace {

using Kind = SnapshotChunk::Kind;
using Stream = std::vector<std::vector<std::byte>>;

/// All chunks; `between` is called before each.
Stream stream_of(
    SnapshotWriter& writer, const std::function<void()>& between = [] {}) {
  Stream stream;
  for (;; between()) {
    std::vector<std::byte> chunk;
    if (!writer.next(chunk)) return stream;
    stream.push_back(std::move(chunk));
  }
}

/// begin() under no lock: nobody else is there.
SnapshotWriter writer_of(const Replica& replica, SnapshotBounds bounds = {}) {
  return SnapshotWriter::begin(replica, {Round{7}, 77}, bounds).value();
}

Result<std::unique_ptr<Replica>> made_of(const Stream& stream) {
  SnapshotReader reader(workload_schema(), {}, NodeId{9});
  for (const auto& chunk : stream) {
    if (auto status = reader.add(chunk); !status) return status;
  }
  return reader.finish();
}

/// Objects of a stream, to leave some out.
struct Parts {
  SnapshotHeader header;
  struct Object {
    Kind kind;
    std::vector<std::byte> bytes;
    bool emptied = false;
  };
  std::vector<Object> objects;

  explicit Parts(const Stream& stream) {
    for (const auto& bytes : stream) {
      const auto chunk = decode_chunk(bytes).value();
      if (chunk.kind == Kind::header) header = decode_header(chunk.payload).value();
      if (chunk.kind == Kind::header || chunk.kind == Kind::end) continue;
      ByteReader in(chunk.payload);
      for (std::uint32_t i = 0; i < chunk.objects; ++i) take(chunk.kind, chunk.payload, in);
    }
  }
  void take(Kind kind, Bytes payload, ByteReader& in) {
    const auto from = in.position();
    bool emptied = false;
    if (kind == Kind::outcomes) {
      OutcomeTable table;
      EXPECT_TRUE(table.decode(in).ok());
    } else {
      for (int i = 0; i < (kind == Kind::changes ? 2 : 3); ++i) (void)in.get_varint();
      emptied = kind == Kind::slots && in.get<std::uint8_t>() == 0;
      if (!emptied) (void)in.get_bytes();
    }
    const auto object = payload.subspan(from, in.position() - from);
    objects.push_back({kind, {object.begin(), object.end()}, emptied});
  }
  [[nodiscard]] std::uint64_t count(Kind kind) const {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(objects, [&](const Object& one) { return one.kind == kind; }));
  }
  /// A valid stream of what is there now, one object a chunk.
  [[nodiscard]] Stream stream() {
    header.changes = count(Kind::changes);
    header.parts = count(Kind::parts);
    header.origins = count(Kind::outcomes);
    Stream made;
    const auto add = [&](Kind kind, Bytes payload) {
      const auto number = static_cast<std::uint32_t>(made.size());
      encode_chunk({kind, number, 1, payload}, made.emplace_back());
    };
    std::vector<std::byte> ends;
    encode_header(header, ends);
    add(Kind::header, ends);
    for (const auto& object : objects) add(object.kind, object.bytes);
    ends.clear();
    ByteWriter(ends).put_varint(count(Kind::slots));
    add(Kind::end, ends);
    return made;
  }
};

/// The original after some rounds.
struct Grown {
  std::unique_ptr<Replica> replica =
      Replica::create(workload_schema(), {}, true, NodeId{0}).value();
  RoundWorkload work;
  std::set<ErrorCode> verdicts;  ///< that were compared
  explicit Grown(std::uint64_t seed, int rounds = 400) : work(seed) {
    for (int i = 0; i < rounds; ++i) step();
  }
  TestRound step() {
    auto round = work.next(*replica);
    EXPECT_TRUE(apply(*replica, round).status.ok());
    return round;
  }
};

/// The first difference over `rounds` more rounds; empty when there is none.
std::string difference_after(Grown& grown, Replica& copy, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    if (i % 50 == 0) {
      if (auto text = difference(*grown.replica, copy); !text.empty()) return text;
    }
    const auto round = grown.work.next(*grown.replica);
    const auto here = apply(*grown.replica, round), there = apply(copy, round);
    if (auto text = difference(here, there); !text.empty()) return text;
    for (const auto& outcome : here.outcomes) grown.verdicts.insert(outcome.code);
    if (grown.replica->digest() != copy.digest()) return "digest";
  }
  return difference(*grown.replica, copy);
}

TEST(SnapshotStream, a_replica_made_from_a_stream_gives_the_same_verdicts_for_ever) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Grown grown(seed);
    Stream stream;
    {
      auto writer = writer_of(*grown.replica, {1 + seed * 3, 300});
      EXPECT_EQ(writer.csn(), grown.replica->published());
      stream = stream_of(writer);
    }
    const auto copy = made_of(stream).value();
    ASSERT_EQ(difference_after(grown, *copy, 400), "");
    EXPECT_EQ(grown.verdicts, (std::set{ErrorCode::ok, ErrorCode::duplicate, ErrorCode::conflict,
                                        ErrorCode::snapshot_too_old}));
    auto again = writer_of(*copy, {4096, 1 << 20});
    EXPECT_EQ(stream_of(again), [&] {
      auto writer = writer_of(*grown.replica, {4096, 1 << 20});
      return stream_of(writer);
    }());
  }
}

// As a node joins: the rounds that came while the state was written follow it.
TEST(SnapshotStream, the_stream_is_of_one_csn_while_rounds_go_on) {
  for (std::uint64_t seed = 11; seed <= 16; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Grown grown(seed);
    std::vector<TestRound> later;
    Stream stream;
    {
      auto writer = writer_of(*grown.replica, {3, 1 << 20});
      stream = stream_of(writer, [&] {
        for (int i = 0; i < 3; ++i) later.push_back(grown.step());
      });
    }
    ASSERT_GT(later.size(), 60u);
    const auto copy = made_of(stream).value();
    for (const auto& round : later) ASSERT_TRUE(apply(*copy, round).status.ok());
    ASSERT_EQ(difference_after(grown, *copy, 300), "");
  }
}

TEST(SnapshotStream, a_thread_may_write_it_beside_the_rounds) {
  Grown grown(21);
  for (int times = 0; times < 10; ++times) {
    std::vector<TestRound> later;
    Stream stream;
    {
      auto writer = writer_of(*grown.replica, {2, 1 << 20});
      std::thread reader([&] { stream = stream_of(writer); });
      for (int i = 0; i < 60; ++i) later.push_back(grown.step());
      reader.join();
    }
    const auto copy = made_of(stream).value();
    for (const auto& round : later) ASSERT_TRUE(apply(*copy, round).status.ok());
    ASSERT_EQ(difference(*grown.replica, *copy), "");
  }
}

TEST(SnapshotStream, each_part_of_the_state_is_needed) {
  const std::pair<const char*, std::function<void(Parts&)>> mutants[] = {
      {"csns of emptied slots",
       [](Parts& parts) { std::erase_if(parts.objects, [](auto& one) { return one.emptied; }); }},
      {"changes of keys",
       [](Parts& parts) {
         std::erase_if(parts.objects, [](auto& one) { return one.kind == Kind::changes; });
       }},
      {"parts of transactions",
       [](Parts& parts) {
         std::erase_if(parts.objects, [](auto& one) { return one.kind == Kind::parts; });
       }},
      {"outcomes",
       [](Parts& parts) {
         std::erase_if(parts.objects, [](auto& one) { return one.kind == Kind::outcomes; });
       }},
      {"the floor", [](Parts& parts) { parts.header.floor = parts.header.horizon = Csn{0}; }},
      {"class changes", [](Parts& parts) { parts.header.class_changed.assign(2, Csn{0}); }},
  };
  for (const auto& [what, leave_out] : mutants) {
    bool seen = false;
    for (std::uint64_t seed = 31; seed <= 36 && !seen; ++seed) {
      Grown grown(seed);
      auto writer = writer_of(*grown.replica);
      Parts parts(stream_of(writer));
      { const auto released = std::move(writer); }
      const auto whole = made_of(parts.stream()).value();
      ASSERT_EQ(difference(*grown.replica, *whole), "") << "taken apart and put together";
      leave_out(parts);
      const auto copy = made_of(parts.stream()).value();
      seen = !difference_after(grown, *copy, 300).empty();
    }
    EXPECT_TRUE(seen) << "without " << what << " no difference was seen";
  }
}

TEST(SnapshotStream, chunks_keep_their_bounds_and_a_large_object_travels_alone) {
  Grown grown(41, 100);
  const auto large = grown.work.insert_large(200'000);
  ASSERT_TRUE(apply(*grown.replica, large).status.ok());
  auto writer = writer_of(*grown.replica, {5, 400});
  const auto stream = stream_of(writer);
  std::size_t alone = 0;
  for (const auto& bytes : stream) {
    const auto chunk = decode_chunk(bytes).value();
    EXPECT_LE(chunk.objects, 5u);
    EXPECT_TRUE(chunk.payload.size() <= 400 || chunk.objects == 1);
    alone += chunk.payload.size() > 200'000;
  }
  EXPECT_EQ(alone, 1u);
  EXPECT_EQ(difference(*grown.replica, *made_of(stream).value()), "");
}

TEST(SnapshotStream, a_new_replica_is_a_stream_too) {
  const auto replica = Replica::create(workload_schema(), {}, true, NodeId{0}).value();
  auto writer = writer_of(*replica);
  const auto stream = stream_of(writer);
  EXPECT_EQ(stream.size(), 2u);
  SnapshotReader reader(workload_schema(), {}, NodeId{9});
  for (const auto& chunk : stream) ASSERT_TRUE(reader.add(chunk).ok());
  EXPECT_EQ(reader.header()->upto, (RoundHistory::Chain{Round{7}, 77}));
  const auto copy = reader.finish().value();
  EXPECT_EQ(difference(*replica, *copy), "");
  EXPECT_FALSE(reader.finish().ok()) << "given out once";
}

TEST(SnapshotStream, a_header_of_format_3_is_read_and_what_is_unknown_refused_by_both_numbers) {
  SnapshotHeader header;
  header.dictionary = 5;
  header.csn = Csn{9};
  header.class_changed = {Csn{1}, Csn{2}};
  header.autoids = 77;
  header.names = {{"a", Csn{3}, Round{4}, 5}, {"b", Csn{9}, Round{8}, 7}};
  std::vector<std::byte> bytes;
  encode_header(header, bytes);
  EXPECT_EQ(decode_header(bytes).value(), header);

  header.names.clear();
  header.autoids = 0;
  std::vector<std::byte> old;
  encode_header(header, old);
  old.resize(old.size() - 9);  // ends before `autoids`
  EXPECT_FALSE(decode_header(old)) << "of format 4, cut";
  old[0] = std::byte{3};
  header.names_known = false;
  EXPECT_EQ(decode_header(old).value(), header);
  bytes[0] = std::byte{3};
  EXPECT_FALSE(decode_header(bytes)) << "of format 3, with more behind it";

  for (const auto version : {2, 5}) {
    bytes[0] = std::byte(version);
    const auto status = decode_header(bytes).status();
    EXPECT_EQ(status.code(), ErrorCode::cluster_incompatible);
    EXPECT_EQ(status.text(),
              "it is of format " + std::to_string(version) + ", this program has formats 3 to 4");
  }
}

TEST(SnapshotStream, names_that_cannot_be_are_refused) {
  Grown grown(71, 20);
  auto writer = writer_of(*grown.replica);
  const Parts parts(stream_of(writer));
  const auto taken = [&](std::vector<SnapshotName> names) {
    auto bent = parts;
    bent.header.names = std::move(names);
    return made_of(bent.stream()).status().ok();
  };
  const auto csn = parts.header.csn;
  EXPECT_TRUE(taken({{"a", csn, Round{7}, 1}, {"b", Csn{1}, Round{1}, 1}}));
  EXPECT_FALSE(taken({{"a", csn.next(), Round{7}, 1}})) << "of a state that comes later";
  EXPECT_FALSE(taken({{"b", csn, Round{7}, 1}, {"a", csn, Round{7}, 1}})) << "not in order";
  EXPECT_FALSE(taken({{"a", csn, Round{7}, 1}, {"a", csn, Round{7}, 1}})) << "twice";
  EXPECT_FALSE(taken({{"", csn, Round{7}, 1}}));
  EXPECT_FALSE(taken({{"\1p", csn, Round{7}, 1}})) << "a word";
}

TEST(SnapshotStream, a_lost_repeated_or_changed_chunk_is_named) {
  Grown grown(51, 100);
  auto writer = writer_of(*grown.replica, {3, 200});
  const auto stream = stream_of(writer);
  ASSERT_GT(stream.size(), 10u);
  const auto text = [](const Stream& given) { return made_of(given).status().text(); };
  const auto says = [](const std::string& said, const char* what) {
    return said.find(what) != std::string::npos ? std::string() : "not '" + said + "'";
  };
  auto lost = stream;
  lost.erase(lost.begin() + 4);
  EXPECT_EQ(says(text(lost), "chunk 4 of a snapshot cannot be taken: it is chunk 5"), "");
  auto twice = stream;
  twice.insert(twice.begin() + 4, stream[3]);
  EXPECT_EQ(says(text(twice), "chunk 4 of a snapshot cannot be taken: it is chunk 3"), "");
  auto changed = stream;
  changed[6].back() ^= std::byte{1};
  EXPECT_EQ(says(text(changed), "chunk 6 of a snapshot cannot be taken: its checksum"), "");
  auto ended = stream;
  ended.pop_back();
  EXPECT_EQ(says(text(ended), "a snapshot ends after chunk"), "");
  auto longer = stream;
  longer.push_back(stream.back());
  EXPECT_FALSE(made_of(longer).ok());
  EXPECT_EQ(says(text({stream[1]}), "chunk 0 of a snapshot cannot be taken: it is chunk 1"), "");
  Parts fewer(stream);
  const auto row = std::ranges::find_if(
      fewer.objects, [](auto& one) { return one.kind == Kind::slots && !one.emptied; });
  fewer.objects.erase(row);
  EXPECT_EQ(says(text(fewer.stream()), "the rows are not those"), "");
  SnapshotReader other(Dictionary::parse("class A { int4 id; };").value(), {}, NodeId{});
  EXPECT_EQ(other.add(stream[0]).code(), ErrorCode::cluster_incompatible);
}

// Whatever the bytes, and also when their checksum is right: a Status, or a replica.
TEST(SnapshotStream, bytes_that_are_no_stream_are_refused) {
  Grown grown(61, 60);
  auto writer = writer_of(*grown.replica, {3, 200});
  const auto stream = stream_of(writer);
  for (std::size_t at = 0; at < stream.size(); at += 3) {
    for (std::size_t length = 0; length < stream[at].size(); ++length) {
      auto cut = stream;
      cut[at].resize(length);
      SnapshotReader reader(workload_schema(), {}, NodeId{});
      Status status;
      for (std::size_t i = 0; i <= at; ++i) status = reader.add(cut[i]);
      ASSERT_FALSE(status.ok());
      if (length > 40) length += 13;
    }
  }
  std::mt19937_64 random(61);
  std::size_t refused = 0;
  for (int times = 0; times < 1500; ++times) {
    auto bent = stream;
    auto& bytes = bent[random() % bent.size()];
    const auto chunk = decode_chunk(bytes).value();
    std::vector<std::byte> payload(chunk.payload.begin(), chunk.payload.end());
    for (auto i = random() % 3 + 1; i > 0; --i)
      payload[random() % payload.size()] = std::byte(random() % 3 == 0 ? 0xff : random());
    if (random() % 8 == 0) payload.resize(random() % payload.size());
    const auto objects = random() % 8 == 0 ? static_cast<std::uint32_t>(random()) : chunk.objects;
    encode_chunk({chunk.kind, chunk.number, objects, payload}, bytes);
    refused += !made_of(bent).ok();
  }
  EXPECT_GT(refused, 750u);
}

}  // namespace
}  // namespace exdb
