// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/notifier.hpp"

#include <cstdio>
#include <exception>

namespace exdb {

Notifier::~Notifier() { close(); }

void Notifier::tell(Notification what, NodeInfo about) {
  if (!callback_) return;
  const std::lock_guard lock(mutex_);
  if (closing_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  events_.emplace_back(what, std::move(about));
  changed_.notify_one();
}

void Notifier::close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    changed_.notify_one();
    if (!thread_.joinable() || thread_.get_id() == std::this_thread::get_id()) return;
  }
  thread_.join();
}

void Notifier::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !events_.empty(); });
    if (events_.empty()) return;
    const auto [what, about] = std::move(events_.front());
    events_.pop_front();
    lock.unlock();
    try {
      callback_(what, about);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "exdb: the notification callback threw: %s\n", error.what());
    } catch (...) {
      std::fputs("exdb: the notification callback threw\n", stderr);
    }
    lock.lock();
  }
}

}  // namespace exdb
