// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/log_reader.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace exdb {
namespace {

/// Larger than any that is written: a file is not read into memory on the word of its length.
constexpr std::uint64_t file_bytes_max = record_bytes_max + (std::uint64_t{1} << 30);

/// Offset behind the last byte that is not zero.
std::uint64_t used(Bytes bytes) {
  const auto last = std::find_if(bytes.rbegin(), bytes.rend(),
                                 [](std::byte each) { return each != std::byte{0}; });
  return std::uint64_t(bytes.rend() - last);
}

class LogReading {
 public:
  LogReading(Folder& folder, const DatabaseIdentity& identity, RoundHistory::Chain from,
             Marks marks, const EachRound& each)
      : folder_(folder), identity_(identity), from_(from), each_(each) {
    read_.end.chain = from;
    read_.end.marks = marks;
  }

  Result<ReadLog> all() {
    auto names = folder_.list();
    if (!names) return names.status();
    auto& segments = read_.end.segments;
    for (auto& name : *names)
      if (const auto first = round_of_name(FileKind::log, name)) segments.push_back({name, *first});
    // Files go when a checkpoint has all their rounds, but the last never does.
    if (segments.empty() && from_.round > Round{0})
      return Status(ErrorCode::disk_damaged,
                    "'" + folder_.path_of("") + "': there is a checkpoint, and the log is missing");
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const bool last = i + 1 == segments.size();
      if (!last && segments[i + 1].first <= from_.round.next()) continue;
      if (auto status = segment(segments[i], last); !status) return status;
    }
    if (begun_ && at_.round < from_.round)
      return Status(ErrorCode::disk_damaged,
                    "the log ends with round " + std::to_string(at_.round.value) +
                        ", before the checkpoint of round " + std::to_string(from_.round.value));
    return std::move(read_);
  }

 private:
  Status segment(const LogEnd::Segment& segment, bool last) {
    path_ = folder_.path_of(segment.name);
    auto file = folder_.open(segment.name);
    if (!file) return file.status();
    // From the device and not from memory: after an fsync that failed the two may differ, and what
    // is given out here must not go when the machine does.
    if (last) {
      if (auto status = (*file)->sync(); !status) return status;
    }
    (*file)->forget_cached();
    auto bytes = read_all(**file, file_bytes_max);
    if (!bytes) {
      if (bytes.status().code() != ErrorCode::disk_damaged) return bytes.status();
      return damaged(path_, 0, bytes.status().text());
    }
    if (auto status = begin(*bytes, segment.first); !status) return status;
    return records(*bytes, last);
  }

  /// The head, which says where in the chain this file begins.
  Status begin(Bytes bytes, Round first) {
    auto head = decode_head(bytes, FileKind::log, path_);
    if (!head) return head.status();
    if (auto status = check_identity(head->identity, identity_, path_); !status) return status;
    const auto before = head->at;
    if (before.round.next() != first)
      return damaged(
          path_, 0,
          "its name is not that of its first round, " + std::to_string(before.round.next().value));
    if (begun_ ? !(before == at_) : before.round > from_.round) {
      return damaged(path_, 0,
                     "it begins after round " + std::to_string(before.round.value) +
                         ", and what is there before ends with round " +
                         std::to_string((begun_ ? at_ : from_).round.value) +
                         (begun_ && before.round == at_.round ? ", another one" : ""));
    }
    begun_ = true;
    at_ = before;
    if (auto status = check_begin(0); !status) return status;
    read_.end.marks.sequence = std::max(read_.end.marks.sequence, head->marks.sequence);
    read_.end.marks.autoid = std::max(read_.end.marks.autoid, head->marks.autoid);
    return {};
  }

  /// R3, where the reading began.
  Status check_begin(std::uint64_t offset) {
    if (at_.round != from_.round || at_.hash == from_.hash) return {};
    return damaged(path_, offset,
                   "round " + std::to_string(at_.round.value) +
                       " is not the one of which there is a checkpoint");
  }

  Status records(Bytes bytes, bool last) {
    auto& end = read_.end;
    std::uint64_t offset = head_bytes;
    while (true) {
      auto found = decode_record(bytes, offset, identity_.database);
      if (found.found != ReadRecord::Found::record) {
        end.offset = offset;
        read_.bytes += offset;
        return behind(bytes, offset, last, found);
      }
      if (auto status = take(found.record, offset); !status) return status;
      offset += found.bytes;
    }
  }

  Status take(LogRecord& record, std::uint64_t offset) {
    auto& end = read_.end;
    end.closed = record.kind == LogRecord::Kind::closed;
    if (end.closed) {
      return record.chain == at_ ? Status()
                                 : damaged(path_, offset, "the log was closed after another round");
    }
    if (record.chain.round != at_.round.next() ||
        record.chain.hash != chained(at_.hash, record.round))
      return damaged(path_, offset,
                     "round " + std::to_string(record.chain.round.value) +
                         " does not go on from round " + std::to_string(at_.round.value));
    at_ = record.chain;
    if (auto status = check_begin(offset); !status) return status;
    end.marks.sequence = std::max(end.marks.sequence, record.marks.sequence);
    end.marks.autoid = std::max(end.marks.autoid, record.marks.autoid);
    if (at_.round <= from_.round) return {};
    end.chain = at_;
    ++read_.rounds;
    return each_(record.round);
  }

  /// R2: what is at `offset`, where there is no record.
  Status behind(Bytes bytes, std::uint64_t offset, bool last, const ReadRecord& found) {
    const auto behind = used(bytes.subspan(std::size_t(offset)));
    if (behind == 0) return {};
    const auto why = found.found == ReadRecord::Found::bad ? found.why : "there is no record";
    if (!last) return damaged(path_, offset, why + ", and the log goes on in another file");
    if (proven_synced(bytes, offset, identity_.database))
      return damaged(path_, offset, why + ", and records behind it are whole");
    read_.end.torn = true;
    read_.torn = TornEnd{path_, offset, behind};
    return {};
  }

  Folder& folder_;
  const DatabaseIdentity identity_;
  const RoundHistory::Chain from_;
  const EachRound& each_;
  std::string path_;
  bool begun_ = false;
  RoundHistory::Chain at_;  ///< read so far
  ReadLog read_;
};

}  // namespace

Result<ReadLog> read_log(Folder& folder, const DatabaseIdentity& identity, RoundHistory::Chain from,
                         Marks marks, const EachRound& each) {
  return LogReading(folder, identity, from, marks, each).all();
}

}  // namespace exdb
