// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Opening a node: what every node tells the others before the first frame, and the judgement that
// all of them reach alike.
#pragma once
#include <memory>

#include "cluster/node.hpp"
#include "database/autoids.hpp"

namespace exdb {

/// What a node tells of itself. Whatever must agree is in here, and so is a failure it has found:
/// the gather is what lets all nodes fail together where one alone would leave the others waiting.
struct Hello {
  static constexpr std::uint32_t version_now = 5;
  /// Every node gets it of every node.
  static constexpr std::size_t outline_bytes_max = 16 * 1024;
  std::uint32_t version = version_now;
  ErrorCode failure = ErrorCode::ok;
  std::string failure_text;
  std::uint32_t node_id = 0;
  std::uint64_t dictionary = 0;
  std::string dictionary_outline;  ///< shown when the hashes differ
  std::uint64_t random = 0;
  std::vector<std::uint32_t> qranks;
  bool disk = false;         ///< DatabaseOptions::disk
  std::uint32_t copies = 0;  ///< DiskOptions::copies
  bool shared = false;       ///< DatabaseOptions::shared

  [[nodiscard]] std::vector<std::byte> encode() const;
  static Result<Hello> decode(Bytes bytes);
};

/// ok, or the first thing that is wrong: the same Status for the same hellos, so the same on every
/// node.
Status judge(const std::vector<Hello>& hellos);

// --- parts of opening, the same for a node of its own and for hosts ---

inline Status invalid_parameter(std::string text) {
  return {ErrorCode::cluster_invalid_parameter, std::move(text)};
}
/// What this node alone can see to be wrong.
/// `replicas`: of nodes, or of hosts where these share one.
Status check_copies(const DatabaseOptions& options, std::uint32_t replicas);
Status check_params(const ClusterParams& params, std::uint32_t nodes);
Hello greeting(const DatabaseCore& core, const ClusterParams& params, std::uint32_t self,
               const Status& failure);
/// What all of them say, or the first that cannot be read. The same bytes on every node, so the same
/// answer.
Status read_all(const std::vector<std::vector<std::byte>>& greetings);
void fill_core(DatabaseCore& core, const ClusterParams& params, std::uint32_t self,
               std::uint32_t nodes);
/// Takes the callbacks out of `params`.
Node::Options options_of(const DatabaseCore& core, ClusterParams& params, std::uint64_t cluster_id);

/// With DatabaseOptions::disk, and only then: what all nodes have on disk becomes core.replica and
/// core.durable of those that write (one a node), and core.restored of all. COLLECTIVE. The same Status
/// on every node.
Status restore(DatabaseCore& core, CollectiveGather& gather, std::uint32_t self,
               std::vector<bool> replicas, std::uint64_t epoch_name);
/// Before the node is made: its history, if it is on disk.
/// `members`: the node of each.
void add_history(DatabaseCore& core, Node::Options& options,
                 const std::vector<std::uint32_t>& members);
/// When the route is made: numbers that no former life of the node has given; and checkpoints.
void begin_life(DatabaseCore& core);
/// When the node drives: rows of classes that are declared transient go. COLLECTIVE in effect: ends
/// when they are gone here.
void empty_transient(DatabaseCore& core, const std::function<void()>& delete_them);

/// As DatabaseOptions::disk says.
Durable::Options durable_options(const DatabaseCore& core);
/// open_cluster() where nodes come and go. `failure`: of this node, if not ok.
void open_by_views(DatabaseCore& core, ClusterParams params, std::unique_ptr<Transport> transport,
                   Status failure);

/// Fills core.node. COLLECTIVE. Throws Error, the same on every node; the transport is closed then.
void open_cluster(DatabaseCore& core, ClusterParams params, Status local_failure);

}  // namespace exdb
