// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/reader_table.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace exdb {

namespace {

struct ProcessState {
  bool known = false;
  bool ended = false;  ///< a zombie that nobody has waited for yet
  std::uint32_t start = 0;
};

/// From /proc/<pid>/stat (proc(5)): field 3 state, 20 number of threads, 22 start time.
ProcessState state_of(std::uint32_t pid) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%u/stat", pid);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[1024];
  const auto length = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (length <= 0) return {};
  text[length] = '\0';
  // The command (field 2) may hold blanks and parentheses itself: what follows its last parenthesis
  // counts.
  const char* at = std::strrchr(text, ')');
  if (at == nullptr || at[1] == '\0') return {};
  const char state = at[2];
  unsigned long long threads = 0, start = 0;
  for (int field = 2; field < 22 && at != nullptr; ++field) {
    at = std::strchr(at + 1, ' ');
    if (at != nullptr && field + 1 == 20) threads = std::strtoull(at + 1, nullptr, 10);
    if (at != nullptr && field + 1 == 22) start = std::strtoull(at + 1, nullptr, 10);
  }
  if (at == nullptr) return {};
  // A process whose first thread has ended before the others shows as a zombie, too, and lives.
  return {true, (state == 'Z' || state == 'X') && threads <= 1, static_cast<std::uint32_t>(start)};
}

std::uint64_t owner_of_this_process() {
  static std::atomic<std::uint64_t> cached{0};
  const auto pid = static_cast<std::uint32_t>(::getpid());
  auto owner = cached.load(std::memory_order_relaxed);
  if (owner >> 32 != pid) {  // first call, or a child of the process that asked before
    owner = std::uint64_t{pid} << 32 | state_of(pid).start;
    cached.store(owner, std::memory_order_relaxed);
  }
  return owner;
}

bool gone(std::uint64_t owner) {
  const auto pid = static_cast<std::uint32_t>(owner >> 32);
  // When in doubt (no /proc, no right to look) a process lives: a place lost for good costs memory,
  // a pin taken from a living reader its snapshot.
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return true;
  const auto state = state_of(pid);
  if (!state.known) return false;
  const auto start = static_cast<std::uint32_t>(owner);
  return state.ended || (start != 0 && state.start != start);
}

}  // namespace

Result<std::uint32_t> ReaderTable::claim() {
  const auto owner = owner_of_this_process();
  for (std::uint32_t place = 0; place < places_; ++place) {
    std::uint64_t nobody = 0;
    if (table_[place].owner.load(std::memory_order_relaxed) != 0 ||
        !table_[place].owner.compare_exchange_strong(nobody, owner)) {
      continue;
    }
    // Raised before anything is pinned here, so that a scan which matters looks this far (I3). It
    // never falls: places are taken from below, so it stays where the most readers were.
    auto mark = head_->high_water.load();
    while (mark <= place && !head_->high_water.compare_exchange_weak(mark, place + 1)) {
    }
    return place;
  }
  return {ErrorCode::no_memory,
          "all " + std::to_string(places_) +
              " places for snapshots are taken: every state (csn) that transactions, cursors and "
              "kept NumPy views still show takes one. End transactions and let go of views of old "
              "states (copy what is to be kept), or raise db_max_connections (there are 4 places "
              "for each connection, and 256)"};
}

void ReaderTable::release(std::uint32_t place) {
  // In this order: a place without an owner may be claimed at once.
  table_[place].pinned.store(0);
  table_[place].owner.store(0);
}

Csn ReaderTable::pin(std::uint32_t place) {
  auto& pinned = table_[place].pinned;
  // If published has moved on, a scan may have run between the load and the store and missed the
  // pin: that csn may be gone. The new one is tried, until no publish comes in between.
  for (auto csn = published_->load();;) {
    pinned.store(csn + 1);
    const auto now = published_->load();
    if (now == csn) return {csn};
    csn = now;
  }
}

// Release: a scan that does not see the pin any more comes after all that was read under it.
void ReaderTable::unpin(std::uint32_t place) {
  table_[place].pinned.store(0, std::memory_order_release);
}

void ReaderTable::scan(std::vector<Csn>& pins) const {
  pins.clear();
  const auto end = head_->high_water.load();
  for (std::uint64_t place = 0; place < end; ++place) {
    if (const auto pinned = table_[place].pinned.load(); pinned != 0) pins.push_back({pinned - 1});
  }
  std::sort(pins.begin(), pins.end());
  pins.erase(std::unique(pins.begin(), pins.end()), pins.end());
}

std::uint32_t ReaderTable::reap() {
  std::uint32_t reaped = 0;
  const auto end = head_->high_water.load();
  for (std::uint64_t place = 0; place < end; ++place) {
    const auto owner = table_[place].owner.load();
    if (owner == 0 || !gone(owner)) continue;
    release(static_cast<std::uint32_t>(place));
    ++reaped;
  }
  return reaped;
}

}  // namespace exdb
