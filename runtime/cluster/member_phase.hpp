// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a member of the rounds says of itself, and what it puts into the next one: the same whether
// membership is fixed (member.hpp) or nodes come and go (view_member.hpp).
#pragma once
#include <vector>

#include "exdb/types.hpp"

namespace exdb {

enum class MemberPhase { running, ended, left, failed };

/// What a member puts into the next round.
struct RoundOffer {
  std::vector<std::byte> payload;
  std::size_t head_room = 0;  ///< of the payload's vector: so many bytes come before it
  std::size_t items = 0;      ///< in the payload
  bool more = false;          ///< there is more than fits one batch
  Csn oldest_snapshot;
  std::uint64_t digest = 0;  ///< of the state after the rounds applied so far
};

}  // namespace exdb
