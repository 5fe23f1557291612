// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/host_segment.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace exdb {
namespace {

constexpr std::size_t at_line(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
constexpr std::size_t presence_at() { return at_line(sizeof(HostHeader)); }
std::size_t outcomes_at(std::uint64_t nodes) { return presence_at() + at_line(nodes); }
std::size_t lines_at(std::uint64_t nodes) { return outcomes_at(nodes) + sizeof(OutcomeRing); }
std::size_t rings_at(std::uint64_t nodes, std::uint64_t followers) {
  return lines_at(nodes) + sizeof(FollowerLine) * followers;
}
std::size_t bytes_for(const HostHeader& header) {
  return rings_at(header.nodes, header.followers) +
         (header.submit_bytes + header.answer_bytes) * header.followers;
}

Status unlike() {
  return {ErrorCode::unsupported,
          "what lies behind the descriptor is not what the leader offers: another process has its "
          "number here, as in containers with PID namespaces of their own"};
}

}  // namespace

Status HostSegment::map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
  if (memory == MAP_FAILED)
    return {ErrorCode::no_memory, "cannot map " + std::to_string(bytes) +
                                      " bytes of shared memory: " + std::strerror(errno)};
  base_ = static_cast<std::byte*>(memory);
  bytes_ = bytes;
  header_ = reinterpret_cast<HostHeader*>(base_);
  return {};
}

void HostSegment::find_parts() {
  presence_ = reinterpret_cast<std::atomic<std::uint8_t>*>(base_ + presence_at());
  outcomes_ = reinterpret_cast<OutcomeRing*>(base_ + outcomes_at(header_->nodes));
  lines_ = reinterpret_cast<FollowerLine*>(base_ + lines_at(header_->nodes));
  rings_ = base_ + rings_at(header_->nodes, header_->followers);
}

Result<std::unique_ptr<HostSegment>> HostSegment::create(
    std::uint32_t leader, std::uint32_t nodes, const std::vector<std::uint32_t>& followers,
    const Sizes& sizes) {
  const auto nonce = random_nonce();
  if (nonce == 0)
    return Status(ErrorCode::unsupported, "this system gives no random numbers (getrandom)");
  std::unique_ptr<HostSegment> made(new HostSegment);
  HostHeader first{};
  first.version = HostHeader::version_now;
  first.nodes = nodes;
  first.followers = static_cast<std::uint32_t>(followers.size());
  first.leader = leader;
  first.submit_bytes = sizes.submit_bytes;
  first.answer_bytes = sizes.answer_bytes;
  const auto bytes = bytes_for(first);
  auto file = make_shared_file("exdb-host", bytes);
  if (!file) return file.status();
  made->descriptor_ = std::move(*file);
  if (auto status = made->map(bytes); !status.ok()) return status;
  auto& header = *made->header_;
  header.version = first.version;
  header.nodes = first.nodes;
  header.followers = first.followers;
  header.leader = first.leader;
  header.submit_bytes = first.submit_bytes;
  header.answer_bytes = first.answer_bytes;
  made->find_parts();
  for (std::size_t i = 0; i < followers.size(); ++i) made->lines_[i].node = followers[i];
  for (std::uint32_t node = 0; node < nodes; ++node) made->presence_[node] = 1;
  header.nonce.store(nonce);
  return made;
}

Result<std::unique_ptr<HostSegment>> HostSegment::attach(const Descriptor& descriptor,
                                                         std::uint64_t nonce, std::uint32_t self) {
  std::unique_ptr<HostSegment> made(new HostSegment);
  struct stat found {};
  HostHeader* first = nullptr;
  if (fstat(descriptor.get(), &found) != 0 ||
      static_cast<std::size_t>(found.st_size) < sizeof(HostHeader))
    return unlike();
  made->descriptor_ = Descriptor(dup(descriptor.get()));
  if (auto status = made->map(static_cast<std::size_t>(found.st_size)); !status.ok()) return status;
  first = made->header_;
  if (first->nonce.load() != nonce || nonce == 0) return unlike();
  if (first->version != HostHeader::version_now || bytes_for(*first) > made->bytes_)
    return Status(ErrorCode::cluster_incompatible,
                  "the leader runs another version of exdb: all processes of a host need the same");
  made->find_parts();
  made->descriptor_ = Descriptor();
  made->own_index_ = made->index_of(self);
  if (made->own_index_ == made->followers()) return unlike();
  auto& line = made->line(made->own_index_);
  line.pid.store(static_cast<std::int32_t>(getpid()));
  line.state.store(FollowerState::joined);
  return made;
}

HostSegment::~HostSegment() {
  if (base_ != nullptr) munmap(base_, bytes_);
}

ByteRing HostSegment::submit_ring(std::uint32_t index) const {
  const auto each = header_->submit_bytes + header_->answer_bytes;
  return {&lines_[index].submit, rings_ + index * each, header_->submit_bytes};
}

ByteRing HostSegment::answer_ring(std::uint32_t index) const {
  const auto each = header_->submit_bytes + header_->answer_bytes;
  return {&lines_[index].answers, rings_ + index * each + header_->submit_bytes,
          header_->answer_bytes};
}

std::uint32_t HostSegment::index_of(std::uint32_t node) const {
  std::uint32_t index = 0;
  while (index < followers() && lines_[index].node != node) ++index;
  return index;
}

std::vector<std::uint32_t> HostSegment::nodes_here() const {
  std::vector<std::uint32_t> nodes{header_->leader};
  for (std::uint32_t index = 0; index < followers(); ++index) nodes.push_back(lines_[index].node);
  return nodes;
}

OrderWords& HostSegment::order_of(std::uint32_t node) const {
  return node == header_->leader ? header_->order : lines_[index_of(node)].order;
}

bool HostSegment::gone(std::uint32_t node) const {
  if (node == header_->leader) return false;
  const auto state = lines_[index_of(node)].state.load();
  return state == FollowerState::left || state == FollowerState::dead;
}

void HostSegment::set_present(std::uint32_t node, bool present) {
  if (presence_[node].exchange(present ? 1 : 0) == (present ? 1 : 0)) return;
  header_->presence_changes.fetch_add(1);
  header_->changes.wake();
}

void HostSegment::end(HostPhase phase, ErrorCode code, const std::string& text) {
  EXDB_ASSERT(header_->phase.load() == HostPhase::serving, "I3: an end is told once");
  const auto bytes = std::min(text.size(), HostHeader::text_bytes_max);
  std::memcpy(header_->end_text, text.data(), bytes);
  header_->end_text_bytes = static_cast<std::uint32_t>(bytes);
  header_->end_code = static_cast<std::int32_t>(code);
  header_->phase.store(phase);
  wake_followers();
}

void HostSegment::wake_followers() {
  header_->news.wake();
  header_->changes.wake();
  for (std::uint32_t index = 0; index < followers(); ++index) {
    lines_[index].room.wake();
    lines_[index].answered.wake();
  }
}

Status HostSegment::end_status() const {
  return {static_cast<ErrorCode>(header_->end_code),
          std::string(header_->end_text,
                      std::min<std::size_t>(header_->end_text_bytes, HostHeader::text_bytes_max))};
}

}  // namespace exdb
