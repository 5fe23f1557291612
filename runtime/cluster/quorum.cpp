// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/quorum.hpp"

#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "base/assert.hpp"

namespace exdb {
namespace {

/// Whose callback this thread runs.
thread_local const void* called_of = nullptr;

}  // namespace

struct Quorum::Asking {
  const NodeId self;
  const Callback callback;
  std::mutex mutex;  ///< of all below; not held while the callback runs
  std::condition_variable changed;
  QuorumCount count;
  bool asking = false, ended = false;
  std::optional<std::pair<std::uint64_t, bool>> answer;  ///< version of the count, what it said

  /// REQUIRES: the mutex.
  [[nodiscard]] std::string refusal() const {
    auto why = count.explain();
    if (ended && (asking || count.undecided()))
      why += "; the node was being closed before the quorumCallback had answered";
    return why;
  }
};

Quorum::Quorum(NodeId self, QuorumCount count, Callback callback, AskedBy by)
    : asks_(callback != nullptr && by == AskedBy::commits),
      asking_(new Asking{self, std::move(callback), {}, {}, std::move(count), {}, {}, {}}),
      allows_(asking_->count.allows()) {}

Quorum::~Quorum() { end(); }

void Quorum::update(const QuorumCount& count) {
  const std::lock_guard lock(asking_->mutex);
  asking_->count = count;
  allows_ = count.allows();
  undecided_ = count.undecided() && !asking_->ended;
}

void Quorum::end() {
  const std::lock_guard lock(asking_->mutex);
  asking_->ended = true;
  undecided_ = false;
  asking_->changed.notify_all();
}

std::string Quorum::explain() const {
  const std::lock_guard lock(asking_->mutex);
  return asking_->count.explain();
}

bool Quorum::callback_decides() const { return asks_ || undecided_.load(); }

bool Quorum::undecided() const {
  return undecided_.load(std::memory_order_acquire) && called_of != asking_.get();
}

/// What the callback itself commits is refused whatever the count says meanwhile: where its answer is
/// waited for nothing is sent, so it would wait for itself.
Status Quorum::check() {
  const bool from_callback = called_of == asking_.get();
  if (allows() && !from_callback) return {};
  if (asks_) return answer();
  const std::lock_guard lock(asking_->mutex);
  return {ErrorCode::cluster_no_quorum, asking_->refusal()};
}

bool Quorum::known_to_allow() const {
  if (allows()) return true;
  if (!asks_) return false;
  const std::lock_guard lock(asking_->mutex);
  const auto& answer = asking_->answer;
  return answer && answer->second && answer->first == asking_->count.version();
}

/// The caller only waits: a callback may block for ever, and a thread inside it could not be got
/// out again.
Status Quorum::answer() {
  auto& state = *asking_;
  std::unique_lock lock(state.mutex);
  while (!state.ended && called_of != &state) {
    const auto version = state.count.version();
    if (state.answer && state.answer->first == version) {
      if (state.answer->second) return {};
      break;
    }
    if (!state.asking) {
      std::thread(call, asking_, version, state.count.reached_but(state.self)).detach();
      state.asking = true;
    }
    state.changed.wait(lock);
  }
  return {ErrorCode::cluster_no_quorum, state.refusal()};
}

void Quorum::ask(std::vector<std::uint32_t> neighbours) {
  const std::lock_guard lock(asking_->mutex);
  EXDB_ASSERT(!asking_->asking, "about one set of nodes at a time");
  asking_->answer.reset();
  const auto version = asking_->count.version();
  try {
    std::thread(call, asking_, version, std::move(neighbours)).detach();
    asking_->asking = true;
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "exdb[node %u]: no thread to ask the quorum callback: %s; taken as no\n",
                 asking_->self.value, error.what());
    asking_->answer = {version, false};
  }
}

std::optional<bool> Quorum::take_answer() {
  const std::lock_guard lock(asking_->mutex);
  if (!asking_->answer) return std::nullopt;
  const bool yes = asking_->answer->second;
  asking_->answer.reset();
  return yes;
}

void Quorum::call(const std::shared_ptr<Asking>& asking, std::uint64_t version,
                  const std::vector<std::uint32_t>& neighbours) {
  called_of = asking.get();
  bool yes = false;
  try {
    yes = asking->callback(neighbours);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "exdb[node %u]: the quorum callback threw: %s; taken as no\n",
                 asking->self.value, error.what());
  } catch (...) {
    std::fprintf(stderr, "exdb[node %u]: the quorum callback threw; taken as no\n",
                 asking->self.value);
  }
  const std::lock_guard lock(asking->mutex);
  asking->asking = false;
  asking->answer = {version, yes};
  asking->changed.notify_all();
}

}  // namespace exdb
