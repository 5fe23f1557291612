// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does the TCP transport add to bare sockets on the loopback, plain, with MACs and
// with TLS? One exchange of everybody's 64 bytes between two polling processes, waking a process
// that sleeps and its answer, and a stream of long frames.
// Goal: an exchange within 1.5 × bare sockets in the same run, TLS within 1.5 × plain. Non-goal:
// networks between hosts; more than two nodes.
// Use: tcp_bench [--rounds n] [--bytes n] [--json file]
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "bare_socket.hpp"
#include "common/bench.hpp"
#include "socket.hpp"
#include "test_ca.hpp"
#include "tls_factory.hpp"
#include "transport.hpp"

namespace {

using namespace exdb;
using bench::Clock;
using bench::microseconds_since;

struct Measured {
  std::string name, unit;
  double median = 0, p99 = 0;
};

struct Run {
  std::uint32_t node = 0;
  bool crowded = std::thread::hardware_concurrency() < 2;
  std::size_t rounds = 20'000, bytes = 64;
  std::string json;
  std::vector<Measured> measured;
};

void record(Run& run, const std::string& name, const char* unit, std::vector<double> values) {
  const auto all = bench::summary(std::move(values));
  run.measured.push_back({name, unit, all.median, all.p99});
}

template <class Once>
void measure_exchange(Run& run, const std::string& name, Once once) {
  for (std::size_t round = 0; round < run.rounds / 10 + 1; ++round) once();
  std::vector<double> times;
  for (std::size_t round = 0; round < run.rounds; ++round) {
    const auto start = Clock::now();
    once();
    times.push_back(microseconds_since(start));
  }
  record(run, name, "us", std::move(times));
}

void give_way(const Run& run) {
  if (run.crowded) std::this_thread::yield();
}

// --- bare sockets

constexpr std::size_t long_bytes = 1 << 20;

void bare(Run& run, int listener, const tcp::SocketAddress& address) {
  const bench::BareSocket socket(run.node == 0, listener, address);
  const auto poll = [&](std::byte* bytes, std::size_t count) {
    socket.poll(bytes, count, [&] { give_way(run); });
  };
  // As many bytes as the transport sends for a frame of this length.
  std::vector<std::byte> out(run.bytes + tcp::header_bytes), in(out.size());
  measure_exchange(run, "bare sockets, exchange", [&] {
    socket.write(out.data(), out.size());
    poll(in.data(), in.size());
  });
  const auto rounds = std::min<std::size_t>(run.rounds, 500);
  std::vector<double> times;
  for (std::size_t round = 0; round < rounds; ++round) {
    if (run.node == 1) {
      socket.read(in.data(), in.size());
      socket.write(out.data(), out.size());
      continue;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const auto start = Clock::now();
    socket.write(out.data(), out.size());
    poll(in.data(), in.size());
    times.push_back(microseconds_since(start));
  }
  if (run.node == 0) record(run, "bare sockets, wake and answer", "us", std::move(times));
  std::vector<std::byte> much(long_bytes);
  std::vector<double> rates;
  for (std::size_t turn = 0; turn < 5; ++turn) {
    const auto start = Clock::now();
    const std::size_t count = std::max<std::size_t>(run.rounds / 40, 4);
    for (std::size_t i = 0; i < count; ++i) {
      if (run.node == 0)
        socket.write(much.data(), much.size());
      else
        socket.read(much.data(), much.size());
    }
    // The answer tells that all is there.
    if (run.node == 0)
      socket.read(in.data(), 1);
    else
      socket.write(out.data(), 1);
    rates.push_back(double(count * long_bytes) / microseconds_since(start) / 1000);
  }
  record(run, "bare sockets, stream of 1 MiB", "GB/s", std::move(rates));
}

// --- the transport

struct Counting : FrameSink {
  std::uint64_t frames = 0;
  bool up = false;
  void on_frame(std::uint32_t, std::span<const std::byte>) override { ++frames; }
  void on_gone(std::uint32_t) override { up = false; }
  void on_up(std::uint32_t, std::uint32_t) override { up = true; }
};

class Node {
 public:
  Node(Run& run, const tcp::TcpParams& params, tcp::Inside inside, std::string name)
      : run_(run), name_(std::move(name)) {
    auto made = tcp::TcpTransport::make(params, std::move(inside));
    made.status().or_throw();
    transport_ = std::move(made).value();
    while (!sink_.up) poll();
  }
  ~Node() { transport_->close(true); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void all() {
    exchange();
    wake();
    stream();
  }

 private:
  Run& run_;
  const std::string name_;
  std::unique_ptr<tcp::TcpTransport> transport_;
  Counting sink_;
  std::uint64_t wanted_ = 0;  ///< frames; the other may be ahead

  bool poll() {
    bool any = false;
    transport_->poll(sink_, any).or_throw();
    if (!any) give_way(run_);
    return any;
  }
  void poll_for(std::uint64_t frames) {
    while (sink_.frames < frames) poll();
  }
  static Frame frame(std::size_t bytes) { return std::make_shared<std::vector<std::byte>>(bytes); }

  void exchange() {
    measure_exchange(run_, name_ + ", exchange", [&] {
      transport_->broadcast(frame(run_.bytes)).or_throw();
      poll_for(++wanted_);
    });
  }
  void wake() {
    const auto rounds = std::min<std::size_t>(run_.rounds, 500);
    std::vector<double> times;
    for (std::size_t round = 0; round < rounds; ++round) {
      ++wanted_;
      if (run_.node == 1) {
        while (sink_.frames < wanted_) {
          transport_->wait(std::chrono::seconds(10));
          poll();
        }
        transport_->send(0, frame(run_.bytes)).or_throw();
        continue;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      const auto start = Clock::now();
      transport_->send(1, frame(run_.bytes)).or_throw();
      poll_for(wanted_);
      times.push_back(microseconds_since(start));
    }
    if (run_.node == 0) record(run_, name_ + ", wake and answer", "us", std::move(times));
  }
  void stream() {
    const auto one = frame(long_bytes);
    std::vector<double> rates;
    for (std::size_t turn = 0; turn < 5; ++turn) {
      const auto start = Clock::now();
      const std::size_t count = std::max<std::size_t>(run_.rounds / 40, 4);
      if (run_.node == 0) {
        for (std::size_t i = 0; i < count; ++i) {
          while (!transport_->has_room(1)) poll();
          transport_->send(1, one).or_throw();
        }
        poll_for(++wanted_);
      } else {
        poll_for(wanted_ += count);
        transport_->send(0, frame(1)).or_throw();
      }
      rates.push_back(double(count * long_bytes) / microseconds_since(start) / 1000);
    }
    record(run_, name_ + ", stream of 1 MiB", "GB/s", std::move(rates));
  }
};

std::shared_ptr<tcp::ChannelFactory> tls(const tcp::TemporaryFolder& folder) {
  tcp::TlsParams params;
  params.cert_file_pem = folder.path("node.pem");
  params.pkey_file_pem = folder.path("node.key");
  params.ca_file = folder.path("ca.pem");
  auto made = tcp::TlsFactory::make(params, {"127.0.0.1", "127.0.0.1"});
  made.status().or_throw();
  return std::move(made).value();
}

void print(const Run& run) {
  std::printf("two processes, %zu bytes, %zu rounds\n%-38s %12s %12s\n", run.bytes, run.rounds, "",
              "median", "p99");
  for (const auto& one : run.measured)
    std::printf("%-38s %12.2f %12.2f %s\n", one.name.c_str(), one.median, one.p99,
                one.unit.c_str());
  if (run.json.empty()) return;
  std::ofstream file(run.json);
  file << "{\"benchmark\": \"tcp\", \"compiler\": \"" << __VERSION__
       << "\", \"nodes\": 2, \"bytes\": " << run.bytes << ", \"rounds\": " << run.rounds
       << ", \"results\": [";
  const char* comma = "";
  for (const auto& one : run.measured) {
    file << comma << "\n  {\"name\": \"" << one.name << "\", \"unit\": \"" << one.unit
         << "\", \"median\": " << one.median << ", \"p99\": " << one.p99 << "}";
    comma = ",";
  }
  file << "]}\n";
}

}  // namespace

int main(int argc, char** argv) {
  Run run;
  bench::CommandLine("tcp_bench")
      .number("--rounds", run.rounds, std::size_t{1})
      .number("--bytes", run.bytes)
      .text("--json", run.json)
      .read(argc, argv);
  tcp::TemporaryFolder folder;
  const tcp::Certified ca({.common_name = "ca", .is_ca = true});
  const auto node = ca.issue({.common_name = "node"});
  (void)folder.write("ca.pem", ca.certificate_pem());
  (void)folder.write("node.pem", node.certificate_pem());
  (void)folder.write("node.key", node.key_pem());

  const int bare_listener = bench::bound_loopback(),
            listeners[2] = {bench::bound_loopback(), bench::bound_loopback()};
  tcp::TcpParams params;
  for (const int listener : listeners)
    params.nodes.push_back(tcp::own_address(listener).value().text());
  params.log = [](const std::string&) {};
  const auto bare_address = tcp::own_address(bare_listener).value();
  const pid_t child = fork();
  run.node = child == 0 ? 1 : 0;
  params.self = run.node;
  params.listener = listeners[run.node];

  bare(run, bare_listener, bare_address);
  Node(run, params, {}, "plain").all();
  tcp::Inside secret;
  secret.secret.assign(32, std::byte{1});
  Node(run, params, secret, "secret").all();
  tcp::Inside encrypted;
  encrypted.channels = tls(folder);
  Node(run, params, encrypted, "TLS").all();
  if (child == 0) {
    std::fflush(nullptr);
    _exit(0);
  }
  int status = 1;
  (void)waitpid(child, &status, 0);
  print(run);
  return status == 0 ? 0 : 1;
}
