// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Which exchange 'auto' is, told from the cards of the ranks alone.
#include "exchange_choice.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace exdb::mpi {
namespace {

std::vector<HostCard> ranks_on(std::size_t ranks, std::size_t hosts) {
  std::vector<HostCard> cards(ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) cards[rank].boot[0] = rank % hosts;
  return cards;
}

TEST(MpiExchangeChoice, auto_is_p2p_on_one_host_up_to_where_the_lines_cross) {
  for (std::size_t ranks = 1; ranks <= 64; ++ranks)
    EXPECT_EQ(is_collective(Exchange::automatic, ranks_on(ranks, 1)), ranks > 32) << ranks;
}

TEST(MpiExchangeChoice, auto_is_collective_earlier_where_not_all_share_memory) {
  for (const std::size_t hosts : {2, 8}) {
    for (std::size_t ranks = 2; ranks <= 64; ++ranks)
      EXPECT_EQ(is_collective(Exchange::automatic, ranks_on(ranks, hosts)), ranks > 8) << ranks;
  }
}

TEST(MpiExchangeChoice, containers_that_cannot_see_each_other_are_several_hosts) {
  auto cards = ranks_on(9, 1);
  EXPECT_FALSE(is_collective(Exchange::automatic, cards));
  cards.back().pid_namespace = 1;
  EXPECT_TRUE(is_collective(Exchange::automatic, cards));
}

TEST(MpiExchangeChoice, what_is_asked_for_is_taken_whatever_the_ranks) {
  for (const std::size_t ranks : {2, 100}) {
    EXPECT_FALSE(is_collective(Exchange::p2p, ranks_on(ranks, 3)));
    EXPECT_TRUE(is_collective(Exchange::collective, ranks_on(ranks, 1)));
  }
}

TEST(MpiExchangeChoice, a_rank_alone_has_nobody_to_gather_from) {
  EXPECT_FALSE(is_collective(Exchange::collective, ranks_on(1, 1)));
}

}  // namespace
}  // namespace exdb::mpi
