// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore.hpp"

#include <algorithm>
#include <map>

#include "base/bytes.hpp"
#include "database/kept_copies.hpp"
#include "database/restore_handout.hpp"
#include "database/restore_pieces.hpp"

namespace exdb {
namespace {

using Clock = std::chrono::steady_clock;

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
        folders_(request_.folders),
        sink_(request_.dictionary, request_.storage, true, NodeId{request_.self}) {}

  Result<Restored> run() {
    for (const auto phase :
         {&Restoring::meet, &Restoring::survey, &Restoring::choose, &Restoring::give_all_files,
          &Restoring::give_all_states, &Restoring::give_all_rounds, &Restoring::begin_epoch})
      if (auto status = (this->*phase)(); !status) return status;
    return done();
  }

 private:
  [[nodiscard]] bool writes() const { return keeps_[request_.self]; }
  /// Has a replica, and no copy on disk.
  [[nodiscard]] bool in_memory() const { return request_.replicas[request_.self] && !writes(); }
  [[nodiscard]] std::string own_path() const { return node_folder(path_, request_.self); }
  [[nodiscard]] HeldCopy& own() { return held_.front(); }

  Result<Blocks> exchange(const Status& mine, Bytes bytes = {}) {
    return exdb::exchange(*request_.gather, mine, bytes);
  }

  // --- who sees what ---

  Status meet() {
    auto status = make_path(folders_, path_);
    if (status.ok() && request_.self == 0) status = mark_place();
    if (auto barrier = exchange(status); !barrier) return barrier.status();
    // Those that do not see what node 0 sees. Where all do, only it has written.
    if (auto barrier = exchange(mark_place()); !barrier) return barrier.status();
    auto place = read_place(folders_, path_);
    auto nodes = nodes_below(folders_, path_);
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

  Status mark_place() {
    auto place = read_place(folders_, path_);
    if (!place || *place) return place.status();
    return write_place(folders_, path_, (request_.epoch_name + request_.self) | 1, request_.self);
  }

  /// Who keeps a copy; and each folder is read by one of those that see it: by its node, if that keeps
  /// it.
  Status divide(const Blocks& seen) {
    std::map<std::uint64_t, std::vector<std::uint32_t>> places;
    std::vector<std::uint64_t> place_of;
    std::vector<bool> has_folder(seen.size());
    for (std::uint32_t node = 0; node < seen.size(); ++node) {
      ByteReader in(seen[node]);
      place_of.push_back(in.get<std::uint64_t>());
      places[place_of.back()].push_back(node);
      while (in.remaining() >= sizeof(std::uint32_t))
        if (in.get<std::uint32_t>() == node) has_folder[node] = true;
    }
    keeps_ = choose_keepers(request_.replicas, request_.disk.copies, place_of, has_folder);
    for (const auto& [place, members] : places) {
      ByteReader in(seen[members.front()]);
      (void)in.get<std::uint64_t>();
      while (in.remaining() >= sizeof(std::uint32_t)) {
        const auto node = in.get<std::uint32_t>();
        const bool there = node < seen.size() && keeps_[node] && place_of[node] == place;
        if (!there && members[node % members.size()] == request_.self) others_.push_back(node);
      }
    }
    for (std::uint32_t node = 0; node < seen.size() && !writes(); ++node)
      if (keeps_[node] && place_of[node] == place_of[request_.self])
        seen_folders_.push_back(node_folder(path_, node));
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
      if (auto status = tidy_taken(folders_, own_path()); !status) return status;
      auto copy = hold_copy(folders_, own_path(), *request_.dictionary, sink_);
      if (!copy) return copy.status();
      held_.push_back(std::move(*copy));
    }
    NoSink nothing;
    for (const auto node : others_) {
      const auto path = node_folder(path_, node);
      if (auto status = tidy_taken(folders_, path); !status) return status;
      auto copy = hold_copy(folders_, path, *request_.dictionary, nothing);
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
    for (std::uint32_t node = 0; node < keeps_.size(); ++node)
      if (request_.replicas[node] && !keeps_[node]) in_memory_[node] = giver_->checkpoint;
    for (const auto& known : known_) {
      if (!known.own || known.copy.newest.round == newest_.round) continue;
      const bool by_rounds = !known.empty && known.copy.newest.round >= giver_->checkpoint;
      (by_rounds ? by_rounds_ : by_files_)[known.by] = known.copy.newest.round;
    }
    return {};
  }

  [[nodiscard]] HeldCopy& given() { return held_[giver_->held]; }

  /// COLLECTIVE, when anybody lacks what it gives. `finish`: once all of it has come.
  Status hand_out(const Status& ready, const std::function<Status(const Handout::Give&)>& all_of_it,
                  const Handout::Take& take, const std::function<Status()>& finish) {
    Handout handout(*request_.gather, giver_->by, giver_->by == request_.self);
    if (auto status = handout.run(ready, all_of_it, take); !status) return status;
    return exchange(finish()).status();
  }

  // --- whole copies ---

  Status give_all_files() {
    if (by_files_.empty()) return {};
    const bool mine = by_files_.count(request_.self) != 0;
    Status ready;
    std::optional<TakenFiles> taken;
    if (mine) {
      auto begun =
          TakenFiles::begin(folders_, own_path(), identity_, request_.dictionary->to_text());
      ready = begun.status();
      if (begun) taken.emplace(std::move(*begun));
    }
    return hand_out(
        ready, [&](const Handout::Give& give) { return give_files(given(), give); },
        [&](Bytes piece) { return mine ? taken->add(piece) : Status(); },
        [&] { return mine ? keep_files(*taken) : Status(); });
  }

  Status keep_files(TakenFiles& taken) {
    own().folder.reset();
    if (auto status = taken.finish(identity_.database, epochs_); !status) return status;
    auto copy = hold_copy(folders_, own_path(), *request_.dictionary, sink_);
    if (!copy) return copy.status();
    own() = std::move(*copy);
    if (own().copy.newest == newest_) return {};
    return {ErrorCode::disk_damaged, "'" + own_path() + "' was copied from '" + giver_->copy.path +
                                         "' and ends with another round"};
  }

  // --- the state, to nodes that keep no copy ---

  Status give_all_states() {
    if (in_memory() && !giver_) return sink_.begin();
    if (in_memory_.empty() || !giver_) return {};
    return hand_out(
        in_memory() ? sink_.begin() : Status(),
        [&](const Handout::Give& give) { return give_state(given(), give); },
        [&](Bytes piece) {
          return in_memory() ? take_state(piece, sink_, memory_at_, names_) : Status();
        },
        [] { return Status(); });
  }

  // --- rounds ---

  Status give_all_rounds() {
    auto lacking = by_rounds_;
    lacking.insert(in_memory_.begin(), in_memory_.end());
    if (lacking.empty() || !giver_) return {};
    const bool mine = by_rounds_.count(request_.self) != 0;
    Status ready;
    if (mine) {
      // Before the rounds: K3 of copies.hpp.
      ready = write_epochs(*own().folder, identity_.database, epochs_);
      begin_log();
    }
    auto oldest = newest_.round;
    for (const auto& [node, round] : lacking) oldest = std::min(oldest, round);
    return hand_out(
        ready,
        [&](const Handout::Give& give) { return give_rounds(given(), identity_, oldest, give); },
        [&](Bytes piece) {
          if (!mine && !in_memory()) return Status();
          return take_rounds(piece, identity_, mine ? log_->chain() : memory_at_,
                             [&](CompletedRound&& round) { return take_round(std::move(round)); });
        },
        [&] {
          if (in_memory() && !(memory_at_ == newest_))
            return Status(ErrorCode::inconsistent,
                          "what came of '" + giver_->copy.path + "' ends with another round");
          return mine ? log_->settle() : Status();
        });
  }

  Status take_round(CompletedRound&& round) {
    if (auto status = sink_.round(round); !status) return status;
    if (in_memory()) {
      memory_at_ = {round.round, chained(memory_at_.hash, round)};
      return {};
    }
    const auto number = round.round;
    if (auto status = log_->append(std::move(round)); !status) return status;
    log_->release(number);
    return {};
  }

  // --- from here on ---

  void begin_log() {
    if (log_) return;
    RoundLog::Options options;
    options.fsync = request_.disk.fsync;
    options.segment_bytes = request_.segment_bytes;
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
      out.put(sink_.replica().autoids_seen());
    }
    auto all = exchange(status, mine);
    if (!all) return all.status();
    const auto writer = std::find(keeps_.begin(), keeps_.end(), true);
    ByteReader in((*all)[std::size_t(writer - keeps_.begin())]);
    csn_.value = in.get<std::uint64_t>();
    transient_rows_ = in.get<std::uint8_t>() != 0;
    marks_.autoid = std::max(marks_.autoid, in.get<std::uint64_t>());
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
    restored.keeps = keeps_;
    restored.newest = newest_;
    restored.identity = identity_;
    restored.seen_folders = seen_folders_;
    if (!request_.replicas[request_.self]) return restored;
    // Of transactions that were under way: they will not go on.
    auto replica = sink_.take();
    replica->forget_others({});
    if (!writes()) {
      replica->names().merge(std::move(names_));
      restored.replica = std::move(replica);
      return restored;
    }
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
           told_of(known_, *giver_, by_rounds_, by_files_, in_memory_, Clock::now() - begun_);
  }

  const RestoreRequest request_;
  const std::string path_;
  Folders& folders_;
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
  CaughtUp by_rounds_, by_files_;          ///< who lacks something; what it has
  CaughtUp in_memory_;                     ///< who keeps no copy
  std::vector<bool> keeps_;                ///< who does
  std::vector<std::string> seen_folders_;  ///< of other nodes, if this one keeps none
  RoundHistory::Chain memory_at_;          ///< what has come to memory
  std::vector<NamedSnapshot> names_;
  std::unique_ptr<RoundLog> log_;
  Csn csn_;
  bool transient_rows_ = false;
};

}  // namespace

Result<Restored> collective_restore(RestoreRequest request) {
  return Restoring(std::move(request)).run();
}

}  // namespace exdb
