// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The ends of a database that is one of several: deadlines, abandon() beside close(), and what it
// says of itself.
#include "grid.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;
using Phase = DatabaseState::Phase;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ErrorCode code_of(const std::function<void()>& what, std::string* text = nullptr) {
  try {
    what();
  } catch (const Error& error) {
    if (text) *text = error.what();
    return error.code();
  }
  return ErrorCode::ok;
}

void await(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::sleep_for(1ms);
}

TEST(DatabaseEnds, close_with_a_deadline_names_who_has_not_closed_and_is_closed_all_the_same) {
  Grid grid(3);
  std::string text;
  EXPECT_EQ(code_of([&] { grid.db[0]->close(100ms); }, &text), ErrorCode::timeout);
  EXPECT_TRUE(has(text, "nodes 1, 2 (of 3)")) << text;
  EXPECT_FALSE(grid.db[0]->is_open());
  EXPECT_EQ(grid.db[0]->state().phase, Phase::closed);
  EXPECT_EQ(code_of([&] { grid.db[0]->close(); }), ErrorCode::ok) << "idempotent";
  auto con = grid.db[1]->connect();
  con->start();
  con->create(grid.item()).set("id", 1);
  EXPECT_TRUE(con->commit().committed()) << "the others go on";
  con->close();
  auto one = std::async(std::launch::async, [&] { grid.db[1]->close(); });
  grid.db[2]->close();
  one.get();
}

TEST(DatabaseEnds, stop_with_a_deadline_lets_this_node_leave) {
  Grid grid(2);
  auto con = grid.db[0]->connect();
  std::string text;
  EXPECT_EQ(code_of([&] { con->stop(50ms); }, &text), ErrorCode::timeout);
  EXPECT_TRUE(has(text, "node 1 (of 2)")) << text;
  EXPECT_EQ(grid.db[0]->state().phase, Phase::left);
  EXPECT_EQ(code_of([&] { grid.db[0]->close(); }), ErrorCode::timeout) << "the reason, again";
  grid.db[1]->close();
}

TEST(DatabaseEnds, abandon_ends_a_close_in_another_thread) {
  Grid grid(2);
  auto closing =
      std::async(std::launch::async, [&] { return code_of([&] { grid.db[0]->close(); }); });
  await([&] { return grid.db[1]->statistics()["rounds"] > 0; });
  grid.db[0]->abandon();
  EXPECT_EQ(closing.get(), ErrorCode::interrupted);
  grid.db[1]->close();
}

TEST(DatabaseEnds, databases_closed_in_opposite_order_are_an_error_on_both_nodes) {
  Grid x(2), y(2);
  std::vector<ErrorCode> codes(2), later(2);
  x.everywhere([&](std::uint32_t node, Database& in_x) {
    Database& in_y = *y.db[node];
    for (auto* database : {&in_x, &in_y}) database->connect()->close();
    codes[node] = code_of([&] { (node == 0 ? in_x : in_y).close(); });
    later[node] = code_of([&] { (node == 0 ? in_y : in_x).close(); });
  });
  EXPECT_EQ(codes, (std::vector{ErrorCode::cluster, ErrorCode::cluster}));
  EXPECT_EQ(later, (std::vector{ErrorCode::ok, ErrorCode::ok}));
}

TEST(DatabaseEnds, state_says_what_still_works_and_why_not_more) {
  const auto alone = Database::open("alone", Dictionary::parse(test_schema).value(), {});
  EXPECT_EQ(alone->state().phase, Phase::open);
  EXPECT_TRUE(alone->state().reads && alone->state().writes && alone->state().fresh_reads);
  alone->close();
  EXPECT_FALSE(alone->state().reads);

  Grid grid(2, false, [](ClusterParams& params, std::uint32_t) { params.timeout = 400ms; });
  EXPECT_EQ(grid.db[0]->state().text, "");
  grid.network.mute(1);
  auto con = grid.db[0]->connect();
  con->start();
  con->create(grid.item()).set("id", 1);
  EXPECT_EQ(con->commit().code, ErrorCode::unknown_outcome);
  const auto state = grid.db[0]->state();
  EXPECT_EQ(state.phase, Phase::failed);
  EXPECT_TRUE(state.reads);
  EXPECT_FALSE(state.writes || state.fresh_reads);
  EXPECT_TRUE(has(state.text, "waiting for node 1 (of 2) for 400 ms")) << state.text;
  EXPECT_TRUE(has(state.text, "what this node has at csn 0 can still be read")) << state.text;
  con->start();
  EXPECT_FALSE(grid.find(*con, 1)) << "reads go on";
  con->rollback();
}

}  // namespace
}  // namespace exdb
