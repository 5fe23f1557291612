// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What members agree on when they change who takes part: ballots, lives of a node, the view itself,
// and the one rule of weight.
//
// Invariants
//   V1  Ballots are ordered, and no two members, or lives of one, ever make the same one. Zero is no
//       ballot.
//   V2  A majority is strictly more than half of the configured qrank, whoever is up: exactly half
//       is none (I14 of the protocol).
//   V3  Between two starts a node that kept nothing is another one: its incarnation is higher, and
//       what it promised before is void. One that kept its memory (view_memory.hpp) has another life,
//       too, so that what a former one had on its way is not taken for its own; but what it promised
//       binds it, and its state counts.
// Threads: plain values.
#pragma once
#include <algorithm>
#include <compare>
#include <string>
#include <utility>
#include <vector>

#include "base/types.hpp"

namespace exdb {

struct Ballot {
  std::uint64_t counter = 0;
  MemberId member;
  std::uint64_t life = 0;  ///< the member's incarnation: what it did in a former one it cannot know
  auto operator<=>(const Ballot&) const = default;
  [[nodiscard]] bool none() const { return counter == 0; }
};

/// One life of a node, from start to crash. Higher after each start.
struct Incarnation {
  /// Where nodes are on disk: the number of the memory before, in these bits the lives with it.
  static constexpr unsigned bits_of_lives = 16;
  std::uint64_t value = 0;
  auto operator<=>(const Incarnation&) const = default;
};

/// A set of members: one bit each.
class MemberSet {
 public:
  void add(MemberId member) {
    const auto word = member.value / 64;
    if (words_.size() <= word) words_.resize(word + 1);
    words_[word] |= bit(member);
  }
  void remove(MemberId member) {
    if (member.value / 64 < words_.size()) words_[member.value / 64] &= ~bit(member);
    while (!words_.empty() && words_.back() == 0) words_.pop_back();
  }
  [[nodiscard]] bool has(MemberId member) const {
    return member.value / 64 < words_.size() && words_[member.value / 64] & bit(member);
  }
  [[nodiscard]] bool empty() const { return words_.empty(); }
  [[nodiscard]] std::vector<MemberId> list() const {
    std::vector<MemberId> members;
    for (std::uint32_t id = 0; id < 64 * words_.size(); ++id)
      if (has(MemberId{id})) members.push_back({id});
    return members;
  }
  [[nodiscard]] const std::vector<std::uint64_t>& words() const { return words_; }
  bool operator==(const MemberSet&) const = default;

 private:
  static std::uint64_t bit(MemberId member) { return std::uint64_t{1} << (member.value % 64); }
  std::vector<std::uint64_t> words_;  ///< the last one is not zero
};

/// A member's place in a view.
struct Seat {
  MemberId member;
  Incarnation incarnation;
  bool counted = false;  ///< its acceptance counts: it had a state before this view
  bool operator==(const Seat&) const = default;
};

struct View {
  Ballot ballot;
  std::vector<Seat> seats;   ///< by member, without gaps in the order
  bool by_override = false;  ///< without the word of a majority (lineage.hpp)
  bool operator==(const View&) const = default;

  [[nodiscard]] const Seat* seat_of(MemberId member) const {
    for (const auto& seat : seats)
      if (seat.member == member) return &seat;
    return nullptr;
  }
  [[nodiscard]] bool has(MemberId member) const { return seat_of(member) != nullptr; }
  [[nodiscard]] bool has(MemberId member, Incarnation incarnation) const {
    const auto* seat = seat_of(member);
    return seat && seat->incarnation == incarnation;
  }
  [[nodiscard]] MemberSet members() const {
    MemberSet set;
    for (const auto& seat : seats) set.add(seat.member);
    return set;
  }
};

/// The configured qranks: fixed for the life of a cluster id (H7).
class Weights {
 public:
  explicit Weights(std::vector<std::uint32_t> qranks, bool half_is_enough = false)
      : qranks_(std::move(qranks)), half_is_enough_(half_is_enough) {
    for (const auto qrank : qranks_) total_ += qrank;
  }
  [[nodiscard]] std::uint32_t members() const { return std::uint32_t(qranks_.size()); }
  [[nodiscard]] std::uint32_t of(MemberId member) const {
    return member.value < qranks_.size() ? qranks_[member.value] : 0;
  }
  [[nodiscard]] std::uint64_t of(const MemberSet& set) const {
    std::uint64_t sum = 0;
    for (std::uint32_t id = 0; id < qranks_.size(); ++id)
      if (set.has(MemberId{id})) sum += qranks_[id];
    return sum;
  }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] bool majority(std::uint64_t weight) const {
    return half_is_enough_ ? 2 * weight >= total_ : 2 * weight > total_;
  }
  [[nodiscard]] bool majority(const MemberSet& set) const { return majority(of(set)); }

 private:
  std::vector<std::uint32_t> qranks_;
  std::uint64_t total_ = 0;
  bool half_is_enough_;  ///< a rule that the simulator takes out
};

inline std::string text_of(Ballot ballot) {
  return std::to_string(ballot.counter) + "." + std::to_string(ballot.member.value);
}

/// "0,2,3".
inline std::string text_of(const MemberSet& set) {
  std::string text;
  for (const auto member : set.list())
    text += (text.empty() ? "" : ",") + std::to_string(member.value);
  return text;
}

}  // namespace exdb
