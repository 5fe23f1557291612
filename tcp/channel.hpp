// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What lies between a socket's bytes and a link's: nothing (PlainChannel), or TLS. It does no I/O:
// the stream (stream.hpp) feeds it with what the socket gave, and writes what it wants written.
//
// Invariants
//   I1  Plain bytes come out at the other end as they went in, in order, or not at all.
//   I2  Nothing plain is taken in or given out before established().
//   I3  What a channel holds is bounded by what it was fed: the stream feeds it little at a time.
// Threads: one at a time.
// Failure: a Status ends the channel; what is in wire() then should still be written (an alert: it
//   tells the peer why).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "exdb/errors.hpp"

namespace exdb::tcp {

class Channel {
 public:
  virtual ~Channel() = default;
  /// Bytes from the socket; all are taken.
  virtual Status received(std::span<const std::byte> wire) = 0;
  /// Decrypted bytes that are there; 0 = none.
  virtual std::size_t take(std::span<std::byte> plain) = 0;
  /// REQUIRES: established().
  virtual Status send(std::span<const std::byte> plain) = 0;
  /// To be written to the socket, in order.
  [[nodiscard]] virtual std::span<const std::byte> wire() const = 0;
  /// So many bytes of wire() went out.
  virtual void written(std::size_t bytes) = 0;
  /// The handshake is done.
  [[nodiscard]] virtual bool established() const = 0;
  /// Says goodbye, if the channel can: it goes into wire().
  virtual void shut() = 0;
  /// Whom the certificate names; for logs.
  [[nodiscard]] virtual std::string peer() const = 0;
  /// False: plain; the link may write its frames around it.
  [[nodiscard]] virtual bool copies() const { return true; }
  /// REQUIRES: established(). The same bytes at both ends of this channel and of no other (zeros: it
  /// has none): for HelloParams::binding, so that nobody can relay a proof into another channel.
  [[nodiscard]] virtual std::array<std::byte, 32> binding() const { return {}; }
};

class ChannelFactory {
 public:
  virtual ~ChannelFactory() = default;
  /// The side that was connected to.
  virtual Result<std::unique_ptr<Channel>> accept() = 0;
  /// The side that connects to `node`, whose name is checked.
  virtual Result<std::unique_ptr<Channel>> connect(std::uint32_t node) = 0;
  /// Whether the peer of this channel may be that node.
  [[nodiscard]] virtual Status allows(const Channel& channel, std::uint32_t node) const = 0;
};

}  // namespace exdb::tcp
