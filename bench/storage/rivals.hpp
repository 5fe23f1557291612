// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the storage is measured against, each in the setting that is fastest for it.
//   PrivateMap  the floor: one open-addressing array of key and row in private memory, no versions,
//               no other reader
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

class PrivateMap {
 public:
  explicit PrivateMap(std::size_t rows) {
    while (mask_ + 1 < rows * 8 / 5) mask_ = mask_ * 2 + 1;
    bytes_ = (mask_ + 1) * sizeof(Entry);
    // Huge pages, as the segment has them.
    constexpr std::size_t huge = std::size_t{2} << 20;
    area_ = std::aligned_alloc(huge, (bytes_ + huge - 1) / huge * huge);
    if (area_ == nullptr) throw std::runtime_error("no memory for the private map");
    ::madvise(area_, bytes_, MADV_HUGEPAGE);
    std::memset(area_, 0, bytes_);
    entries_ = static_cast<Entry*>(area_);
  }
  ~PrivateMap() { std::free(area_); }
  PrivateMap(const PrivateMap&) = delete;
  PrivateMap& operator=(const PrivateMap&) = delete;

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
  std::size_t mask_ = 15, bytes_ = 0;
  void* area_ = nullptr;
  Entry* entries_ = nullptr;
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
