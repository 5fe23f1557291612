// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/closing.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace exdb {
namespace {

/// One a process, since the wait it looks for goes from database to database through threads.
struct Registry {
  std::mutex mutex;
  std::vector<Closing*> all;
  /// Waiting threads and last words: while there are none nobody looks any further.
  std::atomic<int> events{0};
};

/// Never destroyed: nodes may outlive the statics of a program that ends.
Registry& registry() {
  static auto* const one = new Registry;
  return *one;
}

}  // namespace

Closing::Closing(std::uint64_t cluster_id, std::string name)
    : cluster_id_(cluster_id), name_(std::move(name)), keeper_(std::this_thread::get_id()) {
  const std::lock_guard lock(registry().mutex);
  registry().all.push_back(this);
}

Closing::~Closing() {
  const std::lock_guard lock(registry().mutex);
  if (last_word_) --registry().events;
  std::erase(registry().all, this);
}

Closing::Waiting::Waiting(Closing& closing) : closing_(closing) {
  closing.used();
  const std::lock_guard lock(registry().mutex);
  closing.waiting_.push_back(std::this_thread::get_id());
  closing.stopping_ = true;
  ++registry().events;
}

Closing::Waiting::~Waiting() {
  const std::lock_guard lock(registry().mutex);
  auto& waiting = closing_.waiting_;
  waiting.erase(std::find(waiting.begin(), waiting.end(), std::this_thread::get_id()));
  if (waiting.empty()) closing_.sure_ = false;
  --registry().events;
}

std::optional<Elsewhere> Closing::elsewhere() {
  if (registry().events.load(std::memory_order_relaxed) == 0) return {};
  const std::lock_guard lock(registry().mutex);
  if (last_word_) {
    --registry().events;
    return std::exchange(last_word_, std::nullopt);
  }
  const auto keeper = keeper_.load(std::memory_order_relaxed);
  for (const auto* other : registry().all)
    if (other->cluster_id_ != cluster_id_ &&
        std::find(other->waiting_.begin(), other->waiting_.end(), keeper) != other->waiting_.end())
      return Elsewhere{other->cluster_id_, other->name_, other->sure_};
  return {};
}

std::vector<Elsewhere> Closing::kept() const {
  std::vector<Elsewhere> result;
  const std::lock_guard lock(registry().mutex);
  for (const auto* other : registry().all) {
    const auto keeper = other->keeper_.load(std::memory_order_relaxed);
    if (other->cluster_id_ != cluster_id_ && !other->stopping_ &&
        std::find(waiting_.begin(), waiting_.end(), keeper) != waiting_.end())
      result.push_back({other->cluster_id_, other->name_, false});
  }
  return result;
}

void Closing::set_sure() {
  const std::lock_guard lock(registry().mutex);
  sure_ = true;
}

void Closing::accuse() {
  const std::lock_guard lock(registry().mutex);
  for (auto* other : registry().all) {
    const auto keeper = other->keeper_.load(std::memory_order_relaxed);
    if (other->cluster_id_ == cluster_id_ || other->stopping_ || other->last_word_ ||
        std::find(waiting_.begin(), waiting_.end(), keeper) == waiting_.end())
      continue;
    other->last_word_ = Elsewhere{cluster_id_, name_, true};
    ++registry().events;
  }
}

}  // namespace exdb
