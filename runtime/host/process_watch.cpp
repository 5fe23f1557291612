// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/process_watch.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace exdb {
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

ProcessWatch::ProcessWatch(std::int32_t pid) : pid_(pid), descriptor_(open_process(pid)) {}

bool ProcessWatch::ended() const {
  if (ended_.load(std::memory_order_acquire)) return true;
  bool over = false;
  if (descriptor_.get() >= 0) {
    pollfd asked{descriptor_.get(), POLLIN, 0};
    over = poll(&asked, 1, 0) > 0 && (asked.revents & POLLIN) != 0;
  } else {
    over = kill(pid_, 0) != 0 && errno == ESRCH;
  }
  if (over) ended_.store(true, std::memory_order_release);
  return over;
}

}  // namespace exdb
