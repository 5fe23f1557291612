// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "interrupt.hpp"

#include <semaphore.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "handles.hpp"
#include "process.hpp"
#include "upcall.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

// A call that is about to end by itself, as nearly all are, should end so.
constexpr std::chrono::milliseconds grace{400};

struct Watch {
  std::mutex mutex;
  std::shared_ptr<Engine> engine;  // of the armed call
  std::uint64_t call = 0;          // counts armed calls
  sem_t wake;
};

std::atomic<bool> seen{false};
int depth = 0;  // of armed calls in the main thread: a callback within one may make another
struct sigaction previous;

Watch& watch() {
  static Watch* const made = [] {
    auto* fresh = new Watch;  // never freed: the watcher outlives everything
    sem_init(&fresh->wake, 0, 0);
    return fresh;
  }();
  return *made;
}

extern "C" void on_interrupt(int number, siginfo_t* info, void* context) {
  seen.store(true, std::memory_order_relaxed);
  if ((previous.sa_flags & SA_SIGINFO) != 0)
    previous.sa_sigaction(number, info, context);
  else
    previous.sa_handler(number);
  sem_post(&watch().wake);
}

bool default_handler_is_set() {
  return with_python(
      "exdb, looking at the handler of Ctrl-C",
      [] {
        const py::module_ signal = py::module_::import("signal");
        return bool(signal.attr("getsignal")(SIGINT).is(signal.attr("default_int_handler")));
      },
      false);
}

[[noreturn]] void watch_for_ever() {
  Watch& state = watch();
  while (true) {
    if (sem_wait(&state.wake) != 0) continue;
    std::uint64_t call = 0;
    {
      const std::lock_guard lock(state.mutex);
      if (!state.engine) continue;
      call = state.call;
    }
    std::this_thread::sleep_for(grace);
    std::shared_ptr<Engine> engine;
    {
      const std::lock_guard lock(state.mutex);
      if (state.call == call) engine = state.engine;
    }
    if (engine && default_handler_is_set()) engine->abandon();
  }
}

bool install_handler() {
  struct sigaction current;
  if (sigaction(SIGINT, nullptr, &current) != 0) return false;
  const bool callable = (current.sa_flags & SA_SIGINFO) != 0 ||
                        (current.sa_handler != SIG_DFL && current.sa_handler != SIG_IGN);
  if (!callable) return false;
  previous = current;
  struct sigaction ours = current;
  ours.sa_sigaction = on_interrupt;
  ours.sa_flags |= SA_SIGINFO;
  return sigaction(SIGINT, &ours, nullptr) == 0;
}

}  // namespace

Blocking::Blocking(std::shared_ptr<Engine> engine) {
  if (engine && in_main_thread() && (depth > 0 || install_handler())) {
    static std::once_flag started;
    std::call_once(started, [] { std::thread(watch_for_ever).detach(); });
    if (depth++ == 0) {
      seen = false;
      const std::lock_guard lock(watch().mutex);
      watch().engine = std::move(engine);
      ++watch().call;
    }
    armed_ = true;
  }
  released_.emplace();
}

void Blocking::disarm() {
  if (!armed_) return;
  armed_ = false;
  if (--depth > 0) return;
  std::shared_ptr<Engine> let_go;  // after the lock
  {
    const std::lock_guard lock(watch().mutex);
    let_go = std::move(watch().engine);
    watch().engine.reset();
    ++watch().call;
  }
  sigaction(SIGINT, &previous, nullptr);
}

bool Blocking::finish() {
  const bool was_armed = armed_;
  disarm();
  released_.reset();
  return was_armed && seen && PyErr_CheckSignals() != 0;
}

Blocking::~Blocking() { disarm(); }

}  // namespace exdb::python
