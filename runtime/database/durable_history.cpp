// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable_history.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "cluster/commit_window.hpp"

namespace exdb {

DurableHistory::DurableHistory(std::unique_ptr<RoundLog> log, std::function<Marks()> marks,
                               bool waits, std::optional<MemberId> answered,
                               std::chrono::nanoseconds at_once,
                               std::chrono::steady_clock::time_point (*now)() noexcept)
    : marks_(std::move(marks)),
      answered_(answered),
      first_(log->chain().round),
      applied_(first_),
      final_(first_),
      full_(first_),
      writer_(std::move(log), lay_out, waits, at_once, now) {
  const auto begun = kept_.restart(writer_.log().chain(), true);
  EXDB_ASSERT(begun.ok(), "a history in memory begins anywhere");
}

Status DurableHistory::append(CompletedRound&& round) {
  const auto number = round.round;
  const auto bytes = payload_bytes(round);
  if (auto status = kept_.append(std::move(round)); !status) return status;
  if (bytes != 0) full_ = number;
  const auto& kept = kept_.held(number);
  return writer_.add({&kept, marks_()}, bytes, bytes != 0, writer_.gathers() ? answers(kept) : 0);
}

std::size_t DurableHistory::answers(const CompletedRound& round) const {
  std::size_t count = 0;
  for (const auto& batch : round.batches)
    if (!answered_ || batch.member == *answered_) count += transactions_in(batch.bytes());
  return count;
}

Status DurableHistory::sync() {
  return in_turn([](RoundLog& log) { return log.settle(); });
}

/// N2.
void DurableHistory::release(Round upto) {
  applied_ = upto;
  kept_.release(std::min(applied_, written()));
}

Round DurableHistory::newest_final(const RoundHistory& /*history*/) {
  if (!writer_.write_at_once()) return final_;
  const auto now = written();
  final_ = std::max(final_, now >= full_ ? chain().round : now);
  return final_;
}

/// The applied round may be one that is not written yet, if it is empty; in_turn() writes it first.
LoggedRounds::State DurableHistory::state() const { return state_after(applied_); }

LoggedRounds::State DurableHistory::state_after(Round round) const {
  auto at = kept_.chain_at(round);
  EXDB_ASSERT(at.ok(), "what is not applied is kept");
  return {*at, marks_()};
}

Status DurableHistory::lay_out(RoundLog& log, const std::vector<Queued>& group) {
  for (const auto& each : group) {
    auto copy = log.spare();
    copy.round = each.round->round;
    copy.last = each.round->last;
    copy.view = each.round->view;
    copy.batches = each.round->batches;
    log.set_marks(each.marks);
    const auto number = copy.round;
    if (auto status = log.append(std::move(copy)); !status) return status;
    log.release(number);
  }
  return {};
}

}  // namespace exdb
