// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A node without memory for what it reads. A program of its own, for it replaces operator new: a
// thread can be refused what is larger than it says.
#include <cstdlib>
#include <limits>
#include <new>

#include "node_cluster.hpp"

namespace {

thread_local std::size_t refused_from = std::numeric_limits<std::size_t>::max();
thread_local int refusals = 0;

}  // namespace

// Not inlined, all three: g++ 12 would compare the malloc() or free() in them with the other one at
// its caller, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (bytes >= refused_from) {
    ++refusals;
    throw std::bad_alloc();
  }
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
  std::free(memory);
}

namespace exdb {
namespace {

/// Items that take many times more memory read than on the wire.
constexpr std::uint32_t small_items = 4000;
constexpr std::size_t enough_for_all_else = 64 * 1024;

TEST(NodeMemory, a_batch_that_there_is_no_memory_to_read_ends_its_node_with_a_status_and_a_leave) {
  NodeCluster cluster(
      {.nodes = 3},
      [](std::uint32_t, Node::Options& options) { options.in_exchange_max = small_items + 10; },
      false);
  // Nobody drives node 0 yet: all items leave in one batch.
  std::vector<std::shared_ptr<PendingItem>> items;
  for (std::uint32_t i = 0; i < small_items; ++i) items.push_back(cluster.submit(0, "x").value());
  std::thread listener([&] { EXPECT_TRUE(cluster.node(2).listen().ok()); });
  std::thread starved([&] {
    refused_from = enough_for_all_else;
    const auto status = cluster.node(1).listen();
    refused_from = std::numeric_limits<std::size_t>::max();
    EXPECT_GT(refusals, 0) << "or this test tests nothing";
    EXPECT_EQ(status.code(), ErrorCode::no_memory) << status.text();
    EXPECT_NE(status.text().find("no memory to read it"), std::string::npos) << status.text();
  });
  for (auto& item : items) EXPECT_EQ(cluster.node(0).wait(*item).code, ErrorCode::ok);
  // The next round needs its leave, or would wait for it until the timeout.
  EXPECT_EQ(cluster.commit(0, "y").code, ErrorCode::ok);
  starved.join();
  EXPECT_TRUE(cluster.consumer(1).list().empty()) << "nothing of the round was taken over";
  EXPECT_EQ(cluster.commit(1, "z").code, ErrorCode::no_memory);
  std::thread other([&] { EXPECT_TRUE(cluster.node(2).stop().ok()); });
  EXPECT_TRUE(cluster.node(0).stop().ok());
  other.join();
  listener.join();
  EXPECT_EQ(cluster.consumer(2).list().size(), small_items + 1);
}

}  // namespace
}  // namespace exdb
