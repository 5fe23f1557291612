// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Notifications and quorum questions on their way from the engine's threads to the Python threads
// of exdb/_callbacks.py, which call the program's functions.
//
// A function of the program may take as long as it likes, or never return. Called from a thread of
// the engine it would hold up close() and the end of the process; it would also be ended by an
// unwinding through C++ when the interpreter goes away. So the engine only leaves a message here,
// and takes no GIL for it.
//
// Invariants
//   I1  tell() never waits.
//   I2  ask() waits for the answer, but neither beyond refuse() nor beyond `patience`: the answer
//       is no then.
//   I3  What was told before close() is still given out by next_event().
// Threads: all functions from any thread; next_event, next_question and answer without the GIL, by
//   one thread each.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "exdb/cluster.hpp"

namespace exdb::python {

class Callbacks {
 public:
  struct Event {
    Notification what;
    NodeInfo about;
  };
  struct Question {
    std::uint64_t number = 0;
    std::vector<std::uint32_t> neighbours;
  };

  /// How long a question waits for its answer; 0 = for ever.
  void set_patience(std::chrono::milliseconds patience);

  void tell(Notification what, const NodeInfo& about);
  bool ask(const std::vector<std::uint32_t>& neighbours);
  /// From now on every answer is no, also for those who wait. Idempotent.
  void refuse();
  /// And nothing is told any more: ends the threads of the other side. Idempotent.
  void close();

  /// Waits; nothing once all was given out and close() was called.
  std::optional<Event> next_event();
  std::optional<Question> next_question();
  void answer(std::uint64_t number, bool yes);

  /// Is this the thread that answers the questions here? What it commits would need an answer.
  [[nodiscard]] bool in_answering_thread() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::chrono::milliseconds patience_{0};
  std::deque<Event> events_;
  std::deque<Question> questions_;
  std::map<std::uint64_t, std::optional<bool>> waiting_;  // by number of the question
  std::uint64_t asked_ = 0;
  std::thread::id answering_;
  bool refused_ = false, closed_ = false;  // closed: refused too
};

}  // namespace exdb::python
