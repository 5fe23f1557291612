// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What exchange and device do by themselves on several ranks, and a folder for all of them.
//
// Threads: COLLECTIVE over MPI_COMM_WORLD.
// Failure: as floors.hpp.
#pragma once
#include <exception>
#include <optional>

#include "common/ranks.hpp"
#include "durability/floors.hpp"

namespace exdb::bench {

/// A folder for all ranks, and a file for each; goes with it.
class SharedPlace {
 public:
  SharedPlace(const Ranks& ranks, const std::string& in) {
    std::string path(in.size() + 64, '\0');
    if (ranks.first()) {
      own_.emplace(in);
      own_->database().copy(path.data(), path.size() - 1);
    }
    MPI_Bcast(path.data(), int(path.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
    path_ = path.c_str();
    file_ = path_ + "-file-" + std::to_string(ranks.rank);
  }
  /// After all have closed what is in it.
  ~SharedPlace() {
    if (std::uncaught_exceptions() == 0) barrier();
  }
  SharedPlace(const SharedPlace&) = delete;
  SharedPlace& operator=(const SharedPlace&) = delete;
  [[nodiscard]] const std::string& database() const { return path_; }
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  std::optional<Place> own_;
  std::string path_, file_;
};

/// The floor: each rank sends `sent` bytes to every other and has theirs, then writes and syncs
/// `written`, if it is one that does. Microseconds of each.
inline std::vector<double> bare_rounds(const Ranks& ranks, const SharedPlace& place,
                                       std::size_t sent, std::size_t written, int count) {
  MPI_Comm comm;
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  std::vector<std::byte> out(sent), in(sent * std::size_t(ranks.count));
  std::vector<MPI_Request> requests;
  for (int peer = 0; peer < ranks.count; ++peer) {
    if (peer == ranks.rank) continue;
    MPI_Recv_init(in.data() + sent * std::size_t(peer), int(sent), MPI_BYTE, peer, 0, comm,
                  &requests.emplace_back());
    MPI_Send_init(out.data(), int(sent), MPI_BYTE, peer, 0, comm, &requests.emplace_back());
  }
  std::optional<SyncedFile> file;
  if (written != 0) file.emplace(place.file(), false);
  std::vector<double> times;
  for (int round = 0; round < count; ++round) {
    const auto start = Clock::now();
    MPI_Startall(int(requests.size()), requests.data());
    for (int done = requests.empty(); !done;) {
      MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
      if (!done) sched_yield();
    }
    if (file) file->append_and_sync(written);
    times.push_back(microseconds_since(start));
  }
  for (auto& request : requests) MPI_Request_free(&request);
  MPI_Comm_free(&comm);
  return times;
}

}  // namespace exdb::bench
