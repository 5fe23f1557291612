// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// TcpTransport: its end. What was handed over goes out, then a farewell, then the end of the
// stream; what comes in meanwhile is thrown away, as a socket that is closed with bytes unread
// resets the connection and takes what is on its way along.
#include <poll.h>

#include "transport.hpp"

namespace exdb::tcp {
namespace {

constexpr std::chrono::milliseconds patience{1000}, nap{1};

}  // namespace

/// One step. True when this connection is done: its farewell is with the peer's system and,
/// `until_the_end`, the peer has ended too.
bool TcpTransport::move_farewell(Connection& connection, bool until_the_end) {
  if (!connection.broken) return true;
  Peer& peer = peers_[connection.node];
  const bool ended = connection.stream.discard();
  if (connection.phase != Phase::open) return true;
  if (!connection.ending) {
    flush(connection);
    if (connection.broken && !peer.session.has_unsent() && !connection.writer.full()) {
      const auto farewell = Farewell::leaving;
      connection.writer.add_small({farewell_bytes, Kind::bye, 0, peer.session.taken()},
                                  std::as_bytes(std::span(&farewell, 1)));
      connection.ending = true;
    }
  }
  flush(connection);
  if (!connection.broken || connection.mute) return true;
  if (!connection.ending || !connection.writer.empty() || connection.stream.unwritten())
    return ended;
  if (!connection.farewell_out) {
    connection.stream.end_writing();
    connection.farewell_out = true;
  }
  return ended || (!until_the_end && connection.stream.delivered());
}

void TcpTransport::close_all() {
  for (auto& [id, connection] : connections_) poller_.remove(connection->stream.socket());
  lobby_.close(&poller_);
  connections_.clear();
  for (Peer& peer : peers_) {
    peer.link = peer.dialing = nullptr;
    peer.up = false;
    peer.session.renew();
  }
}

void TcpTransport::close(bool collective) {
  if (closed_.exchange(true)) return;
  if (in_forked_child()) {
    // The sockets and the epoll instance are the parent's: closing our descriptors is all.
    lobby_.close(nullptr);
    connections_.clear();
    return;
  }
  const Time until = Clock::now() + patience;
  while (Clock::now() < until) {
    bool done = true;
    for (const Peer& peer : peers_)
      if (peer.link != nullptr) done &= move_farewell(*peer.link, collective);
    if (done) break;
    (void)::poll(nullptr, 0, int(nap.count()));
  }
  close_all();
  poller_.stay_awake();
}

void TcpTransport::abandon() {
  if (closed_.exchange(true)) return;
  close_all();
  poller_.stay_awake();
}

}  // namespace exdb::tcp
