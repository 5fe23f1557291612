// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "identity.hpp"

#include <dlfcn.h>
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace exdb::mpi {

const char* compiled_for() {
#if defined(OMPI_MAJOR_VERSION)
  return "Open MPI";
#elif defined(MPICH_VERSION) || defined(MPICH_NUMVERSION)
  return "MPICH";
#else
  return "MPI ABI";
#endif
}

std::string library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  return std::string(text, static_cast<std::size_t>(length));
}

std::string library_name() {
  const std::string version = library_version();
  std::istringstream words(version);
  std::string first, second, number;
  words >> first >> second >> number;
  if (first == "MPICH" && second == "Version:") return "MPICH " + number;
  // "Open MPI v5.0.1, package: …", "Intel(R) MPI Library 2021.11 for …", "MVAPICH Version : …"
  return version.substr(0, version.find_first_of(",\n"));
}

std::string library_path() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&MPI_Init), &info) == 0 || info.dli_fname == nullptr)
    return {};
  return info.dli_fname;
}

namespace {
bool is_mpi_library(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.rfind("libmpi", 0) != 0 || name.find(".so") == std::string::npos) return false;
  for (const char* binding : {"cxx", "fort", "usempi", "mpifh", "java", "++"}) {
    if (name.find(binding) != std::string::npos) return false;
  }
  return true;
}
}  // namespace

std::vector<std::string> libraries_loaded() {
  std::vector<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t at = line.find('/');
    if (at == std::string::npos) continue;
    std::string path = line.substr(at);
    if (is_mpi_library(path) && std::find(found.begin(), found.end(), path) == found.end()) {
      found.push_back(std::move(path));
    }
  }
  return found;
}

Launcher launcher() {
  // Of Slurm only the step's own count: SLURM_NTASKS is also set in a batch script, which rightly
  // runs alone.
  for (const char* variable :
       {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* text = std::getenv(variable);
    const unsigned long processes = text != nullptr ? std::strtoul(text, nullptr, 10) : 0;
    if (processes != 0) return {static_cast<std::uint32_t>(processes), variable};
  }
  return {};
}

Status check_family() {
  const std::string version = library_version();
  const bool open_mpi = version.find("Open MPI") != std::string::npos;
  if (open_mpi == (std::string(compiled_for()) == "Open MPI") ||
      std::string(compiled_for()) == "MPI ABI")
    return {};
  return Status(
      ErrorCode::launcher,
      std::string("exdb was compiled for ") + compiled_for() + ", but the MPI in this process is " +
          library_name() + " (" + library_path() +
          "): build exdb with the MPICC of the MPI that runs the program, or load that MPI first");
}

}  // namespace exdb::mpi
