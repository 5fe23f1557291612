// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/follower_channel.hpp"

#include <sched.h>

#include <span>
#include <utility>

namespace exdb {
namespace {

/// An answer is text for people, or figures of some thousand nodes.
constexpr std::uint64_t answer_bytes_max = std::uint64_t{64} << 20;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

FollowerChannel::FollowerChannel(HostSegment& segment, const ProcessWatch& leader, Options options)
    : segment_(segment),
      line_(segment.line(segment.own_index())),
      leader_(leader),
      options_(options),
      ring_(segment.submit_ring(segment.own_index())),
      answers_(segment.answer_ring(segment.own_index()), answer_bytes_max) {}

std::string FollowerChannel::leader_name() const {
  return "the leader of this host, node " + std::to_string(segment_.header().leader);
}

Status FollowerChannel::failure() const {
  if (!failed_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(pending_lock_);
  return failure_;
}

Status FollowerChannel::look() {
  if (auto status = failure(); !status.ok()) return status;
  switch (segment_.phase()) {
    case HostPhase::serving:
      break;
    case HostPhase::stopped:
      (void)drain();
      fail({ErrorCode::cluster_stopped,
            "the cluster has stopped (all nodes called stop): open the database again"});
      return failure();
    default:
      (void)drain();
      fail(segment_.end_status());
      return failure();
  }
  if (!leader_.ended()) return {};
  // Its last answers count, and an end that it told just before.
  (void)drain();
  if (segment_.phase() != HostPhase::serving) return look();
  fail({ErrorCode::cluster,
        leader_name() + ", has ended (process " + std::to_string(leader_.pid()) +
            "): nothing can be committed on this host any more; what is here can still be read, so "
            "keep what you need of it, close() the database, end the job and start it again"});
  return failure();
}

/// I6. Everything that a living leader does shows in one of these.
Status FollowerChannel::look_with(Patience& patience) {
  if (auto status = look(); !status.ok()) return status;
  const auto& header = segment_.header();
  const auto seen = header.beats.load() + header.posted.load() + header.applied.load();
  const auto now = options_.now();
  if (seen != std::exchange(patience.seen, seen)) {
    patience.since = now;
  } else if (options_.timeout.count() > 0 && now - patience.since >= options_.timeout) {
    fail({ErrorCode::timeout, leader_name() + ", has done nothing for " +
                                  std::to_string(options_.timeout.count()) +
                                  " ms: it may be stopped, or have no processor"});
    return failure();
  }
  return {};
}

bool FollowerChannel::spin(const std::function<bool()>& done) const {
  for (const auto until = Clock::now() + spin_cap; Clock::now() < until;) {
    if (done()) return true;
    if (options_.crowded) sched_yield();
  }
  return false;
}

Status FollowerChannel::wait_on(WakeWord& word, const std::function<bool()>& done) {
  if (done() || spin(done)) return {};
  Patience patience{0, options_.now()};
  while (true) {
    word.sleep(poll_cap, done);
    if (done()) return {};
    if (auto status = look_with(patience); !status.ok())
      return done() ? Status() : status;  // what came with the end counts
  }
}

Status FollowerChannel::write(Bytes bytes) {
  while (true) {
    bytes = bytes.subspan(ring_.write(bytes));
    segment_.tell_leader();
    if (bytes.empty()) return {};
    if (auto status = wait_on(line_.room, [this] { return ring_.room() != 0; }); !status.ok())
      return status;
  }
}

/// In the table before it is in the ring: the answer may be there at once.
Status FollowerChannel::put(const SubmitHead& head, const std::shared_ptr<PendingItem>& item) {
  const auto key = item->sequence;
  const std::lock_guard lock(submitting_);
  {
    const std::lock_guard pending(pending_lock_);
    if (failed_) return failure_;
    pending_[key] = {item, ring_.written() + sizeof head + item->bytes.size()};
  }
  auto status = write(bytes_of_head(head));
  if (status.ok()) status = write(item->bytes);
  if (!status.ok()) (void)take_pending(key);
  item->let_go_of_bytes();
  return status;
}

Status FollowerChannel::send(const std::shared_ptr<PendingItem>& item) {
  const auto has_room = [this] {
    (void)drain();
    return in_exchange_.load() < options_.in_exchange_max;
  };
  if (auto status = wait_on(line_.answered, has_room); !status.ok()) return status;
  in_exchange_.fetch_add(1);
  const SubmitHead head{SubmitHead::Kind::transaction,
                        item->priority,
                        item->sequence,
                        item->bytes.size(),
                        item->overrules_quorum,
                        0};
  auto status = put(head, item);
  if (!status.ok()) in_exchange_.fetch_sub(1);
  return status;
}

Result<std::vector<std::byte>> FollowerChannel::ask(std::uint32_t question, Bytes bytes) {
  if (auto status = look(); !status.ok()) return status;
  auto item = std::make_shared<PendingItem>();
  {
    const std::lock_guard lock(pending_lock_);
    item->sequence = next_question_++;
  }
  item->bytes.assign(bytes.begin(), bytes.end());
  const SubmitHead head{SubmitHead::Kind::question, 0, item->sequence,
                        item->bytes.size(),         0, question};
  if (auto status = put(head, item); !status.ok()) return status;
  const auto outcome = wait(*item);
  if (outcome.code != ErrorCode::ok) return Status(outcome.code, outcome.text);
  const auto text = std::as_bytes(std::span(outcome.text));
  return std::vector<std::byte>(text.begin(), text.end());
}

bool FollowerChannel::try_send(RoundItem::Kind kind, std::uint64_t sequence, Bytes bytes,
                               int priority) {
  const std::unique_lock lock(submitting_, std::try_to_lock);
  if (!lock.owns_lock() || failed_ || segment_.phase() != HostPhase::serving) return false;
  const SubmitHead head{
      static_cast<SubmitHead::Kind>(kind), priority, sequence, bytes.size(), 0, 0};
  if (ring_.room() < sizeof head + bytes.size()) return false;
  (void)ring_.write(bytes_of_head(head));
  (void)ring_.write(bytes);
  segment_.tell_leader();
  return true;
}

ItemOutcome FollowerChannel::wait(PendingItem& item) {
  const auto answered = [&] {
    if (!item.done.load(std::memory_order_acquire)) (void)drain();
    return item.done.load(std::memory_order_acquire);
  };
  (void)wait_on(line_.answered, answered);
  EXDB_ASSERT(answered(), "I1: a failed channel has answered every item");
  return std::move(item.outcome);
}

bool FollowerChannel::drain() {
  if (segment_.answer_ring(segment_.own_index()).empty()) return false;
  bool moved = false, any = false;
  {
    const std::lock_guard lock(draining_);
    while (auto record = answers_.take(moved)) {
      take(record->head, record->bytes);
      any = true;
    }
  }
  // First out, then the look for the sign: HostRelay::flush does it the other way round.
  if (moved && line_.answers_held.load() != 0) segment_.tell_leader();
  if (any) line_.answered.wake();
  return any;
}

void FollowerChannel::take(const AnswerHead& head, const std::vector<std::byte>& text) {
  const auto item = take_pending(head.sequence);
  if (!item) return;
  if ((head.sequence & question_bit) == 0) in_exchange_.fetch_sub(1);
  item->answer({static_cast<ErrorCode>(head.code), Csn{head.csn}, text_of(text)});
}

std::shared_ptr<PendingItem> FollowerChannel::take_pending(std::uint64_t key) {
  const std::lock_guard lock(pending_lock_);
  const auto found = pending_.find(key);
  if (found == pending_.end()) return nullptr;
  auto item = std::move(found->second.item);
  pending_.erase(found);
  return item;
}

void FollowerChannel::fail(const Status& why) {
  {
    const std::lock_guard lock(pending_lock_);
    if (failed_) return;
    failure_ = why;
    failed_ = true;
    // In this order: a leader that was only silent may wake. What it takes out after the look below
    // it drops, since it looks at the state after that (HostRelay::pass).
    auto state = line_.state.load();
    while (state != FollowerState::dead &&
           !line_.state.compare_exchange_weak(state, FollowerState::left)) {
    }
    const auto taken = ring_.read();
    for (auto& [key, pending] : pending_) {
      // What the leader never took whole is nowhere.
      if (pending.ends_at > taken)
        pending.item->answer({why.code(), {}, why.text()});
      else
        pending.item->answer({ErrorCode::unknown_outcome, {}, why.text()});
    }
    pending_.clear();
  }
  segment_.tell_leader();
  // Threads of this process; those of others look in vain.
  line_.answered.wake();
  line_.room.wake();
  segment_.header().news.wake();
  segment_.header().changes.wake();
}

}  // namespace exdb
