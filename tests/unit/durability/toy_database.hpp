// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A state that is no more than the list of rounds that made it, over the log, checkpoints and recovery
// as a database has them: what was acknowledged, and what is found again, can be compared round by
// round.
#pragma once
#include <gtest/gtest.h>

#include "base/bytes.hpp"
#include "breakable_folder.hpp"
#include "durability/recovery.hpp"

namespace exdb {

inline const DatabaseIdentity toy_identity{0x1122334455667788, 0x99aabbccddeeff00};

class ToyDatabase final : public RecoverySink {
 public:
  using Rounds = std::vector<std::string>;  ///< the payload of each

  static std::string payload_of(std::uint64_t round) {
    return "round " + std::to_string(round) + std::string(round * 37 % 190, char('a' + round % 26));
  }
  static CompletedRound round_of(std::uint64_t number, const std::string& payload) {
    CompletedRound made;
    made.round = Round{number};
    const auto bytes = as_bytes(payload);
    Batch batch;
    batch.header.oldest_snapshot = Csn{number / 2};
    batch.header.digest = number * 7;
    batch.payload.assign(bytes.begin(), bytes.end());
    batch.checksum = number * 1001;
    made.batches.push_back(std::move(batch));
    return made;
  }

  // --- RecoverySink ---
  Status begin() override {
    rounds_.clear();
    return {};
  }
  Status chunk(Bytes chunk) override {
    ByteReader in(chunk);
    while (in.remaining() != 0) rounds_.emplace_back(in.get_text());
    return in.ok() ? Status() : Status(ErrorCode::cluster_protocol, "no chunk");
  }
  Status complete(RoundHistory::Chain at) override {
    EXPECT_EQ(rounds_.size(), at.round.value);
    return {};
  }
  Status round(const CompletedRound& round) override {
    EXPECT_EQ(round.round.value, rounds_.size() + 1);
    EXPECT_EQ(round.batches.size(), 1U);
    EXPECT_EQ(round.batches[0].checksum, round.round.value * 1001);
    EXPECT_EQ(round.batches[0].header.digest, round.round.value * 7);
    rounds_.emplace_back(as_text(round.batches[0].payload));
    return {};
  }

  Status open(Folder& folder, const RoundLog::Options& options) {
    folder_ = &folder;
    std::string text;
    auto identity = open_base(folder, toy_identity, "a schema", text);
    if (!identity) return identity.status();
    EXPECT_EQ(text, "a schema");
    auto recovered = recover(folder, *identity, *this);
    if (!recovered) return recovered.status();
    recovery = std::move(*recovered);
    EXPECT_EQ(recovery.log.end.chain.round.value, rounds_.size());
    // A file that was begun knows of the round that it was begun for.
    EXPECT_GE(recovery.log.end.marks.autoid, rounds_.size() * 3);
    EXPECT_LE(recovery.log.end.marks.autoid, rounds_.size() * 3 + 3);
    log = std::make_unique<RoundLog>(folder, *identity, options, recovery.log.end);
    return {};
  }
  Status append() {
    const auto number = log->chain().round.next().value;
    log->set_marks({number * 2, number * 3});
    return log->append(round_of(number, payload_of(number)));
  }
  /// Applies what the log has.
  Status sync() {
    if (auto status = log->sync(); !status) return status;
    for (auto number = rounds_.size() + 1; number <= log->chain().round.value; ++number)
      rounds_.push_back(payload_of(number));
    log->release(log->chain().round);
    return {};
  }
  Status checkpoint() {
    if (auto status = log->settle(); !status) return status;
    Chunks chunks{rounds_};
    const auto at = log->chain();
    auto written = write_checkpoint(*folder_, toy_identity, at,
                                    {at.round.value * 2, at.round.value * 3}, chunks, {});
    if (!written) return written.status();
    if (auto status = drop_checkpoints_before(*folder_, at.round); !status) return status;
    return log->drop_before(at.round);
  }
  [[nodiscard]] const Rounds& rounds() const { return rounds_; }

  Recovery recovery;
  std::unique_ptr<RoundLog> log;

 private:
  struct Chunks final : StateStream {
    explicit Chunks(const Rounds& from) : rounds(from) {}
    bool next(std::vector<std::byte>& chunk) override {
      if (at == rounds.size()) return false;
      chunk.clear();
      for (const auto end = std::min(rounds.size(), at + 3); at < end; ++at)
        ByteWriter(chunk).put_text(rounds[at]);
      return true;
    }
    const Rounds& rounds;
    std::size_t at = 0;
  };
  Folder* folder_ = nullptr;
  Rounds rounds_;
};

}  // namespace exdb
