// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Which MPI this library was compiled for, which one it is bound to in this process, and who
// launched it. Mixing two MPIs in a process is silent until it crashes or gives worlds of size one;
// these facts make it visible.
//
// Invariants
//   I1  Everything here may be called before MPI_Init and after MPI_Finalize.
// Threads: any.
// Failure: what cannot be found out is empty or 0.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::mpi {

const char* compiled_for();
/// The whole text of MPI_Get_library_version.
std::string library_version();
/// "MPICH 5.0.2".
std::string library_name();
/// The file that MPI_Init comes from.
std::string library_path();
/// Distinct MPI libraries mapped into this process.
std::vector<std::string> libraries_loaded();

struct Launcher {
  std::uint32_t processes = 0;  ///< 0 = no launcher that we know
  std::string variable;
};
Launcher launcher();

/// Fails when the library bound at run time is of another family than the one compiled for.
Status check_family();

}  // namespace exdb::mpi
