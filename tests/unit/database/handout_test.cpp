// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_handout.hpp"

#include <gtest/gtest.h>

namespace exdb {
namespace {

using Pieces = std::vector<std::vector<std::byte>>;

/// Two nodes, of which this is one; the other says what it is to say, one after the other.
class Script final : public CollectiveGather {
 public:
  explicit Script(std::uint32_t self) : self_(self) {}
  std::vector<std::vector<std::byte>> said, others;

  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds /*deadline*/) override {
    const auto turn = said.size();
    said.emplace_back(mine.begin(), mine.end());
    auto other = turn < others.size() ? others[turn] : words({});
    std::vector<std::vector<std::byte>> all{said.back(), std::move(other)};
    if (self_ == 1) std::swap(all[0], all[1]);
    return all;
  }
  /// As exchange() says a Status, without anything else.
  static std::vector<std::byte> words(const Status& status) {
    std::vector<std::byte> out;
    ByteWriter writer(out);
    writer.put(static_cast<std::int32_t>(status.code()));
    writer.put_text(status.text());
    return out;
  }

 private:
  const std::uint32_t self_;
};

Pieces some_pieces() {
  Pieces pieces;
  for (int i = 0; i < 300; ++i) pieces.emplace_back(std::size_t(i % 7) * 3000, std::byte(i));
  pieces.emplace_back(std::size_t{3} << 20, std::byte{9});
  pieces.emplace_back(5, std::byte{8});
  return pieces;
}

Handout::Take into(Pieces& taken) {
  return [&taken](Bytes piece) {
    taken.emplace_back(piece.begin(), piece.end());
    return Status();
  };
}

Status give(Script& script, const Pieces& pieces, const Handout::Take& take) {
  return Handout(script, 0, true)
      .run(
          {},
          [&](const Handout::Give& each) {
            for (const auto& piece : pieces)
              if (auto status = each(piece); !status) return status;
            return Status();
          },
          take);
}

TEST(Handout, all_have_the_pieces_in_order_and_small_ones_go_together) {
  const auto pieces = some_pieces();
  Script giver(0), taker(1);
  Pieces own, taken;
  const auto given = give(giver, pieces, into(own));
  ASSERT_TRUE(given.ok()) << given.text();
  // Ready, 2.6 MB of small ones, the large one, the last, no more, what failed with it.
  EXPECT_LE(giver.said.size(), 8U);
  taker.others = giver.said;
  const auto got = Handout(taker, 0, false).run({}, {}, into(taken));
  ASSERT_TRUE(got.ok()) << got.text();
  EXPECT_EQ(taker.said.size(), giver.said.size());
  EXPECT_EQ(own, pieces);
  EXPECT_EQ(taken, pieces);
}

TEST(Handout, H1_what_fails_on_one_node_ends_it_on_all_with_the_next_gather) {
  const Status full(ErrorCode::disk_full, "no room");
  Script taker(1), giver(0);
  Pieces own;
  ASSERT_TRUE(give(giver, some_pieces(), into(own)).ok());
  taker.others = giver.said;
  int left = 2;
  const auto failed =
      Handout(taker, 0, false).run({}, {}, [&](Bytes) { return left-- > 0 ? Status() : full; });
  EXPECT_EQ(failed.code(), ErrorCode::disk_full);
  EXPECT_EQ(left, -1) << "nothing is taken after a failure";
  ASSERT_EQ(taker.said.size(), 3U) << "ready, some pieces, what failed with them";

  Script told(0);
  told.others = taker.said;
  own.clear();
  const auto ended = give(told, some_pieces(), into(own));
  EXPECT_EQ(ended.code(), ErrorCode::disk_full);
  EXPECT_EQ(ended.text(), failed.text());
  EXPECT_EQ(told.said.size(), 3U);
}

}  // namespace
}  // namespace exdb
