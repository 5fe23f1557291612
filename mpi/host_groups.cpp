// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host_groups.hpp"

#include <algorithm>

#include "finalize_guard.hpp"
#include "identity.hpp"
#include "transport.hpp"

namespace exdb::mpi {
namespace {

/// Nothing else is sent by it: only the ranks that make a communicator meet there.
constexpr int tag_leaders = 1;

/// Processing units that are left when each rank on the same set of them has taken one.
std::int64_t units_left(std::uint32_t node, const std::vector<NodeCard>& cards) {
  return std::int64_t{cards[node].host.units} - ranks_on_the_units_of(node, cards);
}

}  // namespace

Grouping group_by_host(const std::vector<NodeCard>& cards) {
  Grouping found;
  std::vector<std::uint32_t> lowest;  // by host
  for (std::uint32_t node = 0; node < cards.size(); ++node) {
    const auto same = std::find_if(lowest.begin(), lowest.end(), [&](std::uint32_t other) {
      return cards[other].host.same_host(cards[node].host);
    });
    const auto host = static_cast<std::uint32_t>(same - lowest.begin());
    found.hosts.push_back(host);
    if (same == lowest.end()) {
      lowest.push_back(node);
      found.leaders.push_back(node);
    } else if (units_left(node, cards) > units_left(found.leaders[host], cards)) {
      found.leaders[host] = node;
    }
  }
  return found;
}

MpiHostGroups::MpiHostGroups(Opened opened, const Options& options)
    : opened_(std::move(opened)), options_(options), grouping_(group_by_host(opened_.cards)) {}

std::string MpiHostGroups::describe() const {
  const auto hosts = leaders().size();
  return "MPI (" + library_name() + ", " + std::to_string(nodes()) +
         (nodes() == 1 ? " rank on " : " ranks on ") + std::to_string(hosts) +
         (hosts == 1 ? " host)" : " hosts)");
}

Status MpiHostGroups::usable() const {
  if (over_) return Status(ErrorCode::cluster, "the ranks were grouped by host, and that is over");
  if (!mpi_usable()) {
    return Status(ErrorCode::cluster,
                  "MPI_Finalize was called while the database was being opened");
  }
  return {};
}

Result<std::vector<std::vector<std::byte>>> MpiHostGroups::collective_gather(
    std::span<const std::byte> mine, std::chrono::milliseconds deadline) {
  if (Status s = usable(); !s) return s;
  return collective_gather_blocks(opened_.data, mine, Deadline(deadline));
}

/// Blocks inside MPI, until the other leaders are here.
Status MpiHostGroups::make_leaders_communicator(MPI_Comm& made) {
  const std::vector<int> ranks(leaders().begin(), leaders().end());
  MPI_Group all = MPI_GROUP_NULL, some = MPI_GROUP_NULL;
  if (Status s = status_of(MPI_Comm_group(opened_.control, &all), "MPI_Comm_group"); !s) return s;
  Status status = status_of(
      MPI_Group_incl(all, static_cast<int>(ranks.size()), ranks.data(), &some), "MPI_Group_incl");
  if (status) {
    status = status_of(MPI_Comm_create_group(opened_.control, some, tag_leaders, &made),
                       "MPI_Comm_create_group");
    MPI_Group_free(&some);
  }
  MPI_Group_free(&all);
  if (!status) return status;
  return status_of(MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

Status MpiHostGroups::collective_open_leaders(Opened& among, const Deadline& deadline) {
  among.rank = host();
  among.size = static_cast<std::uint32_t>(leaders().size());
  // Apart from what the same ranks leave of other transports. 0 stays 0: there was no randomness.
  among.id = opened_.id * 0x9E3779B97F4A7C15ULL;
  for (const std::uint32_t leader : leaders()) among.cards.push_back(opened_.cards[leader]);
  // The others of its machine poll too.
  among.crowded = opened_.crowded;
  among.members = "host";
  // Without a page: no two leaders share a host.
  among.doorbell = std::make_unique<Doorbell>();
  if (Status s = make_leaders_communicator(among.control); !s) return s;
  return collective_complete(among, deadline);
}

Result<std::unique_ptr<Transport>> MpiHostGroups::take_transport() {
  if (Status s = usable(); !s) return s;
  over_ = true;
  const Deadline deadline(options_.deadline);
  Status status = collective_agree(opened_, {}, deadline);
  if (!status) return status;
  Opened among;
  std::unique_ptr<MpiTransport> made;
  if (leads()) {
    status = collective_open_leaders(among, deadline);
    if (status) {
      made = std::make_unique<MpiTransport>(std::move(among), options_);
      among = {};
      status = made->start();
    }
  }
  const bool in_time = status.code() != ErrorCode::timeout;
  status = collective_agree(opened_, status, deadline);
  if (status) {
    free_communicators(opened_);
    opened_.doorbell.reset();
    return std::unique_ptr<Transport>(std::move(made));
  }
  if (in_time) free_communicators(among);
  if (status.code() != ErrorCode::timeout) free_communicators(opened_);
  return status;
}

void MpiHostGroups::close() {
  if (!usable()) return;
  over_ = true;
  free_communicators(opened_);
}

Result<std::unique_ptr<HostGroups>> host_groups(MPI_Comm communicator, const Options& options) {
  Options checked = options;
  if (options.resilient && options.local_failure) {
    checked.local_failure = Status(
        ErrorCode::unsupported,
        "one replica a host (is_shm=True) and ranks that outlive each other (resilient=True) do "
        "not go together: the ranks of a host live and die with the one that leads it. Leave one "
        "of them out");
  }
  auto opened = collective_open(communicator, checked, true);
  if (!opened) return opened.status();
  return std::unique_ptr<HostGroups>(std::make_unique<MpiHostGroups>(*std::move(opened), options));
}

}  // namespace exdb::mpi
