// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// TcpTransport: connections before they are links, and timers.
#include "hello_keys.hpp"
#include "transport.hpp"

namespace exdb::tcp {
namespace {

constexpr std::chrono::milliseconds listen_again_after{100};
/// What was taken in could not be told: the socket takes no more at the moment.
constexpr std::chrono::milliseconds tell_late_after{20};

}  // namespace

// --- who comes

void TcpTransport::accept_strangers(std::uint64_t listener_id) {
  for (std::size_t i = 0; i < Lobby::accepts_at_once; ++i) {
    Accepted accepted = lobby_.accept(listener_id);
    if (accepted.no_descriptors) return no_descriptors();
    if (!accepted.socket) return;
    take_stranger(std::move(accepted));
  }
}

/// The strangers that are here may hold them: the older half goes. Who comes meanwhile waits in the
/// system's queue, which does not make epoll report it over and over.
void TcpTransport::no_descriptors() {
  log_.limited(Event::descriptors, now_,
               "no descriptors are left to accept connections (raise `ulimit -n`)");
  for (std::size_t i = 0; i < (lobby_.strangers().size() + 1) / 2; ++i)
    if (const auto found = connections_.find(lobby_.strangers()[i]); found != connections_.end())
      mark_broken(*found->second, {ErrorCode::cluster, "let go for want of descriptors"},
                  Event::crowd);
  lobby_.listen(poller_, false);
  listen_again_ = now_ + listen_again_after;
  due(listen_again_);
}

void TcpTransport::take_stranger(Accepted accepted) {
  std::unique_ptr<Channel> channel;
  if (inside_.channels) {
    auto made = inside_.channels->accept();
    if (!made) return log_.limited(Event::refused, now_, made.status().text());
    channel = *std::move(made);
  }
  Connection* const connection =
      add_connection(Stream(std::move(accepted.socket), std::move(channel)), false, any_node,
                     accepted.from.text());
  if (connection == nullptr) return;
  if (const auto oldest = lobby_.enter(connection->id)) {
    if (const auto found = connections_.find(*oldest); found != connections_.end())
      mark_broken(*found->second,
                  {ErrorCode::cluster, "let go for newer ones: it has not said who it is"},
                  Event::crowd);
    // At once: otherwise those of one poll would add up.
    reap();
  }
}

Connection* TcpTransport::add_connection(Stream stream, bool dialled, std::uint32_t expected,
                                         std::string address) {
  auto random = secure_random();
  if (!random) {
    log_.limited(Event::refused, now_, random.status().text());
    return nullptr;
  }
  const auto id = next_id_++;
  HelloParams params{params_.cluster_id,  self_,          size(), incarnation_,
                     params_.schema_hash, inside_.secret, {}};
  auto made = std::make_unique<Connection>(id, std::move(stream), std::move(params), *random,
                                           dialled, expected, std::move(address));
  made->deadline = now_ + connect_timeout_;
  due(made->deadline);
  made->wants_out = dialled;
  if (Status s = poller_.add(made->stream.socket(), id, true, dialled); !s) {
    log_.limited(Event::descriptors, now_, s.text());
    return nullptr;
  }
  Connection* const connection = made.get();
  connections_.emplace(id, std::move(made));
  return connection;
}

/// Against a peer whose hello is right otherwise.
Refusal TcpTransport::objection(const Connection& connection) const {
  const auto node = connection.hello->peer();
  if (inside_.channels && !inside_.channels->allows(*connection.stream.channel(), node))
    return Refusal::certificate;
  return !connection.dialled && node < self_ ? Refusal::wrong_node : Refusal::none;
}

void TcpTransport::move_greeting(const Delivery& delivery, Connection& connection, bool writable) {
  if (connection.phase == Phase::connecting) {
    if (!writable) return;
    if (Status s = connect_result(connection.stream.socket()); !s)
      return mark_broken(connection, s, Event::unreachable);
    connection.phase = Phase::greeting;
  }
  auto greeting = connection.greet(buffer_bytes_);
  if (greeting && *greeting == Connection::Greeting::met) {
    if (const auto why = objection(connection); why != Refusal::none)
      return mark_broken(connection, connection.refuse(why), Event::refused);
    greeting = connection.greet(buffer_bytes_);
  }
  if (!greeting)
    return mark_broken(connection, greeting.status(),
                       connection.dialled && connection.why == Event::silent ? Event::unreachable
                                                                             : connection.why);
  want_out(connection, connection.unwritten());
  if (*greeting != Connection::Greeting::done) return;
  if (connection.dialled && objection(connection) != Refusal::none)
    return mark_broken(connection,
                       {ErrorCode::cluster_invalid_parameter,
                        "the certificate shown is not for the address of that node"},
                       Event::refused);
  const auto node = connection.hello->peer();
  connection.node = node;
  begin_linking(delivery, connection);
  // The first message may have come with the end of the hello.
  if (connection.broken) read_messages(delivery, connection);
}

// --- dialing

void TcpTransport::dial(Peer& peer) {
  peer.next_dial = Time::max();  // until this one has failed
  if (peer.next_address < peer.addresses.size())
    return connect_to(peer, peer.addresses[peer.next_address++]);
  peer.next_address = 0;
  if (!peer.address.literal) {
    // Each time anew: a node that was started again elsewhere has another address.
    if (!peer.asking) resolver_.ask(peer.node, peer.address, params_.socket_domain);
    peer.asking = true;
    return;
  }
  auto resolved = resolve(peer.address, params_.socket_domain);
  if (!resolved) return dial_again(peer);
  peer.addresses = *std::move(resolved);
  connect_to(peer, peer.addresses[peer.next_address++]);
}

void TcpTransport::take_answers() {
  while (auto answer = resolver_.take()) {
    Peer& peer = peers_[answer->node];
    peer.asking = false;
    if (answer->addresses) {
      peer.addresses = *std::move(answer->addresses);
      connect_to(peer, peer.addresses[peer.next_address++]);
    } else {
      log_.limited(Event::unreachable, now_, answer->addresses.status().text());
      dial_again(peer);
    }
  }
}

void TcpTransport::connect_to(Peer& peer, const SocketAddress& address) {
  Status failure;
  std::unique_ptr<Channel> channel;
  if (failure && inside_.channels) {
    auto made = inside_.channels->connect(peer.node);
    if (made)
      channel = *std::move(made);
    else
      failure = made.status();
  }
  if (failure) {
    auto socket = start_connecting(address, socket_options_);
    if (socket) {
      peer.dialing = add_connection(Stream(std::move(*socket), std::move(channel)), true, peer.node,
                                    address.text());
    } else {
      failure = socket.status();
    }
  }
  if (peer.dialing != nullptr) {
    peer.dialing->attempt = ++peer.attempt;
    return;
  }
  if (!failure)
    log_.limited(Event::unreachable, now_,
                 "node " + std::to_string(peer.node) + ": " + failure.text());
  dial_again(peer);
}

/// This dial has failed: the next address at once, or all of them after the interval.
void TcpTransport::dial_again(Peer& peer) {
  peer.dialing = nullptr;
  const bool more = peer.next_address < peer.addresses.size();
  peer.next_dial = more ? now_ : now_ + connect_interval_;
  due(peer.next_dial);
}

// --- timers

void TcpTransport::run_timers(const Delivery& delivery) {
  next_timer_ = Time::max();
  if (now_ >= listen_again_) {
    listen_again_ = Time::max();
    lobby_.listen(poller_, true);
  }
  due(listen_again_);
  for (const auto& [id, connection] : connections_) {
    if (connection->phase == Phase::open || !connection->broken) continue;
    if (now_ < connection->deadline) {
      due(connection->deadline);
      continue;
    }
    mark_broken(*connection,
                {ErrorCode::timeout, "no link within connectTimeout (" +
                                         std::to_string(connect_timeout_.count()) + " ms)"},
                connection->dialled ? Event::unreachable : Event::silent);
  }
  for (Peer& peer : peers_)
    if (peer.node != self_) time_of_peer(delivery, peer);
}

void TcpTransport::time_of_peer(const Delivery& delivery, Peer& peer) {
  if (peer.up) {
    const auto silent = now_ - peer.last_heard;
    if (silent >= gone_after_)
      gone(delivery, peer,
           "not heard for " + std::to_string(gone_after_.count()) +
               " ms (keepAliveTime × keepAliveProbes)");
    else
      due(peer.last_heard + gone_after_);
  }
  if (peer.open()) {
    if (now_ - peer.last_sent >= alive_every_ || now_ >= peer.tell_by) {
      say_alive(peer);
      // Blocked: what waits there says it.
      if (now_ >= peer.tell_by) peer.tell_by = now_ + tell_late_after;
      if (now_ - peer.last_sent >= alive_every_) peer.last_sent = now_;
    }
    due(std::min(peer.last_sent + alive_every_, peer.tell_by));
    // Half of the time is over: a path that fell silent is tried anew while there is time.
    const auto patience = std::max<Clock::duration>(gone_after_ / 2, 2 * alive_every_);
    if (peer.dialled && peer.up) {
      if (now_ - peer.last_heard >= patience)
        mark_broken(*peer.link, {ErrorCode::timeout, "silent: it is dialled anew"});
      else
        due(peer.last_heard + patience);
    }
  }
  if (peer.dialled && peer.link == nullptr && peer.dialing == nullptr && !peer.asking) {
    if (now_ >= peer.next_dial)
      dial(peer);
    else
      due(peer.next_dial);
  }
}

}  // namespace exdb::tcp
