// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// libexdb_mpi.so as seen by a program that must not be linked to an MPI (the Python module): plain
// data and three functions to look up with dlsym. No <mpi.h> here.
//
// Invariants
//   I1  exdb_mpi_describe touches no communicator and needs no initialised MPI: call it first,
//       compare with what the program's own MPI says (size of a handle, version text, initialised
//       or not), and go on only when they agree.
//   I2  `struct_bytes` is set by the caller to sizeof; another size is refused.
// Threads: exdb_mpi_describe: any. exdb_mpi_transport, exdb_mpi_host_groups: COLLECTIVE, as
//   exdb::mpi::transport, host_groups.
// Failure: the number of an exdb::ErrorCode, with its text in `error`; 0 = success. Nothing throws.
#pragma once
#include <cstddef>
#include <cstdint>

namespace exdb {
class HostGroups;
class Transport;
}  // namespace exdb

extern "C" {

struct exdb_mpi_description {
  std::uint32_t struct_bytes;
  std::uint32_t communicator_bytes;     ///< sizeof(MPI_Comm) that the library was compiled with
  std::int32_t initialized, finalized;  ///< as the MPI that the library is bound to says
  std::int32_t thread_level;            ///< provided, MPI's number; -1 before initialisation
  std::int32_t thread_level_needed;     ///< MPI_THREAD_MULTIPLE's number
  std::int32_t libraries_loaded;        ///< distinct MPI libraries mapped into this process
  std::uint32_t world_size;             ///< 0 before initialisation
  std::uint32_t
      launcher_size;  ///< processes that the launcher's environment speaks of; 0 = none found
  char launcher_variable[32];  ///< the variable that says so
  char compiled_for[32];       ///< "MPICH", "Open MPI", "MPI ABI"
  char version[8192];          ///< MPI_Get_library_version of the MPI in use
  char library_path[1024];     ///< the file that MPI_Init comes from
  char libraries[4096];        ///< all MPI libraries mapped, one a line
};

struct exdb_mpi_options {
  std::uint32_t struct_bytes;
  std::int32_t exchange;  ///< exdb::mpi::Exchange
  std::int32_t progress;  ///< exdb::Progress
  std::uint64_t send_buffer_bytes, receive_buffer_bytes;
  std::int64_t deadline_ms;
  std::int32_t resilient;  ///< 1: exdb::mpi::Options::resilient, and the two after it
  std::int64_t keep_alive_ms;
  std::uint64_t agreement;
  std::int32_t failure_code;  ///< 0, or a failure of the caller that every rank is to get
  const char* failure_text;   ///< may be null when failure_code is 0
};

typedef int exdb_mpi_describe_function(exdb_mpi_description* description);
/// `fortran_handle`: comm.py2f(). `*transport` is to be deleted by the caller (through a
/// unique_ptr).
typedef int exdb_mpi_transport_function(std::int32_t fortran_handle, std::uint32_t expected_size,
                                        std::uint32_t expected_rank,
                                        const exdb_mpi_options* options,
                                        exdb::Transport** transport, char* error,
                                        std::size_t error_bytes);
/// As exdb_mpi_transport.
typedef int exdb_mpi_host_groups_function(std::int32_t fortran_handle, std::uint32_t expected_size,
                                          std::uint32_t expected_rank,
                                          const exdb_mpi_options* options,
                                          exdb::HostGroups** groups, char* error,
                                          std::size_t error_bytes);

exdb_mpi_describe_function exdb_mpi_describe;
exdb_mpi_transport_function exdb_mpi_transport;
exdb_mpi_host_groups_function exdb_mpi_host_groups;
}
