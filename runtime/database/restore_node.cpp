// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_node.hpp"

#include "database/restore_copies.hpp"
#include "durability/disk_folder.hpp"

namespace exdb {
namespace {

constexpr std::size_t rounds_max = std::size_t{1} << 16;  ///< of RecentRounds

/// M1.
Status check_owner(Folder& folder, Marks wanted) {
  auto head = read_head(folder, FileKind::base, base_name);
  if (!head) return head.status();
  const auto& found = head->marks;
  if (found == wanted) return {};
  const auto path = folder.path_of("");
  if (found.autoid != wanted.autoid)
    return {
        ErrorCode::cluster_incompatible,
        "'" + path + "' was made by node " + std::to_string(found.autoid) + ", and this is node " +
            std::to_string(wanted.autoid) +
            ": a node opens its own folder, or an empty one and takes the state from the others"};
  return {
      ErrorCode::cluster_incompatible,
      "'" + path +
          "' is of another cluster: the cluster id, the number of nodes or their qranks are not "
          "those with which it was made; open it with those, or give another path"};
}

std::string told_of(const NodeRestoreRequest& request, const std::string& path,
                    const Recovery& recovery, std::size_t undecided, Csn csn,
                    std::chrono::steady_clock::duration took) {
  if (recovery.log.end.segments.empty() && recovery.from.round == Round{})
    return "database '" + request.name + "' has an empty folder here, '" + path + "'";
  return recovery.told(request.name, path, csn, took, undecided);
}

Result<std::optional<ViewMemory>> recall(const Folder& folder, const LogEnd& end,
                                         const NodeRestoreRequest& request) {
  if (end.memory.empty()) {
    if (end.chain.round == Round{}) return std::optional<ViewMemory>();
    return damaged(folder.path_of(""), 0, "there are rounds, and not what their node remembers");
  }
  auto memory = decode_view_memory(end.memory);
  if (!memory) return memory.status();
  if (auto status = check_view_memory(*memory, request.self, request.cluster_id); !status)
    return status;
  return std::optional(std::move(*memory));
}

}  // namespace

Status RecentRounds::begin() {
  rounds_.clear();
  bytes_ = 0;
  from_ = {};
  return to_.begin();
}

Status RecentRounds::complete(RoundHistory::Chain at) {
  from_ = at;
  return to_.complete(at);
}

Status RecentRounds::round(const CompletedRound& round) {
  if (auto status = to_.round(round); !status) return status;
  rounds_.push_back(round);
  bytes_ += payload_bytes(round);
  while (bytes_ > bytes_max_ || rounds_.size() > rounds_max) {
    const auto& oldest = rounds_.front();
    from_ = {oldest.round, chained(from_.hash, oldest)};
    bytes_ -= payload_bytes(oldest);
    rounds_.pop_front();
  }
  return {};
}

StableHistory::Begin RecentRounds::take(ReadLog& log) {
  return {log.final, std::move(log.held), std::move(rounds_), from_};
}

Result<RestoredNode> restore_node(const NodeRestoreRequest& request) {
  const auto begun = std::chrono::steady_clock::now();
  if (auto status = make_path(disk_folders(), request.disk.path); !status) return status;
  auto held = DiskFolder::hold(node_folder(request.disk.path, request.self.value));
  if (!held) return held.status();
  auto& folder = **held;
  const Marks owner{request.cluster_id, request.self.value};
  const DatabaseIdentity made{request.cluster_id, request.dictionary->hash(), disk_format_views};
  std::string text;
  auto identity = open_base(folder, made, request.dictionary->to_text(), text, owner);
  if (!identity) return identity.status();
  if (auto status = check_schema(folder, *identity, text, *request.dictionary); !status)
    return status;
  if (auto status = check_owner(folder, owner); !status) return status;
  ReplicaSink sink(request.dictionary, request.storage, true, NodeId{request.self.value}, true);
  RecentRounds recent(sink);
  auto recovery = recover(folder, *identity, recent);
  if (!recovery) return recovery.status();
  auto memory = recall(folder, recovery->log.end, request);
  if (!memory) return memory.status();

  RestoredNode restored;
  restored.memory = std::move(*memory);
  restored.begin = recent.take(recovery->log);
  auto& node = restored.recovered;
  node.replica = sink.take();
  restored.horizon = node.replica->horizon();
  node.identity = *identity;
  node.checkpoint = recovery->from.round;
  node.checkpoint_bytes = recovery->checkpoint_bytes;
  node.log_bytes = recovery->log.bytes;
  node.marks = recovery->log.end.marks;
  node.worth_telling = recovery->torn_down();
  node.told = told_of(request, folder.path_of(""), *recovery, restored.begin.held.size(),
                      node.replica->published(), std::chrono::steady_clock::now() - begun);
  RoundLog::Options options;
  options.fsync = request.disk.fsync;
  node.log = std::make_unique<RoundLog>(folder, *identity, options, std::move(recovery->log.end));
  node.folder = std::move(*held);
  return restored;
}

}  // namespace exdb
