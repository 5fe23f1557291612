// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "calls.hpp"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>

namespace exdb::mpi {

Status status_of(int code, const char* doing) {
  if (code == MPI_SUCCESS) return {};
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return Status(ErrorCode::cluster, std::string(doing) + " failed: " +
                                        std::string(text, static_cast<std::size_t>(length)));
}

void Patience::pause() {
  const auto now = Deadline::Clock::now();
  if (nap_from_ == Deadline::Clock::time_point{}) nap_from_ = now + std::chrono::milliseconds(1);
  if (now < nap_from_) {
    sched_yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

Status finish(MPI_Request& request, const Deadline& deadline, const char* doing) {
  for (Patience patience;; patience.pause()) {
    int done = 0;
    if (Status s = status_of(MPI_Test(&request, &done, MPI_STATUS_IGNORE), doing); !s) return s;
    if (done != 0) return {};
    if (deadline.passed()) {
      return Status(
          ErrorCode::timeout,
          std::string(doing) + " did not end within " + std::to_string(deadline.span().count()) +
              " ms: some rank of the communicator has not come to the same call, or is dead");
    }
  }
}

void keep_for_ever(std::shared_ptr<void> object) {
  static std::mutex lock;
  static auto* kept =
      new std::vector<std::shared_ptr<void>>;  // never destroyed: MPI may outlive our statics
  std::lock_guard guard(lock);
  kept->push_back(std::move(object));
}

namespace {

struct BlockGather {
  std::vector<std::byte> mine;
  std::vector<std::uint64_t> lengths;
  std::vector<int> counts, offsets;
  std::vector<std::byte> pass;
  std::vector<std::vector<std::byte>> blocks;
};

/// Bytes of each rank in one pass, so that a pass as a whole can be counted by an int.
std::size_t pass_bytes(std::size_t ranks) {
  return std::max<std::size_t>(1, chunk_bytes_max / ranks);
}

Status gather_pass(MPI_Comm communicator, BlockGather& work, int rank, std::size_t from,
                   std::size_t each, const Deadline& deadline) {
  constexpr const char* doing = "gathering the nodes' descriptions";
  int total = 0;
  for (std::size_t i = 0; i < work.lengths.size(); ++i) {
    const std::size_t length = work.lengths[i];
    work.counts[i] = static_cast<int>(length > from ? std::min(each, length - from) : 0);
    work.offsets[i] = total;
    total += work.counts[i];
  }
  work.pass.resize(static_cast<std::size_t>(total));
  MPI_Request request = MPI_REQUEST_NULL;
  const std::size_t start = std::min(from, work.mine.size());
  if (Status s = status_of(
          MPI_Iallgatherv(work.mine.data() + start, work.counts[static_cast<std::size_t>(rank)],
                          MPI_BYTE, work.pass.data(), work.counts.data(), work.offsets.data(),
                          MPI_BYTE, communicator, &request),
          doing);
      !s) {
    return s;
  }
  if (Status s = finish(request, deadline, doing); !s) return s;
  for (std::size_t i = 0; i < work.blocks.size(); ++i) {
    const std::byte* data = work.pass.data() + work.offsets[i];
    work.blocks[i].insert(work.blocks[i].end(), data, data + work.counts[i]);
  }
  return {};
}

}  // namespace

Result<std::vector<std::vector<std::byte>>> collective_gather_blocks(
    MPI_Comm communicator, std::span<const std::byte> mine, const Deadline& deadline) {
  auto lengths = collective_gather_records<std::uint64_t>(communicator, mine.size(), deadline,
                                                          "gathering the nodes' descriptions");
  if (!lengths) return lengths.status();
  int rank = 0;
  MPI_Comm_rank(communicator, &rank);
  auto work = std::make_shared<BlockGather>();
  work->mine.assign(mine.begin(), mine.end());
  work->lengths = *std::move(lengths);
  const std::size_t ranks = work->lengths.size();
  work->counts.resize(ranks);
  work->offsets.resize(ranks);
  work->blocks.resize(ranks);
  const std::uint64_t longest = *std::max_element(work->lengths.begin(), work->lengths.end());
  const std::size_t each = pass_bytes(ranks);
  for (std::size_t from = 0; from < longest; from += each) {
    if (Status s = gather_pass(communicator, *work, rank, from, each, deadline); !s) {
      keep_for_ever(work);
      return s;
    }
  }
  return std::move(work->blocks);
}

}  // namespace exdb::mpi
