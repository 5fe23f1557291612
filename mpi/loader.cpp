// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/mpi_loader.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

#include "exdb/mpi.hpp"
#include "identity.hpp"

namespace {

using namespace exdb;

static_assert(sizeof(MPI_Fint) == sizeof(std::int32_t), "py2f() handles cross as 32 bits");

template <std::size_t n>
void copy(char (&to)[n], const std::string& text) {
  std::snprintf(to, n, "%s", text.c_str());
}

int failed(const Status& status, char* error, std::size_t error_bytes) {
  if (error != nullptr && error_bytes != 0)
    std::snprintf(error, error_bytes, "%s", status.text().c_str());
  return static_cast<int>(status.code());
}

Status version_mismatch() {
  return {ErrorCode::launcher,
          "libexdb_mpi.so and its caller are of different versions: install them together"};
}

void describe_running_mpi(exdb_mpi_description& description) {
  int initialized = 0, finalized = 0, size = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  description.initialized = initialized;
  description.finalized = finalized;
  description.thread_level = -1;
  if (initialized == 0 || finalized != 0) return;
  int level = 0;
  MPI_Query_thread(&level);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  description.thread_level = level;
  description.world_size = static_cast<std::uint32_t>(size);
}

mpi::Options options_of(const exdb_mpi_options& given, std::uint32_t size, std::uint32_t rank) {
  mpi::Options options;
  options.exchange = static_cast<mpi::Exchange>(given.exchange);
  options.progress = static_cast<Progress>(given.progress);
  options.send_buffer_bytes = given.send_buffer_bytes;
  options.receive_buffer_bytes = given.receive_buffer_bytes;
  options.deadline = std::chrono::milliseconds(given.deadline_ms);
  options.resilient = given.resilient != 0;
  options.keep_alive = std::chrono::milliseconds(given.keep_alive_ms);
  options.agreement = given.agreement;
  options.expected_size = size;
  options.expected_rank = rank;
  if (given.failure_code != 0) {
    options.local_failure = Status(static_cast<ErrorCode>(given.failure_code),
                                   given.failure_text != nullptr ? given.failure_text : "");
  }
  return options;
}

/// Before initialisation a handle means nothing; opening says so.
MPI_Comm communicator_of(std::int32_t fortran_handle) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  return initialized != 0 ? MPI_Comm_f2c(fortran_handle) : MPI_COMM_NULL;
}

/// `make(communicator, options)` into `*to`, and no exception past here.
template <class Made, class Make>
int open(std::int32_t handle, std::uint32_t size, std::uint32_t rank, const exdb_mpi_options* given,
         Made** to, char* error, std::size_t error_bytes, Make make) {
  if (given == nullptr || to == nullptr || given->struct_bytes != sizeof *given) {
    return failed(version_mismatch(), error, error_bytes);
  }
  try {
    auto made = make(communicator_of(handle), options_of(*given, size, rank));
    if (!made) return failed(made.status(), error, error_bytes);
    *to = made->release();
    return 0;
  } catch (const std::exception& failure) {
    return failed(Status(ErrorCode::no_memory, failure.what()), error, error_bytes);
  }
}

}  // namespace

extern "C" int exdb_mpi_describe(exdb_mpi_description* description) {
  if (description == nullptr || description->struct_bytes != sizeof *description) {
    return static_cast<int>(ErrorCode::launcher);
  }
  try {
    *description = {};
    description->struct_bytes = sizeof *description;
    description->communicator_bytes = sizeof(MPI_Comm);
    description->thread_level_needed = MPI_THREAD_MULTIPLE;
    describe_running_mpi(*description);
    const auto libraries = exdb::mpi::libraries_loaded();
    std::string lines;
    for (const std::string& path : libraries) lines += path + "\n";
    description->libraries_loaded = static_cast<std::int32_t>(libraries.size());
    copy(description->libraries, lines);
    const auto by = exdb::mpi::launcher();
    description->launcher_size = by.processes;
    copy(description->launcher_variable, by.variable);
    copy(description->compiled_for, exdb::mpi::compiled_for());
    copy(description->version, exdb::mpi::library_version());
    copy(description->library_path, exdb::mpi::library_path());
    return 0;
  } catch (const std::exception&) {
    return static_cast<int>(ErrorCode::no_memory);
  }
}

extern "C" int exdb_mpi_transport(std::int32_t fortran_handle, std::uint32_t expected_size,
                                  std::uint32_t expected_rank, const exdb_mpi_options* options,
                                  exdb::Transport** transport, char* error,
                                  std::size_t error_bytes) {
  return open(fortran_handle, expected_size, expected_rank, options, transport, error, error_bytes,
              exdb::mpi::transport);
}

extern "C" int exdb_mpi_host_groups(std::int32_t fortran_handle, std::uint32_t expected_size,
                                    std::uint32_t expected_rank, const exdb_mpi_options* options,
                                    exdb::HostGroups** groups, char* error,
                                    std::size_t error_bytes) {
  return open(fortran_handle, expected_size, expected_rank, options, groups, error, error_bytes,
              exdb::mpi::host_groups);
}
