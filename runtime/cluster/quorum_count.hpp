// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The count behind the quorum: which members are reached, and whether their qranks exceed half of
// the configured total. Exactly half is none, so that two halves never both write. Where nodes come
// and go it also says what the program's quorumCallback has said of those that are reached.
//
// Invariants
//   I1  Every change of who is reached, or of what the program says to it, is a new version.
// Threads: a plain value.
#pragma once
#include <string>
#include <vector>

#include "base/types.hpp"

namespace exdb {

class QuorumCount {
 public:
  /// Where nodes come and go: what quorumCallback says to writing without a majority.
  enum class Consent {
    none,
    awaited,  ///< it is asked, or will be
    given,
  };

  explicit QuorumCount(std::vector<std::uint32_t> qranks)
      : qranks_(std::move(qranks)), reached_(qranks_.size(), true) {}

  void lose(MemberId member) { set_reached(member, false); }
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
  [[nodiscard]] std::vector<std::uint32_t> reached_but(MemberId self) const;
  /// Why there is no majority, and what may be done about it.
  [[nodiscard]] std::string explain() const;

 private:
  [[nodiscard]] std::uint64_t weight(bool all) const;

  std::vector<std::uint32_t> qranks_;
  std::vector<bool> reached_;
  Consent consent_ = Consent::none;
  std::uint64_t version_ = 0;
  std::string withheld_;
};

}  // namespace exdb
