// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "opening.hpp"

#include <algorithm>
#include <cstring>

#include "finalize_guard.hpp"
#include "identity.hpp"
#include "left_sessions.hpp"

namespace exdb::mpi {
namespace {

constexpr std::uint64_t buffer_bytes_default = 16 * 1024;
constexpr std::uint64_t buffer_bytes_min = 16;  // the announcement of a long frame must fit
constexpr std::uint64_t buffer_bytes_max = std::uint64_t{1} << 28;

/// What makes it impossible to talk to the other ranks at all.
Status check_communicator(MPI_Comm communicator) {
  int initialized = 0, finalized = 0, inter = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized == 0) {
    return Status(ErrorCode::launcher,
                  "MPI is not initialised: call MPI_Init_thread(MPI_THREAD_MULTIPLE), or import "
                  "mpi4py.MPI, first");
  }
  if (finalized != 0)
    return Status(ErrorCode::launcher,
                  "MPI is finalized already, and cannot be started again in this process: open the "
                  "database before MPI_Finalize");
  if (in_forked_child()) {
    return Status(ErrorCode::launcher,
                  "this process is a fork of an MPI process: start workers by spawn, not fork");
  }
  if (Status s = check_family(); !s) return s;
  if (communicator == MPI_COMM_NULL) {
    return Status(ErrorCode::cluster_invalid_parameter,
                  "the communicator is MPI_COMM_NULL: give one that this rank is in");
  }
  if (MPI_Comm_test_inter(communicator, &inter) != MPI_SUCCESS) {
    return Status(ErrorCode::launcher, "the communicator's handle means nothing to " +
                                           library_name() + " (" + library_path() +
                                           "): exdb and the program use different MPIs");
  }
  if (inter != 0) {
    return Status(
        ErrorCode::cluster_invalid_parameter,
        "an intercommunicator cannot hold a cluster: merge it first (MPI_Intercomm_merge)");
  }
  return {};
}

Status check_threads(Progress progress) {
  int level = MPI_THREAD_SINGLE, is_main = 0;
  MPI_Query_thread(&level);
  if (level >= MPI_THREAD_MULTIPLE) return {};
  if (progress != Progress::cooperative) {
    return Status(
        ErrorCode::launcher,
        "MPI was initialised below MPI_THREAD_MULTIPLE, so exdb's listener must not call it: use "
        "MPI_Init_thread(MPI_THREAD_MULTIPLE); in Python leave mpi4py.rc.thread_level at "
        "'multiple' "
        "(before mpi4py.MPI is imported; MPI4PY_RC_THREAD_LEVEL in the environment says it too); "
        "or "
        "open with progress='cooperative'");
  }
  MPI_Is_thread_main(&is_main);
  if (level < MPI_THREAD_SERIALIZED && is_main == 0) {
    return Status(ErrorCode::launcher,
                  "MPI was initialised for its main thread only: open and use the database in that "
                  "thread, or use MPI_Init_thread(MPI_THREAD_MULTIPLE) (mpi4py.rc.thread_level = "
                  "'multiple')");
  }
  return {};
}

Status check_launcher() {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const Launcher by = launcher();
  if (size != 1 || by.processes <= 1) return {};
  return Status(ErrorCode::launcher,
                "MPI_COMM_WORLD has one rank, but " + by.variable + " says that " +
                    std::to_string(by.processes) +
                    " processes were started: the launcher is not the one of " + library_name() +
                    "; start with its own mpiexec (Slurm: srun --mpi=pmi2 or --mpi=pmix)");
}

Status check_buffer(const char* name, std::uint64_t bytes) {
  if (bytes <= buffer_bytes_max) return {};
  return Status(ErrorCode::cluster_invalid_parameter,
                std::string(name) + " is " + std::to_string(bytes) + " bytes; the most is " +
                    std::to_string(buffer_bytes_max));
}

Status check_expected(const char* what, std::uint32_t here,
                      const std::optional<std::uint32_t>& expected) {
  if (!expected || *expected == here) return {};
  return Status(ErrorCode::launcher,
                std::string("the communicator has ") + what + " " + std::to_string(here) +
                    " in exdb's MPI and " + std::to_string(*expected) +
                    " in the program's: they use different MPIs or different communicators");
}

Status check_local(const Options& options, std::uint32_t rank, std::uint32_t size) {
  if (!options.local_failure) return options.local_failure;
  if (Status s = check_threads(options.progress); !s) return s;
  if (Status s = check_launcher(); !s) return s;
  if (Status s = check_expected("size", size, options.expected_size); !s) return s;
  if (Status s = check_expected("rank", rank, options.expected_rank); !s) return s;
  if (Status s = check_buffer("clusterSendBuf", options.send_buffer_bytes); !s) return s;
  return check_buffer("clusterRecvBuf", options.receive_buffer_bytes);
}

Status collective_duplicate(MPI_Comm from, MPI_Comm& to, const Deadline& deadline) {
  // The new handle is written when the request completes, so it must outlive a deadline.
  auto made = std::make_shared<MPI_Comm>(MPI_COMM_NULL);
  MPI_Request request = MPI_REQUEST_NULL;
  if (Status s = status_of(MPI_Comm_idup(from, made.get(), &request), "MPI_Comm_idup"); !s)
    return s;
  if (Status s = finish(request, deadline,
                        "duplicating the communicator (opening is collective: every rank must)");
      !s) {
    keep_for_ever(made);
    return s;
  }
  to = *made;
  return status_of(MPI_Comm_set_errhandler(to, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

std::uint64_t buffer_of(std::uint64_t asked) {
  return asked == 0 ? buffer_bytes_default : std::max(asked, buffer_bytes_min);
}

Status check_equal_modes(const std::vector<NodeCard>& cards) {
  for (std::size_t rank = 1; rank < cards.size(); ++rank) {
    if (cards[rank].exchange != cards[0].exchange) {
      return Status(ErrorCode::cluster_incompatible,
                    "rank " + std::to_string(rank) +
                        " opened with another exchange mode than rank 0: give "
                        "'exchange' the same value on every rank");
    }
    if (cards[rank].resilient != cards[0].resilient) {
      return Status(ErrorCode::cluster_incompatible,
                    "ranks 0 and " + std::to_string(rank) +
                        " differ in whether they outlive each other: give 'resilient' the same "
                        "value on every rank");
    }
    if (cards[rank].by_host != cards[0].by_host) {
      return Status(ErrorCode::cluster_incompatible,
                    "ranks 0 and " + std::to_string(rank) +
                        " differ in whether the ranks of a host share one replica: give 'is_shm' "
                        "the same value on every rank");
    }
    if (cards[rank].agreement != cards[0].agreement) {
      return Status(
          ErrorCode::cluster_incompatible,
          "ranks 0 and " + std::to_string(rank) +
              " opened with different dictionaries, qranks or keep-alive times; they must be "
              "the same on every rank");
    }
  }
  return {};
}

Status collective_introduce(Opened& opened, const Options& options, bool by_host,
                            const Deadline& deadline) {
  opened.doorbell = std::make_unique<Doorbell>();
  NodeCard mine;
  mine.host = opened.doorbell->offer(opened.rank, opened.size);
  mine.send_buffer_bytes = buffer_of(options.send_buffer_bytes);
  mine.receive_buffer_bytes = buffer_of(options.receive_buffer_bytes);
  mine.exchange = static_cast<std::uint32_t>(options.exchange);
  mine.resilient = options.resilient ? 1 : 0;
  mine.by_host = by_host ? 1 : 0;
  mine.agreement = options.agreement;
  auto cards =
      collective_gather_records(opened.control, mine, deadline, "exchanging the ranks' parameters");
  if (!cards) return cards.status();
  opened.cards = *std::move(cards);
  for (const NodeCard& card : opened.cards)
    opened.id = opened.id * 0x9E3779B97F4A7C15ULL + card.host.nonce;
  opened.crowded =
      ranks_on_the_units_of(opened.rank, opened.cards) > opened.cards[opened.rank].host.units;
  std::vector<HostCard> hosts;
  for (const NodeCard& card : opened.cards) hosts.push_back(card.host);
  const std::uint8_t mapped = opened.doorbell->map(hosts, opened.rank) ? 1 : 0;
  auto all =
      collective_gather_records(opened.control, mapped, deadline, "sharing the doorbell page");
  if (!all) return all.status();
  opened.doorbell->confirm(hosts, *all, opened.rank);
  return check_equal_modes(opened.cards);
}

}  // namespace

std::uint32_t ranks_on_the_units_of(std::uint32_t rank, const std::vector<NodeCard>& cards) {
  const HostCard& one = cards[rank].host;
  return static_cast<std::uint32_t>(
      std::count_if(cards.begin(), cards.end(), [&](const NodeCard& card) {
        return card.host.boot[0] == one.boot[0] && card.host.boot[1] == one.boot[1] &&
               card.host.unit_set == one.unit_set;
      }));
}

Status collective_agree(const Opened& opened, const Status& mine, const Deadline& deadline) {
  struct Reason {
    std::uint32_t candidate, failing;
    std::int32_t code;
    char text[1000];
  };
  auto reason = std::make_shared<Reason>();
  reason->candidate = mine ? opened.size : opened.rank;
  reason->failing = opened.size;
  reason->code = static_cast<std::int32_t>(mine.code());
  std::snprintf(reason->text, sizeof reason->text, "%s", mine.text().c_str());
  MPI_Request request = MPI_REQUEST_NULL;
  Status status = status_of(MPI_Iallreduce(&reason->candidate, &reason->failing, 1, MPI_UINT32_T,
                                           MPI_MIN, opened.control, &request),
                            "MPI_Iallreduce");
  if (status) status = finish(request, deadline, "agreeing on the opening");
  if (status && reason->failing < opened.size) {
    const std::uint32_t failing = reason->failing;
    status = status_of(
        MPI_Ibcast(&reason->code, static_cast<int>(sizeof(Reason) - offsetof(Reason, code)),
                   MPI_BYTE, static_cast<int>(failing), opened.control, &request),
        "MPI_Ibcast");
    if (status) status = finish(request, deadline, "agreeing on the opening");
    if (status) {
      return Status(
          static_cast<ErrorCode>(reason->code),
          (opened.size > 1 ? "rank " + std::to_string(failing) + ": " : "") + reason->text);
    }
  }
  if (!status) keep_for_ever(reason);
  return status;
}

void free_communicators(Opened& opened) {
  for (MPI_Comm* communicator : {&opened.collective, &opened.data, &opened.control}) {
    if (*communicator != MPI_COMM_NULL) MPI_Comm_free(communicator);
  }
}

Status collective_complete(Opened& opened, const Deadline& deadline) {
  // Before the other two are made: it may be what they are made of.
  if (Status s = collective_free_left(opened.control, deadline); !s) return s;
  if (Status s = collective_duplicate(opened.control, opened.data, deadline); !s) return s;
  return collective_duplicate(opened.control, opened.collective, deadline);
}

Result<Opened> collective_open(MPI_Comm communicator, const Options& options, bool by_host) {
  if (Status s = check_communicator(communicator); !s) return s;
  int rank = 0, size = 0;
  if (Status s = status_of(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank"); !s) return s;
  if (Status s = status_of(MPI_Comm_size(communicator, &size), "MPI_Comm_size"); !s) return s;
  Opened opened;
  opened.rank = static_cast<std::uint32_t>(rank);
  opened.size = static_cast<std::uint32_t>(size);
  const Status local = check_local(options, opened.rank, opened.size);
  const Deadline deadline(options.deadline);
  // First a communicator of our own, then the reasons not to open: a rank that left before would
  // leave the others waiting, and the program's own communicator is not ours to talk on.
  Status status = collective_duplicate(communicator, opened.control, deadline);
  // This rank's own reason says more than that the others did not come.
  if (!status) return local ? status : local;
  status = collective_agree(opened, local, deadline);
  if (status) status = collective_complete(opened, deadline);
  if (status) status = collective_introduce(opened, options, by_host, deadline);
  if (status) return opened;
  if (status.code() != ErrorCode::timeout) free_communicators(opened);
  return status;
}

}  // namespace exdb::mpi
