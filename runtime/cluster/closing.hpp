// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The databases of this process, as far as ending them goes: which thread would stop each, and in
// whose stop threads wait. It is all that tells an opposite order of closing from a program whose
// other thread is about to close the other database.
//
// A database's keeper is the thread that used it last: committed, connected, read fresh, stopped. A
// keeper that waits in the stop of another database will not stop this one, whatever happens. One
// that has ended, or does nothing but listen, is none; and what nobody keeps is, as far as one can
// know, for the thread to stop that is stopping the others.
//
// Invariants
//   I1  elsewhere() and kept() name databases of other clusters only, and only such as this
//       process has.
// Threads: all functions from any thread; no lock of a node is taken under the registry's own, so
//   they may be called under the drive lock.
#pragma once
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cluster/opposite_order.hpp"

namespace exdb {

class Closing {
 public:
  /// For processes beside this one: the keeper waits in the stop of the database `cluster_id` (0: in
  /// none any more), or accuses somebody there of an opposite order. Under the registry's lock.
  using Say = std::function<void(std::uint64_t cluster_id, bool accuses)>;

  Closing(std::uint64_t cluster_id, std::string name, Say say = {});
  ~Closing();
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;

  /// This thread uses the database. Costs a load in a thread that did so last.
  void used() {
    if (keeper_.load(std::memory_order_relaxed) != std::this_thread::get_id()) keep();
  }
  /// This thread drives and does nothing else.
  void only_listens();

  /// While a thread waits in stop here.
  class Waiting {
   public:
    explicit Waiting(Closing& closing);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    Closing& closing_;
  };

  /// The database in whose stop this one's keeper waits, or (once) was told of an opposite order,
  /// and what is waited for there in turn. Costs a load when nobody waits anywhere in the process.
  [[nodiscard]] std::vector<Elsewhere> elsewhere();
  /// What the threads that wait in stop here keep, and nobody has begun to stop.
  [[nodiscard]] std::vector<Elsewhere> kept() const;
  /// What its member was told by those for whom the threads that wait in stop here wait; forgotten
  /// when nobody does any more.
  void set_beyond(std::vector<Elsewhere> beyond);
  /// Its member has recognised an opposite order; forgotten when nobody waits here any more.
  void set_sure();
  /// The waiting threads go away with the error of an opposite order, before the other side may
  /// know: the databases they keep say so once more.
  void accuse();
  /// A thread waits in stop here and keeps `cluster_id`, in whose stop somebody waits who keeps this
  /// one: those beside it are to know.
  void accuse_beside(std::uint64_t cluster_id);

 private:
  class Farewell;
  void keep();
  /// REQUIRES: the registry's lock, as the next.
  [[nodiscard]] bool kept_by(std::thread::id thread) const;
  [[nodiscard]] bool waited_in_by_keeper_of(const Closing& other) const;
  /// This thread begins or ends to wait in stop here: says so of the others that it keeps.
  void say_waiting(bool begins);
  /// Where one comes to, for `from`, through a thread that waits in stop here.
  [[nodiscard]] std::vector<Elsewhere> ways_through(const Closing& from) const;

  const std::uint64_t cluster_id_;
  const std::string name_;
  const Say say_;  ///< may be none
  std::atomic<std::thread::id> keeper_;
  // Under the registry's lock.
  std::vector<std::thread::id> waiting_;
  bool stopping_ = false, sure_ = false;
  std::vector<Elsewhere> beyond_;
  std::vector<Elsewhere> last_word_;  ///< empty: none to say
};

}  // namespace exdb
