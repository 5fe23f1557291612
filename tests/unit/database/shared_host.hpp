// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Databases of which each host has one replica, each node a process of its own (a fork). Nodes are
// grouped into hosts as a test likes; leaders of several hosts talk over rings in shared memory.
#pragma once
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "cluster/local_transport.hpp"
#include "database_fixture.hpp"
#include "exdb/host_groups.hpp"
#include "ring_transport.hpp"

namespace exdb {

/// In a child: a failure is text and an exit code.
inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

/// What all processes of a test see.
class Common {
 public:
  static constexpr std::size_t nodes_max = 8, block_bytes = 64 * 1024;
  struct Memory {
    std::atomic<std::uint32_t> arrived, generation, failed;
    std::array<std::atomic<std::uint64_t>, 64> marks;
    std::array<std::uint32_t, nodes_max> bytes;
    std::byte blocks[nodes_max][block_bytes];
    RingTransport::Links links;
  };

  Common()
      : memory_(static_cast<Memory*>(mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Common() { munmap(memory_, sizeof(Memory)); }
  Common(const Common&) = delete;
  Common& operator=(const Common&) = delete;

  Memory* operator->() const { return memory_; }
  std::atomic<std::uint64_t>& mark(std::size_t at) const { return memory_->marks[at]; }
  void wait_for(std::size_t mark, std::uint64_t value) const {
    while (memory_->marks[mark].load() < value) usleep(200);
  }
  /// False when not all `nodes` have come within the deadline.
  [[nodiscard]] bool meet(std::uint32_t nodes,
                          std::chrono::milliseconds deadline = std::chrono::minutes(1)) const {
    const auto until = std::chrono::steady_clock::now() + deadline;
    const auto now = memory_->generation.load();
    if (memory_->arrived.fetch_add(1) + 1 == nodes) {
      memory_->arrived = 0;
      memory_->generation.fetch_add(1);
      return true;
    }
    while (memory_->generation.load() == now) {
      if (std::chrono::steady_clock::now() >= until || memory_->failed != 0) return false;
      usleep(100);
    }
    return true;
  }

 private:
  Memory* const memory_;
};

class TestGroups final : public HostGroups, private CollectiveGather {
 public:
  TestGroups(const Common& common, std::uint32_t self, std::vector<std::uint32_t> hosts)
      : common_(common), self_(self), hosts_(std::move(hosts)) {
    for (std::uint32_t node = 0; node < hosts_.size(); ++node)
      if (hosts_[node] == leaders_.size()) leaders_.push_back(node);
  }
  [[nodiscard]] std::uint32_t self() const override { return self_; }
  [[nodiscard]] const std::vector<std::uint32_t>& hosts() const override { return hosts_; }
  [[nodiscard]] const std::vector<std::uint32_t>& leaders() const override { return leaders_; }
  [[nodiscard]] std::string describe() const override { return "forks"; }
  [[nodiscard]] CollectiveGather& gather() override { return *this; }
  Result<std::unique_ptr<Transport>> take_transport() override {
    if (!leads()) return std::unique_ptr<Transport>();
    if (leaders_.size() == 1) return LocalNetwork({1}).endpoint(0);
    const auto hosts = static_cast<std::uint32_t>(leaders_.size());
    return std::unique_ptr<Transport>(
        std::make_unique<RingTransport>(common_->links, host(), hosts));
  }
  void close() override { ++closes; }
  inline static int closes = 0;

 private:
  Result<std::vector<std::vector<std::byte>>> collective_gather(
      std::span<const std::byte> mine, std::chrono::milliseconds deadline) override {
    EXDB_ASSERT(mine.size() <= Common::block_bytes, "a block of the test is large enough");
    std::memcpy(common_->blocks[self_], mine.data(), mine.size());
    common_->bytes[self_] = static_cast<std::uint32_t>(mine.size());
    if (!common_.meet(nodes(), deadline)) return Status(ErrorCode::timeout, "nodes are missing");
    std::vector<std::vector<std::byte>> all;
    for (std::uint32_t node = 0; node < nodes(); ++node)
      all.emplace_back(common_->blocks[node], common_->blocks[node] + common_->bytes[node]);
    // Nobody writes his next block before all have read this one.
    if (!common_.meet(nodes(), deadline)) return Status(ErrorCode::timeout, "nodes are missing");
    return all;
  }

  const Common& common_;
  const std::uint32_t self_;
  const std::vector<std::uint32_t> hosts_;
  std::vector<std::uint32_t> leaders_;
};

/// One process of a test.
struct Rank {
  const Common& common;
  const std::uint32_t self;
  const std::vector<std::uint32_t> hosts;
  std::shared_ptr<const Dictionary> schema = Dictionary::parse(test_schema).value();
  std::unique_ptr<Database> db;

  [[nodiscard]] std::uint32_t nodes() const { return static_cast<std::uint32_t>(hosts.size()); }
  [[nodiscard]] ClusterParams params() const {
    ClusterParams made;
    made.hosts = std::make_unique<TestGroups>(common, self, hosts);
    made.timeout = std::chrono::seconds(30);
    return made;
  }
  [[nodiscard]] static DatabaseOptions options() {
    DatabaseOptions made;
    made.segment_bytes = std::size_t{1} << 20;
    made.shared = true;
    return made;
  }
  void open() { db = Database::open("shared", schema, options(), params()); }
  void open(ClusterParams with) {
    db = Database::open("shared", schema, options(), std::move(with));
  }
  void meet() const { require(common.meet(nodes()), "all processes come to the meeting"); }

  [[nodiscard]] const ClassDef& item() const { return *schema->find_class("Item"); }
  [[nodiscard]] const FieldDef& samples() const { return *item().record.find("samples"); }
  [[nodiscard]] const ClassDef& scratch() const { return *schema->find_class("Scratch"); }
  [[nodiscard]] const IndexDef& by_id() const { return *schema->find_index(item().id, "by_id"); }
  [[nodiscard]] std::optional<Object> find(Connection& con, int id) const {
    return con.find(by_id(), std::vector<Value>{id});
  }
  CommitResult put(Connection& con, int id, int price = 0) const {
    con.start();
    auto object = con.create(item());
    object.set("id", id);
    object.set("price", price);
    return con.commit();
  }
  [[nodiscard]] std::uint64_t count(Connection& con, bool fresh = true) const {
    TransactionOptions wanted;
    wanted.type = TransactionType::read_only;
    wanted.fresh = fresh;
    con.start(wanted);
    const auto rows = con.count(item());
    con.rollback();
    return rows;
  }
};

/// Forks a process for each node. What `body` throws is printed, and makes its exit code 1.
class Processes {
 public:
  Processes(std::vector<std::uint32_t> hosts, const std::function<void(Rank&)>& body) {
    for (std::uint32_t node = 0; node < hosts.size(); ++node) {
      const auto pid = fork();
      if (pid == 0) run(node, hosts, body);
      pids_.push_back(pid);
    }
  }
  ~Processes() {
    for (const auto pid : pids_) {
      if (pid <= 0) continue;
      ::kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  [[nodiscard]] const Common& common() const { return common_; }
  void kill(std::uint32_t node, int signal = SIGKILL) const { ::kill(pids_[node], signal); }
  /// Returns when it is stopped.
  void stop(std::uint32_t node) const {
    kill(node, SIGSTOP);
    int status = 0;
    waitpid(pids_[node], &status, WUNTRACED);
  }
  [[nodiscard]] pid_t pid(std::uint32_t node) const { return pids_[node]; }
  /// Waits for its end: the exit code, or minus the signal.
  int end(std::uint32_t node) {
    int status = 0;
    waitpid(pids_[node], &status, 0);
    pids_[node] = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void expect_all_well() {
    for (std::uint32_t node = 0; node < pids_.size(); ++node) {
      if (pids_[node] > 0) {
        EXPECT_EQ(end(node), 0) << "node " << node;
      }
    }
  }

 private:
  [[noreturn]] void run(std::uint32_t node, const std::vector<std::uint32_t>& hosts,
                        const std::function<void(Rank&)>& body) {
    alarm(90);
    int code = 0;
    try {
      Rank rank{common_, node, hosts, Dictionary::parse(test_schema).value(), nullptr};
      body(rank);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "node %u: %s\n", node, error.what());
      common_->failed = 1;
      code = 1;
    }
    _exit(code);
  }

  Common common_;
  std::vector<pid_t> pids_;
};

/// In a child: `wanted` of an Error.
template <class Call>
void require_error(ErrorCode wanted, const std::string& part, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    require(error.code() == wanted, std::string("another error: ") + error.what());
    require(std::string(error.what()).find(part) != std::string::npos,
            "the error names " + part + ": " + error.what());
    return;
  }
  throw std::runtime_error("no error that names " + part);
}

}  // namespace exdb
