// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/kept_copies.hpp"

#include <algorithm>
#include <cstdio>

namespace exdb {

std::vector<bool> choose_keepers(const std::vector<bool>& may, std::uint32_t copies,
                                 const std::vector<std::uint64_t>& places,
                                 const std::vector<bool>& has_folder) {
  if (copies == 0) return may;
  struct Candidate {
    std::size_t turn;  ///< of its file system
    bool new_one;
    std::uint32_t node;
    auto operator<=>(const Candidate&) const = default;
  };
  std::vector<Candidate> in_order;
  for (std::uint32_t node = 0; node < may.size(); ++node)
    if (may[node]) in_order.push_back({0, !has_folder[node], node});
  std::sort(in_order.begin(), in_order.end());
  std::map<std::uint64_t, std::size_t> turns;
  for (auto& each : in_order) each.turn = turns[places[each.node]]++;
  std::sort(in_order.begin(), in_order.end());
  std::vector<bool> keeps(may.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(copies, in_order.size()); ++i)
    keeps[in_order[i].node] = true;
  return keeps;
}

KeptCopies::KeptCopies(std::vector<MemberId> keepers, std::shared_ptr<DurableHistory> own,
                       Round newest, std::string name)
    : own_(std::move(own)),
      name_(std::move(name)),
      looked_at_(newest),
      full_(newest),
      final_(newest),
      told_(newest) {
  for (const auto keeper : keepers) others_[keeper] = newest;
}

/// C1, C2.
Round KeptCopies::newest_final(const RoundHistory& history) {
  const auto newest = history.chain().round;
  for (; looked_at_ < newest; looked_at_ = looked_at_.next())
    if (payload_bytes(history.held(looked_at_.next())) != 0) full_ = looked_at_.next();
  auto judged = own_ ? own_->newest_final(history) : newest;
  for (const auto& [keeper, kept] : others_)
    if (kept < full_) judged = std::min(judged, kept);
  if (!own_ && others_.empty() && full_ > final_) {
    judged = final_;
    failure_ = {ErrorCode::disk,
                "no node is left that keeps database '" + name_ +
                    "' on disk (durable_copies): what is committed could be lost"};
  }
  return final_ = std::max(final_, std::min(judged, newest));
}

Status KeptCopies::failure() const {
  if (!failure_.ok()) return failure_;
  return own_ ? own_->failure() : Status();
}

void KeptCopies::on_change(std::function<void()> tell) {
  if (own_) own_->on_change(std::move(tell));
}

std::optional<Round> KeptCopies::to_tell() {
  if (!own_ || told_ >= full_) return std::nullopt;
  const auto kept = own_->written();
  if (kept <= told_) return std::nullopt;
  return told_ = kept;
}

void KeptCopies::told(MemberId by, Round upto) {
  const auto found = others_.find(by);
  if (found != others_.end()) found->second = std::max(found->second, upto);
}

void KeptCopies::gone(MemberId member) {
  if (others_.erase(member) == 0 || !own_) return;
  std::fprintf(stderr,
               "exdb: warning: a node that kept database '%s' on disk has left: %zu go on with a "
               "copy\n",
               name_.c_str(), others_.size() + 1);
}

}  // namespace exdb
