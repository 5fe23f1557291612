// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transport.hpp"

#include <algorithm>

#include "identity.hpp"

namespace exdb::mpi {
namespace {

/// 'auto' exchanges by collective calls above this. Measured with 64 bytes, MPICH 5.0.2 ch4:ucx, 2
/// cores, medians in µs, p2p against Iallgather: 2 ranks 0.42 / 0.77, 3 ranks 4.6 / 12.3, 4
/// ranks 8.1 / 18.4, 8 ranks 242 / 642 (the last three share 2 cores). p2p wins wherever we could
/// measure; its cost grows with the ranks (about 0.2 µs a message and side), the collective's with
/// their logarithm, so the lines should cross between 32 and 128. Not measured there.
constexpr std::uint32_t collective_above_nodes = 64;

/// Frames up to this ride in the cells of the collective exchange. All cells travel every time, so
/// they are short.
constexpr std::size_t cell_inline_bytes = 512;

/// While something is under way inside MPI nobody rings for it: polling moves it.
constexpr std::chrono::nanoseconds nap_while_moving{50'000};

std::vector<std::size_t> inline_bytes_by_peer(const Opened& opened) {
  std::vector<std::size_t> bytes;
  for (const NodeCard& card : opened.cards) {
    bytes.push_back(
        std::min(card.receive_buffer_bytes, opened.cards[opened.rank].send_buffer_bytes));
  }
  return bytes;
}

std::size_t collective_inline_bytes(const Opened& opened) {
  std::uint64_t bytes = cell_inline_bytes;
  for (const NodeCard& card : opened.cards) {
    bytes = std::min({bytes, card.receive_buffer_bytes, card.send_buffer_bytes});
  }
  return bytes;
}

bool too_many_for_the_units(const Opened& opened) {
  const HostCard& mine = opened.cards[opened.rank].host;
  const auto sharing =
      std::count_if(opened.cards.begin(), opened.cards.end(), [&](const NodeCard& card) {
        // Pretended hosts share the machine all the same.
        return card.host.boot[0] == mine.boot[0] && card.host.boot[1] == mine.boot[1] &&
               card.host.unit_set == mine.unit_set;
      });
  return static_cast<std::uint64_t>(sharing) > mine.units;
}

}  // namespace

MpiTransport::MpiTransport(Opened opened, const Options& options)
    : opened_(std::move(opened)),
      deadline_(options.deadline),
      crowded_(too_many_for_the_units(opened_)),
      collective_(opened_.size > 1 && (options.exchange == Exchange::collective ||
                                       (options.exchange == Exchange::automatic &&
                                        opened_.size > collective_above_nodes))),
      removed_(opened_.size),
      doorbell_(std::move(opened_.doorbell)),
      inbox_(std::make_shared<Inbox>(opened_.control, opened_.data, opened_.rank, opened_.size,
                                     opened_.cards[opened_.rank].receive_buffer_bytes)),
      outbox_(std::make_shared<Outbox>(opened_.control, opened_.data, inline_bytes_by_peer(opened_),
                                       *doorbell_)),
      exchange_(std::make_shared<CollectiveExchange>(opened_.collective, opened_.rank, opened_.size,
                                                     collective_inline_bytes(opened_))) {}

MpiTransport::~MpiTransport() {
  MpiTransport::close(false);
  unwatch(this);
}

Status MpiTransport::start() {
  watch(this);
  std::lock_guard guard(lock_);
  return remember(inbox_->start());
}

std::string MpiTransport::describe() const {
  return "MPI (" + library_name() + ", " + std::to_string(opened_.size) +
         (opened_.size == 1 ? " rank, " : " ranks, ") + (collective_ ? "collective)" : "p2p)");
}

Status MpiTransport::usable() const {
  if (mpi_ended_) {
    return Status(ErrorCode::cluster,
                  "MPI_Finalize was called while the database was open: close it before");
  }
  if (closed_) return Status(ErrorCode::cluster, "the MPI transport is closed");
  if (in_forked_child())
    return Status(ErrorCode::cluster,
                  "this process is a fork of an MPI process: it cannot use the database");
  return failure_;
}

Status MpiTransport::remember(Status status) {
  if (!status && failure_) {
    failure_ = Status(status.code(),
                      "node " + std::to_string(opened_.rank) + ", MPI transport: " + status.text());
  }
  return status ? status : failure_;
}

Result<std::vector<std::vector<std::byte>>> MpiTransport::collective_gather(
    std::span<const std::byte> mine, std::chrono::milliseconds deadline) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  auto blocks = collective_gather_blocks(opened_.data, mine, Deadline(deadline));
  if (!blocks) return remember(blocks.status());
  return blocks;
}

void MpiTransport::count_sent(std::uint64_t copies, std::size_t bytes, bool is_long) {
  counters_.frames_sent.fetch_add(copies, std::memory_order_relaxed);
  counters_.bytes_sent.fetch_add(copies * bytes, std::memory_order_relaxed);
  if (is_long) counters_.frames_long.fetch_add(copies, std::memory_order_relaxed);
}

Status MpiTransport::send_point_to_point(std::uint32_t to, const Frame& frame,
                                         bool after_collective) {
  count_sent(1, frame->size(), !outbox_->fits(to, frame->size()));
  return remember(outbox_->send(to, frame, after_collective));
}

Status MpiTransport::send(std::uint32_t to, Frame frame) {
  if (to >= opened_.size || to == opened_.rank) {
    return Status(ErrorCode::cluster_invalid_parameter,
                  "there is no other node " + std::to_string(to));
  }
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  return send_point_to_point(to, frame, false);
}

Status MpiTransport::broadcast(Frame frame) {
  std::lock_guard guard(lock_);
  if (Status s = usable(); !s) return s;
  if (collective_) {
    counters_.collectives.fetch_add(1, std::memory_order_relaxed);
    count_sent(opened_.size - 1, frame->size(), !exchange_->fits(frame->size()));
    Status status = remember(exchange_->broadcast(std::move(frame)));
    ring_all();
    return status;
  }
  // Each rank begins with its successor, so that not all send to the same one first.
  for (std::uint32_t step = 1; step < opened_.size; ++step) {
    const std::uint32_t to = (opened_.rank + step) % opened_.size;
    if (removed_[to]) continue;
    if (Status s = send_point_to_point(to, frame, exchange_->promised() != 0); !s) return s;
  }
  return {};
}

void MpiTransport::ring_all() {
  for (std::uint32_t node = 0; node < opened_.size; ++node) doorbell_->ring(node);
}

void MpiTransport::remove(std::uint32_t node) {
  std::lock_guard guard(lock_);
  if (node >= opened_.size || removed_[node]) return;
  removed_[node] = true;
  ++removed_count_;
  collective_ = false;
  // A node that left may be closing collectively right now: it must not wait for this one.
  if (node != opened_.rank && usable()) (void)remember(outbox_->send_end(node, end_without_you));
}

Status MpiTransport::move_and_take(Inbox::Sweep& sweep, bool first,
                                   std::optional<Arrival>& arrival) {
  if (first) {
    if (!outbox_->empty()) {
      if (Status s = outbox_->step(); !s) return s;
    }
    if (exchange_->under_way()) {
      if (Status s = exchange_->step(); !s) return s;
      // A later step of the collective may wait for a neighbour that has gone to sleep.
      ring_all();
    }
  }
  if (Status s = exchange_->next(arrival); !s || arrival) return s;
  return inbox_->next(sweep, !exchange_->idle(), arrival);
}

Status MpiTransport::poll(FrameSink& sink, bool& any) {
  counters_.polls.fetch_add(1, std::memory_order_relaxed);
  Inbox::Sweep sweep;
  std::optional<Arrival> arrival;
  struct GiveBack {  // also when the sink throws
    MpiTransport& transport;
    std::optional<Arrival>& arrival;
    ~GiveBack() {
      if (!arrival) return;
      std::lock_guard guard(transport.lock_);
      if (transport.usable()) transport.inbox_->release(*arrival);
    }
  } give_back{*this, arrival};
  for (bool first = true;; first = false) {
    {
      std::lock_guard guard(lock_);
      if (Status s = usable(); !s) return s;
      if (arrival) inbox_->release(*arrival);
      arrival.reset();
      if (Status s = move_and_take(sweep, first, arrival); !s) return remember(s);
    }
    if (!arrival) return {};
    any = true;
    counters_.frames_received.fetch_add(1, std::memory_order_relaxed);
    counters_.bytes_received.fetch_add(arrival->bytes.size(), std::memory_order_relaxed);
    sink.on_frame(arrival->from, arrival->bytes);
  }
}

void MpiTransport::wait(std::chrono::nanoseconds cap) {
  counters_.sleeps.fetch_add(1, std::memory_order_relaxed);
  {
    std::lock_guard guard(lock_);
    if (!usable()) return;
    if (!outbox_->empty() || exchange_->under_way() || inbox_->transferring())
      cap = std::min(cap, nap_while_moving);
  }
  doorbell_->sleep(cap, [this] {
    std::lock_guard guard(lock_);
    if (!usable() || exchange_->something_there()) return true;
    auto there = inbox_->something_there();
    return there ? *there : true;  // poll meets the same failure and tells of it
  });
}

TransportStatistics MpiTransport::statistics() const {
  TransportStatistics result;
  result.frames_sent = counters_.frames_sent;
  result.frames_received = counters_.frames_received;
  result.bytes_sent = counters_.bytes_sent;
  result.bytes_received = counters_.bytes_received;
  result.frames_long = counters_.frames_long;
  result.collectives = counters_.collectives;
  result.polls = counters_.polls;
  result.sleeps = counters_.sleeps;
  return result;
}

bool MpiTransport::all_ended(std::uint64_t& exchanges) const {
  for (std::uint32_t node = 0; node < opened_.size; ++node) {
    if (node == opened_.rank) continue;
    const auto& ended = inbox_->ended(node);
    if (!ended) return false;
    exchanges = std::max(exchanges, *ended);
  }
  return true;
}

bool MpiTransport::left_out() const {
  for (std::uint32_t node = 0; node < opened_.size; ++node) {
    if (inbox_->ended(node) == end_without_you) return true;
  }
  return false;
}

Status MpiTransport::drain_turn() {
  Inbox::Sweep sweep;
  for (bool first = true;; first = false) {
    std::optional<Arrival> arrival;
    if (Status s = move_and_take(sweep, first, arrival); !s) return s;
    if (!arrival) return {};
    inbox_->release(*arrival);
  }
}

/// Everything that was sent must be received before a communicator is freed: MPI uses its number
/// again, and a late message would then be taken for one of the next database. True when all is
/// quiet on every rank.
bool MpiTransport::drain(const Deadline& deadline) {
  std::uint64_t exchanges = exchange_->promised();
  for (std::uint32_t node = 0; node < opened_.size; ++node) {
    if (node != opened_.rank && !outbox_->send_end(node, exchanges)) return false;
  }
  for (unsigned turns = 0;; pause(turns)) {
    if (deadline.passed() || !drain_turn() || left_out()) return false;
    if (!all_ended(exchanges)) continue;
    // A rank that has begun more exchanges than others: they join in, with nothing to say.
    if (exchange_->promised() < exchanges && !exchange_->broadcast(nullptr)) return false;
    if (outbox_->empty() && exchange_->idle() && exchange_->promised() == exchanges) break;
  }
  MPI_Request barrier = MPI_REQUEST_NULL;
  return status_of(MPI_Ibarrier(opened_.control, &barrier), "MPI_Ibarrier") &&
         finish(barrier, deadline, "closing");
}

/// What MPI still holds of our memory after `patience` is kept for ever; the communicators are,
/// too.
void MpiTransport::let_go(std::chrono::milliseconds patience) {
  const Deadline deadline(patience);
  for (unsigned turns = 0; !outbox_->empty() && outbox_->step() && !deadline.passed();)
    pause(turns);
  if (!inbox_->cancel()) keep_for_ever(inbox_);
  if (!outbox_->empty()) keep_for_ever(outbox_);
  if (exchange_->under_way()) keep_for_ever(exchange_);
  keep_for_ever(doorbell_);  // referred to by the outbox
}

void MpiTransport::close(bool collective) {
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  // With a node removed, or after a failure, not every rank comes here, and freeing a communicator
  // is collective.
  if (!mpi_usable()) {
    keep_for_ever(inbox_);
    keep_for_ever(outbox_);
    keep_for_ever(exchange_);
    keep_for_ever(doorbell_);
  } else if (collective && failure_ && removed_count_ == 0 && drain(Deadline(deadline_))) {
    inbox_->cancel();
    free_communicators(opened_);
  } else {
    let_go(std::chrono::milliseconds(1000));
  }
  closed_ = true;
}

void MpiTransport::mpi_ends() {
  mpi_ended_ = true;
  wake();
  std::lock_guard guard(lock_);
  if (closed_) return;
  let_go(std::chrono::milliseconds(1000));
  closed_ = true;
}

Result<std::unique_ptr<Transport>> transport(MPI_Comm communicator, const Options& options) {
  auto opened = collective_open(communicator, options);
  if (!opened) return opened.status();
  auto made = std::make_unique<MpiTransport>(*std::move(opened), options);
  if (Status s = made->start(); !s) return s;
  return std::unique_ptr<Transport>(std::move(made));
}

}  // namespace exdb::mpi
