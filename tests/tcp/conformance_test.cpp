// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The TCP transport under the suite: all nodes in this process, over 127.0.0.1.
#include <barrier>

#include "tls_nodes.hpp"
#include "transport_suite.hpp"

namespace exdb::conformance {
namespace {

enum class Security { none, secret, tls };

template <std::uint32_t Count, Security Kind>
class TcpFabric : public Fabric {
 public:
  TcpFabric() : nodes_(Count) {
    nodes_.params.send_bound_bytes = std::uint64_t{4} << 20;
    nodes_.params.keep_alive_time_ms = 1000;
    // Checking some megabytes takes seconds under a sanitizer, and meanwhile nobody polls.
    nodes_.params.keep_alive_probes = Kind == Security::tls ? 15 : 5;
    if (Kind == Security::tls) nodes_.inside.channels = tcp::tls_channels(Count);
    if (Kind == Security::secret) nodes_.inside.secret.assign(32, std::byte{7});
  }
  std::uint32_t nodes() const override { return Count; }
  std::vector<std::unique_ptr<Transport>> make() override {
    std::vector<tcp::Polled> polled(Count);
    std::vector<tcp::Polled*> all;
    for (std::uint32_t node = 0; node < Count; ++node) {
      polled[node].transport = nodes_.make(node);
      all.push_back(&polled[node]);
    }
    tcp::poll_all(all, [&] {
      return std::all_of(all.begin(), all.end(), [](tcp::Polled* one) { return one->all_up(); });
    });
    std::vector<std::unique_ptr<Transport>> transports;
    for (auto& one : polled) {
      made_.push_back(one.transport.get());
      transports.push_back(std::move(one.transport));
    }
    return transports;
  }
  void barrier() override { barrier_.arrive_and_wait(); }
  bool can_restart() const override { return Count > 1; }
  void crash(std::uint32_t node) override { made_[node]->abandon(); }
  std::unique_ptr<Transport> restart(std::uint32_t node) override {
    tcp::Polled again{nodes_.make(node), {}, {}};
    tcp::poll_all({&again}, [&] { return again.all_up(); });
    return std::move(again.transport);
  }

 private:
  tcp::Nodes nodes_;
  std::vector<tcp::TcpTransport*> made_;
  std::barrier<> barrier_{Count};
};

using Fabrics = testing::Types<TcpFabric<1, Security::none>, TcpFabric<2, Security::none>,
                               TcpFabric<3, Security::none>, TcpFabric<4, Security::secret>,
                               TcpFabric<3, Security::tls>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Tcp, TransportSuite, Fabrics);

}  // namespace
}  // namespace exdb::conformance
