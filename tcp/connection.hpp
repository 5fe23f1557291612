// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// One TCP connection from its first byte to its last: connect, TLS, hello, then messages.
//
// Invariants
//   I1  Before the hello is done nothing else is parsed, and no more is read than one hello message
//       at a time.
//   I2  A broken connection stays until the transport reaps it: nobody's reference dangles inside a
//       callback.
// Threads: one at a time.
// Failure: `broken` says why; what is in it is lost to the wire, not to the session.
#pragma once
#include <chrono>
#include <optional>

#include "frame_reader.hpp"
#include "frame_writer.hpp"
#include "hello.hpp"
#include "log.hpp"
#include "stream.hpp"

namespace exdb::tcp {

class Connection {
 public:
  enum class Phase {
    connecting,  ///< the socket is not connected yet
    greeting,    ///< TLS and hello
    linking,     ///< the first messages: which session to go on with
    open,
  };

  Connection(std::uint64_t connection_id, Stream from_stream, Hello with_hello, bool is_dialled,
             std::string address)
      : id(connection_id),
        dialled(is_dialled),
        peer_address(std::move(address)),
        phase(is_dialled ? Phase::connecting : Phase::greeting),
        stream(std::move(from_stream)),
        hello(std::move(with_hello)) {}

  /// Moves the greeting on. True when it is done; the reader and the writer are ready then.
  Result<bool> greet(std::size_t buffer_bytes, bool with_macs);

  /// Bytes of the greeting or of TLS wait for the socket.
  [[nodiscard]] bool unwritten() const { return !said_.empty() || stream.unwritten(); }

  const std::uint64_t id;
  const bool dialled;
  const std::string peer_address;
  Phase phase;
  Stream stream;
  Hello hello;
  std::optional<FrameReader> reader;
  FrameWriter writer;
  std::uint32_t node = Hello::any_node;  ///< who it is; of a dialled one, who it should be
  std::uint64_t attempt = 0;
  bool answered = false;   ///< dialled to us, and told which session we have
  bool wants_out = false;  ///< asked epoll for it
  bool ending = false;     ///< closing: the farewell is in the writer
  bool farewell_out = false;
  Log::Clock::time_point deadline;  ///< until it must be open
  Status broken;
  Event why = Event::broken;

 private:
  std::vector<std::byte> said_;  ///< to be written of the hello
  std::vector<std::byte> heard_;

  Result<bool> write_hello();
  Result<bool> read_hello();
};

}  // namespace exdb::tcp
