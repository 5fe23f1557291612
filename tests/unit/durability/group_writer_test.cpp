// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// G4: what is wanted is written, whoever writes when it comes and however fast the device is by then.
#include "database/group_writer.hpp"

#include <gtest/gtest.h>

#include "gated_folder.hpp"

namespace exdb {
namespace {

struct WriterOfGroups : testing::Test {
  using Writer = GroupWriter<std::uint64_t>;

  GatedFolder folder;
  Writer writer{std::make_unique<RoundLog>(folder, DatabaseIdentity{7, 8},
                                           RoundLog::Options{1 << 16, true}, LogEnd{}),
                [](RoundLog& log, const std::vector<std::uint64_t>& group) {
                  for (const auto number : group) {
                    CompletedRound round;
                    round.round = Round{number};
                    round.batches.resize(1);
                    round.batches[0].payload.resize(10);
                    if (auto status = log.append(std::move(round)); !status) return status;
                    log.release(Round{number});
                  }
                  return Status();
                },
                true, std::chrono::hours(1)};

  /// As who drives, which does not come back.
  void commit() {
    ASSERT_TRUE(writer.add(writer.added() + 1, 10, true).ok());
    ASSERT_TRUE(writer.write_at_once());
  }
  void wait_until_written(Writer::Ticket ticket) {
    std::mutex mutex;
    std::condition_variable changed;
    writer.on_change([&] {
      const std::lock_guard lock(mutex);
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return writer.written() >= ticket; });
    lock.unlock();
    writer.on_change({});
  }
};

/// Until the first sync nobody knows that the device is fast.
TEST_F(WriterOfGroups, writes_what_came_while_a_device_was_found_to_be_fast) {
  folder.gate.set(false);
  commit();
  folder.gate.wait_for_somebody();
  commit();
  folder.gate.set(true);
  wait_until_written(2);
}

TEST_F(WriterOfGroups, writes_what_came_while_somebody_had_a_turn) {
  commit();
  wait_until_written(1);
  ASSERT_TRUE(writer
                  .in_turn([this](RoundLog&) {
                    commit();
                    return Status();
                  })
                  .ok());
  wait_until_written(2);
}

}  // namespace
}  // namespace exdb
