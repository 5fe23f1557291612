// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/quorum_count.hpp"

namespace exdb {

void QuorumCount::set_reached(MemberId member, bool reached) {
  if (reached_[member.value] == reached) return;
  reached_[member.value] = reached;
  ++version_;
}

void QuorumCount::withhold(std::string why) {
  if (withheld_ == why) return;
  withheld_ = std::move(why);
  ++version_;
}

void QuorumCount::set_consent(Consent consent) {
  if (consent_ == consent) return;
  consent_ = consent;
  ++version_;
}

/// In 64 bits: qranks are anybody's 32-bit numbers, and their sum must not come around.
std::uint64_t QuorumCount::weight(bool all) const {
  std::uint64_t sum = 0;
  for (std::size_t member = 0; member < qranks_.size(); ++member)
    if (all || reached_[member]) sum += qranks_[member];
  return sum;
}

bool QuorumCount::majority() const { return withheld_.empty() && 2 * weight(false) > weight(true); }

bool QuorumCount::allows() const {
  return majority() || (consent_ == Consent::given && withheld_.empty());
}

std::vector<std::uint32_t> QuorumCount::reached_but(MemberId self) const {
  std::vector<std::uint32_t> members;
  for (std::uint32_t member = 0; member < reached_.size(); ++member)
    if (reached_[member] && member != self.value) members.push_back(member);
  return members;
}

std::string QuorumCount::explain() const {
  if (!withheld_.empty()) return "no quorum: " + withheld_;
  std::string lost;
  for (std::size_t member = 0; member < qranks_.size(); ++member)
    if (!reached_[member]) lost += (lost.empty() ? "" : ", ") + std::to_string(member);
  return "no quorum: the nodes that can be reached have qrank " + std::to_string(weight(false)) +
         " of " + std::to_string(weight(true)) + ", and more than half is needed to write" +
         (lost.empty() ? std::string("; give the nodes a qrank above 0")
                       : " (gone: node " + lost + ")") +
         ", or a quorumCallback that takes the responsibility";
}

}  // namespace exdb
