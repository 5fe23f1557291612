// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A proxy between two nodes that does to their connections what networks do: cuts them, holds
// bytes back, ends one direction, lets nobody through. A thread of its own; the knobs may be turned
// at any time.
#pragma once
#include <fcntl.h>
#include <poll.h>

#include <list>
#include <random>

#include "tcp_nodes.hpp"

namespace exdb::tcp {

class Proxy {
 public:
  /// Passes on what comes to address() to `target`.
  explicit Proxy(const std::string& target)
      : listener_(bound_socket()),
        target_(resolve(*parse_address(target), AF_INET).value().front()),
        thread_([this] { run(); }) {}
  ~Proxy() {
    over_ = true;
    thread_.join();
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] std::string address() const { return own_address(listener_.get()).value().text(); }

  /// Ends all connections, both ways at once.
  void cut() { ++cuts_wanted_; }
  /// Each connection is cut after a random number of bytes of this mean; 0 = never.
  void cut_about_every(std::size_t bytes) { cut_bytes_ = bytes; }
  /// The connections that are there pass nothing on any more towards the node that dialled; new
  /// ones do.
  void hold_back_what_is_there() { ++holds_wanted_; }
  /// The node that dialled meets the end of its stream; the other direction stays.
  void half_close() { ++half_closes_wanted_; }
  /// False: who comes is let wait, and what is there is cut.
  void let_through(bool on) {
    through_ = on;
    if (!on) cut();
  }
  void delay(std::chrono::microseconds by) { delay_us_ = by.count(); }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] std::uint64_t cuts() const { return cuts_; }

 private:
  struct Way {
    std::vector<std::byte> bytes;
    std::size_t passed = 0;
  };
  struct Pair {
    Descriptor dialler, target;
    Way up, down;  ///< to the target, from it
    bool held = false, half_closed = false;
    std::size_t cut_after;
    [[nodiscard]] std::size_t passed() const { return up.passed + down.passed; }
  };

  Descriptor listener_;
  SocketAddress target_;
  std::list<Pair> pairs_;
  std::mt19937 random_{11};
  std::atomic<std::size_t> cut_bytes_{0};
  std::atomic<std::int64_t> delay_us_{0};
  std::atomic<int> cuts_wanted_{0}, holds_wanted_{0}, half_closes_wanted_{0};
  std::atomic<bool> through_{true}, over_{false};
  std::atomic<std::uint64_t> connections_{0}, cuts_{0};
  std::thread thread_;

  std::size_t next_cut() {
    const std::size_t mean = cut_bytes_;
    return mean == 0 ? ~std::size_t{0} : random_() % (2 * mean) + 1;
  }

  /// False at an end or an error.
  static bool move(const Descriptor& from, const Descriptor& to, Way& way, std::size_t most) {
    if (way.bytes.empty()) {
      way.bytes.resize(std::min<std::size_t>(64 * 1024, most));
      const auto got = ::recv(from.get(), way.bytes.data(), way.bytes.size(), MSG_DONTWAIT);
      const bool nothing = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
      way.bytes.resize(std::size_t(std::max<ssize_t>(got, 0)));
      if (nothing) return true;
      if (got <= 0) return false;
    }
    const auto put =
        ::send(to.get(), way.bytes.data(), way.bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    way.bytes.erase(way.bytes.begin(), way.bytes.begin() + put);
    way.passed += std::size_t(put);
    return true;
  }

  void accept_one_pair() {
    auto accepted = accept_one(listener_, {});
    if (!accepted.socket) return;
    ++connections_;
    auto target = start_connecting(target_, {});
    if (!target) return;
    pollfd ready{target->get(), POLLOUT, 0};
    if (::poll(&ready, 1, 1000) != 1 || !connect_result(*target)) return;
    pairs_.push_back(
        {std::move(accepted.socket), *std::move(target), {}, {}, false, false, next_cut()});
  }

  void run() {
    (void)fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    (void)::listen(listener_.get(), 64);
    int cuts = 0, holds = 0, half_closes = 0;
    while (!over_) {
      if (cuts != cuts_wanted_) {
        cuts = cuts_wanted_;
        cuts_ += pairs_.size();
        pairs_.clear();
      }
      if (holds != holds_wanted_) {
        holds = holds_wanted_;
        for (Pair& pair : pairs_) pair.held = true;
      }
      if (half_closes != half_closes_wanted_) {
        half_closes = half_closes_wanted_;
        for (Pair& pair : pairs_) {
          (void)::shutdown(pair.dialler.get(), SHUT_WR);
          pair.half_closed = true;
        }
      }
      if (through_) accept_one_pair();
      const auto delay = delay_us_.load();
      std::this_thread::sleep_for(std::chrono::microseconds(delay != 0 ? delay : 20));
      for (auto pair = pairs_.begin(); pair != pairs_.end();) {
        const auto left = pair->cut_after - std::min(pair->cut_after, pair->passed());
        bool alive = left != 0 && move(pair->dialler, pair->target, pair->up, left);
        if (alive && !pair->held && !pair->half_closed)
          alive = move(pair->target, pair->dialler, pair->down, left);
        if (!alive) ++cuts_;
        pair = alive ? std::next(pair) : pairs_.erase(pair);
      }
    }
  }
};

}  // namespace exdb::tcp
