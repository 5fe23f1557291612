// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

#include "exdb/host.hpp"
#include "exdb/topology.hpp"

namespace exdb {
namespace {

void read_boot_id(std::uint64_t (&boot)[2]) {
  char text[64] = "";
  const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  const ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  // 36 characters; folded, not parsed: it only has to be equal or not.
  for (ssize_t i = 0; i < got; ++i) {
    auto& half = boot[i % 2];
    half = half * 1099511628211ULL + static_cast<unsigned char>(text[i]);
  }
}

std::uint64_t pretended_host(std::uint32_t node, std::uint32_t nodes) {
  const char* text = std::getenv("EXDB_PRETENDED_HOSTS");
  const unsigned long hosts = text != nullptr ? std::strtoul(text, nullptr, 10) : 0;
  return hosts == 0 ? 0 : 1 + std::uint64_t{node} * hosts / nodes;
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* cap) {
  // Not FUTEX_PRIVATE: the waker is another process.
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, cap, nullptr,
                 0);
}

}  // namespace

Doorbell::~Doorbell() {
  drop_page();
  if (descriptor_ >= 0) close(descriptor_);
}

void Doorbell::drop_page() {
  if (page_ != nullptr) munmap(page_, page_bytes_);
  page_ = nullptr;
  own_ = &private_line_;
}

HostCard Doorbell::offer(std::uint32_t self, std::uint32_t nodes) {
  HostCard card;
  read_boot_id(card.boot);
  struct stat name {};
  if (stat("/proc/self/ns/pid", &name) == 0) card.pid_namespace = name.st_ino;
  card.pretended = pretended_host(self, nodes);
  card.pid = static_cast<std::int32_t>(getpid());
  card.units = topology().allowed_pus;
  card.unit_set = topology().set_hash;
  page_bytes_ = sizeof(Line) * (std::size_t{nodes} + 1);
  if (getrandom(&nonce_, sizeof nonce_, 0) != sizeof nonce_) return card;
  card.nonce = nonce_;
  descriptor_ = memfd_create("exdb-doorbell", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0) return card;
  // fallocate: an error here instead of SIGBUS at first touch in a small container; the seal:
  // nobody shrinks it later.
  if (ftruncate(descriptor_, static_cast<off_t>(page_bytes_)) != 0 ||
      posix_fallocate(descriptor_, 0, static_cast<off_t>(page_bytes_)) != 0 ||
      fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
    close(descriptor_);
    descriptor_ = -1;
    return card;
  }
  // Every node offers a page, though only the lowest one's is used: who is lowest is known only
  // after the cards have travelled, and a second exchange costs more than a page.
  void* memory = mmap(nullptr, page_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) return card;
  static_cast<Line*>(memory)->nonce = nonce_;
  munmap(memory, page_bytes_);
  card.page = descriptor_;
  return card;
}

bool Doorbell::map_descriptor(int descriptor, std::uint64_t nonce) {
  struct stat file {};
  if (fstat(descriptor, &file) != 0 || file.st_size < static_cast<off_t>(page_bytes_)) return false;
  void* memory = mmap(nullptr, page_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return false;
  page_ = static_cast<Line*>(memory);
  if (page_->nonce == nonce) return true;
  drop_page();
  return false;
}

bool Doorbell::map(const std::vector<HostCard>& cards, std::uint32_t self) {
  std::uint32_t lowest = 0;
  while (!cards[lowest].same_host(cards[self])) ++lowest;
  const HostCard& leader = cards[lowest];
  if (leader.page < 0 || leader.nonce == 0) return false;
  bool mapped = false;
  if (lowest == self) {
    mapped = map_descriptor(descriptor_, nonce_);
  } else {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", leader.pid, leader.page);
    const int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) return false;
    mapped = map_descriptor(descriptor, leader.nonce);
    close(descriptor);
  }
  if (mapped) own_ = page_ + 1 + self;
  return mapped;
}

void Doorbell::confirm(const std::vector<HostCard>& cards, const std::vector<std::uint8_t>& mapped,
                       std::uint32_t self) {
  reachable_.assign(cards.size(), false);
  for (std::size_t other = 0; other < cards.size(); ++other) {
    reachable_[other] = page_ != nullptr && other != self && mapped[other] != 0 &&
                        mapped[self] != 0 && cards[other].same_host(cards[self]);
  }
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

void Doorbell::ring_reachable(std::uint32_t node) {
  Line& line = page_[1 + node];
  // Adding nothing rather than loading: a load may be taken before the message's stores are out.
  // Of this addition and the sleeper's one is first. If it is the sleeper's, it is seen here; if it
  // is this one, the sleeper's reads it and so, by release and acquire, sees the message when it
  // looks. A fence before a load is as good on hardware, but the model gives it a meaning only if
  // the message itself is made of atomics, which MPI does not say, and no thread sanitizer knows
  // it. Both cost some 20 cycles; this takes the line for itself, as the message takes several.
  if (line.sleepers.fetch_add(0) == 0) return;
  line.word.fetch_add(1);
  // All of them: a driver and a listener may sleep on one line, and either may be the one that the
  // message is for.
  futex(line.word, FUTEX_WAKE, INT_MAX, nullptr);
}

void Doorbell::wake() {
  woken_.store(true);
  own_->word.fetch_add(1);
  if (own_->sleepers.load() != 0) futex(own_->word, FUTEX_WAKE, INT_MAX, nullptr);
}

void Doorbell::nap(Line& line, std::uint32_t seen, std::chrono::nanoseconds cap) {
  if (cap.count() <= 0) return;
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(cap.count() / 1'000'000'000);
  limit.tv_nsec = static_cast<long>(cap.count() % 1'000'000'000);
  // Returns for whatever reason: the caller polls in any case, so spurious returns and signals need
  // no loop.
  futex(line.word, FUTEX_WAIT, seen, &limit);
}

}  // namespace exdb
