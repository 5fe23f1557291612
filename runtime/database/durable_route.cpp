// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_route.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "cluster/commit_window.hpp"

namespace exdb {
namespace {

/// How long commit_later() may lie before it is written, when nothing else is. Long beside the
/// filling of a window, short beside a person.
constexpr auto left_alone_max = std::chrono::milliseconds(1);
/// Shorter waits than this are not worth a timer.
constexpr auto gather_least = std::chrono::microseconds(20);
constexpr int gather_part = 8;  ///< of an fsync (D6)

}  // namespace

DurableRoute::DurableRoute(Replica& replica, std::unique_ptr<RoundLog> log, std::mutex& lock,
                           const std::atomic<std::uint64_t>& autoids, Marks marks,
                           Clock::time_point (*now)() noexcept)
    : OnlyRoute(replica),
      log_(std::move(log)),
      lock_(lock),
      autoids_(autoids),
      now_(now),
      marks_(marks) {
  state_ = {log_->chain(), marks};
}

/// Encoded by the thread that commits: what depends on this transaction alone keeps no other waiting.
Result<std::shared_ptr<PendingItem>> DurableRoute::submit(Outgoing& out) {
  const auto& item = unshared_item(out.spare);
  item->sequence = out.id.sequence;
  out.shared.normalise_ops();
  out.shared.normalise_reads();
  const auto length = out.shared.encoded_bytes();
  ByteWriter writer(item->bytes);
  encode_item_head({RoundItem::Kind::transaction, MemberId{}, self(), item->sequence, {}}, length,
                   writer);
  out.shared.encode(item->bytes);
  if (length > item_bytes_max)
    return Status(ErrorCode::too_large, "a transaction of " + std::to_string(length) +
                                            " bytes is more than one commit may carry, " +
                                            std::to_string(item_bytes_max));
  std::unique_lock queue(queue_lock_);
  if (!failure_.ok()) return failure_;
  waiting_.push_back(item);
  if (waiting_.size() == expected_) arrived_.notify_one();
  // Without a thread for it this one does it now.
  if (out.later && !leave_to_writer() && !leading_ && turns_wanted_ == 0) lead(queue);
  return item;
}

ItemOutcome DurableRoute::wait(PendingItem& item) {
  if (!item.done.load(std::memory_order_acquire)) {
    std::unique_lock queue(queue_lock_);
    while (!item.done.load(std::memory_order_acquire)) {
      if (leading_ || turns_wanted_ != 0) {
        changed_.wait(queue);
      } else {
        lead(queue);
      }
    }
  }
  return std::move(item.outcome);
}

/// One round. Who waits for the next leads it.
void DurableRoute::lead(std::unique_lock<std::mutex>& queue) {
  leading_ = true;
  ++turns_;
  gather(queue);
  auto items = take();
  const auto led = items.size();
  queue.unlock();
  commit_round(items);
  queue.lock();
  expected_ = led + waiting_.size();
  leading_ = false;
  changed_.notify_all();
}

/// D6.
void DurableRoute::gather(std::unique_lock<std::mutex>& queue) {
  const auto longest = sync_took_ / gather_part;
  if (waiting_.size() >= expected_ || longest < gather_least) return;
  arrived_.wait_for(queue, longest, [this] { return waiting_.size() >= expected_; });
}

/// D5. False when there can be no such thread.
bool DurableRoute::leave_to_writer() {
  nobody_waits_ = true;
  try {
    if (!writer_.joinable())
      writer_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  } catch (const std::system_error&) {
    return false;
  }
  if (std::exchange(writer_sleeps_, false)) left_.notify_one();
  return true;
}

void DurableRoute::run(const std::stop_token& stop) {
  std::unique_lock queue(queue_lock_);
  while (!stop.stop_requested()) {
    writer_sleeps_ = true;
    left_.wait(queue, stop, [this] { return nobody_waits_; });
    writer_sleeps_ = false;
    const auto seen = turns_;
    left_.wait_for(queue, stop, left_alone_max, [&] { return turns_ != seen; });
    if (turns_ == seen && nobody_waits_ && !leading_ && turns_wanted_ == 0) lead(queue);
  }
}

/// As many as a batch of the cluster has, or one.
DurableRoute::Items DurableRoute::take() {
  std::size_t bytes = 0, count = 0;
  while (count < waiting_.size()) {
    bytes += waiting_[count]->bytes.size();
    if (count != 0 && bytes > CommitWindow::batch_bytes_max) break;
    ++count;
  }
  if (count == waiting_.size()) {
    nobody_waits_ = false;
    return std::exchange(waiting_, {});
  }
  const auto end = waiting_.begin() + std::ptrdiff_t(count);
  Items taken(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return taken;
}

CompletedRound DurableRoute::round_of(const Items& items) {
  std::unique_lock lock(lock_);
  auto made = begin_round(*log_);
  lock.unlock();
  ByteWriter payload(made.batches.front().payload);
  for (const auto& item : items) {
    payload.put_raw(item->bytes);
    marks_.sequence = std::max(marks_.sequence, item->sequence);
  }
  marks_.autoid = autoids_.load(std::memory_order_relaxed);
  seal(made);
  return made;
}

Status DurableRoute::write(CompletedRound&& made) {
  log_->set_marks(marks_);
  if (auto status = log_->append(std::move(made)); !status) return status;
  const auto begun = now_();
  auto status = log_->sync();
  sync_took_ = now_() - begun;
  return status;
}

Status DurableRoute::apply(Round round) {
  const std::lock_guard lock(lock_);
  if (auto status = apply_safe(log_->held(round)); !status) return status;
  state_ = {log_->chain(), marks_};
  return {};
}

void DurableRoute::commit_round(Items& items) {
  // The queue may have been refused by another thread since.
  if (items.empty()) return;
  if (const auto why = failure(); !why.ok()) return fail(items, why, false);
  Round round;
  Status written;
  try {
    auto made = round_of(items);
    round = made.round;
    written = write(std::move(made));
  } catch (const std::bad_alloc&) {
    written = {ErrorCode::no_memory, "out of memory while a round was written"};
  }
  if (!written.ok()) return fail(items, written, log_->in_doubt());
  Status applied;
  try {
    applied = apply(round);
  } catch (const std::bad_alloc&) {
    applied = {ErrorCode::no_memory, "out of memory while a round was applied"};
  }
  if (!applied.ok()) return fail(items, applied, true);
  log_->release(round);
  rounds_.fetch_add(1, std::memory_order_relaxed);
  if (on_round_) on_round_();
  for (std::size_t i = 0; i < items.size(); ++i) items[i]->answer(std::move(outcomes_[i]));
}

/// D2.
void DurableRoute::fail(Items& items, const Status& why, bool in_doubt) {
  stop(why);
  const auto told = failure();
  const auto code = in_doubt ? ErrorCode::unknown_outcome : told.code();
  const auto text = in_doubt ? "this commit may be in the log or not, which is known when the "
                               "database is opened again: " +
                                   why.text()
                             : told.text();
  for (auto& item : items) item->answer({code, {}, text});
}

void DurableRoute::stop(const Status& why) {
  const std::lock_guard queue(queue_lock_);
  if (failure_.ok()) {
    failure_ = {
        why.code(),
        "nothing more can be committed here until the database is opened again: " + why.text()};
  }
  refuse_waiting();
  changed_.notify_all();
}

void DurableRoute::refuse_waiting() {
  for (auto& item : std::exchange(waiting_, {}))
    item->answer({failure_.code(), {}, failure_.text()});
}

Status DurableRoute::failure() const {
  const std::lock_guard queue(queue_lock_);
  return failure_;
}

Status DurableRoute::in_turn(const std::function<Status(RoundLog&)>& what) {
  {
    std::unique_lock queue(queue_lock_);
    ++turns_wanted_;
    changed_.wait(queue, [this] { return !leading_; });
    --turns_wanted_;
    leading_ = true;
  }
  // Given back however `what` ends: without memory, too.
  struct Turn {
    DurableRoute& of;
    ~Turn() {
      {
        const std::lock_guard queue(of.queue_lock_);
        of.leading_ = false;
      }
      of.changed_.notify_all();
    }
  };
  const Turn turn{*this};
  return what(*log_);
}

Status DurableRoute::close() {
  const auto status = in_turn([this](RoundLog& log) -> Status {
    if (closed_) return {};
    closed_ = true;
    while (true) {
      Items items;
      {
        const std::lock_guard queue(queue_lock_);
        items = take();
        if (items.empty()) {
          if (!failure_.ok()) return failure_;
          failure_ = {ErrorCode::invalid_handle, "the database is closed"};
          break;
        }
      }
      commit_round(items);
    }
    return log.close();
  });
  std::jthread ended;  // joined without the lock; none is made any more
  {
    const std::lock_guard queue(queue_lock_);
    std::swap(ended, writer_);
  }
  return status;
}

}  // namespace exdb
