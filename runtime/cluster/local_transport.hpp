// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// All nodes of a cluster in one process: the transport of the tests, and of programs that want to
// see a cluster without a launcher. Frames are handed over by reference. Delays, a lost node, one
// that comes back and collective broadcasts can be asked for.
//
// Invariants
//   I1  As transport.hpp. With delays links keep their own order and lose it among each other.
//   I2  In collective mode the k-th broadcasts of all nodes that are not removed arrive together,
//       when the last is made.
//   I3  News of a node (gone, up) take their place among its frames: what it sent before it crashed
//       arrives before on_gone, what its next incarnation sends after on_up.
// Threads: an endpoint as transport.hpp says; the network from any thread.
// Failure: poll() of a crashed or closed endpoint says so. A muted node loses all its frames,
//   unnoticed by anybody.
#pragma once
#include "exdb/send_bound.hpp"

namespace exdb {

class LocalNetwork {
 public:
  struct Options {
    std::uint32_t nodes = 1;
    bool collective = false;
    bool gather = true;      ///< endpoints have a collective gather
    std::uint64_t seed = 0;  ///< of the delays
    std::chrono::microseconds delay_max{0};
    std::size_t buffer_bytes = 64 * 1024;  ///< longer frames are counted as long; nothing else
    std::size_t send_bound_bytes = send_bound_bytes_default;
  };

  explicit LocalNetwork(const Options& options);
  ~LocalNetwork();

  /// The transport of one node; to be taken once. May outlive the network.
  std::unique_ptr<Transport> endpoint(std::uint32_t node);

  /// Nothing that `node` sends arrives from now on, and nothing arrives there: a process that was
  /// stopped or whose cable is pulled.
  void mute(std::uint32_t node);
  /// It is heard again, and hears; what was sent meanwhile is lost. REQUIRES: it was muted.
  void unmute(std::uint32_t node);
  /// As mute; besides its own poll() fails, and the others are told that it is gone.
  void crash(std::uint32_t node);
  /// A crashed node's next incarnation: it has forgotten everything, has no collective gather, and
  /// is told who else is gone. REQUIRES: node was crashed; broadcasts are not collective.
  std::unique_ptr<Transport> restart(std::uint32_t node);

 private:
  struct Hub;
  class Endpoint;
  std::shared_ptr<Hub> hub_;
};

}  // namespace exdb
