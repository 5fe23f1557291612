// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the storage is measured against, each in the setting that is fastest for it.
//   PrivateMap  the floor: one open-addressing array of key and row in private memory, no versions,
//               no other reader
//   TwoStepMap  the floor of what keeps rows apart from its index, as a store must whose rows have
//               several indexes or change their keys: cells of 8 bytes, then the row
//   LmdbStore   the well-kept library that would serve: writemap, no sync, in memory (/dev/shm),
//               integer keys
#pragma once
#include <lmdb.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "base/hash.hpp"

namespace exdb::bench {

constexpr std::size_t row_bytes = 64;
using RowBytes = std::array<std::byte, row_bytes>;

/// Zeroed elements in huge pages, as the segment has them.
template <class T>
class HugeArray {
 public:
  explicit HugeArray(std::size_t count) {
    constexpr std::size_t huge = std::size_t{2} << 20;
    const auto bytes = (count * sizeof(T) + huge - 1) / huge * huge;
    area_ = static_cast<T*>(std::aligned_alloc(huge, bytes));
    if (area_ == nullptr) throw std::runtime_error("no memory for a private map");
    ::madvise(area_, bytes, MADV_HUGEPAGE);
    std::memset(static_cast<void*>(area_), 0, bytes);
  }
  ~HugeArray() { std::free(area_); }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;
  T& operator[](std::size_t at) { return area_[at]; }

 private:
  T* area_;
};

/// Of open addressing: cells - 1, at most 5 of 8 cells in use.
constexpr std::size_t mask_for(std::size_t rows) {
  std::size_t mask = 15;
  while (mask + 1 < rows * 8 / 5) mask = mask * 2 + 1;
  return mask;
}

class PrivateMap {
 public:
  explicit PrivateMap(std::size_t rows) : mask_(mask_for(rows)), entries_(mask_ + 1) {}

  /// `key` > 0.
  RowBytes& at(std::uint64_t key) {
    for (auto i = hash_word(key) & mask_;; i = (i + 1) & mask_) {
      if (entries_[i].key == key) return entries_[i].row;
      if (entries_[i].key != 0) continue;
      entries_[i].key = key;
      return entries_[i].row;
    }
  }

 private:
  struct Entry {
    std::uint64_t key;
    RowBytes row;
  };
  std::size_t mask_;
  HugeArray<Entry> entries_;
};

class TwoStepMap {
 public:
  explicit TwoStepMap(std::size_t rows) : mask_(mask_for(rows)), cells_(mask_ + 1), rows_(rows) {}

  RowBytes& at(std::uint64_t key) {
    const auto hash = hash_word(key);
    const auto tag = hash >> 40 << 40;
    for (auto i = hash & mask_;; i = (i + 1) & mask_) {
      if (cells_[i] == 0) cells_[i] = tag | ++used_;
      if ((cells_[i] ^ tag) >> 40 != 0) continue;
      auto& row = rows_[(cells_[i] & ~(~std::uint64_t{0} << 40)) - 1];
      if (row.key == key || row.key == 0) {
        row.key = key;
        return row.row;
      }
    }
  }

 private:
  struct Row {
    std::uint64_t key;
    RowBytes row;
  };
  std::size_t mask_, used_ = 0;
  HugeArray<std::uint64_t> cells_;  ///< 24 bits of the hash | number of the row + 1
  HugeArray<Row> rows_;
};

class LmdbStore {
 public:
  explicit LmdbStore(std::size_t rows) {
    char name[] = "/dev/shm/exdb-storage-bench-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("no directory in /dev/shm for LMDB");
    directory_ = name;
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, (std::size_t{64} << 20) + rows * 400));
    check(
        mdb_env_open(env_, name, MDB_WRITEMAP | MDB_NOSYNC | MDB_NORDAHEAD | MDB_NOMETASYNC, 0600));
    begin();
    check(mdb_dbi_open(writing_, nullptr, MDB_INTEGERKEY, &rows_));
    commit();
  }
  ~LmdbStore() {
    if (reading_ != nullptr) mdb_txn_abort(reading_);
    mdb_env_close(env_);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  LmdbStore(const LmdbStore&) = delete;
  LmdbStore& operator=(const LmdbStore&) = delete;

  void begin() { check(mdb_txn_begin(env_, nullptr, 0, &writing_)); }
  void put(std::uint64_t key, const RowBytes& row) {
    MDB_val k{sizeof key, &key}, v{row.size(), const_cast<std::byte*>(row.data())};
    check(mdb_put(writing_, rows_, &k, &v, 0));
  }
  void commit() { check(mdb_txn_commit(writing_)); }

  void begin_reading() { check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reading_)); }
  const std::byte* get(std::uint64_t key) {
    MDB_val k{sizeof key, &key}, v{};
    check(mdb_get(reading_, rows_, &k, &v));
    return static_cast<const std::byte*>(v.mv_data);
  }
  void end_reading() { mdb_txn_abort(std::exchange(reading_, nullptr)); }

 private:
  static void check(int code) {
    if (code != 0) throw std::runtime_error(std::string("LMDB: ") + mdb_strerror(code));
  }
  std::string directory_;
  MDB_env* env_ = nullptr;
  MDB_txn *writing_ = nullptr, *reading_ = nullptr;
  MDB_dbi rows_ = 0;
};

}  // namespace exdb::bench
