// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// May this node write? The qrank of the nodes it can reach, itself included, must exceed half of
// the configured total; exactly half stops writing. Where the rule says no, the program's callback
// may say yes, on its responsibility.
//
// Invariants
//   I1  The callback is asked once for each change of the reachable nodes, and its answer is kept
//       until the next.
// Threads: all functions from any thread. The callback is called without any lock of the node; a
//   check() that comes while another thread asks waits for the answer; a check() from within the
//   callback is refused.
#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/types.hpp"
#include "exdb/cluster.hpp"

namespace exdb {

class Quorum {
 public:
  using Callback = std::function<bool(const std::vector<std::uint32_t>&)>;

  Quorum(MemberId self, std::vector<std::uint32_t> qranks, Callback callback);

  void lost(MemberId node);
  /// ok, or cluster_no_quorum with who is missing. May call the callback.
  Status check();
  /// Whether check() would say ok without calling or waiting for the callback.
  [[nodiscard]] bool known_to_allow();

 private:
  [[nodiscard]] bool majority() const;
  [[nodiscard]] std::string explain() const;
  bool ask();

  const MemberId self_;
  const std::vector<std::uint32_t> qranks_;
  const Callback callback_;
  mutable std::mutex mutex_;  ///< of reachable_ and version_; never held while the callback runs
  std::vector<bool> reachable_;
  std::uint64_t version_ = 0;
  std::atomic<bool> majority_;
  std::mutex asking_;  ///< of answer_: held while the callback runs
  std::atomic<std::thread::id> asker_{};
  std::optional<std::pair<std::uint64_t, bool>> answer_;  ///< version, what the callback said
};

}  // namespace exdb
