// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "topology/placement.hpp"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "exdb/topology.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t nodes_max = 1024;  // the kernel's own limit is 1 << CONFIG_NODES_SHIFT, 10
constexpr const char* shared_huge_pages = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string allowed_memory() {
  std::ifstream file("/proc/self/status");
  const std::string key = "Mems_allowed_list:";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return {};
}

std::string listed(const std::vector<std::uint32_t>& numbers) {
  std::string text;
  for (const std::uint32_t number : numbers)
    text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

}  // namespace

std::vector<std::uint32_t> parse_list(const std::string& text) {
  std::vector<std::uint32_t> numbers;
  const char* at = text.c_str();
  while (*at == ' ' || *at == '\t') ++at;
  while (*at >= '0' && *at <= '9') {
    char* after = nullptr;
    const unsigned long first = std::strtoul(at, &after, 10);
    unsigned long last = first;
    if (*after == '-') last = std::strtoul(after + 1, &after, 10);
    for (unsigned long number = first; number <= last && number < nodes_max; ++number)
      numbers.push_back(static_cast<std::uint32_t>(number));
    at = *after == ',' ? after + 1 : after;
  }
  return *at == '\0' || *at == '\n' ? numbers : std::vector<std::uint32_t>{};
}

std::string chosen_of(const std::string& text) {
  const auto begin = text.find('['), end = text.find(']');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
  return text.substr(begin + 1, end - begin - 1);
}

std::vector<std::uint32_t> memory_nodes_of_kernel() {
  const auto with_memory = parse_list(first_line("/sys/devices/system/node/has_memory"));
  const auto allowed = parse_list(allowed_memory());
  std::vector<std::uint32_t> both;
  std::set_intersection(with_memory.begin(), with_memory.end(), allowed.begin(), allowed.end(),
                        std::back_inserter(both));
  return both;
}

Status interleave(void* memory, std::size_t bytes, const std::vector<std::uint32_t>& nodes) {
  constexpr std::size_t bits = 8 * sizeof(unsigned long);
  unsigned long mask[nodes_max / bits] = {};
  for (const std::uint32_t node : nodes) {
    if (node < nodes_max) mask[node / bits] |= 1UL << node % bits;
  }
  // One more than there are bits: the kernel does not look at the last.
  if (syscall(SYS_mbind, memory, bytes, MPOL_INTERLEAVE, mask, nodes_max + 1, 0) == 0) return {};
  return {ErrorCode::unsupported,
          "the pages of the shared segment cannot be spread over NUMA nodes " + listed(nodes) +
              " (mbind: " + std::strerror(errno) +
              "): they lie where they are first used. In a container allow mbind (CAP_SYS_NICE)"};
}

Status place_shared(void* memory, std::size_t bytes) {
  const auto& nodes = topology().memory_nodes;
  return nodes.size() > 1 ? interleave(memory, bytes, nodes) : Status{};
}

std::string describe_placement() {
  const auto& nodes = topology().memory_nodes;
  if (nodes.empty()) return "the kernel does not tell of NUMA nodes: nothing is placed";
  if (nodes.size() == 1) return "1 NUMA node: nothing to place";
  return "interleaved over NUMA nodes " + listed(nodes);
}

std::string describe_huge_pages() {
  const std::string chosen = chosen_of(first_line(shared_huge_pages));
  if (chosen.empty()) return "the kernel has none for shared memory";
  if (chosen == "never" || chosen == "deny") {
    return std::string("off for shared memory (") + shared_huge_pages + " is " + chosen +
           "; exdb asks for them where it is advise)";
  }
  return "on for shared memory (" + chosen + "): exdb asks for them";
}

}  // namespace exdb
