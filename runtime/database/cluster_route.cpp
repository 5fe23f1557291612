// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/cluster_route.hpp"

namespace exdb {

ItemOutcome ClusterRoute::commit_local(Outgoing& out) {
  take_local_turn();
  return replica_.local()->commit(out.local, out.shared, node_.drive_lock());
}

/// A node that has failed says so itself.
Status ClusterRoute::refusal() const {
  if (stopping_ == nullptr || !stopping_->load() || !node_.failure().ok()) return {};
  return {ErrorCode::cluster_stopped,
          "stop() was called on this node, so nothing can be committed here any more"};
}

}  // namespace exdb
