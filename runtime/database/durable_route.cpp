// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_route.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "cluster/commit_window.hpp"

namespace exdb {

DurableRoute::DurableRoute(Replica& replica, std::unique_ptr<RoundLog> log, std::mutex& lock,
                           const std::atomic<std::uint64_t>& autoids, Marks marks)
    : OnlyRoute(replica), log_(std::move(log)), lock_(lock), autoids_(autoids), marks_(marks) {
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
  if (!leading_ && turns_wanted_ == 0) lead(queue);
  return item;
}

ItemOutcome DurableRoute::wait(PendingItem& item) {
  std::unique_lock queue(queue_lock_);
  ++blocked_;
  while (!item.done.load(std::memory_order_acquire)) {
    if (leading_ || turns_wanted_ != 0) {
      changed_.wait(queue);
    } else {
      lead(queue);
    }
  }
  --blocked_;
  return std::move(item.outcome);
}

/// Goes on while there is work and nobody in wait() who could do it: what commit_later() left.
void DurableRoute::lead(std::unique_lock<std::mutex>& queue) {
  leading_ = true;
  do {
    auto items = take();
    queue.unlock();
    commit_round(items);
    queue.lock();
  } while (!waiting_.empty() && blocked_ == 0 && turns_wanted_ == 0);
  leading_ = false;
  changed_.notify_all();
}

/// As many as a batch of the cluster has, or one.
DurableRoute::Items DurableRoute::take() {
  std::size_t bytes = 0, count = 0;
  while (count < waiting_.size()) {
    bytes += waiting_[count]->bytes.size();
    if (count != 0 && bytes > CommitWindow::batch_bytes_max) break;
    ++count;
  }
  if (count == waiting_.size()) return std::exchange(waiting_, {});
  const auto end = waiting_.begin() + std::ptrdiff_t(count);
  Items taken(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return taken;
}

CompletedRound DurableRoute::round_of(const Items& items) {
  auto made = log_->spare();
  made.round = log_->chain().round.next();
  made.last = false;
  made.batches.resize(1);
  auto& batch = made.batches.front();
  {
    const std::lock_guard lock(lock_);
    batch.header.oldest_snapshot = replica_.oldest_snapshot();
    batch.header.digest = replica_.digest();
  }
  ByteWriter payload(batch.payload);
  for (const auto& item : items) {
    payload.put_raw(item->bytes);
    marks_.sequence = std::max(marks_.sequence, item->sequence);
  }
  marks_.autoid = autoids_.load(std::memory_order_relaxed);
  FrameHeader head;
  head.sender = batch.member;
  head.round = made.round;
  head.batch = batch.header;
  batch.checksum = frame_checksum(head, batch.payload);
  return made;
}

Status DurableRoute::write(CompletedRound&& made) {
  log_->set_marks(marks_);
  if (auto status = log_->append(std::move(made)); !status) return status;
  return log_->sync();
}

Status DurableRoute::apply(Round round) {
  const auto& batch = log_->held(round).batches[0];
  read_.clear();
  if (auto status = decode_items(batch.member, batch.payload, read_); !status) return status;
  const std::vector<bool> mine(read_.size(), true);
  const std::lock_guard lock(lock_);
  if (auto status =
          replica_.apply_round(round, read_, batch.header.oldest_snapshot, mine, outcomes_);
      !status)
    return status;
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
  if (auto status = apply(round); !status) return fail(items, status, true);
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
  return in_turn([this](RoundLog& log) -> Status {
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
}

}  // namespace exdb
