// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Calls the program's notification callback from a thread of its own, in the order of the events.
//
// Invariants
//   I1  The callback runs without any lock of exdb; what it throws is logged and goes no further.
//   I2  close() returns after every event told before was delivered (unless the callback itself
//       calls it), or when the callback has not come back from one event within the grace: then
//       one line says so, and its thread is left alone, with all that it needs.
// Threads: all functions from any thread.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "exdb/cluster.hpp"

namespace exdb {

class Notifier {
 public:
  using Callback = std::function<void(Notification, const NodeInfo&)>;
  static constexpr std::chrono::milliseconds grace_default{1000};

  explicit Notifier(Callback callback, std::chrono::milliseconds grace = grace_default);
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  void tell(Notification what, NodeInfo about);
  /// Blocks for the grace an event at the longest. Nothing is told afterwards.
  void close();

 private:
  struct State;
  static void run(State& state);

  const std::chrono::milliseconds grace_;
  std::shared_ptr<State> state_;  ///< shared with the thread
  std::thread thread_;            ///< under the state's lock
};

}  // namespace exdb
