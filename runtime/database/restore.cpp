// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore.hpp"

#include <algorithm>
#include <map>

#include "base/bytes.hpp"
#include "database/restore_words.hpp"

namespace exdb {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t rounds_bytes = std::size_t{1} << 20;
/// What a piece of what one node gives to the others begins with.
constexpr std::byte piece_of_files{1}, piece_of_rounds{2}, no_more{3};

class NoSink final : public RecoverySink {
 public:
  Status begin() override { return {}; }
  Status chunk(Bytes) override { return {}; }
  Status complete(RoundHistory::Chain) override { return {}; }
  Status round(const CompletedRound&) override { return {}; }
};

class Restoring {
 public:
  explicit Restoring(RestoreRequest request)
      : request_(std::move(request)),
        path_(request_.disk.path),
        sink_(request_.dictionary, request_.storage, true, NodeId{request_.self}) {}

  Result<Restored> run() {
    for (const auto phase :
         {&Restoring::meet, &Restoring::survey, &Restoring::choose, &Restoring::give_all_files,
          &Restoring::give_all_rounds, &Restoring::begin_epoch})
      if (auto status = (this->*phase)(); !status) return status;
    return done();
  }

 private:
  [[nodiscard]] bool writes() const { return request_.writes[request_.self]; }
  [[nodiscard]] std::string own_path() const { return node_folder(path_, request_.self); }
  [[nodiscard]] HeldCopy& own() { return held_.front(); }

  Result<Blocks> exchange(const Status& mine, Bytes bytes = {}) {
    return exdb::exchange(*request_.gather, mine, bytes);
  }

  // --- who sees what ---

  Status meet() {
    auto status = make_path(path_);
    if (status.ok()) {
      auto place = read_place(path_);
      status = place.status();
      if (place && !*place)
        status = write_place(path_, (request_.epoch_name + request_.self) | 1, request_.self);
    }
    auto barrier = exchange(status);
    if (!barrier) return barrier.status();
    auto place = read_place(path_);
    auto nodes = nodes_below(path_);
    status = place ? nodes.status() : place.status();
    std::vector<std::byte> seen;
    ByteWriter out(seen);
    if (status.ok()) {
      out.put(place->value_or(0));
      for (const auto node : *nodes) out.put(node);
    }
    auto all = exchange(status, seen);
    if (!all) return all.status();
    return divide(*all);
  }

  /// Each folder is read by one of those that see it: by its node, if that is there.
  Status divide(const Blocks& seen) {
    std::map<std::uint64_t, std::vector<std::uint32_t>> places;
    std::vector<std::uint64_t> place_of;
    for (std::uint32_t node = 0; node < seen.size(); ++node) {
      place_of.push_back(ByteReader(seen[node]).get<std::uint64_t>());
      places[place_of.back()].push_back(node);
    }
    for (const auto& [place, members] : places) {
      ByteReader in(seen[members.front()]);
      (void)in.get<std::uint64_t>();
      while (in.remaining() >= sizeof(std::uint32_t)) {
        const auto node = in.get<std::uint32_t>();
        const bool there = node < seen.size() && request_.writes[node] && place_of[node] == place;
        if (!there && members[node % members.size()] == request_.self) others_.push_back(node);
      }
    }
    return {};
  }

  // --- what there is ---

  Status survey() {
    const auto status = read_copies();
    std::vector<std::byte> mine;
    ByteWriter out(mine);
    if (status.ok())
      for (std::size_t i = 0; i < held_.size(); ++i)
        encode(said_of(held_[i], writes() && i == 0), out);
    auto all = exchange(status, mine);
    if (!all) return all.status();
    for (std::uint32_t node = 0; node < all->size(); ++node) {
      ByteReader in((*all)[node]);
      for (std::uint32_t i = 0; in.remaining() != 0; ++i) {
        Known known;
        if (auto read = decode(in, known); !read) return read;
        known.by = node;
        known.held = i;
        known_.push_back(std::move(known));
      }
    }
    return {};
  }

  Status read_copies() {
    if (writes()) {
      if (auto status = tidy_taken(own_path()); !status) return status;
      auto copy = hold_copy(own_path(), *request_.dictionary, sink_);
      if (!copy) return copy.status();
      held_.push_back(std::move(*copy));
    }
    NoSink nothing;
    for (const auto node : others_) {
      auto copy = hold_copy(node_folder(path_, node), *request_.dictionary, nothing);
      if (!copy) return copy.status();
      held_.push_back(std::move(*copy));
    }
    return {};
  }

  // --- which of them it shall be: the same on all nodes ---

  Status choose() {
    std::vector<Copy> copies;
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < known_.size(); ++i) {
      if (known_[i].empty) continue;
      copies.push_back(known_[i].copy);
      of.push_back(i);
      marks_.sequence = std::max(marks_.sequence, known_[i].marks.sequence);
      marks_.autoid = std::max(marks_.autoid, known_[i].marks.autoid);
    }
    auto furthest = furthest_of(copies);
    if (!furthest) return furthest.status();
    identity_ = {request_.epoch_name, request_.dictionary->hash()};
    if (!*furthest) return {};
    giver_ = known_[of[**furthest]];
    identity_.database = giver_->copy.database;
    newest_ = giver_->copy.newest;
    epochs_ = giver_->copy.epochs;
    for (const auto& known : known_) {
      if (!known.own || known.copy.newest.round == newest_.round) continue;
      const bool by_rounds = !known.empty && known.copy.newest.round >= giver_->checkpoint;
      (by_rounds ? by_rounds_ : by_files_)[known.by] = known.copy.newest.round;
    }
    return {};
  }

  [[nodiscard]] bool gives() const { return giver_ && giver_->by == request_.self; }
  [[nodiscard]] HeldCopy& given() { return held_[giver_->held]; }

  /// The giver: hands a piece to all, and to itself when it gives from the folder of another node. A
  /// failure of one of them comes back.
  Status give(std::byte kind, Bytes bytes, const std::function<Status(Bytes)>& take_it) {
    std::vector<std::byte> piece(1, kind);
    piece.insert(piece.end(), bytes.begin(), bytes.end());
    auto all = exchange(taking_, piece);
    given_up_ = !all.ok();
    if (!given_up_) taking_ = take_it(bytes);
    return all.status();
  }

  /// All: what the giver hands out, until it says that there is no more. What fails here is told with
  /// the next piece.
  Status hand_out(const std::function<Status()>& give_it,
                  const std::function<Status(Bytes)>& take_it) {
    if (gives()) {
      auto status = give_it();
      if (!status.ok() && given_up_) return status;
      if (status.ok()) status = taking_;
      auto all = exchange(status, std::vector<std::byte>(1, no_more));
      return all.status();
    }
    Status mine;
    while (true) {
      auto all = exchange(mine);
      if (!all) return all.status();
      const Bytes piece((*all)[giver_->by]);
      if (piece.empty()) return {ErrorCode::cluster_protocol, "a node gives nothing"};
      if (piece[0] == no_more) return {};
      if (mine.ok()) mine = take_it(piece.subspan(1));
      taking_ = mine;
    }
  }

  // --- whole copies ---

  Status give_all_files() {
    if (by_files_.empty()) return {};
    const bool mine = by_files_.count(request_.self) != 0;
    std::optional<TakenFiles> taken;
    if (mine) {
      auto begun = TakenFiles::begin(own_path(), identity_, request_.dictionary->to_text());
      taking_ = begun.status();
      if (begun) taken.emplace(std::move(*begun));
    }
    if (auto ready = exchange(taking_); !ready) return ready.status();
    const auto take = [&](Bytes piece) { return mine ? taken->add(piece) : Status(); };
    const auto give_it = [&] {
      return give_files(given(), [&](Bytes piece) { return give(piece_of_files, piece, take); });
    };
    if (auto status = hand_out(give_it, take); !status) return status;
    if (mine && taking_.ok()) taking_ = keep_files(*taken);
    return exchange(taking_).status();
  }

  Status keep_files(TakenFiles& taken) {
    own().folder.reset();
    if (auto status = taken.finish(identity_.database, epochs_); !status) return status;
    auto copy = hold_copy(own_path(), *request_.dictionary, sink_);
    if (!copy) return copy.status();
    own() = std::move(*copy);
    if (own().copy.newest == newest_) return {};
    return {ErrorCode::disk_damaged, "'" + own_path() + "' was copied from '" + giver_->copy.path +
                                         "' and ends with another round"};
  }

  // --- rounds ---

  Status give_all_rounds() {
    if (by_rounds_.empty()) return {};
    const bool mine = by_rounds_.count(request_.self) != 0;
    if (mine) {
      // Before the rounds: K3 of copies.hpp.
      taking_ = write_epochs(*own().folder, identity_.database, epochs_);
      begin_log();
    }
    if (auto ready = exchange(taking_); !ready) return ready.status();
    auto oldest = newest_.round;
    for (const auto& [node, round] : by_rounds_) oldest = std::min(oldest, round);
    const auto take = [&](Bytes piece) { return mine ? take_rounds(piece) : Status(); };
    if (auto status = hand_out([&] { return give_rounds(oldest, take); }, take); !status)
      return status;
    if (mine && taking_.ok()) taking_ = log_->settle();
    return exchange(taking_).status();
  }

  Status give_rounds(Round after, const std::function<Status(Bytes)>& take) {
    std::vector<std::byte> rounds;
    auto read = read_log(*given().folder, identity_, given().recovery.from, {},
                         [&](const CompletedRound& round) {
                           if (round.round <= after) return Status();
                           LogRecord record;
                           record.offset = rounds.size();
                           record.chain.round = round.round;
                           encode_record(record, round, identity_.database, rounds);
                           if (rounds.size() < rounds_bytes) return Status();
                           auto status = give(piece_of_rounds, rounds, take);
                           rounds.clear();
                           return status;
                         });
    if (!read) return read.status();
    return rounds.empty() ? Status() : give(piece_of_rounds, rounds, take);
  }

  Status take_rounds(Bytes rounds) {
    for (std::uint64_t offset = 0; offset < rounds.size();) {
      auto found = decode_record(rounds, offset, identity_.database);
      if (found.found != ReadRecord::Found::record)
        return {ErrorCode::cluster_protocol, "rounds that cannot be read: " + found.why};
      offset += found.bytes;
      auto& round = found.record.round;
      const auto number = round.round;
      if (number <= log_->chain().round) continue;
      if (number != log_->chain().round.next())
        return {ErrorCode::cluster_protocol, "a round is missing among those that came"};
      if (auto status = sink_.round(round); !status) return status;
      if (auto status = log_->append(std::move(round)); !status) return status;
      log_->release(number);
    }
    return log_->sync();
  }

  // --- from here on ---

  void begin_log() {
    if (log_) return;
    RoundLog::Options options;
    options.fsync = request_.disk.fsync;
    log_ = std::make_unique<RoundLog>(*own().folder, identity_, options,
                                      std::move(own().recovery.log.end));
  }

  /// The copy is what it should be, and goes on.
  Status go_on() {
    auto& folder = *own().folder;
    if (own().empty) {
      std::string there;
      auto base = open_base(folder, identity_, request_.dictionary->to_text(), there);
      if (!base) return base.status();
    }
    begin_log();
    if (!(log_->chain() == newest_))
      return {ErrorCode::inconsistent, "'" + own_path() + "' is no older state of '" +
                                           giver_->copy.path + "': its rounds up to " +
                                           std::to_string(newest_.round.value) + " differ"};
    auto epochs = epochs_;
    epochs.push_back({epoch(), request_.epoch_name, newest_});
    return write_epochs(folder, identity_.database, std::move(epochs));
  }

  [[nodiscard]] std::uint64_t epoch() const {
    return epochs_.empty() ? 1 : epochs_.back().number + 1;
  }

  /// Those who do not write learn what the state is.
  Status begin_epoch() {
    const auto status = writes() ? go_on() : Status();
    std::vector<std::byte> mine;
    if (writes() && status.ok()) {
      ByteWriter out(mine);
      out.put(sink_.replica().published().value);
      out.put(std::uint8_t(has_transient_rows()));
    }
    auto all = exchange(status, mine);
    if (!all) return all.status();
    const auto writer = std::find(request_.writes.begin(), request_.writes.end(), true);
    ByteReader in((*all)[std::size_t(writer - request_.writes.begin())]);
    csn_.value = in.get<std::uint64_t>();
    transient_rows_ = in.get<std::uint8_t>() != 0;
    return {};
  }

  [[nodiscard]] bool has_transient_rows() {
    auto state = sink_.replica().pin();
    state.status().or_throw();
    return std::ranges::any_of(request_.dictionary->classes(), [&](const ClassDef& type) {
      return type.transient && !type.local &&
             (*state)->replicated.scan(type.id, SlotId{}) != SlotId::none();
    });
  }

  Restored done() {
    Restored restored;
    restored.marks = marks_;
    restored.told = told();
    restored.csn = csn_;
    restored.transient_rows = transient_rows_;
    for (const auto& known : known_)
      restored.worth_telling |= giver_ && (known.torn_down || !known.own || !known.cut.empty());
    restored.worth_telling |= !by_rounds_.empty() || !by_files_.empty();
    if (!writes()) return restored;
    // Of transactions that were under way: they will not go on.
    auto replica = sink_.take();
    replica->forget_others({});
    const auto& recovery = own().recovery;
    restored.recovered.emplace();
    auto& recovered = *restored.recovered;
    recovered.identity = identity_;
    recovered.replica = std::move(replica);
    recovered.log = std::move(log_);
    recovered.checkpoint = recovery.from.round;
    recovered.checkpoint_bytes = recovery.checkpoint_bytes;
    recovered.log_bytes = recovery.log.bytes;
    recovered.marks = marks_;
    recovered.told = restored.told;
    recovered.worth_telling = restored.worth_telling;
    recovered.folder = std::move(own().folder);
    return restored;
  }

  [[nodiscard]] std::string told() const {
    if (!giver_) return "database '" + request_.name + "' is new, in '" + path_ + "'";
    return "database '" + request_.name + "' " +
           told_of(known_, *giver_, by_rounds_, by_files_, Clock::now() - begun_);
  }

  const RestoreRequest request_;
  const std::string path_;
  const Clock::time_point begun_ = Clock::now();
  ReplicaSink sink_;
  std::vector<std::uint32_t> others_;  ///< folders of other nodes that this one reads
  std::vector<HeldCopy> held_;         ///< the own one first, if this node writes
  std::vector<Known> known_;
  Marks marks_;
  std::optional<Known> giver_;  ///< the furthest copy; none of a new database
  DatabaseIdentity identity_;
  RoundHistory::Chain newest_;
  Epochs epochs_;
  CaughtUp by_rounds_, by_files_;  ///< who lacks something; what it has
  Status taking_;                  ///< what fails here on the way
  bool given_up_ = false;          ///< all know of a failure
  std::unique_ptr<RoundLog> log_;
  Csn csn_;
  bool transient_rows_ = false;
};

}  // namespace

Result<Restored> collective_restore(RestoreRequest request) {
  return Restoring(std::move(request)).run();
}

}  // namespace exdb
