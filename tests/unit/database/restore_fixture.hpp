// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes that open their copies of a database together, each over a disk that tests can break.
#pragma once
#include <thread>

#include "breakable_disk.hpp"
#include "cluster/commit_window.hpp"
#include "database/replica_sink.hpp"
#include "database/restore.hpp"
#include "database/restore_copies.hpp"
#include "database_fixture.hpp"

namespace exdb {

/// Among threads. Whoever goes lets the others know: they get a failure then, and do not wait.
class ThreadGather {
 public:
  using Blocks = std::vector<std::vector<std::byte>>;

  explicit ThreadGather(std::uint32_t nodes) : blocks_(nodes) {}

  class Seat final : public CollectiveGather {
   public:
    Seat(ThreadGather& of, std::uint32_t node) : of_(of), node_(node) {}
    ~Seat() { of_.leave(); }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    Result<Blocks> collective_gather(std::span<const std::byte> mine,
                                     std::chrono::milliseconds /*deadline*/) override {
      return of_.gather(node_, mine);
    }

   private:
    ThreadGather& of_;
    const std::uint32_t node_;
  };

 private:
  Result<Blocks> gather(std::uint32_t node, std::span<const std::byte> mine) {
    std::unique_lock lock(mutex_);
    blocks_[node].assign(mine.begin(), mine.end());
    if (++arrived_ == blocks_.size()) {
      arrived_ = 0;
      ++turns_;
      gathered_ = blocks_;
      changed_.notify_all();
      return gathered_;
    }
    const auto turn = turns_;
    changed_.wait(lock, [&] { return turns_ != turn || left_; });
    if (turns_ == turn) return Status(ErrorCode::interrupted, "a node came not to a gather");
    return gathered_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    left_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  Blocks blocks_, gathered_;
  std::size_t arrived_ = 0;
  std::uint64_t turns_ = 0;
  bool left_ = false;
};

/// All rounds that there ever are, and the state after each.
class RoundsOfTest {
 public:
  RoundsOfTest() : sink_(schema(), storage(), true, NodeId{}) {
    sink_.begin().or_throw();
    digests_.push_back(sink_.replica().digest());
    chains_.emplace_back();
  }
  static std::shared_ptr<const Dictionary> schema() {
    static const auto parsed = Dictionary::parse(test_schema).value();
    return parsed;
  }
  static StorageOptions storage() {
    StorageOptions options;
    options.segment.unit_bytes = std::size_t{1} << 18;
    options.readers_max = 16;
    return options;
  }

  /// Round `number` makes the item of that number.
  static CompletedRound round(std::uint64_t number) {
    const auto& item = *schema()->find_class("Item");
    RowBuilder row(item);
    row.set("id", int(number));
    row.set("price", int(number));
    const auto bytes = row.finish();
    TransactionRecord record;
    record.snapshot = Csn{number - 1};
    record.ops = {{WriteOp::Kind::insert, item.id, 1, {}, bytes}};
    std::vector<std::byte> encoded;
    record.encode(encoded);
    RoundItem made;
    made.sequence = number;
    made.bytes = encoded;
    Batch batch;
    batch.header.digest_lag = 1000;  // nobody compares
    batch.checksum = number * 1001;
    ByteWriter out(batch.payload);
    encode_item(made, out);
    CompletedRound round;
    round.round = Round{number};
    round.batches.push_back(std::move(batch));
    return round;
  }
  /// The state is that after `number`, which is not before.
  Replica& at(std::uint64_t number) {
    while (newest() < number) {
      const auto next = round(newest() + 1);
      sink_.round(next).or_throw();
      digests_.push_back(sink_.replica().digest());
      chains_.push_back({next.round, chained(chains_.back().hash, next)});
    }
    return sink_.replica();
  }
  [[nodiscard]] std::uint64_t newest() const { return digests_.size() - 1; }
  [[nodiscard]] std::uint64_t digest(std::uint64_t after) const { return digests_.at(after); }
  [[nodiscard]] RoundHistory::Chain chain(std::uint64_t after) const { return chains_.at(after); }

 private:
  ReplicaSink sink_;
  std::vector<std::uint64_t> digests_;
  std::vector<RoundHistory::Chain> chains_;
};

class RestoreTest : public ::testing::Test {
 protected:
  using Survives = BreakableFolder::Survives;
  using Opened = std::vector<Result<Restored>>;
  struct Options {
    std::uint32_t copies = 0;
    bool fsync = true;
  };

  /// All of them together; several may have one disk.
  Opened open(const std::vector<BreakableDisk*>& disks, const Options& options = {0, true}) {
    const auto nodes = std::uint32_t(disks.size());
    ++openings;
    ThreadGather gather(nodes);
    Opened opened;
    for (std::uint32_t node = 0; node < nodes; ++node)
      opened.emplace_back(Status(ErrorCode::core, "not opened"));
    std::vector<std::thread> threads;
    for (std::uint32_t node = 0; node < nodes; ++node)
      threads.emplace_back([&, node] {
        ThreadGather::Seat seat(gather, node);
        DiskOptions disk;
        disk.path = "/grid";
        disk.fsync = options.fsync;
        disk.copies = options.copies;
        opened[node] = collective_restore({"grid", RoundsOfTest::schema(), RoundsOfTest::storage(),
                                           disk, &seat, node, std::vector<bool>(nodes, true),
                                           openings << 32, *disks[node], 1500});
      });
    for (auto& thread : threads) thread.join();
    return opened;
  }

  /// RoundsOfTest up to `upto` come, as they come to each node that keeps a copy.
  void live(Opened& opened, std::uint64_t upto, std::uint64_t checkpoint_at = 0) {
    auto at = opened.at(0)->newest.round.value;
    while (at < upto) {
      ++at;
      for (auto& node : opened) {
        if (!node->recovered) continue;
        auto& log = *node->recovered->log;
        ASSERT_TRUE(log.append(RoundsOfTest::round(at)).ok());
        ASSERT_TRUE(log.sync().ok());
        log.release(Round{at});
        if (at == checkpoint_at) checkpoint(*node->recovered, at);
      }
    }
  }
  void checkpoint(Durable::Recovered& node, std::uint64_t at) {
    struct Stream final : StateStream {
      explicit Stream(SnapshotWriter made) : writer(std::move(made)) {}
      bool next(std::vector<std::byte>& chunk) override { return writer.next(chunk); }
      SnapshotWriter writer;
    };
    ASSERT_LE(rounds.newest(), at);
    Stream stream(SnapshotWriter::begin(rounds.at(at), node.log->chain()).value());
    ASSERT_TRUE(node.log->settle().ok());
    ASSERT_TRUE(
        write_checkpoint(*node.folder, node.identity, node.log->chain(), {}, stream, {}).ok());
    ASSERT_TRUE(drop_checkpoints_before(*node.folder, Round{at}).ok());
    ASSERT_TRUE(node.log->drop_before(Round{at}).ok());
  }
  /// As a job does that ends.
  static void close(Opened& opened) {
    for (auto& node : opened)
      if (node->recovered) {
        ASSERT_TRUE(node->recovered->log->close().ok());
      }
    opened.clear();
  }

  /// Empty when all have the state after round `upto`, and those that keep a copy have it safe.
  std::string wrong(Opened& opened, const std::vector<BreakableDisk*>& disks, std::uint64_t upto) {
    rounds.at(upto);
    for (std::uint32_t node = 0; node < opened.size(); ++node) {
      const auto who = "node " + std::to_string(node) + ": ";
      if (!opened[node]) return who + opened[node].status().text();
      auto& found = *opened[node];
      const auto& replica = found.recovered ? found.recovered->replica : found.replica;
      if (found.recovered.has_value() != bool(found.keeps[node]))
        return who + "keeps a copy or not";
      if (found.newest != rounds.chain(upto))
        return who + "it ends with round " + std::to_string(found.newest.round.value);
      if (replica->digest() != rounds.digest(upto)) return who + "it is another state";
      if (!found.recovered) continue;
      if (found.recovered->log->chain() != rounds.chain(upto)) return who + "its log is another";
      const auto safe = disks[node]->after_crash(Survives::nothing);
      const auto path = node_folder("/grid", node);
      NoSink nothing;
      auto copy = hold_copy(*safe, path, *RoundsOfTest::schema(), nothing);
      if (!copy) return who + "after a crash: " + copy.status().text();
      if (copy->copy.newest != rounds.chain(upto)) return who + "not all of it is on the device";
      auto epochs = read_epochs(*copy->folder, copy->copy.database);
      if (!epochs || epochs->empty() || epochs->back().name != openings << 32)
        return who + "its epoch is not on the device";
    }
    return {};
  }
  struct NoSink final : RecoverySink {
    Status begin() override { return {}; }
    Status chunk(Bytes) override { return {}; }
    Status complete(RoundHistory::Chain) override { return {}; }
    Status round(const CompletedRound&) override { return {}; }
  };

  RoundsOfTest rounds;
  std::uint64_t openings = 0;
};

}  // namespace exdb
