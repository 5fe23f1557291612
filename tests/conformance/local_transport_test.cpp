// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The in-process transport under the suite: point to point and collective, with and without delays,
// and alone.
#include "cluster/local_transport.hpp"

#include <barrier>
#include <optional>

#include "transport_suite.hpp"

namespace exdb::conformance {
namespace {

template <std::uint32_t Nodes, bool Collective, int DelayUs>
class LocalFabric : public Fabric {
 public:
  std::uint32_t nodes() const override { return Nodes; }
  std::vector<std::unique_ptr<Transport>> make() override {
    network_.emplace(LocalNetwork::Options{.nodes = Nodes,
                                           .collective = Collective,
                                           .seed = 3,
                                           .delay_max = std::chrono::microseconds(DelayUs),
                                           .send_bound_bytes = std::size_t{4} << 20});
    std::vector<std::unique_ptr<Transport>> transports;
    for (std::uint32_t node = 0; node < Nodes; ++node)
      transports.push_back(network_->endpoint(node));
    return transports;
  }
  void barrier() override { barrier_.arrive_and_wait(); }
  bool can_restart() const override { return !Collective && Nodes > 1; }
  void crash(std::uint32_t node) override { network_->crash(node); }
  std::unique_ptr<Transport> restart(std::uint32_t node) override {
    return network_->restart(node);
  }

 private:
  std::optional<LocalNetwork> network_;
  std::barrier<> barrier_{Nodes};
};

using Fabrics =
    testing::Types<LocalFabric<1, false, 0>, LocalFabric<3, false, 0>, LocalFabric<3, true, 0>,
                   LocalFabric<4, false, 200>, LocalFabric<4, true, 200>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Local, TransportSuite, Fabrics);

}  // namespace
}  // namespace exdb::conformance
