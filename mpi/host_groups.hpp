// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The ranks of a communicator by hosts, and the transport among their leaders. Between opening and
// take_transport() it is three communicators over all ranks, as a Transport is; after it the leaders
// have three over themselves, and nobody anything else.
//
// Invariants
//   I1  What blocks inside MPI (making the leaders' communicator) is entered after all ranks were
//       seen to be there.
//   I2  A failure of any leader is told to all ranks before anything is given out.
// Threads: as HostGroups. COLLECTIVE but for the destructor.
// Failure: the same Status everywhere, and no communicator is left, unless the deadline has passed
//   or MPI itself failed: then what was made is not freed.
#pragma once
#include "exdb/collective_gather.hpp"
#include "exdb/host_groups.hpp"
#include "opening.hpp"

namespace exdb::mpi {

struct Grouping {
  std::vector<std::uint32_t> hosts;    ///< by node
  std::vector<std::uint32_t> leaders;  ///< by host
};

/// The same on all ranks, as the cards are.
Grouping group_by_host(const std::vector<NodeCard>& cards);

class MpiHostGroups final : public HostGroups, private CollectiveGather {
 public:
  MpiHostGroups(Opened opened, const Options& options);

  [[nodiscard]] std::uint32_t self() const override { return opened_.rank; }
  [[nodiscard]] const std::vector<std::uint32_t>& hosts() const override { return grouping_.hosts; }
  [[nodiscard]] const std::vector<std::uint32_t>& leaders() const override {
    return grouping_.leaders;
  }
  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] CollectiveGather& gather() override { return *this; }
  Result<std::unique_ptr<Transport>> take_transport() override;
  void close() override;

 private:
  Opened opened_;
  const Options options_;
  const Grouping grouping_;
  bool over_ = false;  ///< taken or closed

  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override;
  [[nodiscard]] Status usable() const;
  Status collective_open_leaders(Opened& among, const Deadline& deadline);
  Status make_leaders_communicator(MPI_Comm& made);
};

}  // namespace exdb::mpi
