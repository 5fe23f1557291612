// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases that are closed in a circle: process p closes database p before database p + 1, which
// its neighbour closes first. Whole members, a clock in steps, and notes as Closing would give them.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "cluster/member.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using Mutation = Member::Mutation;

/// Database d has two members: number 0 is process d, which waits in its stop, and number 1 process
/// d - 1, which keeps it while it waits in database d - 1.
class Circle {
 public:
  explicit Circle(std::uint32_t size, Mutation mutation = Mutation::none) : processes_(size) {
    for (std::uint32_t db = 0; db < size; ++db)
      for (std::uint32_t number = 0; number < 2; ++number) {
        Member::Options options;
        options.self = MemberId{number};
        options.qranks = {1, 1};
        options.cluster_id = 100 + db;
        options.timeout = 60s;
        options.name = name(db);
        options.mutation = mutation;
        auto& one = ones_.emplace_back();
        one.member = std::make_unique<Member>(options, one.history, one.finality, now_);
      }
  }

  static std::string name(std::uint32_t db) { return std::string(1, char('A' + db)); }

  void wait(std::uint32_t process) {
    processes_[process].waits = true;
    at(process, 0).member->want_stop(now_);
  }
  /// The thread of another one will stop it: this process keeps nothing.
  void another_thread_keeps(std::uint32_t process) { processes_[process].keeps = false; }
  void pass(Member::Time time) {
    for (const auto end = now_ + time; now_ < end;) {
      now_ += 100ms;
      for (std::uint32_t p = 0; p < size(); ++p)
        if (processes_[p].waits) look(p);
      for (bool any = true; any;) {
        any = false;
        for (std::uint32_t db = 0; db < size(); ++db)
          for (std::uint32_t number = 0; number < 2; ++number) any |= work(db, number);
      }
    }
  }
  [[nodiscard]] std::uint32_t size() const { return std::uint32_t(processes_.size()); }
  [[nodiscard]] const Status& accused(std::uint32_t process) const {
    return processes_[process].accused;
  }
  [[nodiscard]] std::size_t accused() const {
    return std::size_t(std::count_if(processes_.begin(), processes_.end(),
                                     [](const auto& one) { return !one.accused.ok(); }));
  }
  bool accused_alone = false;  ///< somebody said so before all others knew

 private:
  struct One {
    MemoryRoundHistory history;
    FinalWhenComplete finality;
    std::unique_ptr<Member> member;
    std::vector<Elsewhere> last_word;
  };
  struct Process {
    bool waits = false, keeps = true, sure = false;
    Status accused;
  };

  One& at(std::uint32_t db, std::uint32_t number) { return ones_[2 * db + number]; }
  std::uint32_t after(std::uint32_t number) const { return (number + 1) % size(); }

  void look(std::uint32_t process) {
    auto& member = *at(process, 0).member;
    const auto other = after(process);
    member.set_kept(processes_[process].keeps
                        ? std::vector<Elsewhere>{{100 + other, name(other), false}}
                        : std::vector<Elsewhere>{});
    member.tick(now_);
  }
  std::vector<Elsewhere> ways_through(std::uint32_t process) {
    std::vector<Elsewhere> ways{{100 + process, name(process), processes_[process].sure}};
    for (auto one : at(process, 0).member->beyond()) {
      one.sure &= processes_[process].sure;
      OppositeOrder::add(ways, one);
    }
    return ways;
  }
  bool work(std::uint32_t db, std::uint32_t number) {
    auto& one = at(db, number);
    auto& member = *one.member;
    bool any = member.advance(now_);
    while (member.next_final()) {
      member.applied();
      any = true;
    }
    if (member.wants_post()) {
      const auto keeper = (db + size() - 1) % size();
      if (const auto last = std::exchange(one.last_word, {}); !last.empty())
        member.tell_elsewhere(last);
      else if (number == 1 && processes_[keeper].waits && processes_[keeper].keeps)
        member.tell_elsewhere(ways_through(keeper));
      member.post({}, now_);
      any = true;
    }
    for (auto& output : member.take_outputs())
      at(db, 1 - number).member->on_frame(MemberId{number}, *output.frame);
    for (const auto& event : member.take_events()) handle(db, event);
    return any;
  }
  /// Only those that wait are told.
  void handle(std::uint32_t process, const Member::Event& event) {
    if (event.kind == Member::Event::Kind::sure) processes_[process].sure = true;
    if (event.kind != Member::Event::Kind::opposite || !processes_[process].waits) return;
    for (const auto& one : processes_) accused_alone |= !one.sure;
    // As a program would: out of the one stop, and at once into the other.
    at(after(process), 1).last_word = ways_through(process);
    processes_[process].accused = event.why;
    processes_[process].waits = false;
    at(process, 0).member->want_leave();
    at(after(process), 1).member->want_stop(now_);
  }

  std::deque<One> ones_;
  std::vector<Process> processes_;
  Member::Time now_{0};
};

TEST(OppositeOrder, a_circle_is_told_to_all_in_it_and_names_their_databases) {
  for (std::uint32_t size : {3U, 4U, 6U}) {
    for (const auto offset : {0ms, 300ms, 1700ms}) {
      Circle circle(size);
      for (std::uint32_t process = 0; process < size; ++process) {
        circle.wait(process);
        circle.pass(offset);
      }
      circle.pass(1s);
      EXPECT_EQ(circle.accused(), 0U) << "not at sight";
      circle.pass(std::chrono::seconds(6 * size));
      for (std::uint32_t process = 0; process < size; ++process) {
        const auto& told = circle.accused(process);
        EXPECT_EQ(told.code(), ErrorCode::cluster) << size << ' ' << process;
        const auto here = Circle::name(process), next = Circle::name((process + 1) % size);
        EXPECT_NE(told.text().find("node 0 closes (or stops) '" + here + "' before '" + next +
                                   "', and node 1 waits, through other databases, for '" + next),
                  std::string::npos)
            << told.text();
      }
      EXPECT_FALSE(circle.accused_alone);
    }
  }
}

TEST(OppositeOrder, a_row_that_is_no_circle_is_nobodys_fault) {
  Circle circle(4);
  for (std::uint32_t process = 0; process < 4; ++process) circle.wait(process);
  circle.another_thread_keeps(2);
  circle.pass(90s);
  EXPECT_EQ(circle.accused(), 0U);
}

/// It is open for a moment only: one of them has another thread for its second database.
std::size_t accused_of_a_moment(Mutation mutation) {
  Circle circle(3, mutation);
  for (std::uint32_t process = 0; process < 3; ++process) circle.wait(process);
  circle.pass(4500ms);
  circle.another_thread_keeps(1);
  circle.pass(60s);
  return circle.accused();
}

TEST(OppositeOrder, a_circle_that_opens_again_is_nobodys_fault) {
  EXPECT_EQ(accused_of_a_moment(Mutation::none), 0U);
  EXPECT_GT(accused_of_a_moment(Mutation::accuses_at_sight), 0U) << "the mutant is caught";
}

TEST(OppositeOrder, nobody_in_a_circle_speaks_before_all_are_sure) {
  Circle circle(3, Mutation::accuses_alone);
  for (std::uint32_t process = 0; process < 3; ++process) {
    circle.wait(process);
    circle.pass(300ms);
  }
  circle.pass(30s);
  EXPECT_TRUE(circle.accused_alone) << "the mutant is caught";
}

Bytes bytes_of(const std::vector<std::byte>& note) { return note; }

TEST(OppositeOrder, what_comes_from_farther_away_has_to_be_seen_for_longer) {
  OppositeOrder order(2);
  order.set_kept({{7, "kept"}});
  const std::vector<Elsewhere> near{{7, "", true, 1}}, far{{5, "", true, 1}, {7, "", true, 3}};
  for (std::uint64_t round = 1; round <= 9; ++round) {
    const auto note = OppositeOrder::note_of(far);
    const auto heard = order.hear(MemberId{1}, Round{round}, bytes_of(note), true);
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->sure, round == 9) << round;
    EXPECT_EQ(heard->both, round == 9) << round;
    EXPECT_EQ(heard->circle, round == 9) << round;
  }
  const auto beyond = order.beyond(Round{9}, {false, false});
  ASSERT_EQ(beyond.size(), 2U);
  EXPECT_EQ(beyond[1].hops, 4);
  EXPECT_TRUE(order.beyond(Round{9}, {false, true}).empty()) << "who has stopped is not waited for";
  EXPECT_TRUE(order.beyond(Round{11}, {false, false}).empty()) << "nor is what is said no more";
  const auto note = OppositeOrder::note_of(near);
  const auto heard = order.hear(MemberId{1}, Round{12}, bytes_of(note), true);
  ASSERT_TRUE(heard);
  EXPECT_FALSE(heard->both) << "a round without a note begins anew";
}

TEST(OppositeOrder, a_note_that_cannot_be_read_is_refused) {
  OppositeOrder order(2);
  const std::vector<std::byte> torn(11);
  EXPECT_FALSE(order.hear(MemberId{1}, Round{1}, torn, true));
}

}  // namespace
}  // namespace exdb
