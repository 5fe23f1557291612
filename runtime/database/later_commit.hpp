// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A commit that is on its way while its connection goes on: from commit_later() to wait().
//
// Invariants
//   I1  A serializable transaction holds the agreed horizon back until it is answered or given up,
//       whatever its connection does meanwhile.
// Threads: used by one thread at a time.
#pragma once
#include <memory>
#include <optional>
#include <utility>

#include "database/commit_route.hpp"
#include "exdb/transaction.hpp"

namespace exdb {

/// How a transaction left its connection: under way as `item`, or ended here with `result`.
struct HandedOver {
  std::shared_ptr<PendingItem> item;
  TxnId id;
  CommitResult result;
};

/// A place in the register of open serializable transactions, given back at its end.
class OpenPlace {
 public:
  explicit OpenPlace(CommitRoute& route) : route_(&route), place_(route.register_open()) {}
  OpenPlace(OpenPlace&& other) noexcept
      : route_(std::exchange(other.route_, nullptr)), place_(other.place_) {}
  OpenPlace& operator=(OpenPlace&&) = delete;
  ~OpenPlace() {
    if (route_) route_->release_open(place_);
  }

 private:
  CommitRoute* route_;
  Replica::Registered place_;
};

struct LaterCommit {
  HandedOver handed;
  std::optional<OpenPlace> open;  ///< I1
};

}  // namespace exdb
