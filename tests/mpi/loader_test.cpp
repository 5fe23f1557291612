// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The functions that the Python module looks up.
#include <dlfcn.h>

#include "exdb/host_groups.hpp"
#include "exdb/mpi_loader.hpp"
#include "mpi_fixture.hpp"

namespace exdb::mpi_testing {
namespace {

exdb_mpi_options default_options() {
  exdb_mpi_options options{};
  options.struct_bytes = sizeof options;
  options.deadline_ms = 30'000;
  return options;
}

TEST(MpiLoader, all_functions_are_found_by_name) {
  EXPECT_NE(dlsym(RTLD_DEFAULT, "exdb_mpi_describe"), nullptr);
  EXPECT_NE(dlsym(RTLD_DEFAULT, "exdb_mpi_transport"), nullptr);
  EXPECT_NE(dlsym(RTLD_DEFAULT, "exdb_mpi_host_groups"), nullptr);
}

TEST(MpiLoader, describes_the_mpi_in_this_process) {
  exdb_mpi_description description{};
  EXPECT_NE(exdb_mpi_describe(&description), 0) << "a struct of another size is refused";
  description.struct_bytes = sizeof description;
  ASSERT_EQ(exdb_mpi_describe(&description), 0);
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(version, &length);
  EXPECT_STREQ(description.version, version);
  EXPECT_EQ(description.communicator_bytes, sizeof(MPI_Comm));
  EXPECT_EQ(description.initialized, 1);
  EXPECT_EQ(description.finalized, 0);
  EXPECT_EQ(description.thread_level, description.thread_level_needed);
  EXPECT_EQ(description.libraries_loaded, 1) << description.libraries;
  EXPECT_EQ(description.world_size, static_cast<std::uint32_t>(world_size()));
  EXPECT_NE(std::string(description.library_path).find("libmpi"), std::string::npos)
      << description.library_path;
}

TEST(MpiLoader, opens_by_a_fortran_handle) {
  const auto options = default_options();
  Transport* made = nullptr;
  char error[500] = "";
  ASSERT_EQ(exdb_mpi_transport(
                MPI_Comm_c2f(MPI_COMM_WORLD), static_cast<std::uint32_t>(world_size()),
                static_cast<std::uint32_t>(world_rank()), &options, &made, error, sizeof error),
            0)
      << error;
  std::unique_ptr<Transport> transport(made);
  EXPECT_EQ(transport->size(), static_cast<std::uint32_t>(world_size()));
  transport->close(true);
}

TEST(MpiLoader, groups_by_host_by_a_fortran_handle) {
  auto options = default_options();
  const auto size = static_cast<std::uint32_t>(world_size());
  const auto rank = static_cast<std::uint32_t>(world_rank());
  HostGroups* made = nullptr;
  char error[500] = "";
  ASSERT_EQ(exdb_mpi_host_groups(MPI_Comm_c2f(MPI_COMM_WORLD), size, rank, &options, &made, error,
                                 sizeof error),
            0)
      << error;
  std::unique_ptr<HostGroups> groups(made);
  EXPECT_EQ(groups->nodes(), size);
  EXPECT_EQ(groups->leader(), 0U);
  groups->close();
  options.resilient = 1;
  EXPECT_EQ(exdb_mpi_host_groups(MPI_Comm_c2f(MPI_COMM_WORLD), size, rank, &options, &made, error,
                                 sizeof error),
            static_cast<int>(ErrorCode::unsupported));
  EXPECT_NE(std::string(error).find("is_shm"), std::string::npos) << error;
}

TEST(MpiLoader, tells_failures_by_number_and_text) {
  auto options = default_options();
  Transport* made = nullptr;
  char error[500] = "";
  EXPECT_EQ(
      exdb_mpi_transport(MPI_Comm_c2f(MPI_COMM_WORLD), 77, 0, &options, &made, error, sizeof error),
      static_cast<int>(ErrorCode::launcher));
  EXPECT_NE(std::string(error).find("77"), std::string::npos) << error;
  options.failure_code = static_cast<int>(ErrorCode::schema);
  options.failure_text = "no such class";
  EXPECT_EQ(exdb_mpi_transport(
                MPI_Comm_c2f(MPI_COMM_WORLD), static_cast<std::uint32_t>(world_size()),
                static_cast<std::uint32_t>(world_rank()), &options, &made, error, sizeof error),
            static_cast<int>(ErrorCode::schema));
  EXPECT_NE(std::string(error).find("no such class"), std::string::npos) << error;
  options.struct_bytes = 1;
  EXPECT_EQ(exdb_mpi_transport(0, 0, 0, &options, &made, error, sizeof error),
            static_cast<int>(ErrorCode::launcher));
  EXPECT_EQ(made, nullptr);
}

}  // namespace
}  // namespace exdb::mpi_testing
