// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "finalize_guard.hpp"

#include <dlfcn.h>
#include <mpi.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "exdb/assert_hook.hpp"
#include "survivors.hpp"

namespace exdb::mpi {
namespace {

struct Registry {
  std::mutex lock;
  std::vector<EndsWithMpi*> open;
  bool installed = false;
};

Registry& registry() {
  static auto* one = new Registry;  // outlives every static destructor that may close a transport
  return *one;
}

std::atomic<bool> forked{false};

void end_all() {
  Registry& all = registry();
  std::lock_guard guard(all.lock);
  for (EndsWithMpi* object : all.open) object->mpi_ends();
}

extern "C" int exdb_mpi_finalizes(MPI_Comm, int, void*, void*) {
  end_all();
  if (finish_together()) return MPI_SUCCESS;
  // MPI_Finalize gives up on this, and the process goes on to its end.
  MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  return MPI_ERR_OTHER;
}

void abort_job() {
  // The others do without this rank where they outlive each other.
  if (!mpi_usable() || any_resilient()) return;
  // hydra throws away what it has not read yet from a rank that aborts; without the nap the reason
  // is lost (seen).
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  MPI_Abort(MPI_COMM_WORLD, 134);
}

void install(Registry& all) {
  if (all.installed) return;
  all.installed = true;
  int key = MPI_KEYVAL_INVALID;
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, exdb_mpi_finalizes, &key, nullptr);
  MPI_Comm_set_attr(MPI_COMM_SELF, key, nullptr);
  MPI_Comm_free_keyval(&key);  // the attribute keeps it until it is deleted itself
  pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
  set_assert_hook(abort_job);
}

}  // namespace

void watch(EndsWithMpi* object) {
  Registry& all = registry();
  std::lock_guard guard(all.lock);
  install(all);
  all.open.push_back(object);
}

void unwatch(EndsWithMpi* object) {
  Registry& all = registry();
  std::lock_guard guard(all.lock);
  all.open.erase(std::remove(all.open.begin(), all.open.end(), object), all.open.end());
}

bool in_forked_child() { return forked.load(std::memory_order_relaxed); }

bool mpi_usable() {
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0 && !in_forked_child();
}

}  // namespace exdb::mpi

/// The profiling interface's way of being asked before MPI begins to end (I3). What comes after us
/// in the order of libraries, a profiler or MPI itself, is called next.
extern "C" int MPI_Finalize(void) {
  exdb::mpi::end_all();
  if (!exdb::mpi::finish_together()) return MPI_SUCCESS;
  using Finalize = int (*)();
  const auto next = reinterpret_cast<Finalize>(dlsym(RTLD_NEXT, "MPI_Finalize"));
  return next != nullptr ? next() : PMPI_Finalize();
}
