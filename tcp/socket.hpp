// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// System calls on sockets, with the options that all of ours have: nonblocking, closed on exec,
// TCP_NODELAY, buffers as asked for.
//
// Threads: any.
// Failure: a Status with the address, the system's words and a remedy where there is one.
#pragma once
#include "address.hpp"
#include "descriptor.hpp"

namespace exdb::tcp {

struct SocketOptions {
  int send_bytes = 0, receive_bytes = 0;  ///< 0 = the system's
};

/// Bound (SO_REUSEADDR) and listening.
Result<Descriptor> listen_on(const SocketAddress& address, const SocketOptions& options);
/// A socket that the caller has bound, made to listen.
Result<Descriptor> adopt_listener(int descriptor, const SocketOptions& options);
/// Connecting; connect_result() tells how it went, when the socket is writable.
Result<Descriptor> start_connecting(const SocketAddress& address, const SocketOptions& options);
Status connect_result(const Descriptor& socket);

struct Accepted {
  Descriptor socket;
  SocketAddress from;
  bool no_descriptors = false;  ///< the process or the system has none left
};
/// Without a socket: nobody waits, or no_descriptors.
Accepted accept_one(const Descriptor& listener, const SocketOptions& options);

/// Whether both ends of a connected socket are on this machine: the other has an address of the
/// loopback, or that of this one.
bool within_machine(const Descriptor& socket);

/// Where a bound socket is bound to.
Result<SocketAddress> own_address(int descriptor);

}  // namespace exdb::tcp
