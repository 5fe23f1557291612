// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "liveness.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace exdb::mpi {
namespace {

int open_process(std::int32_t pid) {
#ifdef SYS_pidfd_open
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
#else
  (void)pid;
  return -1;
#endif
}

}  // namespace

Liveness::~Liveness() {
  for (const Watched& one : watched_)
    if (one.descriptor >= 0) close(one.descriptor);
}

void Liveness::watch(const std::vector<HostCard>& cards, std::uint32_t self) {
  for (std::uint32_t node = 0; node < cards.size(); ++node) {
    if (node == self || !cards[node].same_host(cards[self])) continue;
    watched_.push_back({node, cards[node].pid, open_process(cards[node].pid)});
  }
}

bool Liveness::watches(std::uint32_t node) const {
  return std::any_of(watched_.begin(), watched_.end(),
                     [node](const Watched& one) { return one.node == node; });
}

std::vector<std::uint32_t> Liveness::ended() {
  std::vector<pollfd> asked;
  for (const Watched& one : watched_) asked.push_back({one.descriptor, POLLIN, 0});
  // Negative descriptors are passed over.
  if (!asked.empty()) (void)poll(asked.data(), asked.size(), 0);
  std::vector<std::uint32_t> ended;
  std::size_t at = 0;
  std::erase_if(watched_, [&](const Watched& one) {
    const pollfd& answer = asked[at++];
    const bool over =
        one.descriptor >= 0 ? answer.revents != 0 : kill(one.pid, 0) != 0 && errno == ESRCH;
    if (!over) return false;
    if (one.descriptor >= 0) close(one.descriptor);
    ended.push_back(one.node);
    return true;
  });
  return ended;
}

}  // namespace exdb::mpi
