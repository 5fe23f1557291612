// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <cstdio>
#include <exception>

#include "exdb/mpi.hpp"
#include "finalize_guard.hpp"

namespace exdb::mpi {

Environment::Environment() : exceptions_(std::uncaught_exceptions()) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized != 0) return;
  int provided = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) {
    throw Error(ErrorCode::launcher,
                "MPI_Init_thread failed: start the program with the mpiexec of its MPI");
  }
  owner_ = true;
}

Environment::~Environment() {
  if (!owner_ || !mpi_usable()) return;
  if (std::uncaught_exceptions() > exceptions_) {
    std::fprintf(stderr, "exdb: an exception leaves the MPI program; the job is aborted\n");
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
}

}  // namespace exdb::mpi
