// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A database's folder: what is recovered from it when it is opened, and checkpoints while it is open,
// asked for or when the log has grown.
//
// Invariants
//   F1  The replica that open() gives is that of the files: each round was certified again, and its
//       digest is the one that was written with it.
//   F2  While a checkpoint is written commits go on: the replica's lock is held to begin it, and the
//       turn of the log only to settle it and to remove what it has made of no use.
//   F3  The log that a recovery would have to read is not longer than `checkpoint_bytes`, or the last
//       checkpoint if that is larger, and what is committed while the next is written: so at most half
//       of what is written is checkpoints.
//   F4  An agreed checkpoint is of the state after its round, however much is committed meanwhile; one
//       that is not begun to be written when the next is agreed on is left out for that.
// Threads: checkpoint() and close() from any.
// Failure: what fails a checkpoint is given back; unless it is disk_full, no_memory or interrupted the
//   device is not trusted any more and the route stops too.
#pragma once
#include <condition_variable>
#include <stop_token>
#include <thread>

#include "database/durable_history.hpp"
#include "database/durable_route.hpp"
#include "database/replica_sink.hpp"
#include "database/stable_history.hpp"
#include "database/stored_state.hpp"

namespace exdb {

/// A number for the transactions of this life of a process that is beyond all of its lives before,
/// those included that never came into a log: by the clock, and where that goes back, beyond the
/// highest that the log knows.
[[nodiscard]] std::uint64_t first_number_after(std::uint64_t highest);

class Durable {
 public:
  struct Options {
    std::string name;  ///< of the database, for messages
    RoundLog::Options log;
    std::uint64_t checkpoint_bytes = 0;             ///< F3; 0: only when asked for
    std::chrono::milliseconds checkpoint_every{0};  ///< 0: not by time
  };

  /// Recovers. O(what is on disk). `random`: names a database that is made now.
  static Result<std::unique_ptr<Durable>> open(std::unique_ptr<Folder> folder,
                                               std::shared_ptr<const Dictionary> dictionary,
                                               const StorageOptions& storage, Options options,
                                               std::uint64_t random);
  /// Of a node: what it has recovered itself, or with the others (restore.hpp).
  struct Recovered {
    std::unique_ptr<Folder> folder;
    DatabaseIdentity identity;
    std::unique_ptr<Replica> replica;
    std::unique_ptr<RoundLog> log;
    Round checkpoint;  ///< the newest there is
    std::uint64_t checkpoint_bytes = 0, log_bytes = 0;
    Marks marks;       ///< the highest that any node knows
    std::string told;  ///< one line
    bool worth_telling = false;
  };
  Durable(Recovered recovered, std::shared_ptr<const Dictionary> dictionary, Options options);
  ~Durable();
  Durable(const Durable&) = delete;
  Durable& operator=(const Durable&) = delete;

  /// The state, once.
  [[nodiscard]] std::unique_ptr<Replica> take_replica() { return std::move(recovered_); }
  /// The route, once, over the replica; it and `lock` outlive this.
  [[nodiscard]] std::unique_ptr<CommitRoute> make_route(Replica& replica, std::mutex& lock,
                                                        std::atomic<std::uint64_t>& autoids);
  /// The history of a node, once; it outlives neither this nor what `marks` reads.
  [[nodiscard]] std::shared_ptr<DurableHistory> make_history(std::function<Marks()> marks,
                                                             std::optional<MemberId> answered);
  /// Of a node that comes and goes: the same.
  [[nodiscard]] std::shared_ptr<StableHistory> make_stable_history(StableHistory::Begin begin,
                                                                   std::function<Marks()> marks);
  /// Where states go that it takes from others, on their way to `sink`.
  [[nodiscard]] StateSink& make_stored_state(StateSink& sink, std::function<Marks()> marks);
  /// From here on there may be checkpoints. After make_history().
  void watch(Replica& replica, std::mutex& lock);
  [[nodiscard]] Marks marks() const { return end_.marks; }
  /// That this transaction of a life before is not among those recovered, and so never will be.
  /// REQUIRES: the replica does not know it.
  [[nodiscard]] bool never_came(TxnId id) const;
  /// What was recovered, from where, in how long, and what was cut: one line.
  [[nodiscard]] const std::string& told() const { return told_; }
  /// The last one to have it open had not closed it.
  [[nodiscard]] bool was_torn_down() const { return torn_down_; }

  /// Writes the state into a file; the log before it goes. Blocks; commits go on. Nothing is written
  /// when nothing was committed since the last.
  Status checkpoint();
  /// Of a node: begins a checkpoint of what its replica has after `round`, which the thread writes.
  /// Under the replica's lock.
  void begin_agreed(Round round);
  /// `tell` is called in that thread when it is written, or why it is not. Before the first.
  void on_written(std::function<void(Round, const Status&)> tell) { written_ = std::move(tell); }
  /// Blocks until what was begun is written and told, or `until`.
  void finish_agreed(std::chrono::steady_clock::time_point until);
  /// Of the checkpoint that is being written, or was last.
  [[nodiscard]] std::uint64_t bytes_now() const { return bytes_now_.load(); }
  /// A replica to be read, of the file of a named snapshot. O(rows).
  Result<std::unique_ptr<Replica>> read_named(const NamedSnapshot& snapshot,
                                              const StorageOptions& storage);
  /// Ends the thread and closes the log; the folder is free when this returns. Idempotent.
  Status close();

  /// Why nothing more is committed; ok while it is.
  [[nodiscard]] Status failure() const { return rounds_->failure(); }

  struct Counters {
    std::uint64_t rounds = 0, log_bytes = 0, log_groups = 0, checkpoints = 0, checkpoint_bytes = 0;
  };
  [[nodiscard]] Counters counters() const;

 private:
  Durable(std::unique_ptr<Folder> folder, std::shared_ptr<const Dictionary> dictionary,
          Options options);
  Status recover_all(const StorageOptions& storage, std::uint64_t random);
  struct Begun;
  std::unique_ptr<Begun> begin(LoggedRounds::State at);
  Status write(Begun& begun, const std::stop_token& stop);
  Status write_guarded(const std::function<Status()>& what,
                       const std::function<void(const Status&)>& tell = {});
  void write_agreed(Begun& begun);
  Status drop(const LoggedRounds::State& applied);
  Status in_turn(const LoggedRounds::State& applied, const std::function<Status(RoundLog&)>& what);
  void run(const std::stop_token& stop);
  [[nodiscard]] bool due() const;
  [[nodiscard]] bool due_by_time() const;
  void tell_if_due();

  std::unique_ptr<Folder> folder_;
  const std::shared_ptr<const Dictionary> dictionary_;
  const Options options_;
  DatabaseIdentity identity_;
  std::unique_ptr<Replica> recovered_;
  Csn recovered_csn_;
  LogEnd end_;
  std::string told_;
  std::uint64_t highest_recovered_ = 0, first_number_ = 1;  ///< of transactions
  bool torn_down_ = false;

  Replica* replica_ = nullptr;
  LoggedRounds* rounds_ = nullptr;
  std::unique_ptr<RoundLog> log_;            ///< of a node, until it has its history
  std::shared_ptr<DurableHistory> history_;  ///< of a node
  std::shared_ptr<StableHistory> stable_;    ///< or of one that comes and goes
  std::unique_ptr<StoredState> arriving_;
  std::mutex* lock_ = nullptr;

  std::mutex writing_;  ///< one checkpoint at a time
  bool closed_ = false;
  Round last_;  ///< that is in a checkpoint
  std::atomic<std::uint64_t> checkpoints_{0}, last_bytes_{0};
  std::atomic<std::uint64_t> log_at_last_{0};  ///< written_bytes() then
  std::uint64_t log_before_ = 0;               ///< bytes that were recovered after the checkpoint

  std::atomic<std::uint64_t> bytes_now_{0};
  std::atomic<std::chrono::steady_clock::rep> last_time_{0};
  std::function<void(Round, const Status&)> written_;

  std::mutex due_lock_;  ///< of what follows
  std::unique_ptr<Begun> agreed_;
  bool agreed_busy_ = false;  ///< until it is told
  std::condition_variable_any due_changed_;
  std::stop_source stop_;
  std::jthread writer_;
};

}  // namespace exdb
