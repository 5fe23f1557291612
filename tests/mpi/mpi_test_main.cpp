// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// GoogleTest under MPI: all ranks run the same tests in the same order. A failure on one rank ends
// the job, as the others may wait for it; rank 0 never reports a test as passed that failed
// elsewhere; a test that takes too long is named.
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int rank_of_world() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

unsigned watchdog_seconds() {
  const char* text = std::getenv("EXDB_TEST_WATCHDOG");
  return text != nullptr ? static_cast<unsigned>(std::atoi(text)) : 100;
}

char watchdog_text[512] = "";

extern "C" void took_too_long(int) {
  // Only what a signal handler may do. The launcher ends the other ranks.
  const ssize_t written = write(STDERR_FILENO, watchdog_text, std::strlen(watchdog_text));
  _exit(written > 0 ? 124 : 125);
}

class AgreeingListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    std::snprintf(watchdog_text, sizeof watchdog_text, "rank %d: %s.%s took longer than %u s\n",
                  rank_of_world(), test.test_suite_name(), test.name(), watchdog_seconds());
    alarm(watchdog_seconds());
  }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "[rank %d] %s:%d: %s\n", rank_of_world(),
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.message());
    std::fflush(stderr);
    // The rest of this test is not run here: the others would wait.
    if (!result.fatally_failed()) return;
    usleep(200'000);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  // Called before the printer's own OnTestEnd: End events go to listeners in reverse order.
  void OnTestEnd(const testing::TestInfo& test) override {
    const int mine = test.result()->Failed() ? rank_of_world() : -1;
    int failed = -1;
    MPI_Allreduce(&mine, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    alarm(0);
    if (failed < 0) return;
    if (rank_of_world() == 0) {
      std::fprintf(stderr, "%s.%s failed on rank %d\n", test.test_suite_name(), test.name(),
                   failed);
      std::fflush(stderr);
      usleep(200'000);  // the launcher drops what it has not read yet from a rank that aborts
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Barrier(MPI_COMM_WORLD);  // never passed: rank 0 ends the job
  }
};

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  testing::InitGoogleTest(&argc, argv);
  std::signal(SIGALRM, took_too_long);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (rank_of_world() != 0) delete listeners.Release(listeners.default_result_printer());
  listeners.Append(new AgreeingListener);
  int mine = RUN_ALL_TESTS(), worst = 0;
  MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return worst;
}
