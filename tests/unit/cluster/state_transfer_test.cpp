// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A state on its way, and the pace of it: answers, credit, rounds beside it; a node that applies
// more slowly than rounds come; a computation that yields.
#include "cluster/state_transfer.hpp"

#include <gtest/gtest.h>

#include "base/yielding.hpp"
#include "cluster/view_member.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using Chain = RoundHistory::Chain;

constexpr std::size_t chunk_bytes = 1000;
constexpr auto quarter = Donation::credit_bytes / 4;

SnapBegin a_beginning() {
  SnapBegin made;
  made.transfer = 7;
  return made;
}

struct CountingSink final : StateSink {
  std::uint64_t chunks = 0;
  void begin(bool /*parted*/) override { chunks = 0; }
  Status add(Bytes /*chunk*/) override {
    ++chunks;
    return {};
  }
  Status finish(Chain /*upto*/) override { return {}; }
  Result<bool> ready() override { return true; }
  void drop() override {}
};

struct ManyChunks final : StateStream {
  explicit ManyChunks(std::uint64_t count) : left(count) {}
  std::uint64_t left;
  bool next(std::vector<std::byte>& chunk) override {
    chunk.assign(chunk_bytes, std::byte(left));
    return left != 0 && left-- != 0;
  }
};

CompletedRound round_after(Round before, std::size_t bytes) {
  CompletedRound round;
  round.round = before.next();
  round.view = {1, MemberId{0}};
  for (const MemberId member : {MemberId{0}, MemberId{1}}) {
    Batch batch;
    batch.member = member;
    batch.payload.assign(bytes, std::byte(round.round.value));
    batch.checksum = batch_checksum(round.view, round.round, member, batch.header, batch.payload);
    round.batches.push_back(std::move(batch));
  }
  return round;
}

/// `count` rounds after `after`, which goes on to the last of them.
std::vector<CompletedRound> rounds_after(Chain& after, int count, std::size_t bytes) {
  std::vector<CompletedRound> rounds;
  for (int i = 0; i < count; ++i) {
    rounds.push_back(round_after(after.round, bytes));
    after = {rounds.back().round, chained(after.hash, rounds.back())};
  }
  return rounds;
}

// --- answers

TEST(Intake, answers_once_for_a_quarter_of_the_credit) {
  CountingSink sink;
  Intake intake(sink, ViewMutation::none);
  intake.begin(a_beginning(), false);
  const std::vector<std::byte> bytes(chunk_bytes);
  std::uint64_t next = 0;
  std::vector<std::uint64_t> answered;
  while (next * chunk_bytes < 2 * Donation::credit_bytes) {
    auto ack = intake.on_chunk({7, next++, bytes}, false);
    ASSERT_TRUE(ack.ok()) << ack.status().text();
    if (*ack) answered.push_back((*ack)->next);
  }
  constexpr auto an_answer = (quarter + chunk_bytes - 1) / chunk_bytes;
  ASSERT_EQ(answered.size(), next / an_answer);
  for (std::size_t i = 0; i < answered.size(); ++i) EXPECT_EQ(answered[i], (i + 1) * an_answer);
  EXPECT_EQ(sink.chunks, next);
}

TEST(Intake, answers_at_once_when_it_is_time_and_at_the_end_what_is_owed) {
  CountingSink sink;
  Intake intake(sink, ViewMutation::none);
  intake.begin(a_beginning(), false);
  const std::vector<std::byte> bytes(chunk_bytes);
  EXPECT_FALSE(intake.on_chunk({7, 0, bytes}, false).value());
  const auto now = intake.on_chunk({7, 1, bytes}, true).value();
  ASSERT_TRUE(now);
  EXPECT_EQ(now->next, 2U);
  EXPECT_FALSE(intake.owed(7)) << "what was answered is not owed";
  EXPECT_FALSE(intake.on_chunk({7, 2, bytes}, false).value());
  EXPECT_FALSE(intake.owed(8)) << "of another transfer";
  const auto owed = intake.owed(7);
  ASSERT_TRUE(owed);
  EXPECT_EQ(owed->next, 3U);
}

/// T1, with as few answers as there are: neither side waits for the other for ever.
TEST(Donation, comes_to_its_end_with_an_answer_for_each_quarter_of_the_credit) {
  CountingSink sink;
  Intake intake(sink, ViewMutation::none);
  intake.begin(a_beginning(), false);
  constexpr std::uint64_t count = 5000;
  Donation donation(7, std::make_unique<ManyChunks>(count), 4);
  std::uint64_t answers = 0;
  while (!intake.whole()) {
    std::vector<SnapAck> acks;
    std::size_t under_way = 0;
    const auto sent = donation.pump(
        [&](const ViewMessage& message) {
          if (const auto* const chunk = std::get_if<SnapChunk>(&message)) {
            under_way += chunk->bytes.size();
            auto ack = intake.on_chunk(*chunk, false);
            ASSERT_TRUE(ack.ok()) << ack.status().text();
            if (*ack) acks.push_back(**ack);
          } else if (const auto* const end = std::get_if<SnapEnd>(&message)) {
            if (const auto ack = intake.owed(end->transfer)) acks.push_back(*ack);
            ASSERT_TRUE(intake.on_end(*end).ok());
          }
        },
        std::size_t{1} << 30);
    EXPECT_EQ(sent, under_way);
    EXPECT_LE(under_way, Donation::credit_bytes + chunk_bytes);
    ASSERT_FALSE(acks.empty()) << "after " << sink.chunks << " chunks both wait";
    for (const auto& ack : acks) EXPECT_TRUE(donation.on_ack(ack));
    answers += acks.size();
  }
  EXPECT_EQ(sink.chunks, count);
  EXPECT_TRUE(donation.over());
  EXPECT_LE(answers, count * chunk_bytes / quarter + 1);
}

/// T3
TEST(RoundsAhead, asks_for_no_more_than_it_may_hold_and_gives_them_in_order) {
  RoundsAhead ahead;
  Chain at{Round{10}, 5};
  ahead.begin(at);
  constexpr std::size_t bytes_max = 4000;
  int asked = 0;
  while (const auto after = ahead.ask(bytes_max)) {
    EXPECT_EQ(*after, at);
    EXPECT_FALSE(ahead.ask(bytes_max)) << "while an answer is on its way";
    Rounds answer;
    answer.rounds = rounds_after(at, 3, 100);
    answer.final = {Round{1000}, 0};
    EXPECT_TRUE(ahead.take(answer));
    ASSERT_LT(++asked, 100);
  }
  std::size_t held = 0;
  auto expected = Round{10};
  for (const auto& round : ahead.release()) {
    EXPECT_EQ(round.round, expected = expected.next());
    held += payload_bytes(round);
  }
  EXPECT_GE(held, bytes_max);
  EXPECT_LE(held, bytes_max + 3 * payload_bytes(round_after({}, 100)));
}

// --- a node that applies more slowly than rounds come

/// Node 1, fresh, and what node 0 of a view would say to it.
class SlowApplier : public testing::Test {
 protected:
  struct NoState final : StateSource {
    Result<std::unique_ptr<StateStream>> open(Chain /*upto*/) override {
      return Status(ErrorCode::unsupported, "none");
    }
  };
  static constexpr std::size_t bytes_max = 100'000;

  SlowApplier() {
    tick(0ms);
    member_.on_link_up(MemberId{0}, now_);
  }
  static ViewMember::Options options() {
    ViewMember::Options made;
    made.self = MemberId{1};
    made.incarnation = Incarnation{1};
    made.qranks = {1, 1};
    made.ahead_bytes_min = bytes_max;
    return made;
  }
  void tick(ViewMember::Time later) {
    now_ += later;
    say(status());
    member_.tick(now_);
  }
  void say(const ViewMessage& message, Ballot ballot = {}) {
    member_.on_frame(MemberId{0},
                     *encode_view_frame({0, MemberId{0}, Incarnation{1}, ballot}, message), now_);
  }
  /// Node 0 is in a view and has made more rounds than this node will ever have.
  [[nodiscard]] Ack status() const {
    Ack ack;
    ack.recv = ack.applied = Round{1'000'000};
    ack.final = {Round{1'000'000}, 1};
    ack.reach.add(MemberId{0});
    ack.reach.add(MemberId{1});
    ack.lineage = lineage();
    return ack;
  }
  [[nodiscard]] static Lineage lineage() {
    Lineage made;
    made.majority = {1, MemberId{0}};
    made.founded = {1, MemberId{0}};
    return made;
  }
  /// Answers what this node fetches until it fetches no more.
  void answer_all() {
    for (bool any = true; any;) {
      any = false;
      for (const auto& output : member_.take_outputs()) {
        auto decoded = decode_view_frame(*output.frame);
        ASSERT_TRUE(decoded.ok());
        if (!std::holds_alternative<Fetch>(decoded->message)) continue;
        any = true;
        Rounds answer;
        answer.rounds = rounds_after(given_, 10, 500);
        answer.upto = given_;
        answer.final = {Round{1'000'000}, 1};
        answer.lineage = lineage();
        say(answer);
      }
    }
  }
  std::size_t waiting() const {
    return member_.final_round().value - member_.applied_round().value;
  }
  void apply(std::size_t count) {
    for (; count != 0; --count) {
      ASSERT_NE(member_.next_final(), nullptr);
      member_.applied();
    }
  }
  std::size_t warnings() {
    std::size_t count = 0;
    for (const auto& event : member_.take_events())
      count += event.kind == ViewMember::Event::Kind::warning &&
               event.why.text().find("no faster than") != std::string::npos;
    return count;
  }

  MemoryRoundHistory history_{0};
  NoState source_;
  CountingSink sink_;
  ViewMember::Time now_{0};
  Chain given_;
  ViewMember member_{options(), history_, source_, sink_, now_};
};

TEST_F(SlowApplier, holds_no_more_than_it_may_and_says_once_why_it_is_not_taken_in) {
  std::size_t told = 0;
  const auto most = bytes_max / 1000 + 10;  // two batches of 500 bytes a round, ten an answer
  for (int i = 0; i < 200; ++i) {
    tick(500ms);
    answer_all();
    ASSERT_GT(waiting(), 0U);
    EXPECT_LE(waiting(), most);
    told += warnings();
    if (i == 3) {
      EXPECT_GE(waiting(), most - 10);
      EXPECT_EQ(told, 0U) << "who has just begun is not slow";
    }
    apply(waiting() / 4);
  }
  EXPECT_EQ(told, 1U);
  // It catches up, and falls behind again: that is news.
  apply(waiting());
  for (int i = 0; i < 100; ++i) {
    tick(500ms);
    answer_all();
    told += warnings();
  }
  EXPECT_EQ(told, 2U);
}

// --- a computation that yields

struct Processor {
  using Clock = std::chrono::steady_clock;
  static inline Clock::time_point time;
  static inline Clock::duration away{};   ///< that a yield takes
  static inline Clock::duration taken{};  ///< by yields and by the system
  static inline int yields = 0;
  static Clock::time_point now() { return time; }
  static Clock::duration used() { return time.time_since_epoch() - taken; }
  static void take(Clock::duration some) {
    time += some;
    taken += some;
  }
  static void yield() {
    ++yields;
    take(away);
  }
  static void begin(Clock::duration with) {
    time = {};
    away = with;
    taken = {};
    yields = 0;
  }
};
using OnProcessor = YieldingOn<Processor>;

TEST(Yielding, offers_its_processor_after_every_piece) {
  Processor::begin(0us);
  OnProcessor yielding;
  yielding.begin();
  auto since = Processor::time;
  for (int i = 0; i < 100'000; ++i) {
    const auto before = Processor::yields;
    Processor::time += 1us;
    yielding.step();
    if (Processor::yields != before) since = Processor::time;
    ASSERT_LE(Processor::time - since, OnProcessor::piece + OnProcessor::steps_between * 1us);
  }
  EXPECT_LE(Processor::yields, 100'000us / OnProcessor::piece) << "and not more often";
}

TEST(Yielding, gives_away_no_more_than_it_has_computed) {
  Processor::begin(10ms);
  OnProcessor yielding;
  yielding.begin();
  for (int i = 1; i <= 1'000'000; ++i) {
    Processor::time += 1us;
    yielding.step();
    ASSERT_LE(Processor::yields * Processor::away, i * 1us + Processor::away);
  }
  EXPECT_GE(Processor::yields, 99) << "half of the time, beside one who never sleeps";
}

TEST(Yielding, gives_away_as_many_times_what_it_has_computed_as_it_is_told) {
  Processor::begin(10ms);
  OnProcessor yielding(9);
  yielding.begin();
  for (int i = 1; i <= 1'000'000; ++i) {
    Processor::time += 1us;
    yielding.step();
    ASSERT_LE(Processor::yields * Processor::away, 9 * i * 1us + Processor::away);
  }
  EXPECT_GE(Processor::yields, 899) << "nine parts of ten, beside one who never sleeps";
}

TEST(Yielding, does_not_offer_what_it_was_not_left) {
  Processor::begin(10ms);
  OnProcessor yielding;
  yielding.begin();
  for (int i = 1; i <= 1'000'000; ++i) {
    Processor::time += 1us;
    if (i % 1000 == 1) Processor::take(1100us);
    yielding.long_step();
  }
  EXPECT_LE(Processor::yields, 1) << "the system has taken more than half";
}

TEST(Yielding, does_not_count_what_was_between_two_pieces) {
  Processor::begin(0us);
  OnProcessor yielding;
  for (int i = 0; i < 1000; ++i) {
    Processor::time += 10ms;
    yielding.begin();
    for (unsigned step = 0; step < OnProcessor::steps_between; ++step) {
      Processor::time += 500ns;
      yielding.step();
    }
  }
  EXPECT_EQ(Processor::yields, 0);
}

}  // namespace
}  // namespace exdb
