// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A crash, or a failure, at every single step of the lives of a database on disk, with its replica,
// its route and its recovery: commits alone and in a window, some refused, files that are full,
// checkpoints, a life that is killed and one that is closed. After each the database is opened as a
// restart would open it.
#include <gtest/gtest.h>

#include <set>

#include "database/checkpoints.hpp"
#include "durable_fixture.hpp"
#include "every_crash.hpp"

namespace exdb {
namespace {

using Survives = BreakableFolder::Survives;

/// What a program was told.
struct Told {
  enum class End { ok, refused, unknown };
  struct Commit {
    End end;
    int counter;
    TxnId name;
    int era;
  };
  std::map<int, Commit> commits;  ///< by the item each creates
  int era = 0;
  Status ended;  ///< the first failure, not a conflict
};

class Program {
 public:
  Program(Folder& folder, BreakableFolder& breaks, bool fsync)
      : folder_(folder), breaks_(breaks), fsync_(fsync) {}

  Told run() {
    for (told_.era = 0; told_.era < eras && told_.ended.ok(); ++told_.era) {
      auto life = DurableLife::open(folder_, DurableLife::small_files(fsync_));
      if (!life) {
        told_.ended = life.status();
        break;
      }
      live(**life);
      if (told_.era == 1) breaks_.killed = true;  // nothing that close() writes arrives
      life->reset();
      if (told_.era == 1) breaks_.killed = false;
    }
    told_.era = std::min(told_.era, eras - 1);
    return std::move(told_);
  }

 private:
  static constexpr int eras = 3;

  void live(DurableLife& life) {
    for (int step = 0; step < 5 && told_.ended.ok(); ++step) {
      if (step % 2 == 1) {
        window(life);
      } else {
        const int id = next_++;
        note(id, 0, life.commit(id, 0));
      }
      if (step == 2) {
        // One without room says nothing of the device, and commits go on.
        const auto status = life.durable().checkpoint();
        if (!status.ok() && status.code() != ErrorCode::disk_full) told_.ended = status;
        const int id = next_++;
        note(id, -1, life.commit(id, -1));
        if (told_.commits.at(id).end == Told::End::ok && !told_.ended.ok())
          ADD_FAILURE() << "a commit after: " << told_.ended.text();
      }
    }
  }

  /// Four at once, in one round as a rule: the last meets the first.
  void window(DurableLife& life) {
    std::vector<std::unique_ptr<Transaction>> window;
    const int first = next_;
    for (const int counter : {0, -1, -2, 0}) {
      window.push_back(std::make_unique<Transaction>(life.core()));
      life.change(*window.back(), next_++, counter);
    }
    for (auto& each : window) each->commit_later();
    for (int i = 0; i < 4; ++i)
      note(first + i, i == 3 ? 0 : -i, window[std::size_t(i)]->wait_later());
    const auto& rival = told_.commits.at(first + 3);
    if (told_.commits.at(first).end == Told::End::ok) {
      EXPECT_NE(rival.end, Told::End::ok);
    }
  }

  void note(int id, int counter, const CommitResult& result) {
    auto end = Told::End::refused;
    if (result.committed()) end = Told::End::ok;
    if (result.code == ErrorCode::unknown_outcome) end = Told::End::unknown;
    told_.commits[id] = {end, counter, result.id, told_.era};
    const bool failed = !result.committed() && result.code != ErrorCode::conflict;
    if (failed && told_.ended.ok()) told_.ended = {result.code, result.text};
  }

  Folder& folder_;
  BreakableFolder& breaks_;
  const bool fsync_;
  Told told_;
  int next_ = 1;
};

Told run(BreakableFolder& folder, bool fsync = true) {
  return Program(folder, folder, fsync).run();
}

/// Empty when what is found is what the program was told. `lossy`: of the newest any may be missing.
std::string wrong(Folder& folder, const Told& told, bool lossy = false) {
  auto life = DurableLife::open(folder);
  if (!life) return life.status().text();
  const int most = told.commits.empty() ? 0 : told.commits.rbegin()->first;
  auto found = (*life)->items(most);
  std::map<int, int> counts;
  for (const auto& [id, commit] : told.commits) {
    const auto text = "the commit of item " + std::to_string(id);
    const bool there = found.count(id) != 0;
    if (!lossy && commit.end == Told::End::ok && !there)
      return text + " was acknowledged and is lost";
    if (commit.end == Told::End::refused && there) return text + " was refused and is there";
    if (there) ++counts[commit.counter];
    // The outcomes of the life before are known.
    if (commit.era != told.era || commit.name.sequence == 0 || told.ended.code() == ErrorCode::ok)
      continue;
    const auto wanted = there ? TransactionOutcome::committed : TransactionOutcome::aborted;
    if ((*life)->outcome(commit.name) != wanted)
      return text + (there ? " is there" : " is not there") + ", and its outcome is another";
  }
  for (const int counter : {0, -1, -2})
    if (counts[counter] != (found.count(counter) != 0 ? found[counter] : 0))
      return "half of a commit is there: counter " + std::to_string(counter);
  // It goes on, and that is found too.
  if (const auto more = (*life)->commit(most + 1, -3); !more) return "one more: " + more.text;
  const auto digest = (*life)->replica().digest();
  if (auto status = (*life)->durable().checkpoint(); !status) return status.text();
  life->reset();
  auto again = DurableLife::open(folder);
  if (!again) return "a second time: " + again.status().text();
  if ((*again)->replica().digest() != digest) return "what came after the restart is lost";
  return {};
}

std::uint64_t steps_of_all(bool fsync = true) {
  BreakableFolder folder;
  const auto told = run(folder, fsync);
  EXPECT_TRUE(told.ended.ok()) << told.ended.text();
  EXPECT_EQ(told.commits.size(), 36U);
  EXPECT_EQ(wrong(folder, told), "");
  return folder.steps;
}

std::size_t crash_everywhere(bool syncs_do_nothing, bool tell) {
  const auto steps = steps_of_all();
  EXPECT_GT(steps, 100U);
  return crash_at_every_step(
      steps, 4, syncs_do_nothing, tell, [](BreakableFolder& folder) { return run(folder); },
      [](Folder& folder, const auto& told) { return wrong(folder, told); });
}

TEST(DurableCrash, at_every_step_loses_nothing_that_was_acknowledged_and_brings_back_no_refused) {
  EXPECT_EQ(crash_everywhere(false, true), 0U);
}

/// The test above can fail.
TEST(DurableCrash, without_fsync_it_is_found_out) { EXPECT_GT(crash_everywhere(true, false), 30U); }

TEST(DurableCrash, where_commits_do_not_wait_the_process_loses_none_and_the_machine_halves_none) {
  const auto steps = steps_of_all(false);
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.crash_at = at;
    const auto told = run(folder, false);
    const auto after = folder.after_crash(Survives::some, unsigned(at));
    EXPECT_EQ(wrong(*after, told, true), "") << "step " << at;
    folder.restart();
    EXPECT_EQ(wrong(folder, told), "") << "step " << at;
  }
}

// --- names of snapshots ---

/// What a program was told of names: how many rows each shows, and of which it does not know.
struct Names {
  std::map<std::string, std::size_t> there;
  std::set<std::string> in_doubt;
  int next_item = 1;
  Status ended;
};

std::size_t rows_of(const Snapshots& shown) {
  const auto& item = *DurableLife::schema()->find_class("Item");
  std::size_t rows = 0;
  for (auto slot = shown.replicated.scan(item.id, SlotId{0}); slot != SlotId::none();
       slot = shown.replicated.scan(item.id, SlotId{slot.value + 1}))
    ++rows;
  return rows;
}

/// False when nothing more can be done.
bool give_or_drop(DurableLife& life, Names& names, const std::string& name, bool drops) {
  const auto rows = rows_of(*life.replica().pin().value());
  try {
    commit_name(*life.core(), name, drops);
    if (drops)
      names.there.erase(name);
    else
      names.there[name] = rows;
  } catch (const Error& error) {
    names.ended = {error.code(), error.what()};
    if (error.code() == ErrorCode::unknown_outcome) names.in_doubt.insert(name);
  }
  return names.ended.ok();
}

/// Names are given, dropped and given again, in the log, in files, and beside a checkpoint.
Names live_with_names(BreakableFolder& folder) {
  Names names;
  for (int era = 0; era < 2; ++era) {
    auto life = DurableLife::open(folder);
    if (!life) return names.ended = life.status(), names;
    const auto commit = [&] { return (*life)->commit(names.next_item++, 0).committed(); };
    const auto name = [&](const char* of) { return give_or_drop(**life, names, of, false); };
    const auto drop = [&](const char* of) { return give_or_drop(**life, names, of, true); };
    const auto checkpoint = [&] { return (*life)->durable().checkpoint().ok(); };
    const bool done = era == 0 ? commit() && name("a") && commit() && name("b") && checkpoint() &&
                                     drop("a") && commit() && name("c")
                               : drop("b") && commit() && name("b") && checkpoint() && drop("c") &&
                                     name("d") && commit() && checkpoint();
    if (era == 0) folder.killed = true;
    life->reset();
    folder.killed = false;
    if (!done) break;
  }
  return names;
}

std::string wrong_names(Folder& folder, const Names& told) {
  auto known = told;
  for (const bool again : {false, true}) {
    auto life = DurableLife::open(folder);
    if (!life) return life.status().text();
    std::map<std::string, std::size_t> found;
    for (const auto& entry : (*life)->replica().names().all()) {
      if (entry.pinned) {
        found[entry.name] = rows_of(*entry.pinned);
      } else {
        auto read = (*life)->durable().read_named(entry, (*life)->core()->storage);
        if (!read) return "'" + entry.name + "' cannot be read: " + read.status().text();
        found[entry.name] = rows_of(*(*read)->pin().value());
      }
    }
    for (const auto& name : known.in_doubt) {
      known.there.erase(name);
      if (found.count(name) != 0) known.there[name] = found[name];
    }
    known.in_doubt.clear();
    if (found != known.there) {
      std::string text = again ? "after a checkpoint: names" : "names";
      for (const auto& [name, rows] : found) text += " " + name + "=" + std::to_string(rows);
      text += " and not";
      for (const auto& [name, rows] : known.there) text += " " + name + "=" + std::to_string(rows);
      return text;
    }
    if (again) break;
    // All in files, and nothing else.
    if (!(*life)->commit(known.next_item, -3)) return "one more commit failed";
    if (auto status = (*life)->durable().checkpoint(); !status) return status.text();
    std::size_t files = 0;
    auto names = folder.list();
    for (const auto& name : *names) files += name_of_snapshot_file(name) ? 1 : 0;
    if (files != known.there.size()) return std::to_string(files) + " files of names";
  }
  return {};
}

/// N1 of named_files.hpp.
TEST(DurableCrash, at_every_step_leaves_the_names_that_were_given_and_no_file_of_another) {
  BreakableFolder whole;
  const auto told = live_with_names(whole);
  ASSERT_TRUE(told.ended.ok()) << told.ended.text();
  ASSERT_EQ(told.there.size(), 2U);
  EXPECT_EQ(wrong_names(whole, told), "");
  EXPECT_EQ(crash_at_every_step(whole.steps, 3, false, true, live_with_names, wrong_names), 0U);
}

class DurableFailing : public ::testing::TestWithParam<ErrorCode> {};

/// By the process that is started again on the same machine, and on a machine that was.
TEST_P(DurableFailing, step_by_step_is_told_and_the_database_opens_again) {
  const auto steps = steps_of_all();
  std::size_t failures = 0;
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.fail_at = at;
    folder.fail_code = GetParam();
    const auto told = run(folder);
    failures += told.ended.ok() ? 0 : 1;
    if (!told.ended.ok()) {
      EXPECT_NE(told.ended.text().find("made to fail"), std::string::npos) << told.ended.text();
    }
    const auto rebooted = folder.after_crash(Survives::some, unsigned(at));
    EXPECT_EQ(wrong(*rebooted, told), "") << "step " << at;
    folder.restart();
    EXPECT_EQ(wrong(folder, told), "") << "step " << at;
  }
  EXPECT_GT(failures, steps / 3) << "a checkpoint without room ends nothing";
}

INSTANTIATE_TEST_SUITE_P(Each, DurableFailing,
                         ::testing::Values(ErrorCode::disk, ErrorCode::disk_full),
                         [](const auto& code) {
                           return code.param == ErrorCode::disk ? "EIO" : "ENOSPC";
                         });

}  // namespace
}  // namespace exdb
