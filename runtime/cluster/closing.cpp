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

/// Gives up what a thread keeps when it ends.
class Closing::Farewell {
 public:
  Farewell() = default;
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;
  ~Farewell() {
    const std::lock_guard lock(registry().mutex);
    for (auto* closing : registry().all) {
      auto self = std::this_thread::get_id();
      closing->keeper_.compare_exchange_strong(self, std::thread::id());
    }
  }
};

void Closing::keep() {
  static thread_local const Farewell at_the_end;
  (void)at_the_end;
  keeper_.store(std::this_thread::get_id());
}

void Closing::only_listens() {
  auto self = std::this_thread::get_id();
  keeper_.compare_exchange_strong(self, std::thread::id());
}

bool Closing::kept_by(std::thread::id thread) const {
  const auto keeper = keeper_.load(std::memory_order_relaxed);
  return keeper == thread || keeper == std::thread::id();
}

bool Closing::waited_in_by_keeper_of(const Closing& other) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&other](std::thread::id thread) { return other.kept_by(thread); });
}

Closing::Closing(std::uint64_t cluster_id, std::string name, Say say)
    : cluster_id_(cluster_id), name_(std::move(name)), say_(std::move(say)) {
  used();
  const std::lock_guard lock(registry().mutex);
  registry().all.push_back(this);
}

Closing::~Closing() {
  const std::lock_guard lock(registry().mutex);
  if (!last_word_.empty()) --registry().events;
  std::erase(registry().all, this);
}

Closing::Waiting::Waiting(Closing& closing) : closing_(closing) {
  closing.used();
  const std::lock_guard lock(registry().mutex);
  closing.waiting_.push_back(std::this_thread::get_id());
  closing.stopping_ = true;
  closing.say_waiting(true);
  ++registry().events;
}

Closing::Waiting::~Waiting() {
  const std::lock_guard lock(registry().mutex);
  auto& waiting = closing_.waiting_;
  waiting.erase(std::find(waiting.begin(), waiting.end(), std::this_thread::get_id()));
  if (waiting.empty()) {
    closing_.sure_ = false;
    closing_.beyond_.clear();
  }
  closing_.say_waiting(false);
  --registry().events;
}

void Closing::say_waiting(bool begins) {
  if (begins && say_) say_(0, false);
  for (const auto* other : registry().all)
    if (other->say_ && other->cluster_id_ != cluster_id_ && !other->stopping_ &&
        other->kept_by(std::this_thread::get_id()))
      other->say_(begins ? cluster_id_ : 0, false);
}

void Closing::accuse_beside(std::uint64_t cluster_id) {
  const std::lock_guard lock(registry().mutex);
  for (const auto* other : registry().all)
    if (other->say_ && other->cluster_id_ == cluster_id) other->say_(cluster_id_, true);
}

std::vector<Elsewhere> Closing::ways_through(const Closing& from) const {
  std::vector<Elsewhere> ways{{cluster_id_, name_, sure_}};
  for (auto one : beyond_) {
    if (one.cluster_id == from.cluster_id_) continue;
    one.sure &= sure_;
    OppositeOrder::add(ways, std::move(one));
  }
  return ways;
}

std::vector<Elsewhere> Closing::elsewhere() {
  if (registry().events.load(std::memory_order_relaxed) == 0) return {};
  const std::lock_guard lock(registry().mutex);
  if (!last_word_.empty()) {
    --registry().events;
    return std::exchange(last_word_, {});
  }
  for (const auto* other : registry().all)
    if (other->cluster_id_ != cluster_id_ && other->waited_in_by_keeper_of(*this))
      return other->ways_through(*this);
  return {};
}

std::vector<Elsewhere> Closing::kept() const {
  std::vector<Elsewhere> result;
  const std::lock_guard lock(registry().mutex);
  for (const auto* other : registry().all)
    if (other->cluster_id_ != cluster_id_ && !other->stopping_ && waited_in_by_keeper_of(*other))
      result.push_back({other->cluster_id_, other->name_, false});
  return result;
}

void Closing::set_beyond(std::vector<Elsewhere> beyond) {
  const std::lock_guard lock(registry().mutex);
  if (!waiting_.empty()) beyond_ = std::move(beyond);
}

void Closing::set_sure() {
  const std::lock_guard lock(registry().mutex);
  sure_ = true;
}

void Closing::accuse() {
  const std::lock_guard lock(registry().mutex);
  for (auto* other : registry().all) {
    if (other->cluster_id_ == cluster_id_ || other->stopping_ || !other->last_word_.empty() ||
        !waited_in_by_keeper_of(*other))
      continue;
    other->last_word_ = ways_through(*other);
    ++registry().events;
  }
}

}  // namespace exdb
