// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Calls that may block: without the GIL, and such that Ctrl-C ends them.
//
// A commit costs some microseconds and a hand-over to another thread as much again, so the call
// runs in the thread that made it. In the main thread a handler in front of Python's own wakes a
// watcher on SIGINT; when the call is still blocked after a grace period, the watcher makes the
// database leave its cluster, which ends the call. Nothing polls, and nothing is done before a
// signal arrives. Only Python's default handler counts: a program with a handler of its own has it
// called when the call returns.
//
// Invariants
//   I1  While a call is armed its database is held; the watcher never touches another.
//   I2  The handler that was there before is there again when the last armed call has returned.
// Threads: Blocking in any thread; it arms in the main thread only.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <utility>

#include "process.hpp"

namespace exdb::python {
struct Engine;
}

namespace exdb::python {

/// Releases the GIL and arms Ctrl-C for its life. Precondition: the GIL is held.
class Blocking {
 public:
  /// `engine` may be null: then Ctrl-C waits for the end of the call.
  explicit Blocking(std::shared_ptr<Engine> engine);
  ~Blocking();
  Blocking(const Blocking&) = delete;
  Blocking& operator=(const Blocking&) = delete;

  /// Takes the GIL again; true when Ctrl-C was seen, and the Python error is set then.
  bool finish();

 private:
  void disarm();
  std::optional<Released> released_;
  bool armed_ = false;
};

/// Runs `call` as above. A Ctrl-C that came meanwhile is thrown as KeyboardInterrupt, whatever the
/// call made of it; and when it has failed, what the handler of any other signal raises, which may be
/// why it has.
template <class Call>
auto blocking(const std::shared_ptr<Engine>& engine, Call&& call) {
  Blocking scope(engine);
  using Result = decltype(call());
  try {
    if constexpr (std::is_void_v<Result>) {
      call();
      if (scope.finish()) throw pybind11::error_already_set();
    } else {
      Result result = call();
      if (scope.finish()) throw pybind11::error_already_set();
      return result;
    }
  } catch (const pybind11::error_already_set&) {
    throw;
  } catch (...) {
    if (scope.finish() || PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
    throw;
  }
}

}  // namespace exdb::python
