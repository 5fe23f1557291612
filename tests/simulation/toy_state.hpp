// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the simulated nodes replicate: counters with versions, each transaction an increment of one
// that aborts when the counter has changed since it was read; and the highest sequence of each
// origin, so that a transaction that comes twice counts once.
//
// Invariants
//   S1  Equal rounds give equal states: digest() says whether they did.
// Threads: none.
#pragma once
#include <array>
#include <map>

#include "cluster/state_transfer.hpp"

namespace exdb::simulation {

/// (node, incarnation, sequence): a transaction has it for ever.
struct ToyId {
  std::uint32_t node = 0;
  std::uint64_t incarnation = 0, sequence = 0;
  auto operator<=>(const ToyId&) const = default;
};

struct ToyTransaction {
  ToyId id;
  std::uint32_t key = 0;
  std::uint64_t read_version = 0;
};

enum class ToyOutcome { committed, aborted, repeated };

void encode(const ToyTransaction& transaction, std::vector<std::byte>& out);
std::vector<ToyTransaction> decode_transactions(Bytes payload);

class ToyState {
 public:
  static constexpr std::uint32_t keys = 24;

  ToyOutcome apply(const ToyTransaction& transaction);
  [[nodiscard]] std::uint64_t version(std::uint32_t key) const { return versions_[key]; }
  [[nodiscard]] std::uint64_t csn() const { return csn_; }
  [[nodiscard]] std::uint64_t digest() const;
  /// The highest sequence of this life of the node that has an outcome here.
  [[nodiscard]] std::uint64_t finished(std::uint32_t node, std::uint64_t incarnation) const;

  [[nodiscard]] std::vector<std::vector<std::byte>> chunks() const;
  /// False when a chunk cannot be read.
  bool add(Bytes chunk);

 private:
  std::array<std::uint64_t, keys> versions_{};
  std::uint64_t csn_ = 0;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> finished_;
};

}  // namespace exdb::simulation
