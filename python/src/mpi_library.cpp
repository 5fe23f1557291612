// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "mpi_library.hpp"

#include <dlfcn.h>

#include <array>

#include "exdb/transport.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

struct Library {
  exdb_mpi_describe_function* describe = nullptr;
  exdb_mpi_transport_function* transport = nullptr;
  exdb_mpi_host_groups_function* host_groups = nullptr;
};
Library library;

template <class Function>
Function* look_up(void* handle, const char* name, const std::string& path) {
  void* const found = dlsym(handle, name);
  if (found == nullptr)
    throw Error(ErrorCode::launcher, path + " has no " + name +
                                         ": it is not of this version of exdb; install exdb again");
  return reinterpret_cast<Function*>(found);
}

template <class Made>
using Opening = int(std::int32_t, std::uint32_t, std::uint32_t, const exdb_mpi_options*, Made**,
                    char*, std::size_t);

template <class Made>
Result<std::unique_ptr<Made>> open_by(Opening<Made>* open, const TransportRequest& request) {
  std::array<char, 8192> error{};
  exdb_mpi_options options = request.options;
  options.struct_bytes = sizeof options;
  options.failure_code = int(request.failure.code());
  options.failure_text = request.failure.text().c_str();
  Made* made = nullptr;
  const int code = open(request.fortran_handle, request.size, request.rank, &options, &made,
                        error.data(), error.size());
  if (code != 0) return Status(ErrorCode(code), error.data());
  return std::unique_ptr<Made>(made);
}

}  // namespace

void load_mpi_library(const std::string& path) {
  if (library.transport != nullptr) return;
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    throw Error(ErrorCode::launcher,
                std::string("the MPI transport of exdb cannot be loaded: ") + dlerror() +
                    ". Build exdb with the MPI that mpi4py uses (MPICC=... pip install "
                    "--no-binary=exdb,mpi4py exdb mpi4py); python -m exdb.doctor shows more");
  const Library found{look_up<exdb_mpi_describe_function>(handle, "exdb_mpi_describe", path),
                      look_up<exdb_mpi_transport_function>(handle, "exdb_mpi_transport", path),
                      look_up<exdb_mpi_host_groups_function>(handle, "exdb_mpi_host_groups", path)};
  library = found;
}

py::dict describe_mpi() {
  const auto seen = std::make_unique<exdb_mpi_description>();
  *seen = {};
  seen->struct_bytes = sizeof *seen;
  if (library.describe == nullptr || library.describe(seen.get()) != 0)
    throw Error(ErrorCode::launcher,
                "libexdb_mpi.so is of another version than the exdb package: install exdb again");
  py::dict result;
  result["communicator_bytes"] = seen->communicator_bytes;
  result["initialized"] = seen->initialized != 0;
  result["finalized"] = seen->finalized != 0;
  result["thread_level"] = seen->thread_level;
  result["thread_level_needed"] = seen->thread_level_needed;
  result["libraries_loaded"] = seen->libraries_loaded;
  result["world_size"] = seen->world_size;
  result["launcher_size"] = seen->launcher_size;
  result["launcher_variable"] = seen->launcher_variable;
  result["compiled_for"] = seen->compiled_for;
  result["version"] = seen->version;
  result["library_path"] = seen->library_path;
  result["libraries"] = seen->libraries;
  return result;
}

Result<std::unique_ptr<Transport>> make_transport(const TransportRequest& request) {
  return open_by(library.transport, request);
}

Result<std::unique_ptr<HostGroups>> make_host_groups(const TransportRequest& request) {
  return open_by(library.host_groups, request);
}

}  // namespace exdb::python
