// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "transport.hpp"

#include <pthread.h>

#include <algorithm>
#include <thread>

#include "exdb/send_bound.hpp"
#include "exposure.hpp"
#include "params.hpp"
#include "secret.hpp"
#include "tls_factory.hpp"

namespace exdb::tcp {
namespace {

std::atomic<bool> forked{false};

/// So many links are read without asking epoll first: that call costs as much as a read that finds
/// nothing.
constexpr std::size_t links_read_unasked = 2;
constexpr std::chrono::milliseconds epoll_at_least_every{1};

std::uint64_t start_number() {
  return std::uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count());
}

std::size_t or_default(std::uint64_t value, std::size_t otherwise) {
  return value == 0 ? otherwise : std::size_t(value);
}

}  // namespace

TcpTransport::TcpTransport(const TcpParams& params, Inside inside)
    : params_(params),
      inside_(std::move(inside)),
      self_(params.self),
      connect_timeout_(params.connect_timeout_ms),
      connect_interval_(params.connect_interval_ms),
      // Three in the time after which we would be gone, also where that is one probe.
      alive_every_(std::max<std::int64_t>(
          1, std::min(params.keep_alive_time_ms,
                      params.keep_alive_time_ms * params.keep_alive_probes / 3))),
      gone_after_(params.keep_alive_time_ms * params.keep_alive_probes),
      bound_bytes_(or_default(params.send_bound_bytes, send_bound_bytes_default)),
      buffer_bytes_(or_default(params.receive_buffer_bytes, std::size_t{64} * 1024)),
      tell_bytes_(std::min<std::size_t>(bound_bytes_ / 4, 256 * 1024)),
      socket_options_{int(params.socket_send_buf_bytes), int(params.socket_recv_buf_bytes)},
      incarnation_(inside_.incarnation != 0 ? inside_.incarnation : start_number()),
      processors_(inside_.processors != 0 ? inside_.processors
                                          : std::max(1U, std::thread::hardware_concurrency())),
      log_(params.self, params.log),
      resolver_(inside_.resolve, [this] { poller_.wake(); }),
      peers_(params.nodes.size()),
      now_(Clock::now()),
      next_timer_(now_),
      last_look_(now_) {}

Result<std::unique_ptr<TcpTransport>> TcpTransport::make(const TcpParams& params, Inside inside) {
  static const int once = pthread_atfork(nullptr, nullptr, [] { forked = true; });
  (void)once;
  auto addresses = check(params);
  if (!addresses) return addresses.status();
  std::unique_ptr<TcpTransport> made(new TcpTransport(params, std::move(inside)));
  for (std::uint32_t node = 0; node < made->size(); ++node) {
    Peer& peer = made->peers_[node];
    peer.node = node;
    peer.address = (*addresses)[node];
    peer.dialled = node < params.self;
    peer.next_dial = peer.last_heard = peer.last_sent = made->now_;
  }
  if (Status s = made->open(params); !s) return s;
  return made;
}

Status TcpTransport::open(const TcpParams& params) {
  if (Status s = poller_.open(); !s) return s;
  if (params.listener >= 0) {
    if (Status s = lobby_.adopt(params.listener, socket_options_); !s) return s;
  } else {
    auto own = inside_.resolve(peers_[self_].address, params.socket_domain);
    if (!own) return own.status();
    if (Status s = lobby_.open(*own, socket_options_); !s)
      return {s.code(), "node " + std::to_string(self_) + ": " + s.text()};
  }
  return lobby_.watch(poller_);
}

TcpTransport::~TcpTransport() { TcpTransport::close(false); }

std::string TcpTransport::describe() const {
  return "TCP (" + peers_[self_].address.text() + ", " + std::to_string(size()) +
         (size() == 1 ? " node" : " nodes") + (inside_.channels ? ", TLS)" : ")");
}

bool TcpTransport::in_forked_child() { return forked.load(std::memory_order_relaxed); }

Status TcpTransport::usable() const {
  if (closed_) return {ErrorCode::cluster, "the TCP transport is closed"};
  if (in_forked_child())
    return {ErrorCode::cluster,
            "this process is a fork of the one that opened the database: it cannot use it"};
  return failure_;
}

// --- sending

void TcpTransport::send_to(Peer& peer, const Frame& frame) {
  if (!peer.up) return;  // lost, as transport.hpp says
  counters_.count_sent(1, frame->size(), header_bytes + frame->size() > buffer_bytes_);
  peer.session.push(frame);
  if (!holding_ && peer.open() && !peer.link->wants_out) flush(*peer.link);
}

void TcpTransport::hold(bool on) {
  holding_ = on;
  if (on || !usable().ok()) return;
  for (Peer& peer : peers_)
    if (peer.open() && !peer.link->wants_out && peer.session.has_unsent()) flush(*peer.link);
}

Status TcpTransport::send(std::uint32_t to, Frame frame) {
  if (Status s = usable(); !s) return s;
  if (to >= size() || to == self_)
    return {ErrorCode::cluster_invalid_parameter, "there is no other node " + std::to_string(to)};
  if (frame->size() > frame_bytes_max)
    return {ErrorCode::too_large, "a frame of " + std::to_string(frame->size()) + " bytes"};
  Peer& peer = peers_[to];
  if (!takes(peer)) return no_room_for(to, peer.session.under_way());
  send_to(peer, frame);
  return {};
}

const Peer* TcpTransport::first_without_room() const {
  for (const Peer& peer : peers_)
    if (peer.node != self_ && !peer.removed && !takes(peer)) return &peer;
  return nullptr;
}

Status TcpTransport::broadcast(Frame frame) {
  if (Status s = usable(); !s) return s;
  if (frame->size() > frame_bytes_max)
    return {ErrorCode::too_large, "a frame of " + std::to_string(frame->size()) + " bytes"};
  if (const Peer* full = first_without_room())
    return no_room_for(full->node, full->session.under_way());
  // Each begins with its successor, so that not all send to the same one first.
  for (std::uint32_t i = 1; i < size(); ++i) {
    Peer& peer = peers_[(self_ + i) % size()];
    if (!peer.removed) send_to(peer, frame);
  }
  return {};
}

bool TcpTransport::has_room(std::uint32_t node) const {
  if (node == self_) return first_without_room() == nullptr;
  return node < size() && takes(peers_[node]);
}

void TcpTransport::remove(std::uint32_t node) {
  if (node < size()) peers_[node].removed = true;
}

Status TcpTransport::add(std::uint32_t node) {
  if (Status s = usable(); !s) return s;
  if (node < size()) peers_[node].removed = false;
  return {};
}

// --- polling

void TcpTransport::look_at_clock() {
  const Time before = now_;
  now_ = Clock::now();
  // Nobody looked: that is not their silence.
  if (const auto gap = now_ - before; gap > alive_every_)
    for (Peer& peer : peers_) peer.last_heard = std::min(now_, peer.last_heard + gap);
}

/// All other nodes are linked and take what they are sent, and epoll was asked not long ago.
bool TcpTransport::only_links_matter() const {
  if (size() - 1 > links_read_unasked || connections_.size() != size() - 1) return false;
  if (look_.load(std::memory_order_relaxed) || now_ - last_look_ > epoll_at_least_every)
    return false;
  return std::all_of(peers_.begin(), peers_.end(), [&](const Peer& peer) {
    return peer.node == self_ || (peer.open() && !peer.link->wants_out);
  });
}

Status TcpTransport::poll(FrameSink& sink, bool& any) {
  counters_.polls.add(1);
  if (Status s = usable(); !s) return s;
  look_at_clock();
  const Delivery delivery{sink, any};
  // Until the end: a sink may throw, and what it did not get waits for the next poll.
  struct Busy {
    std::atomic<bool>& busy;
    bool done = false;
    ~Busy() {
      if (!done) busy = true;
    }
  } guard{busy_};
  const bool was_busy = busy_.load(std::memory_order_relaxed);
  if (was_busy) busy_ = false;
  if (!told_first_) {
    told_first_ = any = true;
    for (const Peer& peer : peers_)
      if (peer.node != self_) sink.on_gone(peer.node);
  }
  if (only_links_matter()) {
    for (Peer& peer : peers_)
      if (peer.node != self_ && peer.open()) read_messages(delivery, *peer.link);
  } else {
    take_events(delivery);
    if (was_busy) read_what_is_left(delivery);
  }
  if (now_ >= next_timer_) run_timers(delivery);
  if (!broken_.empty()) reap();
  sleep_until_ns_.store(next_timer_.time_since_epoch().count(), std::memory_order_relaxed);
  guard.done = true;
  return failure_;
}

void TcpTransport::take_events(const Delivery& delivery) {
  look_.store(false, std::memory_order_relaxed);
  last_look_ = now_;
  std::array<epoll_event, 128> events;
  for (const auto& event : poller_.ready(events)) take_event(delivery, event);
  take_answers();
}

/// Of connections whose turn ended before all was given out. Their sockets may be empty.
void TcpTransport::read_what_is_left(const Delivery& delivery) {
  for (const auto& [id, connection] : connections_)
    if (connection->unread && connection->broken) read_messages(delivery, *connection);
}

void TcpTransport::take_event(const Delivery& delivery, const epoll_event& event) {
  const auto id = event.data.u64;
  if (id == Poller::wake_id) return;
  if (id <= Lobby::listeners_max) return accept_strangers(id);
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  if (!connection.broken) return;
  if (connection.phase < Phase::linking)
    return move_greeting(delivery, connection, (event.events & ~EPOLLIN) != 0);
  if ((event.events & EPOLLOUT) != 0) flush(connection);
  if ((event.events & ~EPOLLOUT) != 0 && connection.broken) read_messages(delivery, connection);
}

void TcpTransport::reap() {
  for (std::size_t i = 0; i < broken_.size(); ++i) {
    const auto found = connections_.find(broken_[i]);
    if (found == connections_.end()) continue;
    let_go(*found->second);
    connections_.erase(found);
  }
  broken_.clear();
}

/// What a broken connection means for its node, if it was known.
void TcpTransport::let_go(Connection& connection) {
  poller_.remove(connection.stream.socket());
  lobby_.leave(connection.id);
  if (connection.node < size()) {
    Peer& peer = peers_[connection.node];
    if (peer.link == &connection) {
      peer.link = nullptr;
      peer.tell_by = Time::max();
      ++links_.broken;
      if (peer.dialled && peer.dialing == nullptr) {
        peer.next_dial = now_;
        due(now_);
      }
    }
    if (peer.dialing == &connection) dial_again(peer);
  }
}

void TcpTransport::wait(std::chrono::nanoseconds cap) {
  counters_.sleeps.add(1);
  if (busy_.load(std::memory_order_relaxed) || closed_) return;
  const Time until{Clock::duration(sleep_until_ns_.load(std::memory_order_relaxed))};
  const auto left = until - Clock::now();
  poller_.sleep(std::clamp<std::chrono::nanoseconds>(left, std::chrono::nanoseconds(0), cap));
  look_.store(true, std::memory_order_relaxed);
}

Result<std::unique_ptr<Transport>> transport(const TcpParams& params) {
  Inside inside;
  auto addresses = check(params);
  if (!addresses) return addresses.status();
  std::vector<std::string> hosts;
  for (const Address& address : *addresses) hosts.push_back(address.host);
  Protection protection{.insecure_network = params.insecure_network};
  if (!params.cluster_secret_file.empty()) {
    auto secret = read_cluster_secret(params.cluster_secret_file);
    if (!secret) return secret.status();
    inside.secret = *std::move(secret);
    protection.secret = true;
  }
  if (params.ssl_params) {
    auto tls = parse_tls_params(*params.ssl_params);
    if (!tls) return tls.status();
    protection.tls = true;
    protection.certificates = tls->needs_certificates();
    auto channels = TlsFactory::make(*std::move(tls), hosts);
    if (!channels) return channels.status();
    inside.channels = *std::move(channels);
  }
  if (Status s = check_exposure(hosts, protection); !s) return s;
  auto made = TcpTransport::make(params, std::move(inside));
  if (!made) return made.status();
  return std::unique_ptr<Transport>(*std::move(made));
}

}  // namespace exdb::tcp
