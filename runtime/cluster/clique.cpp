// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/clique.hpp"

namespace exdb {
namespace {

constexpr int steps_max = 4096;

class Search {
 public:
  Search(const CliqueChoice& choice, const Weights& weights) : choice_(choice), weights_(weights) {}

  MemberSet run() {
    look_in(choice_.candidates);
    return best_;
  }

 private:
  [[nodiscard]] bool apart(MemberId one, MemberId other) const {
    return one != other && !choice_.ignores_reach &&
           !(choice_.reach[one.value].has(other) && choice_.reach[other.value].has(one));
  }

  void look_in(const MemberSet& set) {
    ++steps_;
    const auto members = set.list();
    MemberId worst;
    std::size_t most = 0;
    for (const auto member : members) {
      std::size_t missed = 0;
      for (const auto other : members) missed += apart(member, other);
      if (missed > most) {
        most = missed;
        worst = member;
      }
    }
    if (most == 0) return offer(set);
    // Either this one stays, and all whom it misses go, or it goes itself.
    auto with = set, without = set;
    for (const auto other : members)
      if (apart(worst, other)) with.remove(other);
    without.remove(worst);
    look_in(without);
    if (steps_ < steps_max) look_in(with);
  }

  void offer(const MemberSet& set) {
    MemberSet counted;
    for (const auto member : set.list())
      if (choice_.counted.has(member)) counted.add(member);
    if (set.empty() || !(choice_.any_weight || weights_.majority(counted))) return;
    const auto better = [this](const MemberSet& one, const MemberSet& other) {
      if (weights_.of(one) != weights_.of(other)) return weights_.of(one) > weights_.of(other);
      const auto left = one.list(), right = other.list();
      return left.size() != right.size() ? left.size() > right.size() : left < right;
    };
    if (best_.empty() || better(set, best_)) best_ = set;
  }

  const CliqueChoice& choice_;
  const Weights& weights_;
  MemberSet best_;
  int steps_ = 0;
};

}  // namespace

MemberSet best_clique(const CliqueChoice& choice, const Weights& weights) {
  return Search(choice, weights).run();
}

}  // namespace exdb
