// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What is said and given out before it is stored, by the gate itself and by a driver over a store
// that stores when the test says so.
#include "cluster/output_gate.hpp"

#include <gtest/gtest.h>

#include "cluster/view_driver.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

class StoreByHand final : public StableStore {
 public:
  void remember(Bytes memory) override {
    remembered.assign(memory.begin(), memory.end());
    ++memories;
    given = true;
  }
  Ticket newest() override { return newest_ += std::exchange(given, false); }
  [[nodiscard]] Ticket stored() const override { return stored_; }
  [[nodiscard]] Status failure() const override { return failed; }
  void on_change(std::function<void()>) override {}
  void store_all() { stored_ = newest(); }

  bool given = false;
  std::vector<std::byte> remembered;
  int memories = 0;
  Status failed;

 private:
  Ticket newest_ = 0, stored_ = 0;
};

std::vector<ViewMember::Output> frames(std::initializer_list<std::uint32_t> receivers) {
  std::vector<ViewMember::Output> outputs;
  for (const auto to : receivers) outputs.push_back({MemberId{to}, {}});
  return outputs;
}

class OutputGateTest : public testing::Test {
 protected:
  std::string released() {
    std::string receivers;
    gate.release(
        [&](ViewMember::Output&& output) { receivers += std::to_string(output.to.value); });
    return receivers;
  }
  StoreByHand store;
  OutputGate gate{store, ViewMutation::none};
};

TEST_F(OutputGateTest, what_was_said_when_all_was_stored_leaves_at_once) {
  gate.hold(frames({1, 2}));
  EXPECT_EQ(released(), "12");
  EXPECT_TRUE(gate.empty());
}

TEST_F(OutputGateTest, frames_wait_for_what_was_given_before_them_and_keep_their_order) {
  store.given = true;
  gate.hold(frames({1, 2}));
  store.given = true;
  gate.hold(frames({3}));
  EXPECT_EQ(released(), "");
  store.store_all();
  store.given = true;
  gate.hold(frames({4}));
  EXPECT_EQ(released(), "123");
  EXPECT_FALSE(gate.empty());
  store.store_all();
  EXPECT_EQ(released(), "4");
}

TEST_F(OutputGateTest, what_waits_for_a_node_is_lost_with_its_link) {
  store.given = true;
  gate.hold(frames({1, 2, 1}));
  gate.lose(MemberId{1});
  store.store_all();
  EXPECT_EQ(released(), "2");
}

TEST_F(OutputGateTest, a_round_is_given_when_what_was_there_when_it_became_final_is_stored) {
  store.given = true;
  gate.see_final(Round{3});
  EXPECT_EQ(gate.may_give(), Round{0});
  store.store_all();
  store.given = true;  // the next round's append: it has no say in this one
  (void)store.newest();
  gate.see_final(Round{3});
  EXPECT_EQ(gate.may_give(), Round{3});
  gate.see_final(Round{4});
  EXPECT_EQ(gate.may_give(), Round{3});
  store.store_all();
  EXPECT_EQ(gate.may_give(), Round{4});
}

struct NoState final : StateSource, StateSink {
  Result<std::unique_ptr<StateStream>> open(RoundHistory::Chain) override {
    return Status(ErrorCode::unsupported, "none");
  }
  void begin(bool) override {}
  Status add(Bytes) override { return {}; }
  Status finish(RoundHistory::Chain) override { return {}; }
  Result<bool> ready() override { return true; }
  void drop() override {}
};

/// A cluster of one node: it forms a view by itself.
class GatedDriverTest : public testing::Test {
 protected:
  GatedDriverTest() { open({}, {}); }
  void open(std::optional<ViewMemory> memory, Round applied) {
    ViewMember::Options options;
    options.qranks = {1};
    options.store = &store;
    options.incarnation = memory ? next_life(*memory) : Incarnation{1};
    options.memory = std::move(memory);
    options.applied = applied;
    driver.emplace(options, 1s, false, history, state, state, now);
    for (int i = 0; i < 20 && !driver->seated(); ++i) step();
  }
  void step() {
    now += 300ms;
    (void)driver->tick(now);
    while (driver->advance(now)) {
    }
    driver->send_all([](MemberId, const Frame&) { return true; });
  }
  void post() {
    RoundOffer offer;
    offer.payload.assign(3, std::byte(1));
    offer.items = 1;
    driver->post(std::move(offer), now);
    store.given = true;  // the append that follows
    step();
  }
  StoreByHand store;
  MemoryRoundHistory history{1000};
  NoState state;
  ViewMember::Time now{0};
  std::optional<ViewDriver> driver;
};

TEST_F(GatedDriverTest, a_round_is_given_out_when_it_is_stored) {
  ASSERT_TRUE(driver->seated());
  store.store_all();
  post();
  ASSERT_EQ(driver->member().final_round(), Round{1});
  EXPECT_EQ(driver->next_final(), nullptr);
  store.store_all();
  ASSERT_NE(driver->next_final(), nullptr);
  driver->applied();
  EXPECT_EQ(driver->next_final(), nullptr);
}

TEST_F(GatedDriverTest, round_after_round_nothing_is_remembered) {
  const auto round = [this] {
    post();
    store.store_all();
    ASSERT_NE(driver->next_final(), nullptr);
    driver->applied();
  };
  store.store_all();
  round();  // the first one of the view
  const auto memories = store.memories;
  for (int i = 0; i < 10; ++i) round();
  EXPECT_EQ(store.memories, memories);
}

TEST_F(GatedDriverTest, a_store_that_fails_ends_the_node_with_its_text) {
  store.failed = {ErrorCode::disk_full, "no room in log-12"};
  step();
  EXPECT_EQ(driver->phase(), MemberPhase::failed);
  Status why;
  for (const auto& event : driver->take_events())
    if (event.kind == ViewMember::Event::Kind::finished) why = event.why;
  EXPECT_EQ(why.text(), store.failed.text());
}

TEST_F(GatedDriverTest, the_next_life_goes_on_from_its_rounds_in_a_view_of_its_own) {
  store.store_all();
  post();
  store.store_all();
  auto memory = decode_view_memory(store.remembered);
  ASSERT_TRUE(memory.ok());
  const auto view = driver->member().view().ballot;
  open(*memory, {});
  ASSERT_TRUE(driver->seated());
  EXPECT_TRUE(driver->member().voter());
  EXPECT_GT(driver->member().view().ballot, view);
  EXPECT_EQ(driver->member().final_round(), Round{1}) << "it was not known to be final";
  store.store_all();
  ASSERT_NE(driver->next_final(), nullptr);
  auto again = decode_view_memory(store.remembered);
  ASSERT_TRUE(again.ok());
  EXPECT_GT(again->incarnation, memory->incarnation);
}

}  // namespace
}  // namespace exdb
