// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// TcpTransport: what goes over links.
#include "transport.hpp"

namespace exdb::tcp {
namespace {

/// Of one link in one poll, so that the others get their turn.
constexpr std::size_t read_at_once_bytes = std::size_t{4} << 20;
/// Taken in without a word, if nothing is sent that would say it.
constexpr std::size_t tell_frames = 32;
constexpr std::chrono::milliseconds tell_after{20};

Status wrong(const std::string& what) { return {ErrorCode::cluster_protocol, what}; }

std::span<const std::byte> bytes_of(const Link& link) { return std::as_bytes(std::span(&link, 1)); }

}  // namespace

void TcpTransport::mark_broken(Connection& connection, Status why, Event event) {
  if (!connection.broken) return;
  connection.broken = std::move(why);
  connection.why = event;
  broken_.push_back(connection.id);
  busy_ = true;  // a poll is wanted, to reap it
  if (event == Event::refused) {
    ++links_.refused;
    // Whom it is about: the node that was dialled, or who has proved to be one; else a stranger,
    // which is told of under this node's own number.
    const auto known = connection.node < size() ? connection.node
                       : connection.hello       ? connection.hello->peer()
                                                : any_node;
    peers_[known < size() ? known : self_].refused = connection.broken;
  }
  if (event == Event::silent) ++links_.silent;
  if (event == Event::crowd) ++links_.crowded_out;
  const std::string who =
      connection.node < size()
          ? "link to node " + std::to_string(connection.node) + " (" + connection.peer_address + ")"
          : "connection from " + connection.peer_address;
  if (event != Event::count) log_.limited(event, now_, who + ": " + connection.broken.text());
}

void TcpTransport::want_out(Connection& connection, bool out) {
  if (connection.wants_out == out) return;
  connection.wants_out = out;
  poller_.change(connection.stream.socket(), connection.id, true, out);
}

// --- out

void TcpTransport::flush(Connection& connection) {
  if (!connection.broken || connection.mute || connection.phase < Phase::linking) return;
  Peer& peer = peers_[connection.node];
  const bool data = connection.phase == Phase::open && peer.link == &connection;
  while (true) {
    while (data && !connection.ending && !connection.writer.full() && peer.session.has_unsent()) {
      auto [number, frame] = peer.session.next_unsent();
      const Header header{std::uint32_t(frame->size()), Kind::data, number, peer.session.taken()};
      connection.writer.add(header, std::move(frame));
      tell_what_was_taken(peer);
    }
    if (connection.writer.empty() && !connection.stream.unwritten()) break;
    std::array<iovec, 3 * FrameWriter::messages_max> pieces;
    const auto count = connection.writer.pieces(pieces);
    auto moved = connection.stream.write(std::span(pieces).first(count));
    if (!moved.status) {
      // A peer that has left resets what comes after; its last words are here already. Reading
      // meets the end behind them.
      connection.mute = true;
      break;
    }
    if (moved.bytes != 0) {
      connection.writer.written(moved.bytes);
      peer.last_sent = now_;
    }
    if (moved.blocked) return want_out(connection, true);
  }
  want_out(connection, false);
}

/// The message that was just put into the writer says it.
void TcpTransport::tell_what_was_taken(Peer& peer) {
  peer.session.told();
  peer.tell_by = Time::max();
}

void TcpTransport::say_alive(Peer& peer) {
  // What is in the writer already will tell that this node is there.
  if (!peer.open() || peer.link->wants_out) return;
  peer.link->writer.add_small({0, Kind::alive, 0, peer.session.taken()});
  tell_what_was_taken(peer);
  flush(*peer.link);
}

void TcpTransport::say_link(Connection& connection) {
  Peer& peer = peers_[connection.node];
  const Link link = peer.session.link(connection.attempt);
  connection.writer.add_small({link_bytes, Kind::link, 0, peer.session.taken()}, bytes_of(link));
  tell_what_was_taken(peer);
  flush(connection);
}

// --- in

void TcpTransport::read_messages(const Delivery& delivery, Connection& connection) {
  Peer& peer = peers_[connection.node];
  std::size_t read = 0;
  bool drained = false;
  // Until all was given out: also when a sink throws.
  connection.unread = true;
  while (connection.broken) {
    // First what is there: a sink that threw has left some.
    Message message;
    while (true) {
      auto some = connection.reader->next(message);
      if (!some) return mark_broken(connection, some.status(), Event::refused);
      if (!*some) break;
      handle(delivery, connection, message);
      if (!connection.broken) return;
    }
    const UnderWay& untold = peer.session.untold();
    if (untold.frames >= tell_frames || untold.bytes >= tell_bytes_) say_alive(peer);
    if (drained) {
      connection.unread = false;
      break;
    }
    if (read >= read_at_once_bytes) {
      busy_ = true;
      break;
    }
    const auto space = connection.reader->space();
    auto moved = connection.stream.read(space);
    if (!moved.status) return mark_broken(connection, std::move(moved.status));
    if (moved.bytes != 0) peer.last_heard = now_;
    connection.reader->filled(moved.bytes);
    read += moved.bytes;
    // What came did not fill the space: there is no more, and asking costs a call. A channel may
    // hold some even so.
    drained =
        moved.blocked || (connection.stream.channel() == nullptr && moved.bytes != space.size());
  }
  if (!connection.broken) return;
  if (connection.stream.unwritten()) want_out(connection, true);
  if (peer.session.untold().frames != 0 && peer.tell_by == Time::max()) {
    peer.tell_by = now_ + tell_after;
    due(peer.tell_by);
  }
}

void TcpTransport::handle(const Delivery& delivery, Connection& connection,
                          const Message& message) {
  if (message.header.kind == Kind::bye) {
    std::uint32_t farewell = 0;
    std::memcpy(&farewell, message.payload.data(), sizeof(farewell));
    return take_farewell(delivery, connection, Farewell(farewell));
  }
  if (message.header.kind == Kind::link) return take_link(delivery, connection, message);
  if (connection.phase != Phase::open)
    return mark_broken(connection, wrong("a message before its first one"), Event::refused);
  Peer& peer = peers_[connection.node];
  if (Status s = peer.session.peer_has_taken(message.header.taken); !s) {
    mark_broken(connection, s, Event::refused);
    return gone(delivery, peer, s.text());
  }
  if (message.header.kind == Kind::data) take_data(delivery, connection, message);
}

void TcpTransport::take_data(const Delivery& delivery, Connection& connection,
                             const Message& message) {
  Peer& peer = peers_[connection.node];
  switch (peer.session.arrived(message.header.number, message.payload.size())) {
    case Session::Arrival::fresh:
      counters_.count_received(message.payload.size());
      delivery.any = true;
      return delivery.sink.on_frame(peer.node, message.payload);
    case Session::Arrival::duplicate:
      ++links_.frames_repeated;
      return;
    case Session::Arrival::gap:
      return mark_broken(connection, wrong("a frame is missing"), Event::refused);
  }
}

void TcpTransport::take_farewell(const Delivery& delivery, Connection& connection,
                                 Farewell farewell) {
  Peer& peer = peers_[connection.node];
  mark_broken(connection, {ErrorCode::cluster, "ended by the peer"}, Event::count);
  if (farewell == Farewell::superseded) {
    failure_ = {ErrorCode::cluster_duplicate_node,
                "node " + std::to_string(self_) + " is taken by a newer process, says node " +
                    std::to_string(peer.node) + ": each node id is for one process"};
    log_.line(failure_.text());
  } else if (peer.link == &connection) {
    gone(delivery, peer, "it has left");
  }
}

// --- which session

/// The hello of a dialled connection is done, or that of a stranger, who speaks first.
void TcpTransport::begin_linking(const Delivery& delivery, Connection& connection) {
  connection.phase = Phase::linking;
  if (!connection.dialled) return;
  Peer& peer = peers_[connection.node];
  meet(delivery, peer, connection.hello->peer_incarnation());
  say_link(connection);
}

/// The process that is at the other end: is it the one that we knew?
void TcpTransport::meet(const Delivery& delivery, Peer& peer, std::uint64_t incarnation) {
  if (peer.incarnation == incarnation) return;
  if (peer.incarnation != 0) {
    gone(delivery, peer, "it was started again");
    ++peer.starts;
  }
  peer.incarnation = incarnation;
  if (!peer.dialled) peer.attempt = 0;
}

/// A connection to us becomes its node's link, unless it is out of date.
bool TcpTransport::adopt(const Delivery& delivery, Connection& connection, const Link& theirs) {
  Peer& peer = peers_[connection.node];
  const auto incarnation = connection.hello->peer_incarnation();
  const bool same = peer.incarnation == incarnation;
  if (!same && peer.link != nullptr && incarnation < peer.incarnation) {
    const auto farewell = Farewell::superseded;
    connection.writer.add_small({farewell_bytes, Kind::bye, 0, 0},
                                std::as_bytes(std::span(&farewell, 1)));
    flush(connection);
    mark_broken(connection, wrong("an older process with this node's number"), Event::refused);
    return false;
  }
  if (same && theirs.attempt <= peer.attempt) {
    mark_broken(connection, wrong("a dial that was given up"), Event::count);
    return false;
  }
  meet(delivery, peer, incarnation);
  peer.attempt = theirs.attempt;
  lobby_.leave(connection.id);
  if (peer.link != nullptr)
    mark_broken(*peer.link, {ErrorCode::cluster, "replaced by a newer one"}, Event::count);
  peer.link = &connection;
  return true;
}

void TcpTransport::take_link(const Delivery& delivery, Connection& connection,
                             const Message& message) {
  Link theirs;
  std::memcpy(&theirs, message.payload.data(), sizeof(theirs));
  if (connection.phase != Phase::linking)
    return mark_broken(connection, wrong("a second first message"), Event::refused);
  Peer& peer = peers_[connection.node];
  if (!connection.dialled && !connection.answered && !adopt(delivery, connection, theirs)) return;
  if (connection.dialled) {
    peer.dialing = nullptr;
    peer.link = &connection;
  }
  const bool mine_is_old = !peer.session.fits(theirs) && peer.session.begun();
  if (mine_is_old) gone(delivery, peer, "it had given this node up");
  if (mine_is_old || (!connection.dialled && !connection.answered)) {
    connection.answered = true;
    say_link(connection);
  }
  if (!connection.broken) return;
  if (peer.session.fits(theirs)) return opened(delivery, connection, theirs, message.header.taken);
  // Its session is the old one: it will say so with a new name. Once.
  if (connection.dialled || theirs.yours == 0)
    mark_broken(connection, wrong("a session that cannot be"), Event::refused);
}

void TcpTransport::opened(const Delivery& delivery, Connection& connection, const Link& theirs,
                          std::uint64_t taken) {
  Peer& peer = peers_[connection.node];
  const bool resumed = peer.session.begun();
  if (Status s = peer.session.resume(theirs, taken); !s) {
    mark_broken(connection, s, Event::refused);
    return gone(delivery, peer, s.text());
  }
  connection.phase = Phase::open;
  peer.last_heard = now_;
  ++links_.opened;
  if (resumed) {
    ++links_.resumed;
  } else {
    peer.up = delivery.any = true;
    peer.here = within_machine(connection.stream.socket());
    running_here_ += peer.here ? 1 : 0;
    peer.refused = {};
    log_.line("node " + std::to_string(peer.node) + " (" + connection.peer_address + ") is up");
    delivery.sink.on_up(peer.node, peer.starts);
  }
  due(now_ + alive_every_);
  flush(connection);
}

void TcpTransport::gone(const Delivery& delivery, Peer& peer, const std::string& why) {
  const bool was_up = peer.up;
  peer.up = false;
  peer.session.renew();
  if (peer.link != nullptr && peer.link->phase == Phase::open)
    mark_broken(*peer.link, {ErrorCode::cluster, "given up"}, Event::count);
  if (!was_up) return;
  running_here_ -= std::exchange(peer.here, false) ? 1 : 0;
  ++links_.gone;
  log_.line("node " + std::to_string(peer.node) + " (" + peer.address.text() + ") is gone: " + why);
  delivery.any = true;
  delivery.sink.on_gone(peer.node);
}

}  // namespace exdb::tcp
