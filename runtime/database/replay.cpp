// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/replay.hpp"

#include <algorithm>

#include "cluster/commit_window.hpp"
#include "durability/arrived_state.hpp"

namespace exdb {
namespace {

/// Rounds by which a member may have been behind when it wrote a digest, and still be compared.
constexpr std::size_t digests_compared = 256;

class Replaying {
 public:
  Replaying(Folder& folder, const DatabaseIdentity& identity,
            const std::shared_ptr<const Dictionary>& dictionary, const StorageOptions& storage,
            const ReplayBounds& bounds, ReplayWatch* watch)
      : folder_(folder),
        identity_(identity),
        dictionary_(dictionary),
        storage_(storage),
        bounds_(bounds),
        watch_(watch) {}

  Result<Replayed> all() {
    auto names = folder_.list();
    if (!names) return names.status();
    if (auto status = begin(*names); !status) return status;
    if (done()) return finished();
    auto read = read_log(folder_, identity_, at_, {},
                         [this](const CompletedRound& round) { return take(round); });
    // It was ended here, and not by what was read.
    if (!read && done()) return finished();
    if (!read) return read.status();
    if (bounds_.upto && made_.round < *bounds_.upto)
      return Status(ErrorCode::not_found, "'" + folder_.path_of("") + "' ends with round " +
                                              std::to_string(made_.round.value) +
                                              ", before round " +
                                              std::to_string(bounds_.upto->value));
    return finished();
  }

 private:
  [[nodiscard]] bool views() const { return identity_.format == disk_format_views; }
  [[nodiscard]] bool done() const { return bounds_.upto && made_.round >= *bounds_.upto; }
  Result<Replayed> finished() { return std::move(made_); }

  /// The newest checkpoint that is whole and not too new; else the empty state, if the log goes back
  /// so far.
  Status begin(const std::vector<std::string>& names) {
    if (views()) {
      auto arrived = arrived_in_force(folder_, identity_);
      if (!arrived) return arrived.status();
      if (*arrived) return load(**arrived);
    }
    auto newest = bounds_.base_upto ? bounds_.base_upto : bounds_.upto;
    if (bounds_.upto && newest) newest = std::min(*newest, *bounds_.upto);
    std::optional<Round> first_round, oldest_checkpoint;
    for (const auto& name : names) {
      const auto first = round_of_name(FileKind::log, name);
      if (first && !first_round) first_round = first;
    }
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      const auto round = round_of_name(FileKind::checkpoint, *name);
      if (!round) continue;
      oldest_checkpoint = round;
      if (newest && *round > *newest) continue;
      const auto status = load(*name);
      if (status.ok()) return {};
      if (status.code() != ErrorCode::disk_damaged) return status;
      made_.passed_over.push_back(status.text());
    }
    if (!made_.passed_over.empty() && first_round && *first_round > Round{1})
      return {ErrorCode::disk_damaged, made_.passed_over.front()};
    if (first_round && *first_round > Round{1} && oldest_checkpoint && bounds_.base_upto &&
        (!bounds_.upto || *oldest_checkpoint <= *bounds_.upto)) {
      // What was asked to be told of begins with the checkpoint there is.
      for (const auto& name : names)
        if (round_of_name(FileKind::checkpoint, name) == oldest_checkpoint) return load(name);
    }
    if (first_round && *first_round > Round{1})
      return {ErrorCode::not_found,
              "'" + folder_.path_of("") + "' has no state so old: " +
                  (oldest_checkpoint ? "its oldest checkpoint is that of round " +
                                           std::to_string(oldest_checkpoint->value)
                                     : std::string("it has no checkpoint")) +
                  ", and its log begins with round " + std::to_string(first_round->value)};
    auto made = Replica::create(dictionary_, storage_, false, NodeId{});
    if (!made) return made.status();
    made_.replica = std::move(*made);
    if (views()) made_.replica->expect_repeats();
    digests_.push_back(made_.replica->digest());
    return {};
  }

  Status load(const std::string& name) {
    SnapshotReader reader(dictionary_, storage_, NodeId{}, false);
    auto read = read_checkpoint(folder_, name, identity_,
                                [&reader](Bytes chunk) { return reader.add(chunk); });
    if (!read) return read.status();
    if (reader.header() && !(reader.header()->upto == read->head.at))
      return damaged(folder_.path_of(name), 0, "its chunks are of another round than its head");
    auto made = reader.finish();
    if (!made) return made.status();
    made_.replica = std::move(*made);
    if (views()) made_.replica->expect_repeats();
    at_ = read->head.at;
    made_.checkpoint = made_.round = at_.round;
    digests_.assign(1, made_.replica->digest());
    return {};
  }

  Status take(const CompletedRound& round) {
    if (done()) return {ErrorCode::interrupted, "this round is not wanted"};
    const auto where = "round " + std::to_string(round.round.value) + " of the log: ";
    if (auto status = compare(round); !status) return status;
    members_.clear();
    for (const auto& batch : round.batches) {
      members_.push_back(batch.member);
      items_.clear();
      if (auto status = decode_items(batch.member, batch.payload, items_); !status)
        return {status.code(), where + status.text()};
      all_.insert(all_.end(), items_.begin(), items_.end());
    }
    auto horizon = round.batches.empty() ? Csn{} : Csn::max();
    for (const auto& batch : round.batches)
      horizon = std::min(horizon, batch.header.oldest_snapshot);
    made_.replica->forget_others(members_);
    auto status = apply(round.round, horizon);
    all_.clear();
    if (!status) return {status.code(), where + status.text()};
    made_.round = round.round;
    ++made_.rounds;
    digests_.push_back(made_.replica->digest());
    if (digests_.size() > digests_compared) digests_.pop_front();
    return done() ? Status(ErrorCode::interrupted, "all that is wanted is here") : Status();
  }

  Status apply(Round round, Csn horizon) {
    if (watch_ != nullptr) {
      if (auto status = watch_->before(round, all_, *made_.replica); !status) return status;
    }
    const std::vector<bool> mine(all_.size(), true);
    if (auto status = made_.replica->apply_round(round, all_, horizon, mine, outcomes_); !status)
      return status;
    return watch_ == nullptr ? Status() : watch_->after(all_, outcomes_);
  }

  /// P1: each of the state after round - 1 - digest_lag, if that is still known. As the members judged
  /// it: who leaves is not compared, and who is in the minority was expelled after the round.
  Status compare(const CompletedRound& round) {
    std::uint64_t equal = 0, compared = 0;
    const Batch* other = nullptr;
    for (const auto& batch : round.batches) {
      const auto lag = std::size_t(batch.header.digest_lag);
      if (batch.header.leave || lag >= digests_.size()) continue;
      ++compared;
      if (digests_[digests_.size() - 1 - lag] == batch.header.digest)
        ++equal;
      else
        other = &batch;
    }
    made_.digests += equal;
    if (other == nullptr || 2 * equal > compared) return {};
    return {ErrorCode::inconsistent,
            "round " + std::to_string(round.round.value) + " of the log: member " +
                std::to_string(other->member.value) + " had another state after round " +
                std::to_string(round.round.value - 1 - other->header.digest_lag) +
                " than the one that was made again"};
  }

  Folder& folder_;
  const DatabaseIdentity identity_;
  const std::shared_ptr<const Dictionary> dictionary_;
  const StorageOptions storage_;
  const ReplayBounds bounds_;
  ReplayWatch* const watch_;
  RoundHistory::Chain at_;
  Replayed made_;
  std::deque<std::uint64_t> digests_;  ///< of the newest rounds; the last is that of the state
  std::vector<RoundItem> items_, all_;
  std::vector<MemberId> members_;
  std::vector<ItemOutcome> outcomes_;
};

}  // namespace

Result<Replayed> replay(Folder& folder, const DatabaseIdentity& identity,
                        const std::shared_ptr<const Dictionary>& dictionary,
                        const StorageOptions& storage, const ReplayBounds& bounds,
                        ReplayWatch* watch) {
  return Replaying(folder, identity, dictionary, storage, bounds, watch).all();
}

}  // namespace exdb
