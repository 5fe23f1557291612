// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "left_sessions.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "finalize_guard.hpp"
#include "session.hpp"

namespace exdb::mpi {
namespace {

using Sessions = std::vector<std::shared_ptr<Session>>;

/// Receives of left sessions stay posted, as a message that arrives has to go somewhere: MPI must
/// have them back before it ends.
class List final : public EndsWithMpi {
 public:
  static List& one() {
    static auto* list = new List;  // never destroyed: MPI may outlive our statics
    return *list;
  }

  void add(Sessions sessions) {
    const std::lock_guard guard(lock_);
    if (!watched_) watch(this);
    watched_ = true;
    for (auto& session : sessions) sessions_.push_back(std::move(session));
  }
  /// Takes all of `size` ranks out: whoever has them decides about them alone.
  Sessions claim(std::uint32_t size) {
    const std::lock_guard guard(lock_);
    const auto others = std::partition(sessions_.begin(), sessions_.end(),
                                       [&](const auto& one) { return one->opened.size != size; });
    Sessions claimed(std::make_move_iterator(others), std::make_move_iterator(sessions_.end()));
    sessions_.erase(others, sessions_.end());
    return claimed;
  }
  std::size_t size() {
    const std::lock_guard guard(lock_);
    return sessions_.size();
  }
  void mpi_ends() override {
    const std::lock_guard guard(lock_);
    for (const auto& session : sessions_) session->cancel();  // the list itself keeps the memory
  }

 private:
  std::mutex lock_;
  Sessions sessions_;
  bool watched_ = false;
};

std::vector<std::uint64_t> numbers_in(const std::vector<std::byte>& block) {
  std::vector<std::uint64_t> numbers(block.size() / sizeof(std::uint64_t));
  if (!numbers.empty()) std::memcpy(numbers.data(), block.data(), block.size());
  return numbers;
}

/// Everybody's numbers. COLLECTIVE.
Result<std::vector<std::vector<std::uint64_t>>> collective_gather_numbers(
    MPI_Comm communicator, const std::vector<std::uint64_t>& mine, const Deadline& deadline) {
  auto blocks = collective_gather_blocks(communicator, std::as_bytes(std::span(mine)), deadline);
  if (!blocks) return blocks.status();
  std::vector<std::vector<std::uint64_t>> all;
  for (const auto& block : *blocks) all.push_back(numbers_in(block));
  return all;
}

/// What all have, in an order that is the same for all.
std::vector<std::uint64_t> common_to(const std::vector<std::vector<std::uint64_t>>& all) {
  std::vector<std::uint64_t> common;
  for (const std::uint64_t id : all[0]) {
    const bool everywhere = std::all_of(all.begin(), all.end(), [id](const auto& ids) {
      return std::find(ids.begin(), ids.end(), id) != ids.end();
    });
    if (everywhere) common.push_back(id);
  }
  std::sort(common.begin(), common.end());
  return common;
}

}  // namespace

void leave_behind(std::shared_ptr<Session> session) {
  Sessions one;
  one.push_back(std::move(session));
  List::one().add(std::move(one));
}

std::size_t left_sessions() { return List::one().size(); }

Status collective_free_left(MPI_Comm communicator, const Deadline& deadline) {
  int size = 0;
  MPI_Comm_size(communicator, &size);
  auto claimed = List::one().claim(static_cast<std::uint32_t>(size));
  std::vector<std::uint64_t> mine;
  for (const auto& session : claimed) mine.push_back(session->opened.id);
  auto all = collective_gather_numbers(communicator, mine, deadline);
  if (!all) {
    List::one().add(std::move(claimed));
    return all.status();
  }
  const auto common = common_to(*all);
  const auto kept = std::stable_partition(claimed.begin(), claimed.end(), [&](const auto& one) {
    return std::binary_search(common.begin(), common.end(), one->opened.id);
  });
  List::one().add({kept, claimed.end()});
  claimed.erase(kept, claimed.end());
  if (claimed.empty()) return {};
  std::sort(claimed.begin(), claimed.end(),
            [](const auto& left, const auto& right) { return left->opened.id < right->opened.id; });
  std::vector<std::uint64_t> drained;
  for (const auto& session : claimed) {
    if (session->collective_drain(tag_end_left, deadline)) drained.push_back(session->opened.id);
  }
  // Also the barrier that freeing needs: nobody frees before all have received everything.
  auto everywhere = collective_gather_numbers(communicator, drained, deadline);
  const auto quiet = everywhere ? common_to(*everywhere) : std::vector<std::uint64_t>{};
  for (const auto& session : claimed) {
    const bool clean = session->cancel();
    if (clean && std::binary_search(quiet.begin(), quiet.end(), session->opened.id)) {
      session->free();
    } else {
      keep_for_ever(session);
    }
  }
  return everywhere.status();
}

}  // namespace exdb::mpi
