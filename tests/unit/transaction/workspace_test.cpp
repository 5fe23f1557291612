// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a workspace keeps from one transaction to the next: nothing but memory.
#include "transaction/workspace.hpp"

#include <gtest/gtest.h>

namespace exdb {
namespace {

std::shared_ptr<const Dictionary> dictionary() {
  return Dictionary::parse("class A { int4 id; unique tree<id> by_id; };").value();
}

constexpr IndexId by_id{0};

/// Runs of a newer snapshot are kept for its readers, and an older one gets none: so what the
/// transaction before has left shows.
TEST(Workspace, what_a_transaction_walked_is_forgotten_though_it_wrote_nothing) {
  const auto schema = dictionary();
  Workspace work(*schema);
  ASSERT_NE(work.hidden(by_id, Csn{9}), nullptr);
  ASSERT_EQ(work.hidden(by_id, Csn{5}), nullptr);
  work.clear();
  EXPECT_NE(work.hidden(by_id, Csn{5}), nullptr);
}

TEST(Workspace, an_update_that_was_taken_back_leaves_no_class_touched) {
  const auto schema = dictionary();
  const auto& type = schema->classes()[0];
  Workspace work(*schema);
  const RowBuilder row(type);
  work.update(type, SlotId{3}, row.view().bytes(), Csn{1});
  work.take_back_update(type);
  ASSERT_TRUE(work.empty());
  ASSERT_TRUE(work.touches(type.id));
  work.clear();
  EXPECT_FALSE(work.touches(type.id)) << "its reads would go the slow way for ever";
}

}  // namespace
}  // namespace exdb
