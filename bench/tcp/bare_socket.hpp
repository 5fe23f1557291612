// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The floor of the benchmarks over TCP: two processes and one connection of the loopback, nothing
// else.
//
// Threads: one at a time.
// Failure: the program aborts.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "socket.hpp"

namespace exdb::bench {

/// A socket that nobody else can listen on, for processes that are forked later.
inline int bound_loopback() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(socket, reinterpret_cast<const sockaddr*>(&in), sizeof(in)) != 0) std::abort();
  return socket;
}

class BareSocket {
 public:
  /// One of the two accepts on `listener`, the other connects to its address. TCP_NODELAY.
  BareSocket(bool accepts, int listener, const tcp::SocketAddress& address) {
    if (accepts) {
      (void)::listen(listener, 1);
      socket_ = ::accept(listener, nullptr, nullptr);
    } else {
      socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
      while (::connect(socket_, address.get(), address.bytes) != 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const int on = 1;
    (void)setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  ~BareSocket() { ::close(socket_); }
  BareSocket(const BareSocket&) = delete;
  BareSocket& operator=(const BareSocket&) = delete;

  void write(const std::byte* bytes, std::size_t count) const {
    while (count != 0) {
      const auto put = ::send(socket_, bytes, count, MSG_NOSIGNAL);
      if (put <= 0) std::abort();
      bytes += put;
      count -= std::size_t(put);
    }
  }
  /// Sleeps in the system.
  void read(std::byte* bytes, std::size_t count) const {
    read(bytes, count, 0, [] {});
  }
  /// Polls, with `pause` between two looks.
  template <class Pause>
  void poll(std::byte* bytes, std::size_t count, Pause pause) const {
    read(bytes, count, MSG_DONTWAIT, pause);
  }

 private:
  template <class Pause>
  void read(std::byte* bytes, std::size_t count, int flags, Pause pause) const {
    while (count != 0) {
      const auto got = ::recv(socket_, bytes, count, flags);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) std::abort();
      if (got < 0) pause();
      bytes += std::max<ssize_t>(got, 0);
      count -= std::size_t(std::max<ssize_t>(got, 0));
    }
  }

  int socket_ = -1;
};

}  // namespace exdb::bench
