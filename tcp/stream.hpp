// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The bytes of one connection: a socket, and the channel (TLS) through which they go if there is
// one. Plain bytes are read from and written to the socket without a copy.
//
// Invariants
//   I1  Nothing here blocks.
//   I2  With a channel at most wire_bytes_max encrypted bytes wait for the socket.
// Threads: one at a time.
// Failure: a Status; the connection is of no use then. The peer's end is a failure too.
#pragma once
#include <sys/uio.h>

#include <vector>

#include "channel.hpp"
#include "descriptor.hpp"

namespace exdb::tcp {

class Stream {
 public:
  static constexpr std::size_t wire_bytes_max = 256 * 1024;

  struct Moved {
    std::size_t bytes = 0;
    bool blocked = false;  ///< the socket has, or takes, no more: epoll tells when
    Status status;
    bool refused = false;  ///< the failure is the channel's: what came is no TLS, or a stranger's
  };

  Stream(Descriptor socket, std::unique_ptr<Channel> channel)
      : socket_(std::move(socket)), channel_(std::move(channel)) {}

  /// Up to space.size() bytes. 0 without blocked: only the channel had something to do.
  Moved read(std::span<std::byte> space);
  /// As many of the pieces as go. The channel's own bytes go first.
  Moved write(std::span<const iovec> pieces);
  /// Bytes wait for the socket to be writable, the channel's handshake among them.
  [[nodiscard]] bool unwritten() const { return channel_ && !channel_->wire().empty(); }
  /// Whether bytes can go through: false during the channel's handshake.
  [[nodiscard]] bool established() const { return !channel_ || channel_->established(); }
  [[nodiscard]] const Channel* channel() const { return channel_.get(); }
  [[nodiscard]] const Descriptor& socket() const { return socket_; }

  /// Nothing more will be written: says so to the peer.
  void end_writing();
  /// Throws away what the socket holds, else closing it would reset the connection, and with it
  /// what is on its way to the peer. True at the peer's end.
  bool discard();
  /// The peer's system has all that was written, the end of it included: closing the socket cannot
  /// take it back any more.
  [[nodiscard]] bool delivered() const;

 private:
  Descriptor socket_;
  std::unique_ptr<Channel> channel_;
  std::vector<std::byte> scratch_;

  Moved receive(std::span<std::byte> space);
  Moved send(std::span<const iovec> pieces);
  Moved write_through_channel(std::span<const iovec> pieces);
  Status push_wire();
};

}  // namespace exdb::tcp
