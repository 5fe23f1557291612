// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/large_buffers.hpp"

#include <algorithm>
#include <utility>

namespace exdb {

/// Never destroyed: buffers are given back by whoever ends last.
LargeBuffers& LargeBuffers::shared() {
  static auto* const of_process = new LargeBuffers;
  return *of_process;
}

/// The smallest that is large enough, unless most of it would lie idle.
std::vector<std::byte> LargeBuffers::take(std::size_t bytes) {
  if (bytes < buffer_bytes_min) return {};
  const std::lock_guard lock(mutex_);
  used_ = Clock::now();
  auto best = buffers_.end();
  for (auto at = buffers_.begin(); at != buffers_.end(); ++at) {
    const bool fits = at->capacity() >= bytes && at->capacity() / 4 <= bytes;
    if (fits && (best == buffers_.end() || at->capacity() < best->capacity())) best = at;
  }
  if (best == buffers_.end()) return {};
  auto taken = std::exchange(*best, std::move(buffers_.back()));
  buffers_.pop_back();
  kept_ -= taken.capacity();
  return taken;
}

std::vector<std::byte> LargeBuffers::room(std::size_t bytes) {
  auto buffer = take(bytes);
  buffer.clear();
  buffer.reserve(bytes);
  return buffer;
}

std::vector<std::byte> LargeBuffers::bytes(std::size_t bytes) {
  auto buffer = take(bytes);
  buffer.resize(bytes);
  return buffer;
}

void LargeBuffers::give(std::vector<std::byte>&& buffer) {
  auto given = std::move(buffer);
  if (given.capacity() < buffer_bytes_min || keepers_ == 0) return;
  const std::lock_guard lock(mutex_);
  used_ = Clock::now();
  if (kept_ + given.capacity() > kept_bytes_max) return;
  kept_ += given.capacity();
  buffers_.push_back(std::move(given));
}

std::shared_ptr<std::vector<std::byte>> LargeBuffers::share(std::vector<std::byte>&& buffer) {
  using Buffer = std::vector<std::byte>;
  return {new Buffer(std::move(buffer)), [](Buffer* held) {
            shared().give(std::move(*held));
            delete held;
          }};
}

void LargeBuffers::drop_idle(Clock::time_point now) {
  if (kept_bytes() == 0) return;
  std::vector<std::vector<std::byte>> dropped;  // freed without the lock
  const std::lock_guard lock(mutex_);
  if (now < used_ + idle_for) return;
  dropped.swap(buffers_);
  kept_ = 0;
}

}  // namespace exdb
