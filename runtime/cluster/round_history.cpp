// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/round_history.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/hash.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {
namespace {

/// Larger rounds than this are not worth their memory.
constexpr std::size_t spare_bytes = 16 * 1024;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t with) {
  return hash_bytes(std::as_bytes(std::span(&with, 1)), hash);
}

}  // namespace

/// The checksums of the frames are there already and cover all that a batch says, so a round costs
/// a few nanoseconds a member here, whatever it carries.
std::uint64_t chained(std::uint64_t hash, const CompletedRound& round) {
  hash = mixed(hash, round.round.value);
  for (const auto& batch : round.batches) hash = mixed(hash, batch.checksum);
  return hash;
}

Status MemoryRoundHistory::append(CompletedRound&& round) {
  EXDB_ASSERT(round.round == chain_.round.next(), "a history has no gap");
  const auto before = chain_.hash;
  chain_ = {round.round, chained(before, round)};
  bytes_ += payload_bytes(round);
  rounds_.push_back({std::move(round), before});
  return {};
}

const CompletedRound& MemoryRoundHistory::held(Round round) const {
  EXDB_ASSERT(round > released_ && round <= chain_.round, "a round is held until it is released");
  return rounds_[round.value - oldest().value].round;
}

void MemoryRoundHistory::release(Round upto) {
  EXDB_ASSERT(upto >= released_ && upto <= chain_.round, "what is released was appended");
  released_ = upto;
  const auto too_many = [this] {
    return bytes_ > bytes_max_ ||
           rounds_.size() > released_max_ + (chain_.round.value - released_.value);
  };
  while (!rounds_.empty() && rounds_.front().round.round <= released_ && too_many()) {
    auto& oldest_kept = rounds_.front().round;
    const auto bytes = payload_bytes(oldest_kept);
    bytes_ -= bytes;
    if (bytes <= spare_bytes) {
      spare_ = std::move(oldest_kept);
      for (auto& batch : spare_.batches) batch.payload.clear();
    } else {
      for (auto& batch : oldest_kept.batches) LargeBuffers::shared().give(std::move(batch.payload));
    }
    rounds_.pop_front();
  }
}

Status MemoryRoundHistory::read_from(Round from, const Reader& each) const {
  if (from < oldest())
    return {ErrorCode::not_found, "round " + std::to_string(from.value) +
                                      " is not kept any more; the oldest here is " +
                                      std::to_string(oldest().value)};
  for (auto round = from; round <= chain_.round; round = round.next())
    if (auto status = each(rounds_[round.value - oldest().value].round); !status) return status;
  return {};
}

Result<RoundHistory::Chain> RoundHistory::chain_at(Round round) const {
  if (round == chain().round) return chain();
  return Status(ErrorCode::not_found, "this history knows its newest round only");
}

Status RoundHistory::drop_after(Round /*round*/) {
  return {ErrorCode::unsupported, "this history takes nothing back"};
}

Status RoundHistory::restart(Chain /*at*/, bool /*parted*/) {
  return {ErrorCode::unsupported, "this history begins with round 1"};
}

Result<RoundHistory::Chain> MemoryRoundHistory::chain_at(Round round) const {
  if (round == chain_.round) return chain_;
  if (round > chain_.round || round.next() < oldest())
    return Status(ErrorCode::not_found, "round " + std::to_string(round.value) +
                                            " is not between the oldest here, " +
                                            std::to_string(oldest().value) + ", and the newest");
  return Chain{round, rounds_[round.next().value - oldest().value].hash_before};
}

Status MemoryRoundHistory::drop_after(Round round) {
  EXDB_ASSERT(round >= released_ && round <= chain_.round, "what is released is never dropped");
  while (chain_.round > round) {
    chain_ = {{chain_.round.value - 1}, rounds_.back().hash_before};
    bytes_ -= payload_bytes(rounds_.back().round);
    rounds_.pop_back();
  }
  return {};
}

Status MemoryRoundHistory::restart(Chain at, bool parted) {
  EXDB_ASSERT(parted || at.round >= released_, "a history never goes behind what was released");
  rounds_.clear();
  bytes_ = 0;
  chain_ = at;
  released_ = at.round;
  return {};
}

}  // namespace exdb
