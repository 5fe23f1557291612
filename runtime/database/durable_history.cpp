// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_history.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.hpp"

namespace exdb {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

DurableHistory::DurableHistory(std::unique_ptr<RoundLog> log, std::function<Marks()> marks,
                               bool waits, std::chrono::nanoseconds at_once)
    : log_(std::move(log)),
      marks_(std::move(marks)),
      waits_(waits),
      at_once_below_(at_once),
      at_once_(!waits) {
  const auto begun = kept_.restart(log_->chain(), true);
  EXDB_ASSERT(begun.ok(), "a history in memory begins anywhere");
  applied_ = final_ = full_ = wanted_ = written_ = log_->chain().round;
  writer_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

DurableHistory::~DurableHistory() { (void)close(); }

Status DurableHistory::append(CompletedRound&& round) {
  const auto number = round.round;
  const auto bytes = payload_bytes(round);
  if (auto status = kept_.append(std::move(round)); !status) return status;
  Lock lock(mutex_);
  if (!failure_.ok()) return failure_;
  queue_.push_back({&kept_.held(number), marks_()});
  queued_bytes_ += bytes;
  if (bytes != 0) full_ = number;
  if (bytes != 0 || queue_.size() > queued_empty_max) wanted_ = number;
  if (at_once_ || wanted_ != number) return {};
  changed_.notify_all();
  changed_.wait(lock, [this] { return queued_bytes_ <= queued_bytes_max || !failure_.ok(); });
  return failure_;
}

Round DurableHistory::written() const {
  const Lock lock(mutex_);
  return written_;
}

/// N2.
void DurableHistory::release(Round upto) {
  applied_ = upto;
  kept_.release(std::min(applied_, written()));
}

Round DurableHistory::newest_final(const RoundHistory& /*history*/) {
  Lock lock(mutex_);
  if (at_once_ && wanted_ > written_ && !writing_ && failure_.ok()) write_group(lock);
  if (failure_.ok()) final_ = std::max(final_, written_ >= full_ ? chain().round : written_);
  return final_;
}

Status DurableHistory::failure() const {
  const Lock lock(mutex_);
  return failure_;
}

void DurableHistory::on_change(std::function<void()> tell) {
  const std::lock_guard lock(tell_lock_);
  tell_ = std::move(tell);
}

void DurableHistory::tell() {
  const std::lock_guard lock(tell_lock_);
  if (tell_) tell_();
}

/// The applied round may be one that is not written yet, if it is empty; in_turn() writes it first.
LoggedRounds::State DurableHistory::state() const { return state_after(applied_); }

LoggedRounds::State DurableHistory::state_after(Round round) const {
  auto at = kept_.chain_at(round);
  EXDB_ASSERT(at.ok(), "what is not applied is kept");
  return {*at, marks_()};
}

void DurableHistory::run(const std::stop_token& stop) {
  Lock lock(mutex_);
  const auto due = [this] {
    const bool mine = !at_once_ || queued_bytes_ > queued_bytes_max;  // N4: append() waits
    return wanted_ > written_ && !writing_ && mine && failure_.ok();
  };
  while (changed_.wait(lock, stop, due)) {
    if (stop.stop_requested()) return;
    write_group(lock);
    lock.unlock();
    tell();
    lock.lock();
  }
}

/// Writes all that is queued, without the lock. REQUIRES: nobody writes, nothing has failed.
void DurableHistory::write_group(Lock& lock) {
  if (queue_.empty()) return;
  writing_ = true;
  const auto group = std::exchange(queue_, {});
  lock.unlock();
  const auto begun = Clock::now();
  const auto status = write(group);
  const auto took = Clock::now() - begun;
  std::size_t bytes = 0;
  for (const auto& each : group) bytes += payload_bytes(*each.round);
  const auto last = group.back().round->round;
  lock.lock();
  writing_ = false;
  if (status.ok()) {
    written_ = last;
    queued_bytes_ -= bytes;
    groups_.fetch_add(1, std::memory_order_relaxed);
    groups_rounds_.fetch_add(group.size(), std::memory_order_relaxed);
    sync_time_ = sync_time_ == 0ns ? took : (3 * sync_time_ + took) / 4;
    at_once_ = !waits_ || sync_time_ < at_once_below_;
    if (on_round_) on_round_();
  } else if (failure_.ok()) {
    failure_ = status;
  }
  changed_.notify_all();
}

Status DurableHistory::write(const std::vector<Queued>& group) {
  try {
    for (const auto& each : group) {
      auto copy = log_->spare();
      copy.round = each.round->round;
      copy.last = each.round->last;
      copy.view = each.round->view;
      copy.batches = each.round->batches;
      log_->set_marks(each.marks);
      const auto number = copy.round;
      if (auto status = log_->append(std::move(copy)); !status) return status;
      log_->release(number);
    }
    return log_->sync();
  } catch (const std::bad_alloc&) {
    return {ErrorCode::no_memory, "out of memory while rounds were written"};
  }
}

Status DurableHistory::sync() {
  return in_turn([](RoundLog& log) { return log.settle(); });
}

Status DurableHistory::in_turn(const std::function<Status(RoundLog&)>& what) {
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

void DurableHistory::stop(const Status& why) {
  {
    const Lock lock(mutex_);
    if (failure_.ok()) failure_ = why;
    changed_.notify_all();
  }
  tell();
}

Status DurableHistory::close() {
  writer_.request_stop();
  if (writer_.joinable()) writer_.join();
  {
    const Lock lock(mutex_);
    if (std::exchange(closed_, true)) return {};
  }
  return in_turn([](RoundLog& log) { return log.close(); });
}

}  // namespace exdb
