// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What this process is told of its machine, and pages that are spread over NUMA nodes.
#include "exdb/topology.hpp"

#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "topology/placement.hpp"

namespace exdb {
namespace {

using Numbers = std::vector<std::uint32_t>;

TEST(Topology, the_kernels_lists_are_understood) {
  EXPECT_EQ(parse_list("0"), Numbers{0});
  EXPECT_EQ(parse_list("\t0-2,5\n"), (Numbers{0, 1, 2, 5}));
  EXPECT_EQ(parse_list("7,9-10"), (Numbers{7, 9, 10}));
  EXPECT_EQ(parse_list(""), Numbers{});
  EXPECT_EQ(parse_list("nothing"), Numbers{});
  EXPECT_EQ(parse_list("0,x"), Numbers{});
  EXPECT_EQ(parse_list("0-4294967295").size(), 1024U);
}

TEST(Topology, the_kernels_choices_are_understood) {
  EXPECT_EQ(chosen_of("always within_size advise [never] deny force"), "never");
  EXPECT_EQ(chosen_of("[always] madvise never"), "always");
  EXPECT_EQ(chosen_of(""), "");
  EXPECT_EQ(chosen_of("] ["), "");
}

TEST(Topology, says_where_this_process_may_run) {
  const Topology& found = topology();
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_GE(found.allowed_pus, 1U);
  EXPECT_LE(found.allowed_pus, static_cast<std::uint32_t>(CPU_COUNT(&set)));
  EXPECT_LE(found.allowed_pus, found.machine_pus);
  // Its units are on some of the nodes, when hwloc has told of any.
  EXPECT_EQ(found.own_numa_nodes.empty(), found.numa_nodes == 0);
  EXPECT_LE(found.own_numa_nodes.size(), found.numa_nodes);
  EXPECT_TRUE(std::is_sorted(found.memory_nodes.begin(), found.memory_nodes.end()));
}

class SharedMemory {
 public:
  SharedMemory()
      : memory(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {}
  ~SharedMemory() { munmap(memory, bytes); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  /// MPOL_DEFAULT where nothing was said.
  [[nodiscard]] int policy() const {
    int mode = -1;
    const long answer = syscall(SYS_get_mempolicy, &mode, nullptr, 0, memory, MPOL_F_ADDR);
    return answer == 0 ? mode : -1;
  }

  static constexpr std::size_t bytes = std::size_t{1} << 22;
  void* const memory;
};

TEST(Topology, shared_pages_are_interleaved_over_the_nodes_named) {
  const SharedMemory shared;
  ASSERT_NE(shared.memory, MAP_FAILED);
  const auto nodes = memory_nodes_of_kernel();
  if (nodes.empty() || shared.policy() < 0) GTEST_SKIP() << "this kernel has no NUMA policies";
  const Status status = interleave(shared.memory, SharedMemory::bytes, nodes);
  if (!status && status.text().find("Operation not permitted") != std::string::npos)
    GTEST_SKIP() << status.text();
  ASSERT_TRUE(status.ok()) << status.text();
  EXPECT_EQ(shared.policy(), MPOL_INTERLEAVE);
}

TEST(Topology, a_node_that_is_not_there_is_an_error_that_says_so) {
  const SharedMemory shared;
  if (shared.policy() < 0) GTEST_SKIP() << "this kernel has no NUMA policies";
  const Status status = interleave(shared.memory, SharedMemory::bytes, {1000});
  EXPECT_EQ(status.code(), ErrorCode::unsupported);
  EXPECT_NE(status.text().find("NUMA nodes 1000"), std::string::npos) << status.text();
  EXPECT_EQ(shared.policy(), MPOL_DEFAULT);
}

TEST(Topology, placing_follows_the_number_of_nodes) {
  const SharedMemory shared;
  const bool several = topology().memory_nodes.size() > 1;
  const Status status = place_shared(shared.memory, SharedMemory::bytes);
  if (several && !status) GTEST_SKIP() << status.text();
  EXPECT_TRUE(status.ok()) << status.text();
  if (shared.policy() >= 0) {
    EXPECT_EQ(shared.policy(), several ? MPOL_INTERLEAVE : MPOL_DEFAULT);
  }
  EXPECT_EQ(describe_placement().find("interleaved") != std::string::npos, several);
}

}  // namespace
}  // namespace exdb
