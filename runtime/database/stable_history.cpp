// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/stable_history.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "durability/arrived_state.hpp"

namespace exdb {
namespace {

Status lay_out(RoundLog& log, const std::vector<std::vector<LogChange>>& group) {
  for (const auto& step : group)
    if (auto status = log.append(step); !status) return status;
  return {};
}

}  // namespace

StableHistory::StableHistory(Folder& folder, std::unique_ptr<RoundLog> log, Begin begin,
                             std::function<Marks()> marks, const Options& options)
    : folder_(folder),
      marks_(std::move(marks)),
      kept_(options.bytes_max),
      applied_(begin.applied.round),
      restarts_(log->restarts()),
      writer_(std::move(log), lay_out, options.waits, options.at_once) {
  auto status = kept_.restart(begin.from, true);
  for (auto& round : begin.before)
    if (status.ok()) status = kept_.append(std::move(round));
  EXDB_ASSERT(kept_.chain() == begin.applied, "what was read leads to what was applied");
  kept_.release(begin.applied.round);
  for (auto& round : begin.held)
    if (status.ok()) status = kept_.append(std::move(round));
  EXDB_ASSERT(status.ok(), "a history in memory begins anywhere");
  written_ = kept_.chain().round;
}

Status StableHistory::append(CompletedRound&& round) {
  const auto number = round.round;
  if (auto status = kept_.append(std::move(round)); !status) return status;
  LogChange change;
  change.round = &kept_.held(number);
  change.marks = marks_();
  change.final = applied_;
  step_bytes_ += payload_bytes(*change.round);
  step_.push_back(std::move(change));
  rounds_.fetch_add(1, std::memory_order_relaxed);
  return writer_.failure();
}

/// H3: those that wait to be written are, those of this step never will be.
Status StableHistory::drop_after(Round round) {
  if (round == chain().round) return {};
  if (auto status = writer_.in_turn([](RoundLog&) { return Status(); }); !status) return status;
  std::erase_if(step_, [round](const LogChange& change) {
    return change.kind == LogChange::Kind::round && change.round->round > round;
  });
  if (auto status = kept_.drop_after(round); !status) return status;
  LogChange change;
  change.kind = LogChange::Kind::back;
  change.to = kept_.chain();
  step_.push_back(std::move(change));
  written_ = std::min(written_, round);
  return {};
}

/// What was given before in this step is void, but for the memory.
Status StableHistory::restart(Chain at, bool parted) {
  if (auto status = writer_.in_turn([](RoundLog&) { return Status(); }); !status) return status;
  std::erase_if(step_,
                [](const LogChange& change) { return change.kind != LogChange::Kind::memory; });
  if (auto status = kept_.restart(at, parted); !status) return status;
  restart_ = at;
  applied_ = written_ = at.round;
  unwritten_.clear();
  return {};
}

void StableHistory::remember(Bytes memory) {
  LogChange change;
  change.kind = LogChange::Kind::memory;
  change.memory.assign(memory.begin(), memory.end());
  step_bytes_ += memory.size();
  step_.push_back(std::move(change));
}

/// Ends the step.
StableStore::Ticket StableHistory::newest() {
  if (step_.empty() && !restart_) return writer_.added();
  auto step = std::exchange(step_, {});
  const auto bytes = std::exchange(step_bytes_, 0);
  if (const auto at = std::exchange(restart_, std::nullopt)) {
    if (auto status = begin_anew(*at, step); !status) writer_.stop(status);
    written_ = kept_.chain().round;
    return writer_.added();
  }
  // What fails here is in failure().
  (void)writer_.add(std::move(step), bytes, true);
  writer_.write_at_once();
  const auto ticket = writer_.added();
  unwritten_.emplace_back(ticket, kept_.chain().round);
  return ticket;
}

/// H4. Nobody else writes meanwhile, and no checkpoint is given its name.
Status StableHistory::begin_anew(Chain at, const Step& step) {
  ++restarts_;
  return writer_.in_turn([&](RoundLog& log) {
    if (auto status = log.restart(at, step); !status) return status;
    if (auto status = take_arrived(folder_, at.round); !status) return status;
    return log.drop_before_restart();
  });
}

Round StableHistory::written() {
  const auto stored = writer_.written();
  for (; !unwritten_.empty() && unwritten_.front().first <= stored; unwritten_.pop_front())
    written_ = unwritten_.front().second;
  return written_;
}

/// H2.
void StableHistory::release(Round upto) {
  applied_ = upto;
  kept_.release(std::min(applied_, written()));
}

Status StableHistory::sync() {
  newest();
  return writer_.in_turn([](RoundLog& log) { return log.settle(); });
}

/// What is final is known to a recovery that meets nobody else.
Status StableHistory::close() {
  (void)writer_.in_turn([this](RoundLog& log) {
    log.set_final(applied_);
    return Status();
  });
  return writer_.close();
}

LoggedRounds::State StableHistory::state() const {
  auto at = kept_.chain_at(applied_);
  EXDB_ASSERT(at.ok(), "what is not applied is kept");
  return {*at, marks_(), restarts_};
}

}  // namespace exdb
