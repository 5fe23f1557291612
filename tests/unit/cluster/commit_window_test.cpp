// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/commit_window.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "cluster/log_histogram.hpp"
#include "node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using Clock = CommitWindow::Clock;

std::shared_ptr<PendingItem> item(std::uint64_t sequence, std::size_t bytes = 10, int priority = 0,
                                  RoundItem::Kind kind = RoundItem::Kind::transaction) {
  auto made = std::make_shared<PendingItem>();
  made->kind = kind;
  made->origin = NodeId{3};
  made->sequence = sequence;
  made->bytes.resize(bytes);
  made->priority = priority;
  return made;
}

std::vector<std::uint64_t> sequences(const CommitWindow::Items& items) {
  std::vector<std::uint64_t> result;
  for (const auto& one : items) result.push_back(one->sequence);
  return result;
}

struct TakenItems : CommitWindow::Taken {
  CommitWindow::Items items;
};

TakenItems take(CommitWindow& window) {
  TakenItems taken;
  static_cast<CommitWindow::Taken&>(taken) = window.take(MemberId{3}, taken.items);
  EXPECT_EQ(taken.count, taken.items.size());
  return taken;
}

TEST(CommitWindow, holds_nothing_back_without_bounds) {
  CommitWindow window({0, 0, 1000}, 50, 30s);
  EXPECT_EQ(window.due_in(Clock::now()), CommitWindow::Clock::duration::max());
  (void)window.add(item(1));
  EXPECT_EQ(window.due_in(Clock::now()), 0ns);
}

/// An item with room before its record, as large ones are made.
std::shared_ptr<PendingItem> roomy(std::uint64_t sequence, std::size_t bytes) {
  auto made = item(sequence, CommitWindow::item_head_room + bytes);
  made->head_room = CommitWindow::item_head_room;
  made->bytes.back() = std::byte(sequence);
  return made;
}

TEST(CommitWindow, an_item_with_room_before_it_travels_where_it_lies_when_it_is_alone) {
  CommitWindow window({0, 0, 1000}, 50, 30s);
  constexpr std::uint64_t sequences_[] = {1, 1U << 20, std::uint64_t{1} << 62};
  for (const auto sequence : sequences_) {
    const auto one = roomy(sequence, 1000);
    const auto* const lies_at = one->bytes.data();
    (void)window.add(one);
    const auto taken = take(window);
    EXPECT_EQ(taken.payload.data(), lies_at) << "not copied";
    ASSERT_EQ(taken.head_room, frame_header_bytes);
    EXPECT_TRUE(one->bytes.empty());
    EXPECT_EQ(one->head_room, 0U);
    std::vector<RoundItem> read;
    // Of whichever member: the origin is told.
    ASSERT_TRUE(
        decode_items(MemberId{9}, Bytes(taken.payload).subspan(taken.head_room), read).ok());
    ASSERT_EQ(read.size(), 1U);
    EXPECT_EQ(read[0].kind, RoundItem::Kind::transaction);
    EXPECT_EQ(read[0].origin, NodeId{3});
    EXPECT_EQ(read[0].sequence, sequence);
    EXPECT_EQ(read[0].bytes.size(), 1000U);
    EXPECT_EQ(read[0].bytes.back(), std::byte(sequence));
  }
}

TEST(CommitWindow, items_with_room_before_them_are_copied_without_it_where_they_are_several) {
  CommitWindow window({0, 0, 1000}, 50, 30s);
  (void)window.add(roomy(1, 100));
  (void)window.add(item(2, 5));
  (void)window.add(roomy(3, 70));
  const auto taken = take(window);
  EXPECT_EQ(taken.head_room, 0U);
  std::vector<RoundItem> read;
  ASSERT_TRUE(decode_items(MemberId{3}, taken.payload, read).ok());
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].bytes.size(), 100U);
  EXPECT_EQ(read[1].bytes.size(), 5U);
  EXPECT_EQ(read[2].bytes.size(), 70U);
  EXPECT_EQ(read[2].bytes.back(), std::byte(3));
}

TEST(CommitWindow, closes_at_the_bound_that_is_reached_first) {
  CommitWindow by_length({0, 2, 0}, 50, 30s);
  (void)by_length.add(item(1));
  EXPECT_GT(by_length.due_in(Clock::now()), 1s) << "no timeout: held";
  (void)by_length.add(item(2));
  EXPECT_EQ(by_length.due_in(Clock::now()), 0ns);

  CommitWindow by_bytes({100, 0, 0}, 50, 30s);
  (void)by_bytes.add(item(1, 60));
  EXPECT_GT(by_bytes.due_in(Clock::now()), 1s);
  (void)by_bytes.add(item(2, 60));
  EXPECT_EQ(by_bytes.due_in(Clock::now()), 0ns);

  CommitWindow by_time({100, 100, 5000}, 50, 30s);
  const auto before = Clock::now();
  (void)by_time.add(item(1));
  EXPECT_GT(by_time.due_in(before), 4s);
  EXPECT_EQ(by_time.due_in(Clock::now() + 5s), 0ns);
}

TEST(CommitWindow, what_waits_when_bounds_are_set_is_held_from_then_on) {
  CommitWindow window({}, 50, 30s);
  (void)window.add(item(1));
  EXPECT_EQ(window.due_in(Clock::now()), 0ns);
  const auto before = Clock::now();
  window.set_bounds({0, 100, 5000});
  EXPECT_GE(window.due_in(before), 5s);
  window.set_bounds({});
  EXPECT_EQ(window.due_in(Clock::now()), 0ns);
}

TEST(CommitWindow, takes_behind_what_the_caller_has_already) {
  CommitWindow window({}, 50, 30s);
  CommitWindow::Items items{item(8)};
  (void)window.add(item(9));
  EXPECT_EQ(window.take(MemberId{3}, items).count, 1U);
  EXPECT_EQ(sequences(items), (std::vector<std::uint64_t>{8, 9}));
}

TEST(CommitWindow, is_due_when_nothing_more_can_come) {
  CommitWindow full({0, 100, 0}, 2, 30s);
  (void)full.add(item(1));
  (void)full.add(item(2));
  EXPECT_EQ(full.due_in(Clock::now()), 0ns);
  EXPECT_EQ(full.add(item(3)), CommitWindow::Admission::full);
  EXPECT_EQ(take(full).items.size(), 2U);
  EXPECT_EQ(full.add(item(3)), CommitWindow::Admission::full) << "taken is not answered";
  full.answered(2);
  EXPECT_EQ(full.add(item(3)), CommitWindow::Admission::accepted);
  EXPECT_GT(full.due_in(Clock::now()), 1s);
  EXPECT_EQ(full.due_in(Clock::now() + 30s), 0ns) << "held_max";
  full.shut();
  EXPECT_EQ(full.due_in(Clock::now()), 0ns);
  EXPECT_EQ(full.add(item(4)), CommitWindow::Admission::shut);
  EXPECT_EQ(sequences(full.abandon()), std::vector<std::uint64_t>{3});
}

TEST(CommitWindow, sends_higher_priorities_first_and_keeps_the_order_within_one) {
  CommitWindow window({}, 50, 30s);
  const int priorities[] = {0, 5, 0, -1, 5, 1};
  (void)window.add(item(7, 0, 9, RoundItem::Kind::gone));
  for (std::uint64_t i = 0; i < 6; ++i) (void)window.add(item(i, 1, priorities[i]));
  (void)window.add(item(6, 1, -9, RoundItem::Kind::fragment));
  EXPECT_EQ(sequences(take(window).items), (std::vector<std::uint64_t>{6, 1, 4, 5, 0, 2, 3, 7}));
}

TEST(CommitWindow, splits_what_is_too_much_for_one_batch_and_promises_more) {
  CommitWindow window({}, 50, 30s);
  for (std::uint64_t i = 0; i < 3; ++i)
    (void)window.add(item(i, CommitWindow::batch_bytes_max / 2));
  auto first = take(window);
  EXPECT_EQ(first.items.size(), 1U) << "two and their headers are just too much";
  EXPECT_TRUE(first.more);
  EXPECT_TRUE(take(window).more);
  EXPECT_FALSE(take(window).more);
  (void)window.add(item(9, CommitWindow::batch_bytes_max + 1));
  EXPECT_EQ(take(window).items.size(), 1U) << "a larger one travels alone";
}

/// I5. A part that went ahead does no harm, but there is no need for it either.
TEST(CommitWindow, takes_nothing_that_read_a_history_before_the_one_that_is_now) {
  CommitWindow window({.bsize_bytes = 0, .length_transactions = 10, .timeout_ms = 1000}, 8, 1s);
  const auto of = [](std::uint64_t sequence, std::uint64_t history) {
    auto made = item(sequence);
    made->history = history;
    return made;
  };
  EXPECT_EQ(window.add(of(1, 0)), CommitWindow::Admission::accepted);
  EXPECT_EQ(window.add(of(2, 1)), CommitWindow::Admission::accepted) << "quicker than the window";
  EXPECT_EQ(window.add(item(3, 10, 0, RoundItem::Kind::fragment)),
            CommitWindow::Admission::accepted);
  EXPECT_EQ(sequences(window.begin_history(1)), (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(window.add(of(4, 0)), CommitWindow::Admission::outdated);
  EXPECT_EQ(window.add(of(5, 1)), CommitWindow::Admission::accepted);
  EXPECT_EQ(window.add(item(6, 10, 0, RoundItem::Kind::discard)),
            CommitWindow::Admission::accepted);
  EXPECT_EQ(sequences(take(window).items), (std::vector<std::uint64_t>{6, 2, 5}));
}

TEST(CommitWindow, items_come_out_of_a_payload_as_they_went_in) {
  CommitWindow window({}, 50, 30s);
  (void)window.add(item(300, 5));
  (void)window.add(item(7, 0, 0, RoundItem::Kind::discard));
  const auto taken = take(window);
  std::vector<RoundItem> items;
  ASSERT_TRUE(decode_items(MemberId{3}, taken.payload, items).ok());
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].kind, RoundItem::Kind::discard);
  EXPECT_EQ(items[1].sequence, 300U);
  EXPECT_EQ(items[1].bytes.size(), 5U);
  EXPECT_EQ(items[1].origin, NodeId{3});
  EXPECT_EQ(items[1].member, MemberId{3});
  EXPECT_EQ(transactions_in(taken.payload), 1U);
  for (std::size_t cut = 1; cut < taken.payload.size(); ++cut) {
    items.clear();
    EXPECT_EQ(transactions_in(Bytes(taken.payload).first(cut)), 0U);
    (void)decode_items(MemberId{3}, Bytes(taken.payload).first(cut), items);
    EXPECT_LT(items.size(), 2U);
  }
}

TEST(CommitWindow, a_batch_carries_items_of_several_origins_and_only_foreign_ones_name_theirs) {
  CommitWindow window({}, 50, 30s);
  const std::vector<std::uint32_t> origins{3, 0, 3, 4'000'000'000, 200};
  std::size_t own_bytes = 0;
  for (std::uint64_t i = 0; i < origins.size(); ++i) {
    auto one = item(i, 5);
    one->origin = NodeId{origins[i]};
    (void)window.add(one);
    own_bytes += 1 + 1 + 1 + 5;
  }
  const auto taken = take(window);
  EXPECT_EQ(taken.payload.size(), own_bytes + 1 + 5 + 2) << "a varint for each foreign origin";
  std::vector<RoundItem> items;
  ASSERT_TRUE(decode_items(MemberId{3}, taken.payload, items).ok());
  ASSERT_EQ(items.size(), origins.size());
  EXPECT_EQ(transactions_in(taken.payload), origins.size());
  for (std::uint64_t i = 0; i < origins.size(); ++i) {
    EXPECT_EQ(items[i].origin, NodeId{origins[i]}) << i;
    EXPECT_EQ(items[i].member, MemberId{3}) << i;
    EXPECT_EQ(items[i].sequence, i);
  }
}

TEST(CommitWindow, an_origin_that_is_no_number_of_a_node_is_a_broken_item) {
  std::vector<std::byte> payload;
  ByteWriter out(payload);
  out.put(std::uint8_t(0x80 | 1));
  out.put_varint(std::uint64_t(1) << 32);
  out.put_varint(7);
  out.put_bytes({});
  std::vector<RoundItem> items;
  EXPECT_EQ(decode_items(MemberId{3}, payload, items).code(), ErrorCode::cluster_protocol);
}

TEST(LogHistogram, quantiles_are_at_most_a_sixteenth_too_high) {
  LogHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0U);
  for (std::uint64_t i = 1; i <= 10'000; ++i) histogram.add(i * 1000);
  EXPECT_GE(histogram.quantile(0.5), 5'000'000U);
  EXPECT_LE(histogram.quantile(0.5), 5'001'000U * 17 / 16);
  EXPECT_GE(histogram.quantile(0.99), 9'900'000U);
  EXPECT_LE(histogram.quantile(0.99), 9'901'000U * 17 / 16);
  histogram.add(~0ULL);
  EXPECT_EQ(histogram.quantile(0.99999), ~0ULL);
}

// --- the window as a node's statistics show it ---

std::uint64_t rounds_for(const ClusterWindow& bounds, int items) {
  NodeCluster cluster({.nodes = 2},
                      [&](std::uint32_t, Node::Options& options) { options.window = bounds; });
  std::vector<std::shared_ptr<PendingItem>> pending;
  {
    // Nobody drives while they are put in.
    const std::lock_guard lock(cluster.node(0).drive_lock());
    for (int i = 0; i < items; ++i) pending.push_back(cluster.submit(0, "x").value());
  }
  for (auto& one : pending) EXPECT_EQ(cluster.node(0).wait(*one).code, ErrorCode::ok);
  const auto rounds = cluster.node(0).statistics().rounds;
  cluster.stop_all();
  cluster.expect_equal_lists(std::size_t(items));
  return rounds;
}

TEST(Window, groups_commits_into_one_exchange) {
  EXPECT_EQ(rounds_for({0, 0, 1}, 20), 1U) << "all that is pending leaves together";
  EXPECT_EQ(rounds_for({0, 20, 0}, 20), 1U);
  EXPECT_EQ(rounds_for({1, 0, 0}, 20), 1U);
  EXPECT_EQ(rounds_for({0, 1000, 20}, 20), 1U) << "the timeout closes it";
}

TEST(Window, takes_along_what_is_pending_when_another_node_asks) {
  NodeCluster cluster({.nodes = 2}, [&](std::uint32_t id, Node::Options& options) {
    if (id == 0) options.window = {0, 1000, 0};
  });
  auto held = cluster.submit(0, "held").value();
  EXPECT_FALSE(Node::done(*held));
  ASSERT_EQ(cluster.commit(1, "asks").code, ErrorCode::ok);
  EXPECT_EQ(cluster.node(0).wait(*held).code, ErrorCode::ok);
  EXPECT_EQ(cluster.node(0).statistics().rounds, 1U);
  cluster.stop_all();
}

TEST(Window, can_be_read_and_changed_while_items_wait_in_it) {
  NodeCluster cluster({.nodes = 2}, [&](std::uint32_t, Node::Options& options) {
    options.window = {0, 1000, 0};
  });
  EXPECT_EQ(cluster.node(0).window().length_transactions, 1000U);
  std::thread waiter([&] { EXPECT_EQ(cluster.commit(0, "x").code, ErrorCode::ok); });
  while (cluster.node(0).statistics().items_sent != 0) std::this_thread::yield();
  cluster.node(0).set_window({0, 0, 1});
  waiter.join();
  EXPECT_EQ(cluster.node(0).window().length_transactions, 0U);
  cluster.stop_all();
}

TEST(Window, sends_by_priority) {
  NodeCluster cluster({.nodes = 2});
  std::vector<std::shared_ptr<PendingItem>> pending;
  {
    const std::lock_guard lock(cluster.node(0).drive_lock());
    pending.push_back(cluster.submit(0, "low", -1).value());
    pending.push_back(cluster.submit(0, "first", 0).value());
    pending.push_back(cluster.submit(0, "second", 0).value());
    pending.push_back(cluster.submit(0, "high", 3).value());
  }
  for (auto& one : pending) EXPECT_EQ(cluster.node(0).wait(*one).code, ErrorCode::ok);
  cluster.stop_all();
  EXPECT_EQ(cluster.consumer(1).list(),
            (std::vector<std::string>{"high", "first", "second", "low"}));
}

TEST(Window, submit_waits_while_too_many_are_in_the_exchange) {
  NodeCluster cluster({.nodes = 2}, [](std::uint32_t, Node::Options& options) {
    options.in_exchange_max = 4;
    options.window = {0, 1000, 0};
  });
  for (int i = 0; i < 21; ++i) ASSERT_TRUE(cluster.submit(0, "x").ok());
  EXPECT_GE(cluster.node(0).statistics().rounds, 5U) << "at most 4 in a round";
  cluster.stop_all();
  cluster.expect_equal_lists(21);
}

}  // namespace
}  // namespace exdb
