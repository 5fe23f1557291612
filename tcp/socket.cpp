// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

namespace exdb::tcp {
namespace {

Status failed(const std::string& what, int error, const std::string& remedy = {}) {
  return {ErrorCode::cluster,
          what + ": " + std::strerror(error) + (remedy.empty() ? "" : " (" + remedy + ")")};
}

void set(const Descriptor& socket, int level, int option, int value) {
  // Nothing depends on these: an old kernel or a sandbox that refuses one costs speed.
  (void)setsockopt(socket.get(), level, option, &value, sizeof(value));
}

void set_options(const Descriptor& socket, const SocketOptions& options) {
  set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.send_bytes > 0) set(socket, SOL_SOCKET, SO_SNDBUF, options.send_bytes);
  if (options.receive_bytes > 0) set(socket, SOL_SOCKET, SO_RCVBUF, options.receive_bytes);
}

Result<Descriptor> new_socket(const SocketAddress& address, const SocketOptions& options) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return failed("no socket for " + address.text(), errno);
  set_options(socket, options);
  return socket;
}

std::string remedy_for_bind(int error) {
  if (error == EADDRINUSE)
    return "another program, or another node of yours, listens there: end it or give this node "
           "another port";
  if (error == EADDRNOTAVAIL)
    return "this machine does not have that address: the entry of `nodes` with this node's id must "
           "be an address of the machine that it runs on";
  if (error == EACCES) return "a port below 1024 needs privileges: take a higher one";
  return {};
}

}  // namespace

Result<Descriptor> listen_on(const SocketAddress& address, const SocketOptions& options) {
  auto made = new_socket(address, options);
  if (!made) return made;
  Descriptor& socket = *made;
  set(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  // Else [::]:p would take what another node listens for at 0.0.0.0:p.
  if (address.family() == AF_INET6) set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(socket.get(), address.get(), address.bytes) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    const int error = errno;
    return failed("cannot listen on " + address.text(), error, remedy_for_bind(error));
  }
  return made;
}

Result<Descriptor> adopt_listener(int descriptor, const SocketOptions& options) {
  Descriptor socket(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!socket) return failed("the listener handed over cannot be used", errno);
  set_options(socket, options);
  if (fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
    return failed("the listener handed over cannot be used", errno);
  return socket;
}

Result<Descriptor> start_connecting(const SocketAddress& address, const SocketOptions& options) {
  auto made = new_socket(address, options);
  if (!made) return made;
  if (::connect(made->get(), address.get(), address.bytes) != 0 && errno != EINPROGRESS)
    return failed("cannot connect to " + address.text(), errno);
  return made;
}

Status connect_result(const Descriptor& socket) {
  int error = 0;
  socklen_t bytes = sizeof(error);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
  if (error != 0) return failed("cannot connect", error);
  SocketAddress here, there;
  here.bytes = there.bytes = sizeof(here.storage);
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&here.storage), &here.bytes) != 0 ||
      getpeername(socket.get(), reinterpret_cast<sockaddr*>(&there.storage), &there.bytes) != 0)
    return failed("cannot connect", errno);
  // A port of the ephemeral range where nobody listens: the kernel may give us that very port.
  if (here.bytes == there.bytes && std::memcmp(&here.storage, &there.storage, here.bytes) == 0)
    return {ErrorCode::cluster, "cannot connect: nobody listens there but this socket itself"};
  return {};
}

Accepted accept_one(const Descriptor& listener, const SocketOptions& options) {
  Accepted accepted;
  do {
    accepted.from.bytes = sizeof(accepted.from.storage);
    accepted.socket =
        Descriptor(accept4(listener.get(), reinterpret_cast<sockaddr*>(&accepted.from.storage),
                           &accepted.from.bytes, SOCK_NONBLOCK | SOCK_CLOEXEC));
  } while (!accepted.socket && (errno == EINTR || errno == ECONNABORTED));
  if (accepted.socket)
    set_options(accepted.socket, options);
  else
    accepted.no_descriptors =
        errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
  return accepted;
}

bool within_machine(const Descriptor& socket) {
  SocketAddress there;
  there.bytes = sizeof(there.storage);
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&there.storage), &there.bytes) != 0)
    return false;
  auto here = own_address(socket.get());
  return there.loopback() || (here && here->same_host(there));
}

Result<SocketAddress> own_address(int descriptor) {
  SocketAddress here;
  here.bytes = sizeof(here.storage);
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&here.storage), &here.bytes) != 0)
    return failed("the listener handed over cannot be used", errno);
  return here;
}

}  // namespace exdb::tcp
