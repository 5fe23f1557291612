// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What must happen when MPI ends while a transport is still open: the program forgot to close, or
// an exception took it to its end. MPICH switches its locks off at the start of MPI_Finalize, so a
// thread that still polls then crashes it (measured: 14 of 15 runs). Two ways lead here: a program
// linked with this library calls our MPI_Finalize, which is in time always; and an attribute of
// MPI_COMM_SELF, deleted by MPI_Finalize, for whoever reaches MPI's own first (a library loaded
// later, as by Python, whose atexit hook comes before). The latter leaves a window of some
// microseconds in which a thread inside MPI meets locks that are off (seen once in about 30 runs of
// a thread that polls without a pause).
//
// Invariants
//   I1  After mpi_ends() has returned on a transport, that transport makes no MPI call any more.
//   I2  A failed assertion of exdb ends the whole job (MPI_Abort), as the other ranks would wait
//       for this one for ever.
//   I3  In a program linked with this library no transport is inside MPI when MPI begins to end.
// Threads: watch, unwatch: any. mpi_ends is called by the thread that is in MPI_Finalize.
// Failure: none.
#pragma once

namespace exdb::mpi {

class EndsWithMpi {
 public:
  /// Gates further MPI calls, waits for the one under way, and lets go of what is local.
  virtual void mpi_ends() = 0;

 protected:
  ~EndsWithMpi() = default;
};

/// REQUIRES: MPI is initialised.
void watch(EndsWithMpi* object);
void unwatch(EndsWithMpi* object);

/// Between MPI_Init and MPI_Finalize, and in the process that called MPI_Init rather than a fork of
/// it.
bool mpi_usable();
/// This process is a fork: MPI is not ours to call. Cheap.
bool in_forked_child();

}  // namespace exdb::mpi
