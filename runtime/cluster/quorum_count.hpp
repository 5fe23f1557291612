// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The count behind the quorum: which members are reached, and whether their qranks exceed half of
// the configured total. Exactly half is none, so that two halves never both write.
//
// Invariants
//   I1  Every change of who is reached is a new version.
// Threads: a plain value.
#pragma once
#include <string>
#include <vector>

#include "base/types.hpp"

namespace exdb {

class QuorumCount {
 public:
  /// Whether a program's quorumCallback can overrule the count: for texts.
  enum class Callback { asked, not_asked };

  explicit QuorumCount(std::vector<std::uint32_t> qranks, Callback callback = Callback::asked)
      : qranks_(std::move(qranks)), reached_(qranks_.size(), true), callback_(callback) {}

  void lose(MemberId member) { set_reached(member, false); }
  void set_reached(MemberId member, bool reached);
  /// While `why` says something there is no majority, whoever is reached.
  void withhold(std::string why);
  [[nodiscard]] bool majority() const;
  [[nodiscard]] bool reaches(MemberId member) const { return reached_[member.value]; }
  /// How many changes there were.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::vector<std::uint32_t> reached_but(MemberId self) const;
  /// Why there is no majority, and what may be done about it.
  [[nodiscard]] std::string explain() const;

 private:
  [[nodiscard]] std::uint64_t weight(bool all) const;

  std::vector<std::uint32_t> qranks_;
  std::vector<bool> reached_;
  Callback callback_;
  std::uint64_t version_ = 0;
  std::string withheld_;
};

}  // namespace exdb
