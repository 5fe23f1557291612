// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/notifier.hpp"

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <mutex>

namespace exdb {

struct Notifier::State {
  const Callback callback;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::pair<Notification, NodeInfo>> events;
  std::uint64_t delivered = 0;
  bool closing = false, over = false;
};

Notifier::Notifier(Callback callback, std::chrono::milliseconds grace)
    : grace_(grace), state_(new State{std::move(callback), {}, {}, {}, {}, {}, {}}) {}

Notifier::~Notifier() { close(); }

void Notifier::tell(Notification what, NodeInfo about) {
  if (!state_->callback) return;
  const std::lock_guard lock(state_->mutex);
  if (state_->closing) return;
  if (!thread_.joinable()) thread_ = std::thread([state = state_] { run(*state); });
  state_->events.emplace_back(what, std::move(about));
  state_->changed.notify_all();
}

/// A callback that blocks for ever must not make the program block: joining it is the one thing that
/// cannot be given up half-way, so its end is waited for as an event first.
void Notifier::close() {
  auto& state = *state_;
  std::thread thread;
  std::unique_lock lock(state.mutex);
  state.closing = true;
  state.changed.notify_all();
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id()) return thread_.detach();
  thread.swap(thread_);
  // The grace begins anew with every event that is delivered.
  for (auto seen = state.delivered; !state.over; seen = state.delivered)
    if (!state.changed.wait_for(lock, grace_,
                                [&] { return state.over || state.delivered != seen; }))
      break;
  if (state.over) {
    lock.unlock();
    return thread.join();
  }
  std::fprintf(stderr,
               "exdb: warning: the notification callback has not come back for %lld ms; its thread "
               "is left behind, and what it was not yet told is dropped\n",
               static_cast<long long>(grace_.count()));
  state.events.clear();
  thread.detach();
}

void Notifier::run(State& state) {
  std::unique_lock lock(state.mutex);
  while (true) {
    state.changed.wait(lock, [&] { return state.closing || !state.events.empty(); });
    if (state.events.empty()) break;
    const auto [what, about] = std::move(state.events.front());
    state.events.pop_front();
    lock.unlock();
    try {
      state.callback(what, about);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "exdb: the notification callback threw: %s\n", error.what());
    } catch (...) {
      std::fputs("exdb: the notification callback threw\n", stderr);
    }
    lock.lock();
    ++state.delivered;
    state.changed.notify_all();
  }
  state.over = true;
  state.changed.notify_all();
}

}  // namespace exdb
