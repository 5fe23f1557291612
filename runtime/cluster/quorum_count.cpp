// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/quorum_count.hpp"

#include <algorithm>

namespace exdb {
namespace {

Voters each_for_itself(std::vector<std::uint32_t> qranks) {
  Voters voters{{}, std::move(qranks), {}};
  for (std::uint32_t node = 0; node < voters.qranks.size(); ++node)
    voters.speakers.push_back(MemberId{node});
  return voters;
}

}  // namespace

QuorumCount::QuorumCount(std::vector<std::uint32_t> qranks)
    : QuorumCount(each_for_itself(std::move(qranks))) {}

QuorumCount::QuorumCount(Voters voters)
    : qranks_(std::move(voters.qranks)),
      speakers_(std::move(voters.speakers)),
      ended_(qranks_.size()) {
  for (const auto speaker : speakers_)
    reached_.resize(std::max<std::size_t>(reached_.size(), speaker.value + std::size_t{1}), true);
}

void QuorumCount::set_reached(MemberId member, bool reached) {
  if (reached_[member.value] == reached) return;
  reached_[member.value] = reached;
  ++version_;
}

void QuorumCount::lose_node(MemberId member, NodeId node) {
  if (node.value >= ended_.size() || speakers_[node.value] != member || ended_[node.value]) return;
  ended_[node.value] = true;
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
  for (std::size_t node = 0; node < qranks_.size(); ++node)
    if (all || reaches_node(node)) sum += qranks_[node];
  return sum;
}

bool QuorumCount::majority() const { return withheld_.empty() && 2 * weight(false) > weight(true); }

bool QuorumCount::allows() const {
  return majority() || (consent_ == Consent::given && withheld_.empty());
}

std::vector<std::uint32_t> QuorumCount::reached_but(NodeId self) const {
  std::vector<std::uint32_t> nodes;
  for (std::uint32_t node = 0; node < qranks_.size(); ++node)
    if (reaches_node(node) && node != self.value) nodes.push_back(node);
  return nodes;
}

std::string QuorumCount::explain() const {
  if (!withheld_.empty()) return "no quorum: " + withheld_;
  std::string lost;
  for (std::size_t node = 0; node < qranks_.size(); ++node)
    if (!reaches_node(node)) lost += (lost.empty() ? "" : ", ") + std::to_string(node);
  return "no quorum: the nodes that can be reached have qrank " + std::to_string(weight(false)) +
         " of " + std::to_string(weight(true)) + ", and more than half is needed to write" +
         (lost.empty() ? std::string("; give the nodes a qrank above 0")
                       : " (gone: node " + lost + ")") +
         ", or a quorumCallback that takes the responsibility";
}

}  // namespace exdb
