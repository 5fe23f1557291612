// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does a commit of one row cost over TCP on the loopback, plain and with TLS, beside
// a bare ping-pong of the same bytes; and how long does a node that joins take to get 1 M rows, and
// what do those who write meanwhile lose?
// Goal: a commit, both nodes in a closed loop, within 3 × the ping-pong, TLS within 1.5 × plain; the
// joiner within 3 s, the writers at 70 % or more. Non-goal: networks between hosts.
// Floors, in the same run: bare sockets, polled, TCP_NODELAY. `ping-pong`: there and back. `two
// hops`: both send their bytes at once, answer each other's with a few more, and have the answer:
// what a commit that is shown only when a majority holds it needs at least.
// Use: cluster_bench [--commits n] [--rows n] [--row-bytes n] [--touched n] [--json file];
//   --rows 0 leaves the joiner out; without --touched the joiner gets whatever memory there is.
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "bare_socket.hpp"
#include "common/bench.hpp"
#include "exdb/exdb.hpp"
#include "exdb/tcp.hpp"
#include "test_ca.hpp"

namespace {

using namespace exdb;
using bench::Clock;
using bench::Summary;

struct Options {
  int commits = 10'000;
  int rows = 1'000'000;  ///< that a joiner gets
  int row_bytes = 100;
  int touched = 0;  ///< so many times the bytes of the rows
  std::string json;
};

/// What the processes tell each other: memory that they share.
struct Board {
  std::atomic<int> arrived{0};
  std::atomic<bool> joined{false}, failed{false};
  std::uint64_t digests[3]{};
  double bytes = 0, rates[2][2]{}, join_seconds = 0, join_cpu_seconds = 0;
  Summary ping_pong, two_hops, commit, alone, fresh;

  /// All `count` processes come here for the `turn`th time.
  void barrier(int count, int turn) {
    ++arrived;
    while (arrived < count * turn && !failed)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (failed) _exit(1);
  }
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Of this process.
double cpu_seconds() {
  timespec time{};
  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

/// Microseconds of `once`, the first tenth not counted.
template <class Once>
Summary measure(int count, Once once) {
  std::vector<double> times;
  for (int i = 0; i < count + count / 10; ++i) {
    const auto start = Clock::now();
    once(i);
    if (i >= count / 10) times.push_back(bench::microseconds_since(start));
  }
  return bench::summary(std::move(times));
}

// --- bare sockets

class Bare {
 public:
  Bare(int node, int listener, const tcp::SocketAddress& address)
      : node_(node), socket_(node == 0, listener, address) {}

  void ping_pong(std::size_t bytes) {
    if (node_ == 1) read(bytes);
    write(bytes);
    if (node_ == 0) read(bytes);
  }
  void two_hops(std::size_t bytes, std::size_t answer_bytes) {
    write(bytes);
    read(bytes);
    write(answer_bytes);
    read(answer_bytes);
  }

 private:
  void write(std::size_t count) { socket_.write(room(count), count); }
  void read(std::size_t count) {
    socket_.poll(room(count), count, [] {});
  }
  std::byte* room(std::size_t count) {
    if (bytes_.size() < count) bytes_.resize(count);
    return bytes_.data();
  }

  const int node_;
  const bench::BareSocket socket_;
  std::vector<std::byte> bytes_;
};

// --- the cluster

class Node {
 public:
  Node(tcp::TcpParams params, std::uint32_t self, const Options& options)
      : options_(options), self_(self), schema_(Dictionary::parse(schema_text(options)).value()) {
    params.self = self;
    const auto hash = schema_->hash();
    std::memcpy(params.schema_hash.data(), &hash, sizeof(hash));
    ClusterParams cluster;
    cluster.node_id = self;
    for (const auto& address : params.nodes) cluster.nodes.push_back({address, 1});
    cluster.transport = tcp::transport(params).value();
    cluster.cluster_id = params.cluster_id;
    cluster.connect_timeout = std::chrono::seconds(120);
    const auto start = Clock::now();
    db_ = Database::open("bench", schema_, {}, std::move(cluster));
    opened_seconds_ = seconds_since(start);
    con_ = db_->connect();
  }

  void fill(int rows) {
    for (int done = 0; done < rows;) {
      con_->start();
      for (const int end = std::min(rows, done + 10'000); done < end; ++done)
        con_->create(type()).set("id", key(done));
      con_->commit().or_throw();
    }
    rows_ = rows;
  }
  void change(int i) {
    con_->start();
    const Value wanted[] = {key(i % std::min(rows_, 4096))};
    con_->find(schema_->indexes()[0], wanted)->set("a", std::int64_t{i});
    con_->commit().or_throw();
  }
  /// One row, with all that was committed anywhere before it began.
  void read_fresh(int i) {
    TransactionOptions fresh;
    fresh.type = TransactionType::read_only;
    fresh.fresh = true;
    con_->start(fresh);
    const Value wanted[] = {key(i % rows_)};
    if (!con_->find(schema_->indexes()[0], wanted)) std::abort();
    con_->commit().or_throw();
  }
  [[nodiscard]] double bytes_a_frame() const {
    const auto counted = db_->statistics();
    return double(counted.at("bytes_sent")) / double(counted.at("frames_sent"));
  }
  Database& operator*() { return *db_; }
  [[nodiscard]] double opened_seconds() const { return opened_seconds_; }

 private:
  static std::string schema_text(const Options& options) {
    return "class Row { int8 id; int8 a; char<" + std::to_string(options.row_bytes - 16) +
           "> text; unique hash<id> by_id; };";
  }
  [[nodiscard]] const ClassDef& type() const { return schema_->classes()[0]; }
  [[nodiscard]] std::int64_t key(int i) const { return std::int64_t{self_} * 100'000'000 + i; }

  const Options& options_;
  const std::uint32_t self_;
  std::shared_ptr<const Dictionary> schema_;
  std::unique_ptr<Database> db_;
  std::unique_ptr<Connection> con_;
  int rows_ = 0;
  double opened_seconds_ = 0;
};

/// Both nodes in a closed loop, then only node 0; then what it reads.
void commits(std::uint32_t self, const tcp::TcpParams& params, const Options& options,
             Board& board) {
  Node node(params, self, options);
  node.fill(1000);
  board.barrier(2, 1);
  const auto both = measure(options.commits, [&](int i) { node.change(i); });
  if (self == 0) {
    board.bytes = node.bytes_a_frame();
    board.commit = both;
  }
  board.barrier(2, 2);
  if (self == 0) board.alone = measure(options.commits / 4, [&](int i) { node.change(i); });
  if (self == 0) board.fresh = measure(options.commits / 4, [&](int i) { node.read_fresh(i); });
  board.barrier(2, 3);
  (*node).close();
  board.digests[self] = (*node).digest();
}

/// Memory that the machine has: a virtual one gets it from its host page by page as it is first
/// touched, which is not what is asked here. Given back in the destructor.
class TouchedMemory {
 public:
  explicit TouchedMemory(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) std::abort();
    (void)madvise(memory_, bytes, MADV_HUGEPAGE);
    for (std::size_t at = 0; at < bytes; at += 4096) static_cast<volatile char*>(memory_)[at] = 1;
  }
  TouchedMemory(const TouchedMemory&) = delete;
  TouchedMemory& operator=(const TouchedMemory&) = delete;
  ~TouchedMemory() {
    if (bytes_ != 0) munmap(memory_, bytes_);
  }

 private:
  std::size_t bytes_;
  void* memory_ = nullptr;
};

/// Nodes 0 and 1 have the rows and write; node 2 joins.
void joining(std::uint32_t self, const tcp::TcpParams& params, const Options& options,
             Board& board) {
  if (self == 2) {
    {
      const TouchedMemory memory(std::size_t(options.rows) *
                                 std::size_t(options.row_bytes * options.touched));
      board.barrier(3, 1);
      std::this_thread::sleep_for(std::chrono::seconds(2));  // the writers' rate without it
    }
    const double before = cpu_seconds();
    Node node(params, self, options);
    board.join_seconds = node.opened_seconds();
    board.join_cpu_seconds = cpu_seconds() - before;
    board.joined = true;
    board.barrier(3, 2);
    (*node).close();
    board.digests[self] = (*node).digest();
    return;
  }
  Node node(params, self, options);
  node.fill(self == 0 ? options.rows : 1000);
  board.barrier(3, 1);
  // Before the joiner comes, and while it does: told apart by who is connected.
  int done = 0;
  const auto rate_while = [&](const std::function<bool()>& go_on) {
    const auto start = Clock::now();
    const int before = done;
    while (go_on()) node.change(done++);
    return (done - before) / seconds_since(start);
  };
  const auto began = Clock::now();
  board.rates[0][self] = rate_while([&] { return seconds_since(began) < 1.9; });
  board.rates[1][self] = rate_while([&] { return !board.joined && !board.failed; });
  board.barrier(3, 2);
  (*node).close();
  board.digests[self] = (*node).digest();
}

// --- processes

/// Runs `one(node)` in a process each; exits the program when one fails.
void run(int nodes, Board& board, const std::function<void(std::uint32_t)>& one) {
  std::vector<pid_t> children;
  std::fflush(nullptr);  // else each child prints what waits there
  for (int node = 0; node < nodes; ++node) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        one(std::uint32_t(node));
      } catch (const std::exception& error) {
        std::fprintf(stderr, "cluster_bench: node %d: %s\n", node, error.what());
        board.failed = true;
        _exit(1);
      }
      std::fflush(nullptr);
      _exit(0);
    }
    children.push_back(child);
  }
  bool good = true;
  for (const pid_t child : children) {
    int status = 1;
    (void)waitpid(child, &status, 0);
    if (status != 0) board.failed = true;
    good = good && status == 0;
  }
  if (!good) std::exit(1);
}

Board& new_board() {
  void* memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return *new (memory) Board;
}

void check_digests(const Board& board, int nodes) {
  for (int node = 1; node < nodes; ++node)
    if (board.digests[node] != board.digests[0]) {
      std::fprintf(stderr, "cluster_bench: the replicas differ\n");
      std::exit(1);
    }
}

/// Nodes that listen on sockets which are bound here, so that no port is taken by others.
tcp::TcpParams nodes_on_loopback(int nodes, std::vector<int>& listeners) {
  tcp::TcpParams params;
  for (int node = 0; node < nodes; ++node) {
    listeners.push_back(bench::bound_loopback());
    params.nodes.push_back(tcp::own_address(listeners.back()).value().text());
  }
  params.cluster_id = 7;
  params.log = [](const std::string&) {};
  return params;
}

Board& measured_commits(const Options& options, const tcp::TemporaryFolder* certificates) {
  Board& board = new_board();
  std::vector<int> listeners;
  auto params = nodes_on_loopback(2, listeners);
  if (certificates != nullptr)
    params.ssl_params = {{"cert_file_pem", certificates->path("node.pem")},
                         {"pkey_file_pem", certificates->path("node.key")},
                         {"ca_file", certificates->path("ca.pem")}};
  const int bare_listener = bench::bound_loopback();
  const auto bare_address = tcp::own_address(bare_listener).value();
  run(2, board, [&](std::uint32_t self) {
    params.listener = listeners[self];
    commits(self, params, options, board);
    Bare bare(int(self), bare_listener, bare_address);
    const auto bytes = std::size_t(board.bytes);
    const auto ping_pong = measure(options.commits, [&](int) { bare.ping_pong(bytes); });
    const auto two_hops = measure(options.commits, [&](int) { bare.two_hops(bytes, 64); });
    if (self == 0) {
      board.ping_pong = ping_pong;
      board.two_hops = two_hops;
    }
  });
  check_digests(board, 2);
  return board;
}

Board& measured_joining(const Options& options) {
  Board& board = new_board();
  std::vector<int> listeners;
  auto params = nodes_on_loopback(3, listeners);
  run(3, board, [&](std::uint32_t self) {
    params.listener = listeners[self];
    joining(self, params, options, board);
  });
  check_digests(board, 3);
  return board;
}

Options parse(int argc, char** argv) {
  Options options;
  bench::CommandLine("cluster_bench")
      .number("--commits", options.commits, 10)
      .number("--rows", options.rows)
      .number("--row-bytes", options.row_bytes, 24)
      .number("--touched", options.touched)
      .text("--json", options.json)
      .read(argc, argv);
  return options;
}

void print_commits(const char* name, const Board& board) {
  const auto line = [](const std::string& what, const Summary& figure) {
    std::printf("%-52s %10.2f %10.2f\n", what.c_str(), figure.median, figure.p99);
  };
  std::printf("%s, two nodes, %.0f bytes a frame\n%-52s %10s %10s\n", name, board.bytes, "",
              "median us", "p99 us");
  line("bare ping-pong, plain", board.ping_pong);
  line("bare, there and an answer there, both at once", board.two_hops);
  line("find, set, commit of one row, both in a closed loop", board.commit);
  line("the same, only one of them", board.alone);
  line("a fresh read, only one of them", board.fresh);
  std::printf("%-52s %10.2f  (goal: 3)\n", "ratio of medians, commit / ping-pong",
              board.commit.median / board.ping_pong.median);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  tcp::TemporaryFolder folder;
  const tcp::Certified ca({.common_name = "ca", .is_ca = true});
  const auto node = ca.issue({.common_name = "node"});
  (void)folder.write("ca.pem", ca.certificate_pem());
  (void)folder.write("node.pem", node.certificate_pem());
  (void)folder.write("node.key", node.key_pem());

  const Board& plain = measured_commits(options, nullptr);
  print_commits("plain", plain);
  const Board& tls = measured_commits(options, &folder);
  print_commits("TLS", tls);
  std::printf("%-52s %10.2f  (goal: 1.5)\n", "ratio of medians, TLS / plain",
              tls.commit.median / plain.commit.median);
  double kept = 0, join_seconds = 0;
  if (options.rows > 0) {
    const Board& join = measured_joining(options);
    join_seconds = join.join_seconds;
    kept = (join.rates[1][0] + join.rates[1][1]) / (join.rates[0][0] + join.rates[0][1]);
    std::printf(
        "a third node joins, %d rows of %d bytes: %.2f s (goal: 3), %.2f s of processor, the "
        "writers at %.0f %% of %.0f commits/s (goal: 70)\n",
        options.rows, options.row_bytes, join_seconds, join.join_cpu_seconds, 100 * kept,
        join.rates[0][0] + join.rates[0][1]);
  }
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    const auto write = [&](const char* name, const Board& board) {
      file << "\"" << name << "\": {\"bytes\": " << board.bytes
           << ", \"ping_pong_us\": " << board.ping_pong.median
           << ", \"two_hops_us\": " << board.two_hops.median
           << ", \"commit_us\": " << board.commit.median
           << ", \"commit_p99_us\": " << board.commit.p99
           << ", \"commit_alone_us\": " << board.alone.median
           << ", \"fresh_read_us\": " << board.fresh.median << "}, ";
    };
    file << "{\"benchmark\": \"cluster_tcp\", \"compiler\": \"" << __VERSION__ << "\", ";
    write("plain", plain);
    write("tls", tls);
    file << "\"rows\": " << options.rows << ", \"row_bytes\": " << options.row_bytes
         << ", \"join_s\": " << join_seconds << ", \"writers_kept\": " << kept << "}\n";
  }
  return 0;
}
