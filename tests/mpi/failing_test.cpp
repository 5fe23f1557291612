// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Fails on purpose: shows that the MPI main tells of it (see CMakeLists.txt).
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

namespace {
int rank() {
  int here = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &here);
  return here;
}
}  // namespace

TEST(MpiMain, reports_a_failure_of_rank_1) { EXPECT_NE(rank(), 1); }

TEST(MpiMain, DISABLED_names_a_test_that_hangs) {
  if (rank() == 1) sleep(1000);
  MPI_Barrier(MPI_COMM_WORLD);
}
