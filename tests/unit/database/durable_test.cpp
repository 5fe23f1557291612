// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A database on disk, case by case: what shares an fsync, what a failed device ends, what a
// recovery refuses.
#include <gtest/gtest.h>

#include <thread>

#include "cluster/commit_window.hpp"
#include "durable_fixture.hpp"
#include "gated_folder.hpp"

namespace exdb {
namespace {

std::unique_ptr<DurableLife> opened(Folder& folder) {
  auto life = DurableLife::open(folder);
  life.status().or_throw();
  return std::move(*life);
}

/// D5.
TEST(Durable, a_window_of_commit_later_is_one_round_and_what_nobody_waits_for_is_written_too) {
  BreakableFolder folder;
  auto life = opened(folder);
  std::vector<std::unique_ptr<Transaction>> window;
  for (int id = 1; id <= 40; ++id) {
    window.push_back(std::make_unique<Transaction>(life->core()));
    life->change(*window.back(), id, -id);
    window.back()->commit_later();
  }
  for (auto& each : window) EXPECT_TRUE(each->wait_later());
  // The thread for those that nobody waits for may come in between on a busy machine.
  EXPECT_LE(life->durable().counters().rounds, 20U);
  Transaction left(life->core());
  life->change(left, 100, 0);
  left.commit_later();
  while (life->replica().published() < Csn{41}) std::this_thread::yield();
  const auto digest = life->replica().digest();
  life.reset();
  EXPECT_EQ(opened(folder)->replica().digest(), digest);
}

/// What was left is committed by close(), and nothing after it.
TEST(Durable, closing_commits_what_waits_and_refuses_what_comes) {
  BreakableFolder folder;
  auto life = opened(folder);
  Transaction left(life->core()), late(life->core());
  life->change(left, 1, 0);
  left.commit_later();
  life->change(late, 2, -1);
  EXPECT_TRUE(life->durable().close().ok());
  EXPECT_TRUE(left.wait_later());
  EXPECT_EQ(late.commit().code, ErrorCode::invalid_handle);
  EXPECT_EQ(life->durable().checkpoint().code(), ErrorCode::invalid_handle);
  const auto steps = folder.steps;
  EXPECT_TRUE(life->durable().close().ok()) << "idempotent";
  EXPECT_EQ(folder.steps, steps);
  life.reset();
  EXPECT_EQ(opened(folder)->items(2), (std::map<int, int>{{0, 1}, {1, 1}}));
}

/// D2, D3.
TEST(Durable, an_fsync_that_fails_leaves_its_commits_unknown_and_refuses_all_after_them) {
  BreakableFolder folder;
  auto life = opened(folder);
  ASSERT_TRUE(life->commit(1, 0));
  folder.fail_at = folder.steps + 2;  // write, fsync
  const auto unknown = life->commit(2, 0);
  EXPECT_EQ(unknown.code, ErrorCode::unknown_outcome);
  EXPECT_NE(unknown.text.find("known when the database is opened again: fsync: made to fail"),
            std::string::npos)
      << unknown.text;
  EXPECT_EQ(unknown.text.find("another node"), std::string::npos) << unknown.text;
  const auto steps = folder.steps;
  EXPECT_EQ(life->commit(3, 0).code, ErrorCode::disk);
  EXPECT_EQ(life->durable().checkpoint().code(), ErrorCode::disk);
  EXPECT_EQ(life->items(3), (std::map<int, int>{{0, 1}, {1, 1}})) << "what was published is read";
  EXPECT_EQ(life->outcome(unknown.id), TransactionOutcome::unknown);
  EXPECT_EQ(folder.steps, steps) << "nothing more is written";
  life.reset();
  EXPECT_EQ(folder.steps, steps);
}

/// L4: nothing was given to the system. Also after others that were, and were answered.
TEST(Durable, a_file_that_cannot_be_begun_refuses_its_commits_for_certain) {
  int certain = 0;
  for (int before = 0; before < 16; ++before) {
    BreakableFolder folder;
    auto life = opened(folder);
    for (int id = 1; id <= before; ++id) ASSERT_TRUE(life->commit(id, 0));
    folder.fail_at = folder.steps + 1;  // a write, or the creation of the next file
    folder.fail_code = ErrorCode::disk_full;
    const auto result = life->commit(100, 0);
    life.reset();
    EXPECT_GE(opened(folder)->items(100).size(), std::size_t(before));
    if (result.code == ErrorCode::unknown_outcome) continue;
    ++certain;
    EXPECT_EQ(result.code, ErrorCode::disk_full) << result.text;
    EXPECT_EQ(opened(folder)->items(100).count(100), 0U);
  }
  EXPECT_GE(certain, 2) << "the first file, and another";
  EXPECT_LE(certain, 8) << "most writes are not certain";
}

TEST(Durable, a_device_that_fails_a_checkpoint_is_not_trusted_with_commits_and_a_full_one_is) {
  for (const auto code : {ErrorCode::disk, ErrorCode::disk_full}) {
    std::size_t went_on = 0, ended = 0;
    for (std::uint64_t at = 1;; ++at) {
      BreakableFolder folder;
      auto life = opened(folder);
      ASSERT_TRUE(life->commit(1, 0));
      folder.fail_at = folder.steps + at;
      folder.fail_code = code;
      const auto status = life->durable().checkpoint();
      if (status.ok()) break;
      EXPECT_EQ(status.code(), code) << status.text();
      const auto next = life->commit(2, 0);
      ++(next ? went_on : ended);
      life.reset();
      const auto again = opened(folder);
      EXPECT_EQ(again->items(3).size(), next ? 3U : 2U);
      for (const auto& name : folder.names()) EXPECT_FALSE(is_unfinished(name)) << name;
    }
    if (code == ErrorCode::disk) {
      EXPECT_EQ(went_on, 0U);
      EXPECT_GE(ended, 6U);
    } else {
      EXPECT_EQ(ended, 0U) << "nothing of the log has failed";
      EXPECT_GE(went_on, 6U);
    }
  }
}

/// A route whose device answers when the test lets it. `now`: by which an fsync is measured.
struct RouteOnGate {
  using Now = std::chrono::steady_clock::time_point (*)() noexcept;
  explicit RouteOnGate(Now now = std::chrono::steady_clock::now)
      : route(*replica,
              std::make_unique<RoundLog>(folder, DatabaseIdentity{7, schema->hash()},
                                         RoundLog::Options{1 << 16, true}, LogEnd{}),
              lock, autoids, {}, now) {}
  ~RouteOnGate() { EXPECT_TRUE(route.close().ok()); }

  /// `sent`: is called when it is with the route, and waits.
  void commit(const std::string& name, const std::function<void()>& sent = {}) {
    Outgoing out;
    out.id = route.new_id();
    out.shared.snapshot = route.published();
    out.shared.snapshot_name = name;
    const auto item = route.submit(out).value();
    if (sent) sent();
    EXPECT_EQ(route.wait(*item).code, ErrorCode::ok);
  }

  static StorageOptions small() {
    StorageOptions options;
    options.segment.unit_bytes = std::size_t{1} << 18;
    return options;
  }
  GatedFolder folder;
  const std::shared_ptr<const Dictionary> schema = DurableLife::schema();
  const std::unique_ptr<Replica> replica =
      Replica::create(schema, small(), false, NodeId{}).value();
  std::mutex lock;
  std::atomic<std::uint64_t> autoids{1};
  DurableRoute route;
};

/// D4.
TEST(Durable, who_reads_or_begins_a_checkpoint_does_not_wait_for_the_device) {
  RouteOnGate on;
  on.folder.gate.set(false);
  std::thread committing([&] { on.commit("1"); });
  on.folder.gate.wait_for_somebody();
  {
    const std::unique_lock lock(on.lock, std::try_to_lock);
    EXPECT_TRUE(lock.owns_lock()) << "the replica's, while its round is with the device";
  }
  on.folder.gate.set(true);
  committing.join();
}

/// D4.
TEST(Durable, nobody_has_the_turn_beside_another) {
  RouteOnGate on;
  on.folder.gate.set(false);
  std::thread first([&] { on.commit("1"); });
  on.folder.gate.wait_for_somebody();
  std::atomic<bool> had_turn{false};
  std::thread asking([&] {
    EXPECT_TRUE(on.route
                    .in_turn([&](RoundLog&) {
                      had_turn = true;
                      return Status();
                    })
                    .ok());
  });
  std::thread second([&] { on.commit("2"); });
  EXPECT_FALSE(happens_unasked([&] { return had_turn || on.folder.gate.at_it() == 2; }));
  on.folder.gate.set(true);
  for (auto* each : {&first, &asking, &second}) each->join();
  EXPECT_EQ(on.route.rounds(), 2U);
}

/// By this clock an fsync takes an hour.
std::chrono::steady_clock::time_point hours() noexcept {
  static std::atomic<int> passed{0};
  return std::chrono::steady_clock::time_point(std::chrono::hours(passed++));
}

/// D6: the thread that was answered comes back while the next one leads, and they share an fsync.
TEST(Durable, who_leads_waits_for_those_that_were_just_answered) {
  RouteOnGate on(hours);
  on.commit("0");
  on.folder.gate.set(false);
  std::thread first([&] {
    on.commit("1");  // while the other one comes
    // Time for that one to lead without this, if it does not wait.
    (void)happens_unasked([&] { return on.route.rounds() == 3; });
    on.commit("3");
  });
  on.folder.gate.wait_for_somebody();
  on.commit("2", [&] { on.folder.gate.set(true); });
  first.join();
  EXPECT_EQ(on.route.rounds(), 3U);
}

/// By this clock it takes 0.4 ms.
std::chrono::steady_clock::time_point parts_of_a_millisecond() noexcept {
  static std::atomic<int> passed{0};
  return std::chrono::steady_clock::time_point(std::chrono::microseconds(400 * passed++));
}

/// D6: one that does not come back is not waited for.
TEST(Durable, who_leads_goes_on_without_those_that_stay_away) {
  RouteOnGate on(parts_of_a_millisecond);
  on.folder.gate.set(false);
  std::thread stays_away([&] { on.commit("1"); });
  on.folder.gate.wait_for_somebody();
  std::thread comes([&] { on.commit("2", [&] { on.folder.gate.set(true); }); });
  stays_away.join();
  const bool alone = happens_in_the_end([&] { return on.route.rounds() == 2; });
  EXPECT_TRUE(alone);
  if (!alone) on.commit("3");  // or it would wait for ever
  comes.join();
}

/// A process that is killed leaves its newest rounds in the cache of the system alone. What is found of
/// them is given out, and a checkpoint may be written of it.
TEST(Durable, what_a_killed_process_had_not_synced_is_safe_when_it_is_open_again) {
  for (const bool checkpoint : {false, true}) {
    BreakableFolder folder;
    auto life = DurableLife::open(folder, DurableLife::small_files(false)).value();
    ASSERT_TRUE(life->commit(1, 0));
    folder.killed = true;
    life.reset();
    folder.killed = false;
    life = opened(folder);
    const auto found = life->items(1);
    EXPECT_EQ(found.size(), 2U);
    if (checkpoint) {
      ASSERT_TRUE(life->durable().checkpoint().ok());
    }
    const auto after = folder.after_crash(BreakableFolder::Survives::nothing);
    auto again = DurableLife::open(*after);
    ASSERT_TRUE(again.ok()) << again.status().text();
    EXPECT_EQ((*again)->items(1), found);
  }
}

/// F3: nobody asks for the checkpoints here.
TEST(Durable, the_log_that_the_next_recovery_reads_stays_short) {
  BreakableFolder folder;
  auto options = DurableLife::small_files();
  options.checkpoint_bytes = 4000;
  auto life = DurableLife::open(folder, options).value();
  int id = 0;
  const auto now = [&life] { return life->durable().counters(); };
  for (std::uint64_t wanted = 1; wanted <= 3; ++wanted) {
    const auto before = now().log_bytes;
    // Behind that one is due for certain; its thread has a low priority, and may need a moment.
    while (now().checkpoints < wanted) {
      if (now().log_bytes - before <= std::max(options.checkpoint_bytes, now().checkpoint_bytes))
        ASSERT_TRUE(life->commit(++id, 0));
      else
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  const auto digest = life->replica().digest();
  const auto written = life->durable().counters().log_bytes;
  life.reset();
  std::size_t left = 0;
  for (const auto& name : folder.names())
    if (round_of_name(FileKind::log, name)) left += folder.content(name).size();
  EXPECT_LT(left, written / 2) << "files of the log go";
  EXPECT_EQ(opened(folder)->replica().digest(), digest);
}

/// F1. A log whose records are whole and whose rounds were made in another state.
TEST(Durable, a_round_that_was_made_in_another_state_is_not_applied) {
  BreakableFolder folder;
  ASSERT_TRUE(opened(folder)->commit(1, 0));
  std::string text;
  auto identity = read_base(folder, text);
  ASSERT_TRUE(identity.ok());
  CompletedRound last;
  auto read = read_log(folder, *identity, {}, {}, [&](const CompletedRound& round) {
    last = round;
    return Status();
  });
  ASSERT_TRUE(read.ok());
  {
    RoundLog log(folder, *identity, {}, read->end);
    last.round = last.round.next();
    ++last.batches[0].header.digest;
    ASSERT_TRUE(log.append(std::move(last)).ok());
    ASSERT_TRUE(log.close().ok());
  }
  const auto refused = DurableLife::open(folder);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), ErrorCode::inconsistent);
  EXPECT_NE(refused.status().text().find("round 2 of the log: the state before it is not the one"),
            std::string::npos)
      << refused.status().text();
}

TEST(Durable, outcomes_of_the_life_before_are_known) {
  for (const bool checkpointed : {false, true}) {
    BreakableFolder folder;
    auto life = opened(folder);
    const auto ok = life->commit(1, 0);
    Transaction first(life->core()), second(life->core());
    life->change(first, 2, 0);
    life->change(second, 3, 0);
    first.commit_later();
    second.commit_later();
    ASSERT_TRUE(first.wait_later());
    const auto conflict = second.wait_later();
    ASSERT_EQ(conflict.code, ErrorCode::conflict);
    const auto never = life->core()->route->new_id();
    if (checkpointed) {
      ASSERT_TRUE(life->durable().checkpoint().ok());
    }
    life.reset();
    life = opened(folder);
    EXPECT_EQ(life->outcome(ok.id), TransactionOutcome::committed);
    if (conflict.id.sequence != 0) {
      EXPECT_EQ(life->outcome(conflict.id), TransactionOutcome::aborted);
    }
    EXPECT_EQ(life->outcome(never), TransactionOutcome::aborted) << "it can come no more";
    EXPECT_EQ(life->outcome(life->core()->route->new_id()), TransactionOutcome::unknown);
  }
}

/// D4: the turn is waited for, and given back.
TEST(Durable, commits_of_threads_go_on_beside_checkpoints) {
  BreakableFolder folder;
  auto life = opened(folder);
  constexpr int threads = 4, each = 60;
  std::vector<std::thread> workers;
  for (int worker = 0; worker < threads; ++worker)
    workers.emplace_back([&life, worker] {
      for (int i = 0; i < each; ++i)
        EXPECT_TRUE(life->commit(1 + worker * each + i, -worker)) << worker << " " << i;
    });
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(life->durable().checkpoint().ok());
  for (auto& worker : workers) worker.join();
  const auto digest = life->replica().digest();
  const auto items = life->items(threads * each);
  EXPECT_EQ(items.at(-1), each);
  life.reset();
  life = opened(folder);
  EXPECT_EQ(life->replica().digest(), digest);
  EXPECT_EQ(life->items(threads * each), items);
}

}  // namespace
}  // namespace exdb
