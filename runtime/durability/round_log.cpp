// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/round_log.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/bytes.hpp"

namespace exdb {
namespace {

/// Room for larger groups is given back.
constexpr std::size_t room_kept = std::size_t{1} << 20;

}  // namespace

RoundLog::RoundLog(Folder& folder, DatabaseIdentity identity, const Options& options, LogEnd end)
    : folder_(folder),
      identity_(identity),
      options_(options),
      marks_(end.marks),
      memory_(std::move(end.memory)),
      segments_(std::move(end.segments)),
      written_(end.offset),
      synced_(end.offset),
      ends_clean_(segments_.empty() || (end.closed && !end.torn)) {
  const auto begun = kept_.restart(end.chain);
  EXDB_ASSERT(begun.ok(), "a history in memory begins anywhere");
}

Status RoundLog::fail(Status status) {
  if (!status.ok()) failure_ = status;
  return status;
}

/// Opens the file where the recovery ended. What is behind the last record goes first, safely: a
/// torn group may have left a whole record further on, which another one written before it must
/// not bring back.
Status RoundLog::go_on() {
  auto file = folder_.open(segments_.back().name);
  if (!file) return file.status();
  file_ = std::move(*file);
  if (auto status = file_->truncate(written_); !status) return status;
  capacity_ = std::max(options_.segment_bytes, written_);
  if (auto status = file_->preallocate(capacity_); !status) return status;
  return file_->sync();
}

/// L2: head and length first, then the name.
Status RoundLog::rotate(std::uint64_t bytes) {
  // The records before are safe before one that comes after them can be.
  if (file_ && synced_ != written_) {
    if (auto status = file_->sync(); !status) return status;
  }
  std::vector<std::byte> head;
  encode_head({FileKind::log, identity_, chain(), marks_, 0}, head);
  lay_out_memory(head);
  return begin_file(bytes, head);
}

/// Of format 2 names are counted where rounds were taken back.
Round RoundLog::next_name() const {
  const auto first = chain().round.next();
  return segments_.empty() ? first : std::max(first, segments_.back().first.next());
}

Status RoundLog::begin_file(std::uint64_t bytes, std::vector<std::byte>& head) {
  const auto first = next_name();
  const auto name = file_name(FileKind::log, first);
  auto file = folder_.create(unfinished(name));
  if (!file) return file.status();
  file_ = std::move(*file);
  capacity_ = std::max<std::uint64_t>(options_.segment_bytes, head.size() + bytes);
  if (auto status = file_->preallocate(capacity_); !status) return status;
  if (auto status = file_->write(0, head); !status) return status;
  if (auto status = file_->sync(); !status) return status;
  if (auto status = folder_.rename(unfinished(name), name); !status) return status;
  if (auto status = folder_.sync(); !status) return status;
  written_ = synced_ = head.size();
  segments_.push_back({name, first});
  return {};
}

/// There is a file with room for a record of so many bytes behind what is pending.
Status RoundLog::ready_for(std::uint64_t bytes) {
  if (!file_ && !segments_.empty()) {
    if (auto status = go_on(); !status) return status;
  }
  if (file_ && written_ + pending_.size() + bytes <= capacity_) return {};
  if (!pending_.empty()) {
    if (auto status = flush(true); !status) return status;
  }
  return rotate(bytes);
}

Status RoundLog::append(CompletedRound&& round) {
  if (!failure_.ok()) return failure_;
  EXDB_ASSERT(round.round == chain().round.next(), "a log has no gap");
  const auto bytes = record_bytes_at_most(round);
  if (bytes > record_bytes_max)
    return fail({ErrorCode::too_large,
                 "a round of " + std::to_string(bytes) + " bytes is more than a log can hold"});
  if (auto status = ready_for(bytes); !status) return fail(std::move(status));
  LogRecord record;
  record.offset = written_ + pending_.size();
  record.synced = synced_;
  record.chain = {round.round, chained(chain().hash, round)};
  record.marks = marks_;
  encode_record(record, round, identity_.database, pending_);
  return kept_.append(std::move(round));
}

/// What was given to the system may be found again, whatever it answers (L4).
Status RoundLog::flush(bool to_device) {
  in_doubt_ = true;
  if (auto status = file_->write(written_, pending_); !status) return status;
  if (to_device) {
    if (auto status = file_->sync(); !status) return status;
  }
  written_ += pending_.size();
  written_bytes_ += pending_.size();
  if (to_device) synced_ = written_;
  empty_keeping(pending_, room_kept);
  ends_clean_ = false;
  return {};
}

Status RoundLog::sync() {
  if (!failure_.ok()) return failure_;
  if (!pending_.empty()) {
    if (auto status = flush(options_.fsync); !status) return fail(std::move(status));
  }
  in_doubt_ = false;
  return {};
}

Status RoundLog::settle() {
  if (auto status = sync(); !status) return status;
  if (!file_ || synced_ == written_) return {};
  if (auto status = file_->sync(); !status) return fail(std::move(status));
  synced_ = written_;
  return {};
}

Status RoundLog::drop_before(Round upto, OpenFiles* going) {
  if (!failure_.ok()) return failure_;
  bool dropped = false;
  while (segments_.size() >= 2 && segments_[1].first <= upto.next()) {
    if (auto status = remove_file(folder_, segments_.front().name, going); !status)
      return fail(std::move(status));
    segments_.pop_front();
    dropped = true;
  }
  return dropped ? fail(folder_.sync()) : Status();
}

Status RoundLog::close() {
  // Also without waiting for the device before each commit: L1 holds for the last record too.
  if (auto status = settle(); !status) return status;
  const Status closed_now(ErrorCode::invalid_handle, "the log is closed");
  if (ends_clean_) {  // nothing was written
    failure_ = closed_now;
    return {};
  }
  constexpr std::uint64_t closed_bytes = record_head_bytes + 2 * record_alignment;
  if (auto status =
          ready_for(identity_.format == disk_format_views ? closed_bytes : record_head_bytes);
      !status)
    return fail(std::move(status));
  LogRecord closed;
  closed.kind = LogRecord::Kind::closed;
  closed.offset = written_;
  closed.synced = written_;
  closed.chain = chain();
  closed.final = final_;
  encode_record(closed, {}, identity_.database, pending_);
  if (auto status = flush(true); !status) return fail(std::move(status));
  in_doubt_ = false;
  if (auto status = file_->truncate(written_); !status) return fail(std::move(status));
  if (auto status = file_->sync(); !status) return fail(std::move(status));
  file_.reset();
  failure_ = closed_now;
  return {};
}

}  // namespace exdb
