// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A node where nodes come and go, without its protocol: rounds that are appended, taken back and
// applied, a memory, and states that come from elsewhere, over the history and the recovery that a
// database has. After each step it is known what a recovery may find.
#pragma once
#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "breakable_folder.hpp"
#include "database/restore_node.hpp"
#include "durability/arrived_state.hpp"
#include "durability/recovery.hpp"

namespace exdb {

inline const DatabaseIdentity toy_views{0x1122334455667788, 0x99aabbccddeeff00, disk_format_views};

/// What there is: all rounds, and what is remembered.
struct ToyState {
  std::vector<std::string> rounds;
  std::string memory;
  bool operator==(const ToyState&) const = default;
};

class ToyMember final : public RecoverySink {
 public:
  static constexpr Ballot view{7, MemberId{2}, 12345};

  static CompletedRound round_of(std::uint64_t number, const std::string& payload) {
    CompletedRound made;
    made.round = Round{number};
    made.view = view;
    Batch batch;
    const auto bytes = as_bytes(payload);
    batch.payload.assign(bytes.begin(), bytes.end());
    batch.checksum = hash_bytes(bytes, number);
    made.batches.push_back(std::move(batch));
    return made;
  }

  // --- RecoverySink ---
  Status begin() override {
    applied_.clear();
    return {};
  }
  Status chunk(Bytes chunk) override {
    ByteReader in(chunk);
    while (in.remaining() != 0) applied_.emplace_back(in.get_text());
    return {};
  }
  Status complete(RoundHistory::Chain at) override {
    EXPECT_EQ(applied_.size(), at.round.value);
    return {};
  }
  Status round(const CompletedRound& round) override {
    EXPECT_EQ(round.round.value, applied_.size() + 1);
    EXPECT_EQ(round.view, view);
    applied_.emplace_back(as_text(round.batches.at(0).payload));
    return {};
  }

  /// `fsync`: waits for the device.
  Status open(Folder& folder, bool fsync = true, std::uint64_t file_bytes = 900) {
    folder_ = &folder;
    std::string text;
    auto identity = open_base(folder, toy_views, "a schema", text, {5, 1});
    if (!identity) return identity.status();
    RecentRounds recent(*this, 300);
    auto recovered = recover(folder, *identity, recent);
    if (!recovered) return recovered.status();
    recovery = std::move(*recovered);
    state.rounds = applied_;
    for (const auto& held : recovery.log.held)
      state.rounds.emplace_back(as_text(held.batches.at(0).payload));
    state.memory = as_text(recovery.log.end.memory);
    EXPECT_EQ(recovery.log.final.round.value, applied_.size());
    EXPECT_EQ(recovery.log.end.chain.round.value, state.rounds.size());
    auto log = std::make_unique<RoundLog>(folder, *identity, RoundLog::Options{file_bytes, fsync},
                                          recovery.log.end);
    StableHistory::Options options;
    options.bytes_max = 300;  // so that rounds go
    options.waits = fsync;
    auto read = recovery.log;
    history = std::make_unique<StableHistory>(
        folder, std::move(log), recent.take(read), [] { return Marks{}; }, options);
    EXPECT_EQ(history->chain(), recovery.log.end.chain);
    return {};
  }

  Status append(const std::string& payload) {
    state.rounds.push_back(payload);
    return history->append(round_of(state.rounds.size(), payload));
  }
  Status back_to(std::size_t round) {
    state.rounds.resize(round);
    return history->drop_after(Round{round});
  }
  void remember(const std::string& memory) {
    state.memory = memory;
    history->remember(as_bytes(memory));
  }
  /// The next `rounds` rounds are final.
  void apply(std::size_t rounds) {
    for (; rounds > 0; --rounds) {
      const Round next{applied_.size() + 1};
      applied_.emplace_back(as_text(history->held(next).batches.at(0).payload));
      history->release(next);
    }
  }
  /// Takes the state of another node.
  Status take(const std::vector<std::string>& rounds) {
    RoundHistory::Chain at;
    for (const auto& payload : rounds) {
      const auto round = round_of(at.round.value + 1, payload);
      at = {round.round, chained(at.hash, round)};
    }
    auto arriving = ArrivingState::begin(*folder_, toy_views, at, {});
    if (!arriving) return arriving.status();
    Chunks chunks(rounds);
    for (std::vector<std::byte> chunk; chunks.next(chunk);)
      if (auto status = (*arriving)->add(chunk); !status) return status;
    if (auto status = (*arriving)->finish({}); !status) return status;
    state.rounds = applied_ = rounds;
    return history->restart(at);
  }
  /// As Durable.
  Status checkpoint() {
    const auto at = history->state();
    if (auto status = history->in_turn([](RoundLog& log) { return log.settle(); }); !status)
      return status;
    Chunks chunks(applied_);
    auto written = write_checkpoint(*folder_, toy_views, at.chain, {}, chunks, {});
    if (!written) return written.status();
    return history->in_turn([&](RoundLog& log) {
      if (auto status = drop_checkpoints_before(*folder_, at.chain.round); !status) return status;
      return log.drop_before(at.chain.round);
    });
  }
  /// Waits until the device has this step.
  Status wait(StableStore::Ticket ticket) {
    while (history->stored() < ticket && history->failure().ok())
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    return history->failure();
  }
  [[nodiscard]] const std::vector<std::string>& applied() const { return applied_; }

  Recovery recovery;
  ToyState state;
  std::unique_ptr<StableHistory> history;

 private:
  struct Chunks final : StateStream {
    explicit Chunks(const std::vector<std::string>& from) : rounds(from) {}
    bool next(std::vector<std::byte>& chunk) override {
      if (at == rounds.size()) return false;
      chunk.clear();
      for (const auto end = std::min(rounds.size(), at + 3); at < end; ++at)
        ByteWriter(chunk).put_text(rounds[at]);
      return true;
    }
    const std::vector<std::string>& rounds;
    std::size_t at = 0;
  };

  Folder* folder_ = nullptr;
  std::vector<std::string> applied_;
};

}  // namespace exdb
