// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Ways in which a program ends (the first argument): none may hang, crash or succeed by mistake.
#include <mpi.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <thread>

#include "base/assert.hpp"
#include "exdb/mpi.hpp"

namespace {

using namespace exdb;

struct Ignoring : FrameSink {
  void on_frame(std::uint32_t, std::span<const std::byte>) override {}
  void on_gone(std::uint32_t) override {}
};

int rank() {
  int here = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &here);
  return here;
}

void require(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "rank %d: not as it should be: %s\n", rank(), what.c_str());
  MPI_Abort(MPI_COMM_WORLD, 3);
}

std::unique_ptr<Transport> open(const mpi::Options& options = {}) {
  auto made = mpi::transport(MPI_COMM_WORLD, options);
  require(made.ok(), made.status().text());
  return std::move(made).value();
}

Frame frame(std::size_t bytes) { return std::make_shared<std::vector<std::byte>>(bytes); }

void finalize_with_open_transport() {
  auto transport = open();
  require(transport->broadcast(frame(100)).ok(), "broadcast");
  MPI_Finalize();
  Ignoring sink;
  bool any = false;
  if (transport->poll(sink, any).ok()) _exit(4);
}

void finalize_while_a_thread_polls() {
  auto transport = open();
  std::atomic<bool> refused{false};
  const bool naps = rank() == 0;
  std::thread listener([&] {
    Ignoring sink;
    bool any = false;
    while (transport->poll(sink, any).ok()) {
      if (naps) transport->wait(std::chrono::microseconds(50));
    }
    refused = true;
  });
  for (int number = 0; number < 100; ++number)
    require(transport->broadcast(frame(100)).ok(), "broadcast");
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();  // no call of MPI after this, in any thread
  listener.join();
  if (!refused) _exit(4);
}

void exit_without_close() {
  auto transport = open();
  require(transport->broadcast(frame(10'000'000)).ok(), "broadcast");
  transport.release();  // as a program does that calls exit() in the middle: neither closed nor
                        // destroyed
  MPI_Finalize();
}

void finalize_after_local_close() {
  mpi::Options options;
  options.exchange = mpi::Exchange::collective;
  auto transport = open(options);
  require(transport->broadcast(frame(10)).ok(), "broadcast");
  transport->close(false);
  MPI_Finalize();
}

void one_rank_closes_locally() {
  mpi::Options options;
  options.deadline = std::chrono::milliseconds(1500);
  auto transport = open(options);
  transport->close(rank() != 0);
  MPI_Finalize();
}

/// Rank 0 comes when the others have given up: it must not hang either, and MPI must be able to
/// end.
void finalize_after_late_rank() {
  mpi::Options options;
  options.deadline = std::chrono::milliseconds(500);
  if (rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  auto made = mpi::transport(MPI_COMM_WORLD, options);
  require(!made.ok() && made.status().code() == ErrorCode::timeout,
          "a missing rank gives a timeout");
  require(rank() == 0 || made.status().text().find("collective") != std::string::npos,
          made.status().text());
  MPI_Finalize();
}

void single_thread() {
  auto made = mpi::transport(MPI_COMM_WORLD);
  require(!made.ok() && made.status().code() == ErrorCode::launcher,
          "a low thread level is refused");
  require(made.status().text().find("MPI_THREAD_MULTIPLE") != std::string::npos,
          made.status().text());
  require(made.status().text().find("mpi4py.rc.thread_level") != std::string::npos,
          made.status().text());
  require(made.status().text().find("cooperative") != std::string::npos, made.status().text());
  MPI_Finalize();
}

/// Nothing collective is possible any more, so each rank has to find out for itself.
void open_after_finalize() {
  MPI_Finalize();
  const auto made = mpi::transport(MPI_COMM_WORLD);
  if (made.ok() || made.status().code() != ErrorCode::launcher) _exit(4);
  if (made.status().text().find("finalized already") == std::string::npos) _exit(5);
}

void cooperative() {
  mpi::Options options;
  options.progress = Progress::cooperative;
  auto transport = open(options);
  transport->close(true);
  MPI_Finalize();
}

/// They wait in MPI_Finalize while the leaders still talk to each other.
void followers_finalize_first() {
  setenv("EXDB_PRETENDED_HOSTS", "2", 1);
  auto groups = mpi::host_groups(MPI_COMM_WORLD);
  require(groups.ok(), groups.status().text());
  auto made = (*groups)->take_transport();
  require(made.ok(), made.status().text());
  if (auto transport = *std::move(made)) {
    usleep(100'000);
    struct Counting : Ignoring {
      int frames = 0;
      void on_frame(std::uint32_t, std::span<const std::byte>) override { ++frames; }
    } sink;
    for (int turn = 1; turn <= 20; ++turn) {
      require(transport->broadcast(frame(100'000)).ok(), "broadcast");
      for (bool any = false; sink.frames < turn;) {
        require(transport->poll(sink, any).ok(), "poll");
        transport->wait(std::chrono::microseconds(100));
      }
    }
    transport->close(true);
  }
  MPI_Finalize();
}

void assertion() {
  auto transport = open();
  if (rank() == 1) EXDB_ASSERT(transport == nullptr, "on purpose");
  for (;;) pause();  // ended by the hook of the other rank
}

}  // namespace

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  int level = MPI_THREAD_MULTIPLE, provided = 0;
  if (wanted == "single_thread") level = MPI_THREAD_SINGLE;
  if (wanted == "cooperative") level = MPI_THREAD_FUNNELED;
  MPI_Init_thread(&argc, &argv, level, &provided);
  const std::map<std::string, void (*)()> cases = {
      {"finalize_with_open_transport", finalize_with_open_transport},
      {"finalize_while_a_thread_polls", finalize_while_a_thread_polls},
      {"exit_without_close", exit_without_close},
      {"finalize_after_local_close", finalize_after_local_close},
      {"finalize_after_late_rank", finalize_after_late_rank},
      {"one_rank_closes_locally", one_rank_closes_locally},
      {"single_thread", single_thread},
      {"open_after_finalize", open_after_finalize},
      {"cooperative", cooperative},
      {"assertion", assertion},
      {"followers_finalize_first", followers_finalize_first},
  };
  const auto found = cases.find(wanted);
  if (found == cases.end()) return 2;
  found->second();
  return 0;
}
