// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who writes a log beside the thread that drives a node: entries wait in a queue, a thread takes all
// that are there, writes them and waits for the device once, while the next ones gather. On a device
// that answers at once (a file system in memory), or when the device is not waited for, the thread
// that drives writes itself: to hand an entry to another thread and back would cost more than the
// write.
//
// Invariants
//   G1  Entries are written in the order in which they came, each once; written() names the last that is
//       on the device.
//   G2  After a failure nothing more is written.
//   G3  What waits for the device is bounded: beyond queued_bytes_max add() waits.
//   G4  What is wanted is written without another call: who drives leaves what it cannot write itself,
//       because somebody else is writing or the device has become slow, to the thread, and what is left
//       to the thread stays so when the device becomes fast.
//   G5  On a slow device the thread waits before it begins a group for those whom the group before has
//       answered, since as a rule they come back: until as many answers are wanted as were by that group
//       and behind it, not longer than a quarter of a sync from its end, and not where those before have
//       twice taken longer to come. Else who comes first has a sync of his own, and the rest wait for it
//       and then for theirs.
// Threads: add(), and then write_at_once(), by one at a time; the rest from any.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "durability/round_log.hpp"

namespace exdb {

/// About what it costs to wake a thread and to be woken by it.
constexpr std::chrono::microseconds at_once_default{50};

template <class Entry>
class GroupWriter {
 public:
  /// Counts entries; zero is none.
  using Ticket = std::uint64_t;
  /// Lays out a group. What it refers to is there until then.
  using LayOut = std::function<Status(RoundLog&, const std::vector<Entry>&)>;
  using Clock = std::chrono::steady_clock;

  /// `waits`: for the device. `at_once`: who drives writes itself while a sync takes less. `now`: the
  /// clock by which a sync is measured (G5).
  GroupWriter(std::unique_ptr<RoundLog> log, LayOut lay_out, bool waits,
              std::chrono::nanoseconds at_once, Clock::time_point (*now)() noexcept = Clock::now)
      : log_(std::move(log)),
        lay_out_(std::move(lay_out)),
        waits_(waits),
        at_once_below_(at_once),
        now_(now),
        at_once_(!waits) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  ~GroupWriter() { (void)close(); }
  GroupWriter(const GroupWriter&) = delete;
  GroupWriter& operator=(const GroupWriter&) = delete;

  /// `wanted`: is to be written by now, with all before it. `answers`: how many who wait here are
  /// answered when it is on the device, and may come back then (G5); asked for where gathers().
  Status add(Entry entry, std::size_t bytes, bool wanted, std::size_t answers = 0) {
    Lock lock(mutex_);
    if (!failure_.ok()) return failure_;
    queue_.push_back(std::move(entry));
    queued_bytes_ += bytes;
    group_bytes_ += bytes;
    came(answers);
    ++added_;
    if (wanted || queue_.size() > queued_max) wanted_ = added_;
    if (wanted_ != added_ || (at_once_ && !writing_)) return {};
    leave_to_thread();
    changed_.wait(lock, [this] { return queued_bytes_ <= queued_bytes_max || !failure_.ok(); });
    return failure_;
  }
  /// Whether the device is so slow that groups wait for those who come back (G5). Lock-free.
  [[nodiscard]] bool gathers() const { return gathers_.load(std::memory_order_relaxed); }
  /// Writes what is wanted, if the device answers at once. False after a failure.
  bool write_at_once() {
    Lock lock(mutex_);
    if (wanted_ > written_ && failure_.ok()) {
      if (at_once_ && !writing_)
        write_group(lock);
      else
        leave_to_thread();
    }
    return failure_.ok();
  }
  [[nodiscard]] Ticket added() const {
    const Lock lock(mutex_);
    return added_;
  }
  /// Lock-free.
  [[nodiscard]] Ticket written() const { return written_.load(std::memory_order_acquire); }
  [[nodiscard]] Status failure() const {
    const Lock lock(mutex_);
    return failure_;
  }

  /// Calls `what` while nobody writes, when all that was added before is written. Blocks.
  Status in_turn(const std::function<Status(RoundLog&)>& what) {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return !writing_; });
    if (failure_.ok()) write_group(lock);
    changed_.wait(lock, [this] { return !writing_; });
    if (!failure_.ok()) return failure_;
    writing_ = true;
    lock.unlock();
    const auto status = what(*log_);
    lock.lock();
    writing_ = false;
    changed_.notify_all();
    lock.unlock();
    tell();
    return status;
  }
  /// Nothing more is written, for this reason.
  void stop(const Status& why) {
    {
      const Lock lock(mutex_);
      if (failure_.ok()) failure_ = why;
      changed_.notify_all();
    }
    tell();
  }
  /// Writes what waits and closes the log. Idempotent.
  Status close() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    {
      const Lock lock(mutex_);
      if (std::exchange(closed_, true)) return {};
    }
    return in_turn([](RoundLog& log) { return log.close(); });
  }

  /// Called, from any thread, when written() or failure() may have changed. Without a `tell` not any
  /// more, from when this returns.
  void on_change(std::function<void()> tell) {
    const std::lock_guard lock(tell_lock_);
    tell_ = std::move(tell);
  }
  /// Called after each group; blocks nobody. Before the first entry.
  void on_group(std::function<void()> tell) { on_group_ = std::move(tell); }
  /// REQUIRES: nothing was added yet.
  [[nodiscard]] const RoundLog& log() const { return *log_; }
  [[nodiscard]] std::uint64_t log_bytes() const { return log_->written_bytes(); }
  [[nodiscard]] std::uint64_t groups() const { return groups_.load(); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  static constexpr std::size_t queued_bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t queued_max = 4096;
  static constexpr int gather_part = 4;  ///< of a sync (G5)
  /// Shorter waits than this many wakings are over before anybody is back.
  static constexpr int gather_least = 4;

  /// One that takes much longer than those before and after it says nothing.
  class LastTwo {
   public:
    void add(Clock::duration took) { before_ = std::exchange(last_, took); }
    [[nodiscard]] Clock::duration shorter() const { return std::min(before_, last_); }

   private:
    Clock::duration before_{0}, last_{0};
  };

  void tell() {
    const std::lock_guard lock(tell_lock_);
    if (tell_) tell_();
  }
  /// G4. While the thread gathers it is told only when that is over.
  void leave_to_thread() {
    if (left_ == wanted_) return;
    left_ = wanted_;
    if (!gathering_ || gathered()) changed_.notify_all();
  }
  [[nodiscard]] bool due() const { return left_ > written_ && !writing_ && failure_.ok(); }
  void run(const std::stop_token& stop) {
    Lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return due(); })) {
      if (stop.stop_requested()) return;
      gather(lock, stop);
      if (!due()) continue;
      write_group(lock);
      lock.unlock();
      tell();
      lock.lock();
    }
  }
  [[nodiscard]] bool gathered() const {
    return answers_ >= expected_ || queued_bytes_ > queued_bytes_max;
  }
  /// G5.
  void gather(Lock& lock, const std::stop_token& stop) {
    const auto until = ended_ + gather_max_;
    if (!gathers() || gathered() || back_in_.shorter() >= gather_max_ || now_() >= until) return;
    const auto over = [this] { return gathered() || !due(); };
    gathering_ = true;
    for (auto now = now_(); now < until && !over() && !stop.stop_requested(); now = now_())
      changed_.wait_for(lock, stop, until - now, over);
    gathering_ = false;
  }
  void came(std::size_t answers) {
    answers_ += answers;
    if (back_ >= expected_) return;
    back_ += answers;
    if (back_ >= expected_) back_in_.add(now_() - ended_);
  }
  void expect(std::size_t group_answers) {
    if (back_ < expected_) back_in_.add(Clock::duration::max());
    back_ = answers_;
    expected_ = group_answers + answers_;
  }
  void measure(Clock::duration took) {
    sync_time_ = sync_time_.count() == 0 ? took : (3 * sync_time_ + took) / 4;
    at_once_ = !waits_ || sync_time_ < at_once_below_;
    took_.add(took);
    gather_max_ = took_.shorter() / gather_part;
    gathers_.store(waits_ && gather_max_ > gather_least * at_once_below_,
                   std::memory_order_relaxed);
  }
  /// Writes all that is queued, without the lock. REQUIRES: nobody writes, nothing has failed.
  void write_group(Lock& lock) {
    if (queue_.empty()) return;
    writing_ = true;
    const auto group = std::exchange(queue_, {});
    const auto bytes = std::exchange(group_bytes_, 0);
    const auto answers = std::exchange(answers_, 0);
    lock.unlock();
    const auto begun = now_();
    const auto status = write(group);
    const auto ended = now_();
    lock.lock();
    writing_ = false;
    if (status.ok()) {
      queued_bytes_ -= bytes;
      groups_.fetch_add(1, std::memory_order_relaxed);
      measure(ended - begun);
      ended_ = ended;
      expect(answers);
      // Last: who sees it comes back, and asks whether this gathers.
      written_ += group.size();
      if (on_group_) on_group_();
    } else if (failure_.ok()) {
      failure_ = status;
    }
    changed_.notify_all();
  }
  Status write(const std::vector<Entry>& group) {
    try {
      auto status = lay_out_(*log_, group);
      return status.ok() ? log_->sync() : status;
    } catch (const std::bad_alloc&) {
      return {ErrorCode::no_memory, "out of memory while rounds were written"};
    }
  }

  const std::unique_ptr<RoundLog> log_;  ///< of who writes
  const LayOut lay_out_;
  const bool waits_;
  const std::chrono::nanoseconds at_once_below_;
  Clock::time_point (*const now_)() noexcept;
  std::function<void()> on_group_;
  std::atomic<std::uint64_t> groups_{0};

  mutable std::mutex mutex_;  ///< of what follows
  std::condition_variable_any changed_;
  std::vector<Entry> queue_;
  std::size_t queued_bytes_ = 0;  ///< not written
  std::size_t group_bytes_ = 0;   ///< of those, in queue_
  Ticket added_ = 0, wanted_ = 0;
  Ticket left_ = 0;  ///< wanted, and the thread's to write
  std::atomic<Ticket> written_{0};
  bool writing_ = false;
  bool at_once_;  ///< the device answers at once: no thread
  Clock::duration sync_time_{0};

  // G5
  std::atomic<bool> gathers_{false};
  bool gathering_ = false;
  std::size_t answers_ = 0;        ///< wanted of what is queued
  Clock::time_point ended_;        ///< the last group
  std::size_t back_ = 0;           ///< answers wanted since then, and of what was queued
  std::size_t expected_ = 0;       ///< of them, when all have come back
  LastTwo back_in_;                ///< how long that took
  LastTwo took_;                   ///< a sync
  Clock::duration gather_max_{0};  ///< a part of that

  bool closed_ = false;
  Status failure_;

  std::mutex tell_lock_;
  std::function<void()> tell_;
  std::jthread thread_;
};

}  // namespace exdb
