// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Readers in other threads and other processes while the writer goes on. Each commit moves an
// amount from one account to another and swaps nothing else, so every snapshot has the same total.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>
#include <thread>

#include "schema/key.hpp"
#include "schema/row.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

namespace exdb {
namespace {

constexpr std::int64_t accounts = 300;
constexpr std::int64_t total = accounts * 100;

std::shared_ptr<const Dictionary> bank() {
  static const auto dictionary = Dictionary::parse(R"(
    declare database bank;
    class Account {
      signed<8> number; signed<8> amount; string owner;
      unique hash<number> by_number;
      nonunique hash<owner> by_owner;
      tree<amount> by_amount;
    };
  )")
                                     .value();
  return dictionary;
}

const ClassId account{0};
const IndexId by_number{0}, by_owner{1}, by_amount{2};

std::vector<std::byte> row_of(std::int64_t number, std::int64_t amount) {
  RowBuilder row(bank()->class_of(account));
  row.set("number", number);
  row.set("amount", amount);
  row.set("owner", "owner " + std::to_string(number % 7));
  const auto bytes = row.finish();
  return {bytes.begin(), bytes.end()};
}

KeyBytes key_of(IndexId index, Bytes row) {
  KeyBytes key;
  append_key(bank()->index_of(index), RowView(bank()->class_of(account), row), key);
  return key;
}

struct Amounts {
  Field<std::int64_t> number = bank()->class_of(account).field<std::int64_t>("number");
  Field<std::int64_t> amount = bank()->class_of(account).field<std::int64_t>("amount");
  [[nodiscard]] RowView view(Bytes row) const { return {bank()->class_of(account), row}; }
};

/// What is wrong with the snapshot; empty when all is well. No EXPECTs: also called in a child.
std::string fault_in(const Snapshot& snapshot) {
  static const Amounts fields;
  std::int64_t by_scan = 0, by_hash = 0, by_tree = 0, rows = 0;
  for (auto at = snapshot.scan(account, SlotId{0}); at != SlotId::none();
       at = snapshot.scan(account, SlotId{at.value + 1}), ++rows) {
    const auto row = snapshot.row(account, at);
    if (!row) return "a scanned row is not there";
    by_scan += fields.view(*row).get(fields.amount);
  }
  if (rows != accounts) return "rows missing in the scan: " + std::to_string(rows);
  for (std::int64_t number = 0; number < accounts; ++number) {
    const auto slot = snapshot.find(by_number, key_of(by_number, row_of(number, 0)));
    if (slot == SlotId::none()) return "account not found: " + std::to_string(number);
    const auto row = snapshot.row(account, slot);
    if (!row || fields.view(*row).get(fields.number) != number) return "another account found";
    by_hash += fields.view(*row).get(fields.amount);
  }
  auto cursor = snapshot.range(by_amount);
  std::int64_t before = -total;
  for (bool on = cursor.first(); on; on = cursor.next()) {
    const auto row = snapshot.row(account, cursor.slot());
    if (!row) return "a row of the tree is not there";
    const auto amount = fields.view(*row).get(fields.amount);
    if (amount < before) return "the tree is not in order";
    by_tree += before = amount;
  }
  std::vector<SlotId> owned;
  for (std::int64_t owner = 0; owner < 7; ++owner)
    snapshot.find_all(by_owner, key_of(by_owner, row_of(owner, 0)), owned);
  if (owned.size() != std::size_t(accounts)) return "owners lack accounts";
  if (by_scan != total || by_hash != total || by_tree != total) return "money came or went";
  return {};
}

class Transfers {
 public:
  explicit Transfers(Storage& storage) : storage_(storage) {
    csn_ = csn_.next();
    for (std::int64_t number = 0; number < accounts; ++number)
      slots_.push_back(storage.insert(account, row_of(number, 100), csn_));
    storage.publish();
  }

  /// One commit: a transfer; now and then an account is closed and opened again, in another slot.
  void commit() {
    csn_ = csn_.next();
    const auto from = random_() % slots_.size(), to = random_() % slots_.size();
    const auto amount = std::int64_t(random_() % 50);
    add(from, -amount);
    add(to, amount);
    if (random_() % 4 == 0) reopen(random_() % slots_.size(), random_() % slots_.size());
  }
  void round() {
    for (int i = 0; i < 16; ++i) commit();
    storage_.publish();
  }

 private:
  std::int64_t amount_of(std::size_t number) const {
    return fields_.view(*storage_.newest_row(account, slots_[number])).get(fields_.amount);
  }
  void add(std::size_t number, std::int64_t amount) {
    storage_.update(account, slots_[number],
                    row_of(std::int64_t(number), amount_of(number) + amount), csn_);
  }
  void reopen(std::size_t one, std::size_t two) {
    if (one == two) return;
    const auto first = amount_of(one), second = amount_of(two);
    storage_.remove(account, slots_[one], csn_);
    storage_.remove(account, slots_[two], csn_);
    slots_[one] = storage_.insert(account, row_of(std::int64_t(one), first), csn_);
    slots_[two] = storage_.insert(account, row_of(std::int64_t(two), second), csn_);
  }

  Storage& storage_;
  Csn csn_;
  Amounts fields_;
  std::vector<SlotId> slots_;
  std::mt19937_64 random_{3};
};

TEST(StorageSharing, threads_see_whole_commits_while_the_writer_goes_on) {
  const auto storage = Storage::create(bank(), {}).value();
  Transfers transfers(*storage);
  std::atomic<bool> done{false};
  std::vector<std::string> faults(3);
  std::vector<std::thread> readers;
  for (auto& fault : faults) {
    readers.emplace_back([&] {
      auto held = storage->pin().value();
      for (int i = 0; !done.load(std::memory_order_relaxed) && fault.empty(); ++i) {
        fault = fault_in(storage->pin().value());
        if (i % 20 == 0 && fault.empty()) {
          fault = fault_in(held);
          held = storage->pin().value();
        }
      }
    });
  }
  for (int round = 0; round < 500; ++round) transfers.round();
  done.store(true);
  for (auto& reader : readers) reader.join();
  for (const auto& fault : faults) EXPECT_EQ(fault, "");
  for (int i = 0; i < 2000 && storage->statistics().garbage != 0; ++i) storage->publish();
  EXPECT_EQ(storage->statistics().garbage, 0u);
  storage->check();
}

/// Runs `read` in a child on the storage behind `fd`; the child's status, or -1 after a deadline.
class Child {
 public:
  template <class Read>
  Child(int fd, Read read) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::alarm(60);
    auto attached = Storage::attach(bank(), fd);
    if (!attached.ok()) {
      std::fprintf(stderr, "child: %s\n", attached.status().text().c_str());
      ::_exit(2);
    }
    const auto fault = read(**attached);
    if (!fault.empty()) std::fprintf(stderr, "child: %s\n", fault.c_str());
    ::_exit(fault.empty() ? 0 : 1);
  }
  ~Child() {
    if (pid_ <= 0 || done_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] bool running() {
    if (!done_) done_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return !done_;
  }
  void kill() { ::kill(pid_, SIGKILL); }
  [[nodiscard]] int status() const { return status_; }

 private:
  pid_t pid_ = -1;
  bool done_ = false;
  int status_ = -1;
};

StorageOptions shared_options() {
  StorageOptions options;
  options.segment.shared = true;
  options.segment.unit_bytes = std::size_t{1} << 20;
  return options;
}

TEST(StorageSharing, another_process_reads_whole_commits_while_the_writer_goes_on) {
  const auto storage = Storage::create(bank(), shared_options()).value();
  Transfers transfers(*storage);
  Child child(storage->fd(), [](Storage& attached) -> std::string {
    for (int i = 0; i < 200; ++i) {
      auto snapshot = attached.pin();
      if (!snapshot.ok()) return snapshot.status().text();
      if (auto fault = fault_in(std::move(snapshot).value()); !fault.empty()) return fault;
    }
    return {};
  });
  int rounds = 0;
  while (child.running()) transfers.round(), ++rounds;
  EXPECT_TRUE(WIFEXITED(child.status()) && WEXITSTATUS(child.status()) == 0);
  EXPECT_GT(rounds, 0);
  for (int i = 0; i < 3000; ++i) storage->publish();
  EXPECT_EQ(storage->statistics().garbage, 0u);
  storage->check();
}

TEST(StorageSharing, a_killed_reader_holds_nothing_back_for_ever) {
  const auto storage = Storage::create(bank(), shared_options()).value();
  Transfers transfers(*storage);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  Child child(storage->fd(), [&](Storage& attached) -> std::string {
    const auto pinned = attached.pin();
    if (::write(ready[1], "x", 1) != 1) return "write";
    for (;;) ::pause();
  });
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1) << "the child ended early";
  ::close(ready[0]);
  for (int i = 0; i < 20; ++i) transfers.round();
  EXPECT_GE(storage->statistics().garbage, std::size_t(accounts) / 2);
  child.kill();
  while (child.running()) ::usleep(1000);
  for (int i = 0; i < 3000; ++i) storage->publish();
  EXPECT_EQ(storage->statistics().garbage, 0u);
}

TEST(StorageSharing, a_segment_for_another_dictionary_is_refused) {
  const auto storage = Storage::create(bank(), shared_options()).value();
  const auto other =
      Dictionary::parse("declare database other; class A { signed<4> a; list; };").value();
  const auto attached = Storage::attach(other, storage->fd());
  EXPECT_EQ(attached.status().code(), ErrorCode::cluster_incompatible);
  EXPECT_NE(attached.status().text().find("another dictionary"), std::string::npos);
  EXPECT_FALSE(Storage::attach(bank(), -1).ok());
  EXPECT_TRUE(Storage::attach(bank(), storage->fd()).ok());
}

}  // namespace
}  // namespace exdb
