// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The sockets that this node listens on, and the rule for those who come: so many may be there
// without having said who they are, and the oldest goes when one more comes. So ten thousand held
// connections cost what strangers_max cost, and a member, who says who he is at once, gets in.
//
// Invariants
//   I1  At most strangers_max ids are here.
// Threads: one at a time.
// Failure: opening: a Status that names the address and the remedy.
#pragma once
#include <deque>
#include <optional>

#include "poller.hpp"
#include "socket.hpp"

namespace exdb::tcp {

class Lobby {
 public:
  static constexpr std::size_t strangers_max = 256;
  static constexpr std::size_t accepts_at_once = 64;
  /// Listeners have the ids 1 … listeners_max with the poller.
  static constexpr std::uint64_t listeners_max = 64;

  /// Listens on all of them that this machine has; fails when it has none.
  Status open(const std::vector<SocketAddress>& addresses, const SocketOptions& options);
  Status adopt(int descriptor, const SocketOptions& options);
  Status watch(Poller& poller);
  void close(Poller* poller);

  /// From the listener with this id of the poller.
  Accepted accept(std::uint64_t listener_id) {
    return accept_one(listeners_[listener_id - 1], options_);
  }
  /// False: what comes has to wait in the system's queue.
  void listen(Poller& poller, bool on);
  [[nodiscard]] bool listening() const { return listening_; }

  /// A stranger came; who has to go for it, if anybody.
  std::optional<std::uint64_t> enter(std::uint64_t connection);
  std::optional<std::uint64_t> oldest() const;
  void leave(std::uint64_t connection);
  [[nodiscard]] const std::deque<std::uint64_t>& strangers() const { return strangers_; }

  [[nodiscard]] const std::vector<SocketAddress>& addresses() const { return addresses_; }

 private:
  SocketOptions options_;
  std::vector<Descriptor> listeners_;
  std::vector<SocketAddress> addresses_;
  std::deque<std::uint64_t> strangers_;  ///< in the order in which they came
  bool listening_ = true;
};

}  // namespace exdb::tcp
