// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who keeps whom alive: an object or a cursor its connection, a connection its database, a database
// its dictionary. So they may be let go in any order.
//
// Invariants
//   I1  In the child of a fork nothing of the engine is destroyed: its threads do not exist there.
//   I2  The engine's destructors run without the GIL: they may wait for a thread that wants it.
// Threads: the handles as the engine's own classes; the last reference is dropped under the GIL.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <utility>

#include "callbacks.hpp"
#include "dictionary.hpp"
#include "exdb/database.hpp"
#include "process.hpp"

namespace exdb::python {

/// Destroys without the GIL, or leaks in the child of a fork.
struct EngineDeleter {
  template <class T>
  void operator()(T* engine) const {
    if (forked()) return;
    if (PyGILState_Check() != 0) {
      const Released released;
      delete engine;
    } else {
      delete engine;
    }
  }
};

template <class T>
std::shared_ptr<T> shared_engine(std::unique_ptr<T> engine) {
  return std::shared_ptr<T>(engine.release(), EngineDeleter());
}

/// What a database is without Python: any thread may hold it and let it go.
struct Engine {
  std::unique_ptr<Database> database;
  std::shared_ptr<Callbacks> callbacks;  ///< null without a cluster

  Engine(std::unique_ptr<Database> opened, std::shared_ptr<Callbacks> calls)
      : database(std::move(opened)), callbacks(std::move(calls)) {}
  ~Engine() {
    refuse();
    database.reset();
    if (callbacks) callbacks->close();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// First of all, wherever a database ends: whoever waits for the program's answer goes on.
  void refuse() const {
    if (callbacks) callbacks->refuse();
  }
  void close(std::optional<std::chrono::milliseconds> deadline) const {
    refuse();
    database->close(deadline);
  }
  void abandon() const {
    refuse();
    database->abandon();
    if (callbacks) callbacks->close();
  }
};

struct DatabaseHandle {
  std::shared_ptr<DictionaryHandle> dictionary;
  std::shared_ptr<Engine> engine;

  [[nodiscard]] Database& use() const {
    require_unforked();
    return *engine->database;
  }
};

struct ConnectionHandle {
  std::shared_ptr<DatabaseHandle> owner;
  std::shared_ptr<Connection> connection;
  bool read_only = false;  ///< the transaction that was started last

  [[nodiscard]] Connection& use() const {
    require_unforked();
    return *connection;
  }
  [[nodiscard]] const DictionaryHandle& dictionary() const { return *owner->dictionary; }
  [[nodiscard]] const std::shared_ptr<Engine>& engine() const { return owner->engine; }
};

}  // namespace exdb::python
