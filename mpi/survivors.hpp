// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a resilient cluster holds of MPI, what is known of its ranks, and how its processes end.
//
// MPI_Finalize is collective: with a rank dead the others wait in it for ever (MPICH 5.0.2; it has no
// way out). So before it begins, the ranks of each resilient cluster of the process tell each other that
// they have come to it, over the cluster's own communicator, and each waits until all have, or one is
// known to have died. Then MPI_Finalize is not entered: our wrapper returns success without it; and
// where MPI's own was called (mpi4py does), the attribute of MPI_COMM_SELF answers with an error, on
// which MPICH gives up before it waits for anybody. So the process goes on to its own end, with its own
// exit code, atexit hooks and flushed files. Rejected: _exit in that place, as a process does not know
// its exit code there (Python's is a local variable of its main by then).
//
// Invariants
//   I1  A session stays until MPI ends, or a later opening over as many ranks has taken its place; then
//       it is left behind as any other (left_sessions.hpp).
//
//   I2  Nobody enters MPI_Finalize before all ranks of its resilient clusters have come to it.
// Threads: keep: any. finish_together: the one that ends MPI, after all transports have ended.
// Failure: a rank that dies inside MPI_Finalize hangs the others there, as without exdb. Of a rank on
//   another host that dies after its database was closed nobody hears. A process that is killed while
//   it puts a message into memory that the ranks of a host share can leave the queue of the receiver
//   shut, for all senders and for ever (MPICH 5.0.2, mpi/README.md): that is said, once.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "liveness.hpp"
#include "session.hpp"

namespace exdb::mpi {

struct ResilientSession : Session {
  using Clock = std::chrono::steady_clock;
  enum class Fate {
    up,
    left,  ///< has closed its database, and lives
    dead,  ///< for good
  };

  ResilientSession(Opened from, std::size_t bound_bytes, std::chrono::milliseconds keep_alive);

  /// Looks who has died or left; into `news`. Not more often than `look_every` unless `now_at_all`.
  void look(bool now_at_all, std::vector<std::uint32_t>& news);
  void heard(std::uint32_t node) { heard_lately[node] = true; }
  /// Sends `number` with `tag` to all that are not dead.
  void tell_all(int tag, std::uint64_t number);
  [[nodiscard]] bool gone(std::uint32_t node) const { return fates[node] != Fate::up; }
  /// Why MPI_Finalize must not be entered: who is dead, on another host silent, or ends without it.
  [[nodiscard]] std::string lost() const;
  [[nodiscard]] bool all_finish() const;

  Liveness liveness;
  std::vector<Fate> fates;
  std::vector<bool> heard_lately;
  std::vector<Clock::time_point> heard_at;
  std::vector<std::uint32_t> failed;  ///< MPI calls with these as partner have failed
  bool closed = false;

 private:
  static constexpr std::chrono::milliseconds look_every{50};
  std::chrono::milliseconds keep_alive_;
  Clock::time_point next_look_{};
  std::optional<std::uint32_t> died_here_;  ///< on this host, and nobody was heard since
  Clock::time_point died_at_{};
  void die(std::uint32_t node);
  void look_for_shut_queue(Clock::time_point now);
};

/// From opening on.
void keep(std::shared_ptr<ResilientSession> session);

/// There is, or was, a resilient cluster in this process.
bool any_resilient();

/// Waits for the ranks of all resilient clusters, as above. False: MPI_Finalize must not be entered.
/// The second call has nobody to wait for.
bool finish_together();

/// MPICH leaves its segment in /dev/shm when a process dies; all ranks of this host have it mapped, so
/// nobody needs its name any more.
void unlink_mapped_segments();

}  // namespace exdb::mpi
