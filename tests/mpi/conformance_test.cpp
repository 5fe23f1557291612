// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The MPI transport under the suite that every transport passes.
#include "mpi_fixture.hpp"
#include "transport_suite.hpp"

namespace exdb::conformance {
namespace {

template <mpi::Exchange exchange, std::uint64_t buffer_bytes, bool resilient = false>
class MpiFabric : public Fabric {
 public:
  std::uint32_t nodes() const override {
    return static_cast<std::uint32_t>(exdb::mpi_testing::world_size());
  }
  std::vector<std::unique_ptr<Transport>> make() override {
    mpi::Options options;
    options.exchange = exchange;
    options.resilient = resilient;
    options.send_buffer_bytes = options.receive_buffer_bytes = buffer_bytes;
    std::vector<std::unique_ptr<Transport>> transports;
    transports.push_back(exdb::mpi_testing::open(options));
    return transports;
  }
  void barrier() override { MPI_Barrier(MPI_COMM_WORLD); }
};

using Fabrics =
    ::testing::Types<MpiFabric<mpi::Exchange::p2p, 0>, MpiFabric<mpi::Exchange::collective, 0>,
                     MpiFabric<mpi::Exchange::p2p, 100>, MpiFabric<mpi::Exchange::collective, 100>,
                     MpiFabric<mpi::Exchange::automatic, 100, true>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Mpi, TransportSuite, Fabrics);

}  // namespace
}  // namespace exdb::conformance
