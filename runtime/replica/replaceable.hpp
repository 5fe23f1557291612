// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A storage that can be replaced by another one while threads read it. Readers do not say when they
// come and go (that would cost each read more than it costs itself), so what was replaced stays
// until the end: a node that joins has replaced an empty one. A node that comes back with a state
// that is too old to be brought up by rounds holds that one as well until its database is closed.
//
// Invariants
//   I1  What get() gave stays valid as long as this lives.
// Threads: get() from any; set() by one thread at a time.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

namespace exdb {

template <class T>
class Replaceable {
 public:
  void set(std::unique_ptr<T> next) {
    all_.push_back(std::move(next));
    now_.store(all_.back().get(), std::memory_order_release);
  }
  /// Gives out what get() gives; nothing is left.
  std::unique_ptr<T> take() {
    auto taken = std::move(all_.back());
    all_.pop_back();
    now_.store(nullptr, std::memory_order_release);
    return taken;
  }
  [[nodiscard]] T* get() const { return now_.load(std::memory_order_acquire); }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::atomic<T*> now_{nullptr};
};

}  // namespace exdb
