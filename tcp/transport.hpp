// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The Transport over TCP. Of each pair of nodes the one with the higher number dials; so there is
// one link a pair without a word about it. poll() does all the work there is: sockets, dials,
// timers; nothing happens between polls but what send() can write at once.
//
// Invariants
//   I1  A connection dies in reap() only; what finds it broken marks it and goes on.
//   I2  A dial carries a number that grows: of two links of one process the later dialled stands,
//       in whatever order they get here.
//   I3  Time in which nobody polled is nobody's silence.
//   I4  In a forked child nothing touches a socket but to close it.
// Threads: as exdb::Transport.
// Failure: poll() and the others return the reason once there is one (a newer process with our
//   number; closed; forked).
#pragma once
#include <atomic>
#include <unordered_map>

#include "exdb/tcp.hpp"
#include "exdb/transport_counters.hpp"
#include "lobby.hpp"
#include "peer.hpp"
#include "resolver.hpp"

namespace exdb::tcp {

/// What a test may replace, and what TLS adds.
struct Inside {
  ResolveFunction resolve = &tcp::resolve;
  std::shared_ptr<ChannelFactory> channels;  ///< null: plain
  std::uint64_t incarnation = 0;             ///< 0: from the clock
  std::vector<std::byte> secret;             ///< empty: none
  std::uint32_t processors = 0;              ///< 0: those that this process may use
};

/// What happened to links; counted since the beginning.
struct LinkStatistics {
  std::uint64_t opened = 0, resumed = 0, broken = 0;
  std::uint64_t gone = 0;             ///< nodes given up or left
  std::uint64_t refused = 0;          ///< strangers and wrong messages
  std::uint64_t silent = 0;           ///< strangers that did not say who they are in time
  std::uint64_t crowded_out = 0;      ///< strangers that went for newer ones
  std::uint64_t frames_repeated = 0;  ///< came again over a resumed link
};

class TcpTransport final : public Transport {
 public:
  static Result<std::unique_ptr<TcpTransport>> make(const TcpParams& params, Inside inside);
  ~TcpTransport() override;
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;

  [[nodiscard]] std::uint32_t self() const override { return self_; }
  [[nodiscard]] std::uint32_t size() const override { return std::uint32_t(peers_.size()); }
  [[nodiscard]] std::string describe() const override;
  Status send(std::uint32_t to, Frame frame) override;
  Status broadcast(Frame frame) override;
  [[nodiscard]] bool has_room(std::uint32_t node) const override;
  void hold(bool on) override;
  [[nodiscard]] std::size_t send_bound_bytes() const override { return bound_bytes_; }
  void remove(std::uint32_t node) override;
  Status add(std::uint32_t node) override;
  Status poll(FrameSink& sink, bool& any) override;
  void wait(std::chrono::nanoseconds cap) override;
  void wake() override { poller_.wake(); }
  [[nodiscard]] bool wakes() const override { return true; }
  [[nodiscard]] bool by_system() const override { return true; }
  [[nodiscard]] bool crowded() const override {
    return running_here_.load(std::memory_order_relaxed) > processors_;
  }
  [[nodiscard]] TransportStatistics statistics() const override { return counters_.statistics(); }
  void close(bool collective) override;
  [[nodiscard]] Status refused(std::uint32_t node) const override { return peers_[node].refused; }

  [[nodiscard]] LinkStatistics link_statistics() const { return links_; }
  /// Of all kinds, strangers among them.
  [[nodiscard]] std::size_t connection_count() const { return connections_.size(); }
  /// Goes without a word, as a process that is killed. For tests.
  void abandon();

 private:
  using Clock = Log::Clock;
  using Time = Clock::time_point;
  using Phase = Connection::Phase;
  struct Delivery {
    FrameSink& sink;
    bool& any;
  };

  // --- transport.cpp
  TcpTransport(const TcpParams& params, Inside inside);
  Status open(const TcpParams& params);
  [[nodiscard]] Status usable() const;
  static bool in_forked_child();
  [[nodiscard]] bool takes(const Peer& peer) const {
    return !peer.up || peer.session.under_way().leaves_room(bound_bytes_);
  }
  [[nodiscard]] const Peer* first_without_room() const;
  void send_to(Peer& peer, const Frame& frame);
  void look_at_clock();
  [[nodiscard]] bool only_links_matter() const;
  void take_events(const Delivery& delivery);
  void read_what_is_left(const Delivery& delivery);
  void take_event(const Delivery& delivery, const epoll_event& event);
  void reap();
  void let_go(Connection& connection);

  // --- closing.cpp
  bool move_farewell(Connection& connection, bool until_the_end);
  void close_all();

  // --- links.cpp: messages of the peers
  void read_messages(const Delivery& delivery, Connection& connection);
  void handle(const Delivery& delivery, Connection& connection, const Message& message);
  void take_data(const Delivery& delivery, Connection& connection, const Message& message);
  void take_link(const Delivery& delivery, Connection& connection, const Message& message);
  bool adopt(const Delivery& delivery, Connection& connection, const Link& theirs);
  void begin_linking(const Delivery& delivery, Connection& connection);
  void say_link(Connection& connection);
  void opened(const Delivery& delivery, Connection& connection, const Link& theirs,
              std::uint64_t taken);
  void take_farewell(const Delivery& delivery, Connection& connection, Farewell farewell);
  void meet(const Delivery& delivery, Peer& peer, std::uint64_t incarnation);
  void gone(const Delivery& delivery, Peer& peer, const std::string& why);
  void flush(Connection& connection);
  void say_alive(Peer& peer);
  void tell_what_was_taken(Peer& peer);
  void want_out(Connection& connection, bool out);
  void mark_broken(Connection& connection, Status why, Event event = Event::broken);

  // --- dialing.cpp: connections that are no links yet, and timers
  void accept_strangers(std::uint64_t listener_id);
  void no_descriptors();
  void take_stranger(Accepted accepted);
  void dial(Peer& peer);
  void connect_to(Peer& peer, const SocketAddress& address);
  void dial_again(Peer& peer);
  void take_answers();
  void move_greeting(const Delivery& delivery, Connection& connection, bool writable);
  Connection* add_connection(Stream stream, bool dialled, std::uint32_t expected,
                             std::string address);
  [[nodiscard]] Refusal objection(const Connection& connection) const;
  void run_timers(const Delivery& delivery);
  void time_of_peer(const Delivery& delivery, Peer& peer);
  void due(Time when) { next_timer_ = std::min(next_timer_, when); }

  const TcpParams params_;
  const Inside inside_;
  const std::uint32_t self_;
  const std::chrono::milliseconds connect_timeout_, connect_interval_, alive_every_, gone_after_;
  const std::size_t bound_bytes_, buffer_bytes_, tell_bytes_;
  const SocketOptions socket_options_;
  const std::uint64_t incarnation_;
  const std::uint32_t processors_;

  Poller poller_;
  Lobby lobby_;
  Log log_;
  Resolver resolver_;
  std::vector<Peer> peers_;  ///< by node; that of this node is unused
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::uint64_t next_id_ = Lobby::listeners_max + 1;
  std::vector<std::uint64_t> broken_;  ///< connections to be reaped

  Time now_, next_timer_, last_look_, listen_again_ = Time::max();
  bool holding_ = false;     ///< sends wait until hold(false)
  bool told_first_ = false;  ///< the first poll has told who is not there
  Status failure_;

  std::atomic<bool> closed_{false}, look_{true}, busy_{false};
  std::atomic<std::uint32_t> running_here_{1};   ///< nodes on this machine: this one, and those up
  std::atomic<std::int64_t> sleep_until_ns_{0};  ///< of next_timer_, for the thread that sleeps
  TransportCounters counters_;
  LinkStatistics links_;
};

}  // namespace exdb::tcp
