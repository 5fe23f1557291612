// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Calls the program's notification callback from a thread of its own, in the order of the events.
//
// Invariants
//   I1  The callback runs without any lock of exdb; what it throws is logged and goes no further.
//   I2  close() returns after every event told before was delivered (unless the callback itself
//       calls it).
// Threads: all functions from any thread.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "exdb/cluster.hpp"

namespace exdb {

class Notifier {
 public:
  using Callback = std::function<void(Notification, const NodeInfo&)>;

  explicit Notifier(Callback callback) : callback_(std::move(callback)) {}
  ~Notifier();

  void tell(Notification what, NodeInfo about);
  void close();

 private:
  void run();

  const Callback callback_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<Notification, NodeInfo>> events_;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace exdb
