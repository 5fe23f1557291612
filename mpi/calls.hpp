// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The one idiom in which MPI is called here: nonblocking, tested with a deadline, every return code
// turned into a Status.
//
// Invariants
//   I1  No thread blocks inside MPI: MPICH spins there (4 ranks on 2 cores: 8 ms a collective;
//       testing and yielding 25 µs).
//   I2  Memory that a request may still touch is never freed: what cannot be completed is kept
//       until the process ends.
// Threads: any, one at a time for the same request.
// Failure: `cluster` with MPI's text when a call fails, `timeout` when the deadline passes.
#pragma once
#include <mpi.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::mpi {

/// One message stays below what an int can count.
constexpr std::size_t chunk_bytes_max = std::size_t{1} << 30;

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;
  /// 0 = never.
  explicit Deadline(std::chrono::milliseconds span)
      : span_(span), end_(Clock::now() + span), never_(span.count() <= 0) {}
  [[nodiscard]] bool passed() const { return !never_ && Clock::now() >= end_; }
  [[nodiscard]] std::chrono::milliseconds span() const { return span_; }

 private:
  std::chrono::milliseconds span_;
  Clock::time_point end_;
  bool never_;
};

/// ok for MPI_SUCCESS, else what MPI says about `code`. `doing` completes "… failed".
Status status_of(int code, const char* doing);

/// Tests `request` until it is complete; gives way to other threads, and naps when it takes long.
Status finish(MPI_Request& request, const Deadline& deadline, const char* doing);

/// The turns of a waiting loop: yield for about a millisecond, then nap; whoever is still not there is
/// doing something else. By time, not by turns: beside programs that compute a yield gives the
/// processor away for as long as the system lets one of them compute, some ms.
class Patience {
 public:
  void pause();

 private:
  Deadline::Clock::time_point nap_from_{};
};

/// Keeps `object` until the process ends, for memory that MPI may still use.
void keep_for_ever(std::shared_ptr<void> object);

/// Everybody's block, by rank. COLLECTIVE.
Result<std::vector<std::vector<std::byte>>> collective_gather_blocks(
    MPI_Comm communicator, std::span<const std::byte> mine, const Deadline& deadline);

/// Everybody's record of one plain type, by rank. COLLECTIVE.
template <class T>
Result<std::vector<T>> collective_gather_records(MPI_Comm communicator, const T& mine,
                                                 const Deadline& deadline, const char* doing) {
  struct Work {
    T mine;
    std::vector<T> all;
  };
  int size = 0;
  if (Status s = status_of(MPI_Comm_size(communicator, &size), doing); !s) return s;
  auto work = std::make_shared<Work>(Work{mine, std::vector<T>(static_cast<std::size_t>(size))});
  MPI_Request request = MPI_REQUEST_NULL;
  Status status = status_of(MPI_Iallgather(&work->mine, sizeof(T), MPI_BYTE, work->all.data(),
                                           sizeof(T), MPI_BYTE, communicator, &request),
                            doing);
  if (status) status = finish(request, deadline, doing);
  if (!status) {
    keep_for_ever(work);
    return status;
  }
  return std::move(work->all);
}

}  // namespace exdb::mpi
