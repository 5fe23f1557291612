// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/log_reader.hpp"

#include <algorithm>

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
    read_.end.chain = read_.final = from;
    read_.end.marks = marks;
  }

  Result<ReadLog> all() {
    auto names = folder_.list();
    if (!names) return names.status();
    auto& segments = read_.end.segments;
    for (auto& name : *names)
      if (const auto first = round_of_name(FileKind::log, name)) segments.push_back({name, *first});
    if (views()) {
      if (auto status = drop_before_new_beginning(); !status) return status;
    }
    // Files go when a checkpoint has all their rounds, but the last never does.
    if (segments.empty() && from_.round > Round{0})
      return Status(ErrorCode::disk_damaged,
                    "'" + folder_.path_of("") + "': there is a checkpoint, and the log is missing");
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const bool last = i + 1 == segments.size();
      if (!last && segments[i + 1].first <= from_.round.next()) continue;
      if (auto status = segment(segments[i], last); !status) return status;
    }
    if (auto status = end_path(); !status) return status;
    if (begun_ && at_.round < from_.round)
      return Status(ErrorCode::disk_damaged,
                    "the log ends with round " + std::to_string(at_.round.value) +
                        ", before the checkpoint of round " + std::to_string(from_.round.value));
    return std::move(read_);
  }

 private:
  struct Held {
    CompletedRound round;
    std::uint64_t before;  ///< the chain of the round before it
  };

  [[nodiscard]] bool views() const { return identity_.format == disk_format_views; }

  /// R4. A head that cannot be read is told by who reads its file.
  Status drop_before_new_beginning() {
    auto& segments = read_.end.segments;
    for (auto i = segments.size(); i-- > 1;) {
      auto head = read_head(folder_, FileKind::log, segments[i].name);
      if (!head && head.status().code() == ErrorCode::disk) return head.status();
      if (!head || head->more_bytes == 0) continue;
      segments.erase(segments.begin(), segments.begin() + std::ptrdiff_t(i));
      break;
    }
    return {};
  }

  Status segment(const LogEnd::Segment& segment, bool last) {
    path_ = folder_.path_of(segment.name);
    auto file = folder_.open(segment.name);
    if (!file) return file.status();
    // V4 of recovery.hpp: from the device and not from memory, for what is given out here must not go
    // when the machine does, and after an fsync that failed the two may differ. All files before the
    // last were synced before that was begun (L2 of round_log.hpp).
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
    if (views() ? before.round.next() > first : before.round.next() != first)
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
    if (!views()) {
      if (auto status = check_begin(0); !status) return status;
    }
    read_.end.marks.sequence = std::max(read_.end.marks.sequence, head->marks.sequence);
    read_.end.marks.autoid = std::max(read_.end.marks.autoid, head->marks.autoid);
    return {};
  }

  /// R3, where the reading began.
  Status check_begin(std::uint64_t offset) {
    return at_.round != from_.round || at_.hash == from_.hash ? Status() : not_from(offset);
  }

  Status records(Bytes bytes, bool last) {
    auto& end = read_.end;
    std::uint64_t offset = head_bytes;
    std::vector<LogRecord> step;
    while (true) {
      auto found = decode_record(bytes, offset, identity_.database);
      if (found.found != ReadRecord::Found::record) {
        // I3 of log_record.hpp: what there is of a step goes with what is not there.
        if (!step.empty()) offset = step.front().offset;
        end.offset = offset;
        read_.bytes += offset;
        return behind(bytes, offset, last, found);
      }
      offset += found.bytes;
      step.push_back(std::move(found.record));
      if (step.back().step_goes_on) continue;
      for (auto& record : step)
        if (auto status = take(record, record.offset); !status) return status;
      step.clear();
    }
  }

  Status take(LogRecord& record, std::uint64_t offset) {
    auto& end = read_.end;
    end.closed = record.kind == LogRecord::Kind::closed;
    if (end.closed) {
      if (!(record.chain == at_) || record.final > at_.round)
        return damaged(path_, offset, "the log was closed after another round");
      return give_held(record.final, offset);
    }
    if (!views() && record.kind != LogRecord::Kind::round)
      return damaged(path_, offset, "a record that no log of format 1 has");
    if (record.kind == LogRecord::Kind::memory) {
      end.memory = std::move(record.memory);
      return {};
    }
    if (record.kind == LogRecord::Kind::back) return take_back(record.chain, offset);
    if (record.chain.round != at_.round.next() ||
        record.chain.hash != chained(at_.hash, record.round))
      return damaged(path_, offset,
                     "round " + std::to_string(record.chain.round.value) +
                         " does not go on from round " + std::to_string(at_.round.value));
    end.marks.sequence = std::max(end.marks.sequence, record.marks.sequence);
    end.marks.autoid = std::max(end.marks.autoid, record.marks.autoid);
    if (views()) return hold(record, offset);
    at_ = record.chain;
    if (auto status = check_begin(offset); !status) return status;
    if (at_.round <= from_.round) return {};
    return give(record.round, at_);
  }

  Status give(const CompletedRound& round, RoundHistory::Chain at) {
    read_.end.chain = read_.final = at;
    ++read_.rounds;
    return each_(round);
  }

  // --- format 2: rounds that may be taken back ---

  Status hold(LogRecord& record, std::uint64_t offset) {
    if (record.final > record.chain.round)
      return damaged(path_, offset, "a round that is not there yet is said to be final");
    held_.push_back({std::move(record.round), at_.hash});
    at_ = record.chain;
    return give_held(record.final, offset);
  }

  /// What is older than all that was read was not: its chain is taken as it is.
  Status take_back(RoundHistory::Chain to, std::uint64_t offset) {
    const bool known = !held_.empty() && to.round.next() >= held_.front().round.round;
    while (!held_.empty() && at_.round > to.round) {
      at_ = {{at_.round.value - 1}, held_.back().before};
      held_.pop_back();
    }
    const bool fits = known || to.round == at_.round ? at_ == to : to.round < at_.round;
    if (!fits || to.round < given_)
      return damaged(path_, offset,
                     "it goes back to round " + std::to_string(to.round.value) +
                         ", which is not one that was there");
    at_ = to;
    return {};
  }

  Status give_held(Round final, std::uint64_t offset) {
    while (!held_.empty() && held_.front().round.round <= final) {
      const auto one = std::move(held_.front());
      held_.pop_front();
      const RoundHistory::Chain at{one.round.round,
                                   held_.empty() ? at_.hash : held_.front().before};
      const bool first_after = at.round == from_.round.next();
      if ((at.round == from_.round && at.hash != from_.hash) ||
          (first_after && one.before != from_.hash))
        return not_from(offset);
      given_ = at.round;
      if (at.round <= from_.round) continue;
      if (auto status = give(one.round, at); !status) return status;
    }
    return {};
  }

  /// R4: a checkpoint is of what was final.
  Status end_path() {
    if (!views() || !begun_) return {};
    if (auto status = give_held(from_.round, read_.end.offset); !status) return status;
    const auto after_from =
        held_.empty() ? at_.hash : held_.front().before;  // of the last that is final
    const auto last = held_.empty() ? at_.round : Round{held_.front().round.round.value - 1};
    if (last == from_.round && after_from != from_.hash) return not_from(read_.end.offset);
    read_.final = {last, after_from};
    if (at_.round >= from_.round) read_.end.chain = at_;
    for (auto& one : held_) read_.held.push_back(std::move(one.round));
    return {};
  }

  [[nodiscard]] Status not_from(std::uint64_t offset) const {
    return damaged(path_, offset,
                   "round " + std::to_string(from_.round.value) +
                       " is not the one of which there is a checkpoint");
  }

  /// R2: what is at `offset`, where there is no record.
  Status behind(Bytes bytes, std::uint64_t offset, bool last, const ReadRecord& found) {
    const auto behind = used(bytes.subspan(std::size_t(offset)));
    if (behind == 0) return {};
    const auto why = found.found == ReadRecord::Found::record ? "a step is not whole"
                     : found.found == ReadRecord::Found::bad  ? found.why
                                                              : "there is no record";
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
  std::deque<Held> held_;   ///< format 2: those that are not known to be final; the last is at_
  Round given_;             ///< format 2: is final
  ReadLog read_;
};

}  // namespace

Result<ReadLog> read_log(Folder& folder, const DatabaseIdentity& identity, RoundHistory::Chain from,
                         Marks marks, const EachRound& each) {
  return LogReading(folder, identity, from, marks, each).all();
}

}  // namespace exdb
