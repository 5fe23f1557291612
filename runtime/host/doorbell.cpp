// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "exdb/host.hpp"
#include "exdb/topology.hpp"
#include "host/futex.hpp"
#include "host/shared_file.hpp"

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
  nonce_ = random_nonce();
  if (nonce_ == 0) return card;
  card.nonce = nonce_;
  auto made = make_shared_file("exdb-doorbell", page_bytes_);
  if (!made) return card;
  descriptor_ = made->release();
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
    auto opened = open_descriptor_of(leader.pid, leader.page);
    mapped = opened.ok() && map_descriptor(opened->get(), leader.nonce);
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
  futex_wake_all(line.word);
}

void Doorbell::wake() {
  woken_.store(true);
  own_->word.fetch_add(1);
  if (own_->sleepers.load() != 0) futex_wake_all(own_->word);
}

void Doorbell::nap(Line& line, std::uint32_t seen, std::chrono::nanoseconds cap) {
  futex_wait(line.word, seen, cap);
}

}  // namespace exdb
