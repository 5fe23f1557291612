// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Nodes of one cluster over TCP in this process: sockets bound to ephemeral ports of the loopback,
// kept by the test, so that nobody else gets a port while a node is down.
#pragma once
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <mutex>
#include <set>
#include <thread>

#include "collector.hpp"
#include "transport.hpp"

namespace exdb::tcp {

/// A socket of this family bound to a free port of the loopback; -1 where there is no such family.
inline Descriptor bound_socket(int family = AF_INET) {
  Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return {};
  SocketAddress address;
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(&address.storage, &in, address.bytes = sizeof(in));
  } else {
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_addr = in6addr_loopback;
    std::memcpy(&address.storage, &in6, address.bytes = sizeof(in6));
  }
  if (bind(socket.get(), address.get(), address.bytes) != 0) return {};
  return socket;
}

/// What a node writes, for tests to look at.
class Lines {
 public:
  std::function<void(const std::string&)> writer() {
    return [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(line);
    };
  }
  [[nodiscard]] std::size_t with(const std::string& text) const {
    const std::lock_guard lock(mutex_);
    return std::size_t(std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    }));
  }
  [[nodiscard]] std::string all() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const auto& line : lines_) text += line + "\n";
    return text;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// The addresses of a cluster, and its nodes made one by one.
class Nodes {
 public:
  explicit Nodes(std::uint32_t count, int family = AF_INET) {
    for (std::uint32_t node = 0; node < count; ++node) {
      sockets_.push_back(bound_socket(family));
      params.nodes.push_back(own_address(sockets_.back().get()).value().text());
    }
    params.keep_alive_time_ms = 500;
    params.connect_interval_ms = 20;
  }

  [[nodiscard]] TcpParams of(std::uint32_t node) const {
    TcpParams mine = params;
    mine.self = node;
    mine.listener = sockets_[node].get();
    mine.log = lines->writer();
    return mine;
  }
  [[nodiscard]] std::unique_ptr<TcpTransport> make(std::uint32_t node) const {
    return make(node, inside);
  }
  [[nodiscard]] std::unique_ptr<TcpTransport> make(std::uint32_t node, Inside with) const {
    auto made = TcpTransport::make(of(node), std::move(with));
    EXPECT_TRUE(made.ok()) << made.status().text();
    return *std::move(made);
  }
  [[nodiscard]] std::uint32_t count() const { return std::uint32_t(sockets_.size()); }

  TcpParams params;
  Inside inside;
  std::shared_ptr<Lines> lines = std::make_shared<Lines>();

 private:
  std::vector<Descriptor> sockets_;
};

/// A node with what it got. Polled by the test, all of them in one thread where that will do.
struct Polled {
  std::unique_ptr<TcpTransport> transport;
  conformance::Collector got;
  std::set<std::uint32_t> up;

  void poll() {
    bool any = false;
    const auto gone = got.gone.size(), ups = got.ups.size();
    const auto status = transport->poll(got, any);
    EXPECT_TRUE(status.ok()) << status.text();
    // Of one poll: who is gone is told before who is up, for each node.
    for (std::size_t i = gone; i < got.gone.size(); ++i) up.erase(got.gone[i]);
    for (std::size_t i = ups; i < got.ups.size(); ++i) up.insert(got.ups[i].first);
  }
  [[nodiscard]] bool all_up() const { return up.size() == transport->size() - 1; }
};

/// Polls them in turn until `done`; a check fails when that takes longer than the deadline.
template <class Done>
void poll_all(std::vector<Polled*> nodes, Done done) {
  const auto until = std::chrono::steady_clock::now() + conformance::deadline;
  while (!done() && std::chrono::steady_clock::now() < until) {
    for (Polled* node : nodes) node->poll();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  EXPECT_TRUE(done());
}

}  // namespace exdb::tcp
