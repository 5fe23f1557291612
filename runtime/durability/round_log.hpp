// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The RoundHistory on disk: files of records (log_record.hpp), each called after its first round and
// preallocated, one behind the other. append() lays a round out in memory; sync() writes what was
// laid out since and waits for the device once, however many rounds that are.
//
// Invariants
//   L1  A record is written only when all that its `synced` says is on the device: with fsync, all
//       before the same sync(). So what a crash can tear is the last group, which nobody was told of.
//   L2  A file is under its name only when its head is on the device, and only after all of the file
//       before it is. So there is at most one torn end, in the last file.
//   L3  After a Status from append(), sync() or close() nothing more is written (file.hpp I2).
//   L4  in_doubt() is true exactly when rounds that sync() has not answered for may be found by a
//       recovery all the same: who waits for them is told "unknown", never "no".
//   L5  A file is removed only when a checkpoint has all its rounds, the oldest first.
//   L6  In format 2 (L6 to L8), of a node of a cluster whose nodes come and go: the changes of a step
//       are in one file and count together (I3 of log_record.hpp).
//   L7  Behind the head of each file is what was remembered last, before the file has its name: so files
//       before it can go.
//   L8  restart() begins a file with all of its step, which takes the place of all files before in the
//       moment in which it is given its name.
// Threads: one at a time, but written_bytes() from any.
// Failure: Status disk or disk_full, from the file that failed.
// Cost: append() one copy of the payload; sync() one write and one fdatasync. A file that is begun
//   costs two more of them, once in `segment_bytes`.
#pragma once
#include <atomic>
#include <deque>
#include <span>

#include "durability/log_record.hpp"

namespace exdb {

/// Where a log ends that was read whole, and so where it goes on.
struct LogEnd {
  struct Segment {
    std::string name;
    Round first;
  };
  std::deque<Segment> segments;
  std::uint64_t offset = 0;  ///< in the last of them, behind its last record
  bool closed = false;       ///< the last record says so
  bool torn = false;         ///< there are bytes behind the last record
  RoundHistory::Chain chain;
  Marks marks;
  std::vector<std::byte> memory;  ///< of format 2
};

/// One of the changes of a step, in format 2.
struct LogChange {
  enum class Kind : std::uint8_t { round, back, memory };
  Kind kind = Kind::round;
  const CompletedRound* round = nullptr;  ///< the next
  Marks marks;                            ///< with it
  Round final;                            ///< with it: the newest that is known to be so
  RoundHistory::Chain to;                 ///< back: what comes after is taken back
  std::vector<std::byte> memory;          ///< takes the place of what was remembered before
};

class RoundLog final : public RoundHistory {
 public:
  struct Options {
    /// A file, if no round is larger. Small enough that a checkpoint gives most of the log back,
    /// large enough that beginning one is rare.
    std::uint64_t segment_bytes = std::uint64_t{16} << 20;
    /// False: sync() hands the bytes to the system and does not wait for the device: what was
    /// acknowledged outlives the process, and not the machine.
    bool fsync = true;
  };

  /// Does nothing on disk until the first append(). `folder` outlives it.
  RoundLog(Folder& folder, DatabaseIdentity identity, const Options& options, LogEnd end);

  Status append(CompletedRound&& round) override;
  Status sync() override;
  [[nodiscard]] Chain chain() const override { return kept_.chain(); }
  [[nodiscard]] const CompletedRound& held(Round round) const override { return kept_.held(round); }
  void release(Round upto) override { kept_.release(upto); }
  CompletedRound spare() override { return kept_.spare(); }
  /// Those that are not released; older ones are on disk, for recovery.
  Status read_from(Round from, const Reader& each) const override {
    return kept_.read_from(from, each);
  }

  // --- format 2: no append(), and nothing is held ---
  /// Lays out a step. What it refers to may go then.
  Status append(std::span<const LogChange> step);
  /// Begins anew after `at`, with a step, on the device when this returns (L8). Then
  /// drop_before_restart(). Blocks.
  Status restart(Chain at, std::span<const LogChange> step);
  /// Kept when it is closed: the newest round that is known to be final.
  void set_final(Round final) { final_ = final; }
  /// The state that the log begins with has its name: files before it go.
  Status drop_before_restart();
  /// How often it has begun anew.
  [[nodiscard]] std::uint64_t restarts() const { return restarts_; }

  /// Kept with the rounds that are appended from here on.
  void set_marks(Marks marks) { marks_ = marks; }
  [[nodiscard]] bool in_doubt() const { return in_doubt_; }  ///< L4
  /// What was written is on the device, whatever the options: before a checkpoint has its name, which
  /// must not be ahead of its log.
  Status settle();
  /// Removes files whose rounds are all `upto` or older (L5). `going`: remove_file().
  Status drop_before(Round upto, OpenFiles* going = nullptr);
  /// Says that the log ends here, and gives back what was preallocated. No round is lost when it is
  /// not called; a recovery cannot tell then a torn end from damage to the last records.
  Status close();
  /// Of records, since it was made. From any thread.
  [[nodiscard]] std::uint64_t written_bytes() const { return written_bytes_.load(); }
  [[nodiscard]] std::size_t segments() const { return segments_.size(); }

 private:
  Status ready_for(std::uint64_t bytes);
  Status go_on();
  Status rotate(std::uint64_t bytes);
  Status begin_file(std::uint64_t bytes, std::vector<std::byte>& head);
  [[nodiscard]] Round next_name() const;
  void lay_out(const LogChange& change, bool goes_on, std::uint64_t offset, std::uint64_t synced,
               std::vector<std::byte>& out);
  void lay_out_memory(std::vector<std::byte>& out) const;
  Status flush(bool to_device);
  Status fail(Status status);

  Folder& folder_;
  const DatabaseIdentity identity_;
  const Options options_;
  MemoryRoundHistory kept_;
  Marks marks_;
  std::vector<std::byte> memory_;  ///< of format 2: the newest
  std::uint64_t restarts_ = 0;
  Round final_;

  std::deque<LogEnd::Segment> segments_;
  std::unique_ptr<File> file_;  ///< the last of them, when something was written
  std::uint64_t written_ = 0;   ///< offset behind what was given to it
  std::uint64_t synced_ = 0;    ///< L1
  std::uint64_t capacity_ = 0;  ///< of what was preallocated
  std::vector<std::byte> pending_;
  bool ends_clean_ = false;
  bool in_doubt_ = false;
  Status failure_;  ///< L3
  std::atomic<std::uint64_t> written_bytes_{0};
};

}  // namespace exdb
