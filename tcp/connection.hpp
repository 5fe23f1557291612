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

  enum class Greeting {
    waiting,
    met,   ///< the accepting side knows who it is, and may refuse() now
    done,  ///< the reader and the writer are ready
  };
  using Random = std::array<std::byte, 32>;

  /// `expected`: the node that was dialled, or any_node.
  Connection(std::uint64_t connection_id, Stream from_stream, HelloParams hello_params,
             const Random& random, bool is_dialled, std::uint32_t expected, std::string address)
      : id(connection_id),
        dialled(is_dialled),
        peer_address(std::move(address)),
        phase(is_dialled ? Phase::connecting : Phase::greeting),
        stream(std::move(from_stream)),
        node(expected),
        params_(std::move(hello_params)),
        random_(random) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Moves the greeting on. A failure may have been told to the peer.
  Result<Greeting> greet(std::size_t buffer_bytes);
  /// After `met`: tells the peer why not. The failure, for the log.
  Status refuse(Refusal reason);

  /// Bytes of the greeting or of TLS wait for the socket.
  [[nodiscard]] bool unwritten() const { return !said_.empty() || stream.unwritten(); }

  const std::uint64_t id;
  const bool dialled;
  const std::string peer_address;
  Phase phase;
  Stream stream;
  std::optional<Hello> hello;  ///< once the channel is established
  std::optional<FrameReader> reader;
  FrameWriter writer;
  std::uint32_t node;  ///< who it is, or should be; any_node before that is known
  std::uint64_t attempt = 0;
  bool answered = false;   ///< dialled to us, and told which session we have
  bool wants_out = false;  ///< asked epoll for it
  bool unread = false;     ///< messages may be in the reader or the channel, unknown to epoll
  bool mute = false;       ///< writing failed; what the peer said before is still to be read
  bool ending = false;     ///< closing: the farewell is in the writer
  bool farewell_out = false;
  Log::Clock::time_point deadline;  ///< until it must be open
  Status broken;
  Event why = Event::silent;  ///< of a failed greeting

 private:
  HelloParams params_;
  const Random random_;
  bool met_ = false;
  std::vector<std::byte> said_;  ///< to be written of the hello
  std::vector<std::byte> heard_;

  void start_hello();
  Result<bool> write_hello();
  Result<bool> read_hello();
  Status fail(Status status, Event event);
};

}  // namespace exdb::tcp
