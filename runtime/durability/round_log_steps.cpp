// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The log of a node of a cluster whose nodes come and go: steps in place of rounds.
#include "base/assert.hpp"
#include "durability/round_log.hpp"

namespace exdb {
namespace {

/// What is final, and the life of a view, go with a round here.
constexpr std::uint64_t beside_round = 24;

std::uint64_t bytes_at_most(std::span<const LogChange> step) {
  std::uint64_t bytes = 0;
  for (const auto& change : step) {
    bytes += change.kind == LogChange::Kind::round
                 ? record_bytes_at_most(*change.round) + beside_round
                 : record_head_bytes + change.memory.size() + record_alignment;
  }
  return bytes;
}

Status too_large(std::uint64_t bytes) {
  return {ErrorCode::too_large,
          "a step of " + std::to_string(bytes) + " bytes is more than a log can hold"};
}

}  // namespace

/// The chain and what is remembered are as after it then.
void RoundLog::lay_out(const LogChange& change, bool goes_on, std::uint64_t offset,
                       std::uint64_t synced, std::vector<std::byte>& out) {
  LogRecord record;
  record.step_goes_on = goes_on;
  record.offset = offset;
  record.synced = synced;
  switch (change.kind) {
    case LogChange::Kind::round:
      EXDB_ASSERT(change.round->round == chain().round.next(), "a log has no gap");
      record.kind = LogRecord::Kind::held_round;
      record.chain = {change.round->round, chained(chain().hash, *change.round)};
      record.marks = marks_ = change.marks;
      record.final = change.final;
      break;
    case LogChange::Kind::back:
      EXDB_ASSERT(change.to.round <= chain().round, "it goes back to what was there");
      record.kind = LogRecord::Kind::back;
      record.chain = change.to;
      break;
    case LogChange::Kind::memory:
      record.kind = LogRecord::Kind::memory;
      record.chain = chain();
      record.memory = memory_ = change.memory;
      break;
  }
  const auto begun = kept_.restart(record.chain, true);
  EXDB_ASSERT(begun.ok(), "a history in memory begins anywhere");
  static const CompletedRound none;
  encode_record(record, change.round == nullptr ? none : *change.round, identity_.database, out);
}

/// L7.
void RoundLog::lay_out_memory(std::vector<std::byte>& out) const {
  if (memory_.empty()) return;
  LogRecord record;
  record.kind = LogRecord::Kind::memory;
  record.offset = out.size();
  record.chain = chain();
  record.memory = memory_;
  encode_record(record, {}, identity_.database, out);
}

Status RoundLog::append(std::span<const LogChange> step) {
  if (!failure_.ok()) return failure_;
  const auto bytes = bytes_at_most(step);
  if (bytes > record_bytes_max) return fail(too_large(bytes));
  if (auto status = ready_for(bytes); !status) return fail(std::move(status));
  for (std::size_t i = 0; i < step.size(); ++i)
    lay_out(step[i], i + 1 < step.size(), written_ + pending_.size(), synced_, pending_);
  return {};
}

/// What was there before is on the device first: until the name is given it counts.
Status RoundLog::restart(Chain at, std::span<const LogChange> step) {
  if (auto status = settle(); !status) return status;
  const auto bytes = bytes_at_most(step);
  if (bytes > record_bytes_max) return fail(too_large(bytes));
  const auto begun = kept_.restart(at, true);
  EXDB_ASSERT(begun.ok(), "a history in memory begins anywhere");
  ++restarts_;
  std::vector<std::byte> all;
  encode_head({FileKind::log, identity_, at, marks_, 1}, all);
  lay_out_memory(all);
  for (std::size_t i = 0; i < step.size(); ++i)
    lay_out(step[i], i + 1 < step.size(), all.size(), 0, all);
  in_doubt_ = true;
  if (auto status = begin_file(0, all); !status) return fail(std::move(status));
  in_doubt_ = false;
  ends_clean_ = false;
  written_bytes_ += all.size();
  return {};
}

Status RoundLog::drop_before_restart() {
  if (!failure_.ok()) return failure_;
  while (segments_.size() >= 2) {
    if (auto status = folder_.remove(segments_.front().name); !status)
      return fail(std::move(status));
    segments_.pop_front();
  }
  return fail(folder_.sync());
}

}  // namespace exdb
