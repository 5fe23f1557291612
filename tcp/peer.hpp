// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Another node as this one sees it.
//
// Invariants
//   I1  up exactly while the session is begun: above, a node is there as long as its session is.
// Threads: one at a time.
// Failure: none of its own.
#pragma once
#include "connection.hpp"
#include "session.hpp"

namespace exdb::tcp {

struct Peer {
  using Time = Log::Clock::time_point;

  std::uint32_t node = 0;
  Address address;
  bool removed = false;  ///< takes no part in broadcasts

  Session session;
  bool up = false;
  bool here = false;              ///< up, and on this machine
  Status refused;                 ///< why the newest attempt of a link was refused, here or there
  std::uint64_t incarnation = 0;  ///< of its process; 0 = never met
  std::uint32_t starts = 0;       ///< other incarnations met since the first
  Connection* link = nullptr;     ///< which carries the session, or is about to
  Connection* dialing = nullptr;  ///< a dialled one whose link message is not answered yet
  std::uint64_t attempt = 0;      ///< dials made; of a node that dials us, the newest it made
  Time last_heard, last_sent;
  Time tell_by = Time::max();  ///< until then it must be told what was taken in

  // Of a node that this one dials.
  bool dialled = false;
  bool asking = false;  ///< the resolver, for its addresses
  std::vector<SocketAddress> addresses;
  std::size_t next_address = 0;
  Time next_dial;

  [[nodiscard]] bool open() const {
    return link != nullptr && link->phase == Connection::Phase::open;
  }
};

}  // namespace exdb::tcp
