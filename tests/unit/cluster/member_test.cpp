// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/member.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "simulated_members.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using Fault = SimulatedMembers::Fault;
using Mutation = Member::Mutation;

/// A tenth where a sanitizer watches: each event costs ten times as much there, and what it looks for
/// are slips of memory, which show in any seed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t seeds_run = 15;
#else
constexpr std::uint64_t seeds_run = 150;
#endif

/// Every way in which the simulator is run; what `with` returns must be empty for all of them.
std::string first_broken(std::uint64_t seeds, Mutation mutation, std::uint64_t* events = nullptr) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    for (const auto fault : {Fault::none, Fault::odd, Fault::silent, Fault::gone, Fault::unfit})
      for (const bool collective : {false, true}) {
        // A lost link is a thing of TCP, and collective broadcasts one of MPI.
        if (collective && fault == Fault::gone) continue;
        SimulatedMembers::Options options;
        options.members = std::uint32_t(2 + seed % 4);
        options.seed = seed;
        options.collective = collective;
        options.fault = fault;
        options.leaves = fault == Fault::none && seed % 3 == 0;
        options.holds = seed % 2 == 0;
        options.mutation = mutation;
        SimulatedMembers members(options);
        const auto broken = members.run();
        if (events) *events += members.events();
        if (!broken.empty())
          return "seed " + std::to_string(seed) + " fault " + std::to_string(int(fault)) +
                 (collective ? " collective: " : ": ") + broken;
      }
  return "";
}

TEST(Member, keeps_its_invariants_through_every_fault) {
  std::uint64_t events = 0;
  EXPECT_EQ(first_broken(seeds_run, Mutation::none, &events), "");
  EXPECT_GT(events, seeds_run * 6'500U);
}

class MemberMutants : public testing::TestWithParam<std::pair<Mutation, const char*>> {};

/// The checker can fail: each rule taken out is noticed within some seeds.
TEST_P(MemberMutants, are_caught) {
  const auto broken = first_broken(40, GetParam().first);
  EXPECT_NE(broken, "") << "the mutant " << GetParam().second << " was not noticed";
  RecordProperty("broken", broken);
}

INSTANTIATE_TEST_SUITE_P(Member, MemberMutants,
                         testing::Values(std::pair{Mutation::never_silent, "never_silent"},
                                         std::pair{Mutation::impatient, "impatient"},
                                         std::pair{Mutation::never_pings, "never_pings"},
                                         std::pair{Mutation::keeps_odd, "keeps_odd"},
                                         std::pair{Mutation::counts_leavers, "counts_leavers"},
                                         std::pair{Mutation::leavers_vote, "leavers_vote"},
                                         std::pair{Mutation::compares_all_rounds,
                                                   "compares_all_rounds"},
                                         std::pair{Mutation::hands_over_early, "hands_over_early"},
                                         std::pair{Mutation::ends_unapplied, "ends_unapplied"},
                                         std::pair{Mutation::ignores_gone, "ignores_gone"},
                                         std::pair{Mutation::no_farewell, "no_farewell"}),
                         [](const auto& parameter) { return std::string(parameter.param.second); });

/// Two databases, each with a member in each of two processes; frames arrive at once, and the clock
/// goes in steps.
class TwoDatabases {
 public:
  explicit TwoDatabases(Mutation mutation = Mutation::none) {
    for (std::uint32_t db = 0; db < 2; ++db)
      for (std::uint32_t process = 0; process < 2; ++process) {
        Member::Options options;
        options.self = MemberId{process};
        options.qranks = {1, 1};
        options.cluster_id = 100 + db;
        options.timeout = 60s;
        options.name = name(db);
        options.mutation = mutation;
        auto& one = at(db, process);
        one.member = std::make_unique<Member>(options, one.history, one.finality, now_);
      }
  }

  struct One {
    MemoryRoundHistory history;
    FinalWhenComplete finality;
    std::unique_ptr<Member> member;
    bool last_word = false;
  };
  struct Process {
    int waits_in = -1;  ///< the database in whose stop its thread waits
    bool keeps_other = true;
    bool sure = false;
    Status accused;
  };

  static std::string name(std::uint32_t db) { return db == 0 ? "X" : "Y"; }
  One& at(std::uint32_t db, std::uint32_t process) { return ones_[2 * db + process]; }
  Process& process(std::uint32_t number) { return processes_[number]; }

  void wait_in(std::uint32_t db, std::uint32_t number) {
    processes_[number].waits_in = int(db);
    at(db, number).member->want_stop(now_);
  }
  void pass(Member::Time time) {
    for (const auto end = now_ + time; now_ < end;) {
      now_ += 100ms;
      for (std::uint32_t number = 0; number < 2; ++number) {
        if (processes_[number].waits_in < 0) continue;
        const auto db = std::uint32_t(processes_[number].waits_in);
        auto& member = *at(db, number).member;
        const bool keeps = processes_[number].keeps_other;
        member.set_kept(keeps ? std::vector<Elsewhere>{{100 + 1 - db, name(1 - db), false}}
                              : std::vector<Elsewhere>{});
        member.tick(now_);
      }
      settle();
    }
  }
  std::vector<std::string> warnings;
  bool accused_alone = false;  ///< one side said so before the other knew (I5)

 private:
  void settle() {
    for (bool any = true; any;) {
      any = false;
      for (std::uint32_t db = 0; db < 2; ++db)
        for (std::uint32_t number = 0; number < 2; ++number) any |= work(db, number);
    }
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
      say_elsewhere(db, number);
      member.post({}, now_);
      any = true;
    }
    for (auto& output : member.take_outputs())
      at(db, 1 - number).member->on_frame(MemberId{number}, *output.frame);
    for (const auto& event : member.take_events()) handle(db, number, event);
    return any;
  }
  void say_elsewhere(std::uint32_t db, std::uint32_t number) {
    auto& one = at(db, number);
    const auto& process = processes_[number];
    if (std::exchange(one.last_word, false))
      one.member->tell_elsewhere({{100 + 1 - db, name(1 - db), true}});
    else if (process.waits_in == int(1 - db) && process.keeps_other)
      one.member->tell_elsewhere({{100 + 1 - db, name(1 - db), process.sure}});
  }
  void handle(std::uint32_t db, std::uint32_t number, const Member::Event& event) {
    auto& process = processes_[number];
    if (event.kind == Member::Event::Kind::warning) warnings.push_back(event.why.text());
    if (event.kind == Member::Event::Kind::sure) process.sure = true;
    if (event.kind != Member::Event::Kind::opposite) return;
    if (!processes_[1 - number].sure) accused_alone = true;
    process.accused = event.why;
    // As a program would: out of the one stop, and at once into the other.
    process.waits_in = -1;
    at(db, number).member->want_leave();
    at(1 - db, number).last_word = true;
    at(1 - db, number).member->want_stop(now_);
  }

  One ones_[4];
  Process processes_[2];
  Member::Time now_{0};
};

bool accused_alone(Mutation mutation, Member::Time offset) {
  TwoDatabases pair(mutation);
  pair.wait_in(0, 0);
  pair.pass(offset);
  pair.wait_in(1, 1);
  pair.pass(10s);
  return pair.accused_alone;
}

TEST(Member, accuses_only_when_the_other_side_knows_too) {
  bool mutant_caught = false;
  for (const auto offset : {0ms, 300ms, 700ms, 5000ms}) {
    EXPECT_FALSE(accused_alone(Mutation::none, offset)) << offset.count();
    mutant_caught |= accused_alone(Mutation::accuses_alone, offset);
  }
  EXPECT_TRUE(mutant_caught);
}

TEST(Member, recognises_an_opposite_order_of_closing_on_both_sides_and_names_both_databases) {
  for (const auto offset : {0ms, 300ms, 700ms, 5000ms}) {
    TwoDatabases pair;
    pair.wait_in(0, 0);
    pair.pass(offset);
    pair.wait_in(1, 1);
    pair.pass(1s);
    EXPECT_TRUE(pair.process(0).accused.ok()) << "not at sight";
    pair.pass(9s);
    EXPECT_EQ(pair.process(0).accused.code(), ErrorCode::cluster);
    EXPECT_NE(
        pair.process(0).accused.text().find("node 0 closes (or stops) 'X' before 'Y', node 1"),
        std::string::npos)
        << pair.process(0).accused.text();
    EXPECT_NE(
        pair.process(1).accused.text().find("node 1 closes (or stops) 'Y' before 'X', node 0"),
        std::string::npos)
        << pair.process(1).accused.text();
    for (std::uint32_t db = 0; db < 2; ++db)
      for (std::uint32_t number = 0; number < 2; ++number)
        EXPECT_NE(pair.at(db, number).member->phase(), Member::Phase::failed);
  }
}

/// The threads of a program close both, one a little after the other.
bool accused_of_a_moment(Mutation mutation) {
  TwoDatabases pair(mutation);
  pair.wait_in(0, 0);
  pair.wait_in(1, 1);
  pair.pass(1500ms);
  for (std::uint32_t number : {0U, 1U}) pair.process(number).keeps_other = false;
  pair.at(1, 0).member->want_stop(1500ms);
  pair.at(0, 1).member->want_stop(1500ms);
  pair.pass(10s);
  bool accused = false;
  for (std::uint32_t number : {0U, 1U}) {
    accused |= !pair.process(number).accused.ok();
    for (std::uint32_t db : {0U, 1U})
      EXPECT_NE(pair.at(db, number).member->phase(), Member::Phase::running);
  }
  return accused;
}

TEST(Member, accuses_nobody_whose_other_thread_closes_the_other_database) {
  EXPECT_FALSE(accused_of_a_moment(Mutation::none));
  EXPECT_TRUE(accused_of_a_moment(Mutation::accuses_at_sight)) << "the mutant is caught";
}

TEST(Member, accuses_nobody_while_the_other_database_is_another_threads) {
  TwoDatabases pair;
  pair.wait_in(0, 0);
  pair.wait_in(1, 1);
  pair.process(1).keeps_other = false;
  pair.pass(60s);
  EXPECT_TRUE(pair.process(0).accused.ok()) << pair.process(0).accused.text();
  EXPECT_TRUE(pair.process(1).accused.ok());
}

TEST(Member, a_stop_that_waits_warns_after_ten_seconds_and_then_each_time_after_twice_as_long) {
  TwoDatabases pair;
  pair.wait_in(0, 0);
  std::vector<std::size_t> counts;
  for (int second = 0; second < 90; ++second) {
    pair.pass(1s);
    counts.push_back(pair.warnings.size());
  }
  EXPECT_EQ(counts[8], 0U);
  EXPECT_EQ(counts[11], 1U);
  EXPECT_EQ(counts[18], 1U);
  EXPECT_EQ(counts[21], 2U);
  EXPECT_EQ(counts[38], 2U);
  EXPECT_EQ(counts[41], 3U);
  EXPECT_EQ(counts[83], 4U);
  ASSERT_FALSE(pair.warnings.empty());
  EXPECT_NE(pair.warnings[0].find("stop() waits for node 1 (of 2) to call stop() or close() too"),
            std::string::npos)
      << pair.warnings[0];
  EXPECT_EQ(pair.at(0, 0).member->phase(), Member::Phase::running) << "longer than the timeout";
}

}  // namespace
}  // namespace exdb
