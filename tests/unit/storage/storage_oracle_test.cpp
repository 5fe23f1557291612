// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The same random changes to the storage and to LMDB, and the same answers from both: now, and at
// snapshots that both hold through later rounds. Nothing of the storage's own code is in LMDB, so
// the two do not err alike.
//   LMDB: one table of rows by (class, slot), one of slots by key for each index.
#include <gtest/gtest.h>
#include <lmdb.h>
#include <unistd.h>

#include <deque>
#include <filesystem>

#include "workload.hpp"

namespace exdb {
namespace {

using namespace storage_test;

class Oracle {
 public:
  explicit Oracle(std::shared_ptr<const Dictionary> dictionary)
      : dictionary_(std::move(dictionary)) {
    char name[] = "/tmp/exdb-oracle-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, std::size_t{256} << 20));
    check(mdb_env_set_maxdbs(env_, 32));
    check(mdb_env_open(env_, name, MDB_NOSYNC | MDB_NOTLS, 0600));
    begin();
    check(mdb_dbi_open(writing_, "rows", MDB_CREATE, &rows_));
    for (const auto& index : dictionary_->indexes()) {
      auto& dbi = indexes_.emplace_back();
      check(mdb_dbi_open(writing_, ("index " + std::to_string(index.id.value)).c_str(),
                         MDB_CREATE | MDB_DUPSORT | MDB_DUPFIXED, &dbi));
    }
    commit();
  }
  ~Oracle() {
    mdb_env_close(env_);
    std::filesystem::remove_all(directory_);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  void begin() { check(mdb_txn_begin(env_, nullptr, 0, &writing_)); }
  void commit() { check(mdb_txn_commit(writing_)); }

  void apply(const Operation& operation) {
    const auto place = place_of(operation.cls, operation.slot);
    auto k = value_of(Bytes(place)), v = MDB_val{};
    if (operation.kind != Operation::Kind::insert) {
      check(mdb_get(writing_, rows_, &k, &v));
      const Row before(static_cast<std::byte*>(v.mv_data),
                       static_cast<std::byte*>(v.mv_data) + v.mv_size);
      each_key(operation, before, [&](MDB_dbi dbi, MDB_val key, MDB_val slot) {
        check(mdb_del(writing_, dbi, &key, &slot));
      });
      check(mdb_del(writing_, rows_, &k, nullptr));
    }
    if (operation.kind == Operation::Kind::remove) return;
    v = value_of(operation.row);
    check(mdb_put(writing_, rows_, &k, &v, MDB_NOOVERWRITE));
    each_key(operation, operation.row, [&](MDB_dbi dbi, MDB_val key, MDB_val slot) {
      check(mdb_put(writing_, dbi, &key, &slot, MDB_NODUPDATA));
    });
  }

  /// A snapshot of LMDB.
  class Reading {
   public:
    explicit Reading(const Oracle& oracle) : oracle_(&oracle) {
      check(mdb_txn_begin(oracle.env_, nullptr, MDB_RDONLY, &txn_));
    }
    Reading(Reading&& other) noexcept
        : oracle_(other.oracle_), txn_(std::exchange(other.txn_, nullptr)) {}
    Reading& operator=(Reading&& other) noexcept {
      std::swap(txn_, other.txn_);
      return *this;
    }
    ~Reading() {
      if (txn_ != nullptr) mdb_txn_abort(txn_);
    }

    template <class See>
    void each_row(See&& see) const {
      each(oracle_->rows_, [&](Bytes place, Bytes row) {
        see(ClassId{std::to_integer<std::uint32_t>(place[0])}, slot_of(place.subspan(1)), row);
      });
    }
    template <class See>
    void each_entry(IndexId index, See&& see) const {
      each(oracle_->indexes_[index.value], [&](Bytes key, Bytes slot) { see(key, slot_of(slot)); });
    }

   private:
    template <class See>
    void each(MDB_dbi dbi, See&& see) const {
      MDB_cursor* cursor = nullptr;
      check(mdb_cursor_open(txn_, dbi, &cursor));
      MDB_val k{}, v{};
      while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0)
        see(Bytes(static_cast<std::byte*>(k.mv_data), k.mv_size),
            Bytes(static_cast<std::byte*>(v.mv_data), v.mv_size));
      mdb_cursor_close(cursor);
    }
    const Oracle* oracle_;
    MDB_txn* txn_ = nullptr;
  };

 private:
  static void check(int code) {
    if (code != 0) throw std::runtime_error(std::string("LMDB: ") + mdb_strerror(code));
  }
  static MDB_val value_of(Bytes bytes) {
    return {bytes.size(), const_cast<std::byte*>(bytes.data())};
  }
  static std::array<std::byte, 8> big_endian(std::uint64_t value) {
    return std::bit_cast<std::array<std::byte, 8>>(__builtin_bswap64(value));
  }
  static SlotId slot_of(Bytes bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return {__builtin_bswap64(value)};
  }
  static std::array<std::byte, 9> place_of(ClassId cls, SlotId slot) {
    std::array<std::byte, 9> place{std::byte(cls.value)};
    std::ranges::copy(big_endian(slot.value), place.begin() + 1);
    return place;
  }
  template <class See>
  void each_key(const Operation& operation, const Row& row, See&& see) const {
    const auto slot = big_endian(operation.slot.value);
    for (const auto index : dictionary_->class_of(operation.cls).indexes) {
      if (dictionary_->index_of(index).kind == IndexKind::list) continue;
      const auto key = key_of(*dictionary_, index, row);
      see(indexes_[index.value], value_of(key), value_of(slot));
    }
  }

  std::shared_ptr<const Dictionary> dictionary_;
  std::string directory_;
  MDB_env* env_ = nullptr;
  MDB_txn* writing_ = nullptr;
  MDB_dbi rows_ = 0;
  std::vector<MDB_dbi> indexes_;
};

void expect_same(const Snapshot& snapshot, const Oracle::Reading& reading) {
  std::vector<SlotId> next(test_dictionary()->classes().size(), SlotId{0});
  std::size_t wrong = 0;
  reading.each_row([&](ClassId cls, SlotId slot, Bytes row) {
    const auto bytes = snapshot.row(cls, slot);
    wrong += !bytes || !std::ranges::equal(*bytes, row);
    wrong += snapshot.scan(cls, next[cls.value]) != slot;
    next[cls.value] = SlotId{slot.value + 1};
  });
  for (const auto& cls : test_dictionary()->classes())
    wrong += snapshot.scan(cls.id, next[cls.id.value]) != SlotId::none();
  ASSERT_EQ(wrong, 0u) << "rows";
  for (const auto& index : test_dictionary()->indexes()) {
    if (index.kind == IndexKind::list) continue;
    Model::Entries expected;
    reading.each_entry(index.id,
                       [&](Bytes key, SlotId slot) { expected[KeyBytes(key)].insert(slot.value); });
    for (const auto& [key, slots] : expected) {
      std::vector<SlotId> found;
      snapshot.find_all(index.id, key, found);
      ASSERT_EQ(found.size(), slots.size()) << index.name << describe_key(index, key);
      for (const auto slot : found) ASSERT_TRUE(slots.contains(slot.value));
      ASSERT_EQ(snapshot.find(index.id, key), found.front());
    }
    if (index.ordered()) {
      ASSERT_NO_FATAL_FAILURE(expect_same_tree(snapshot.range(index.id), expected));
    }
  }
}

TEST(StorageOracle, answers_as_lmdb_now_and_at_snapshots_held_through_many_rounds) {
  for (std::uint64_t seed = 21; seed <= 23; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto storage = Storage::create(test_dictionary(), {}).value();
    Oracle oracle(test_dictionary());
    Model newest(test_dictionary());
    Workload work(seed, newest);
    struct Pinned {
      Snapshot snapshot;
      Oracle::Reading reading;
    };
    std::deque<Pinned> pinned;
    Csn csn;
    for (int round = 0; round < 200; ++round) {
      oracle.begin();
      for (auto commits = work.below(8); commits > 0; --commits) {
        csn = csn.next();
        const auto operation = work.next(csn);
        ASSERT_NO_FATAL_FAILURE(apply(*storage, operation));
        oracle.apply(operation);
      }
      oracle.commit();
      storage->publish(csn);
      if (work.below(5) == 0) pinned.push_back({storage->pin().value(), Oracle::Reading(oracle)});
      if (pinned.size() > 6)
        pinned.erase(pinned.begin() + static_cast<std::ptrdiff_t>(work.below(pinned.size())));
      if (round % 10 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(expect_same(storage->pin().value(), Oracle::Reading(oracle)));
      for (const auto& [snapshot, reading] : pinned)
        ASSERT_NO_FATAL_FAILURE(expect_same(snapshot, reading)) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace exdb
