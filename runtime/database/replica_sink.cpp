// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/replica_sink.hpp"

#include <algorithm>

#include "cluster/commit_window.hpp"
#include "database/dictionary_difference.hpp"

namespace exdb {
namespace {

/// Members that lag further behind than this are not compared.
constexpr std::size_t digests_kept = 256;

}  // namespace

ReplicaSink::ReplicaSink(std::shared_ptr<const Dictionary> dictionary, StorageOptions storage,
                         bool clustered, NodeId self, bool repeats)
    : dictionary_(std::move(dictionary)),
      storage_(std::move(storage)),
      clustered_(clustered),
      self_(self),
      repeats_(repeats) {}

Status ReplicaSink::begin() {
  replica_.reset();  // its memory first
  reader_.emplace(dictionary_, storage_, self_, clustered_);
  auto made = Replica::create(dictionary_, storage_, clustered_, self_);
  if (!made) return made.status();
  replica_ = std::move(*made);
  if (repeats_) replica_->expect_repeats();
  horizon_ = {};
  digests_.assign(1, replica_->digest());
  return {};
}

Status ReplicaSink::complete(RoundHistory::Chain at) {
  if (reader_->header() && !(reader_->header()->upto == at))
    return {ErrorCode::disk_damaged, "its chunks are of another round than its head"};
  auto made = reader_->finish();
  if (!made) return made.status();
  replica_ = std::move(*made);
  if (repeats_) replica_->expect_repeats();
  digests_.assign(1, replica_->digest());
  return {};
}

/// Who leaves is not judged, and who is in the minority was expelled after this round.
bool ReplicaSink::digests_fit(const CompletedRound& round) const {
  std::size_t equal = 0, compared = 0;
  for (const auto& batch : round.batches) {
    if (batch.header.leave || batch.header.digest_lag >= digests_.size()) continue;
    ++compared;
    equal += batch.header.digest == digests_[batch.header.digest_lag] ? 1 : 0;
  }
  return compared == 0 || 2 * equal > compared;
}

Status ReplicaSink::round(const CompletedRound& round) {
  const auto where = "round " + std::to_string(round.round.value) + " of the log: ";
  if (!digests_fit(round))
    return {ErrorCode::inconsistent,
            where + "the state before it is not the one in which it was made"};
  items_.clear();
  members_.clear();
  auto oldest = Csn::max();
  for (const auto& batch : round.batches) {
    if (auto status = decode_items(batch.member, batch.payload, items_); !status)
      return {status.code(), where + status.text()};
    oldest = std::min(oldest, batch.header.oldest_snapshot);
    members_.push_back(batch.member);
  }
  if (!round.batches.empty()) horizon_ = std::max(horizon_, oldest);
  if (clustered_) replica_->forget_others(members_);
  const std::vector<bool> mine(items_.size(), false);
  if (auto status = replica_->apply_round(round.round, items_, horizon_, mine, outcomes_); !status)
    return {status.code(), where + status.text()};
  digests_.push_front(replica_->digest());
  if (digests_.size() > digests_kept) digests_.pop_back();
  return {};
}

Status check_schema(const Folder& folder, const DatabaseIdentity& found, const std::string& text,
                    const Dictionary& dictionary) {
  if (found.dictionary == dictionary.hash()) return {};
  const auto difference =
      first_difference(text, dictionary.to_text(), "on disk", "in the schema that was given");
  return {ErrorCode::disk_schema, "'" + folder.path_of(base_name) +
                                      "': the database on disk has another schema" +
                                      (difference.empty() ? "" : ": " + difference) +
                                      "; open it with the one it was made with"};
}

}  // namespace exdb
