// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The count behind the quorum: which nodes are reached, and whether their qranks exceed half of the
// configured total. Exactly half is none, so that two halves never both write. Where nodes come
// and go it also says what the program's quorumCallback has said of those that are reached.
//
// Invariants
//   I1  Every change of who is reached, or of what the program says to it, is a new version.
//   I2  A node is reached when its member is and it has not ended itself. What ended stays so.
// Threads: a plain value.
#pragma once
#include <string>
#include <vector>

#include "base/types.hpp"

namespace exdb {

/// Where a member of the rounds speaks for several nodes, which are what counts.
struct Voters {
  NodeId self;
  std::vector<std::uint32_t> qranks;  ///< one a node
  std::vector<MemberId> speakers;     ///< of each node
};

class QuorumCount {
 public:
  /// Where nodes come and go: what quorumCallback says to writing without a majority.
  enum class Consent {
    none,
    awaited,  ///< it is asked, or will be
    given,
  };

  /// Each member speaks for itself, by its own number.
  explicit QuorumCount(std::vector<std::uint32_t> qranks);
  explicit QuorumCount(Voters voters);

  void lose(MemberId member) { set_reached(member, false); }
  /// A node has ended whose member goes on. Nothing, if `member` does not speak for it.
  void lose_node(MemberId member, NodeId node);
  void set_reached(MemberId member, bool reached);
  /// While `why` says something there is no majority, whoever is reached.
  void withhold(std::string why);
  void set_consent(Consent consent);
  [[nodiscard]] bool majority() const;
  /// There is a majority, or the program takes the responsibility.
  [[nodiscard]] bool allows() const;
  /// That is to be known soon.
  [[nodiscard]] bool undecided() const { return consent_ == Consent::awaited && !allows(); }
  [[nodiscard]] bool reaches(MemberId member) const { return reached_[member.value]; }
  /// How many changes there were.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::vector<std::uint32_t> reached_but(NodeId self) const;
  /// Why there is no majority, and what may be done about it.
  [[nodiscard]] std::string explain() const;

 private:
  [[nodiscard]] std::uint64_t weight(bool all) const;
  [[nodiscard]] bool reaches_node(std::size_t node) const {
    return !ended_[node] && reached_[speakers_[node].value];
  }

  std::vector<std::uint32_t> qranks_;  ///< by node, as the next
  std::vector<MemberId> speakers_;
  std::vector<bool> ended_;
  std::vector<bool> reached_;  ///< by member
  Consent consent_ = Consent::none;
  std::uint64_t version_ = 0;
  std::string withheld_;
};

}  // namespace exdb
