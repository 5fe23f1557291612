// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/quorum.hpp"

#include <cstdio>
#include <exception>
#include <numeric>

namespace exdb {

Quorum::Quorum(MemberId self, std::vector<std::uint32_t> qranks, Callback callback)
    : self_(self),
      qranks_(std::move(qranks)),
      callback_(std::move(callback)),
      reachable_(qranks_.size(), true),
      majority_(majority()) {}

bool Quorum::majority() const {
  std::uint64_t total = 0, reached = 0;
  for (std::size_t node = 0; node < qranks_.size(); ++node) {
    total += qranks_[node];
    if (reachable_[node]) reached += qranks_[node];
  }
  return 2 * reached > total;
}

void Quorum::lost(MemberId node) {
  const std::lock_guard lock(mutex_);
  if (!reachable_[node.value]) return;
  reachable_[node.value] = false;
  ++version_;
  majority_ = majority();
}

Status Quorum::check() {
  if (majority_.load(std::memory_order_acquire)) return {};
  if (callback_ && asker_.load() != std::this_thread::get_id()) {
    const std::lock_guard lock(asking_);
    if (ask()) return {};
  }
  return {ErrorCode::cluster_no_quorum, explain()};
}

bool Quorum::known_to_allow() {
  if (majority_.load(std::memory_order_acquire)) return true;
  const std::unique_lock answered(asking_, std::try_to_lock);
  if (!answered || !answer_ || !answer_->second) return false;
  const std::lock_guard lock(mutex_);
  return answer_->first == version_;
}

/// REQUIRES: asking_ is held.
bool Quorum::ask() {
  std::vector<std::uint32_t> neighbours;
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(mutex_);
    version = version_;
    for (std::uint32_t node = 0; node < reachable_.size(); ++node)
      if (reachable_[node] && node != self_.value) neighbours.push_back(node);
  }
  if (answer_ && answer_->first == version) return answer_->second;
  bool yes = false;
  asker_ = std::this_thread::get_id();
  try {
    yes = callback_(neighbours);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "exdb[node %u]: the quorum callback threw: %s; taken as no\n", self_.value,
                 error.what());
  } catch (...) {
    std::fprintf(stderr, "exdb[node %u]: the quorum callback threw; taken as no\n", self_.value);
  }
  asker_ = std::thread::id();
  answer_ = {version, yes};
  return yes;
}

std::string Quorum::explain() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t reached = 0;
  std::string lost;
  for (std::size_t node = 0; node < qranks_.size(); ++node) {
    if (reachable_[node])
      reached += qranks_[node];
    else
      lost += (lost.empty() ? "" : ", ") + std::to_string(node);
  }
  const auto total = std::accumulate(qranks_.begin(), qranks_.end(), std::uint64_t(0));
  return "no quorum: the nodes that can be reached have qrank " + std::to_string(reached) + " of " +
         std::to_string(total) + ", and more than half is needed to write" +
         (lost.empty() ? std::string("; give the nodes a qrank above 0")
                       : " (gone: node " + lost + ")") +
         ", or a quorumCallback that takes the responsibility";
}

}  // namespace exdb
