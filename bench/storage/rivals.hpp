// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rival of the storage: LmdbStore, the well-kept library that would serve, in the setting that is
// fastest for it: writemap, no sync, in memory (/dev/shm), integer keys.
#pragma once
#include <lmdb.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "private_maps.hpp"

namespace exdb::bench {

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
