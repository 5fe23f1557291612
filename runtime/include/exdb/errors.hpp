// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Errors, by kind:
//   outcomes (committed, conflict, not found, unknown) are return values: see CommitResult;
//   failures of the world are a Status or Result<T>: code, text, and what was being done;
//   misuse (a wrong name, a value that does not fit, use after close) is thrown as exdb::Error,
//     before any exchange;
//   a bug of exdb itself ends the process: EXDB_ASSERT in base/assert.hpp.
#pragma once
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace exdb {

/// The product's published numbers where it has one; exdb's own start at 2000.
enum class ErrorCode : int {
  ok = 0,
  not_found = 10,
  cursor_end = 11,
  duplicate = 13,  ///< a unique key is taken
  core = 50,
  invalid_handle = 51,  ///< use after close, after remove, after the end of its transaction
  no_memory = 52,
  access = 53,  ///< a write in a read-only transaction
  transaction = 54,
  unsupported = 57,
  conflict = 87,  ///< somebody else committed first: run the transaction again
  cursor_closed = 98,
  conversion = 99,     ///< a value that does not fit its field
  disk = 100,          ///< a file could not be read or written, or is not as safe as was asked
  disk_in_use = 102,   ///< the database on disk is open in another process
  disk_full = 111,     ///< make room, then open again
  disk_version = 123,  ///< written by a newer exdb
  disk_schema = 125,   ///< written with another schema
  disk_damaged = 126,  ///< bytes that were written are not there any more: file and offset
  ddl_field_not_found = 803,
  cluster = 900,
  cluster_not_initialized = 901,  ///< the database was opened without a cluster
  cluster_invalid_parameter = 902,
  cluster_stopped = 903,
  cluster_protocol = 904,
  cluster_no_quorum = 905,
  cluster_incompatible = 907,  ///< different dictionaries or modes on different nodes
  cluster_sync = 908,
  cluster_duplicate_node = 910,
  schema = 1005,
  key_too_long = 1010,
  interrupted = 1022,
  transaction_active = 1023,  ///< a second transaction on one connection
  transaction_not_active = 1024,
  unknown_outcome =
      2000,  ///< the node lost the cluster while it waited: committed or not, ask outcome(txid)
  snapshot_too_old = 2001,
  too_large = 2002,
  timeout = 2003,
  launcher = 2004,      ///< wrong MPI, wrong launcher, wrong thread level
  inconsistent = 2005,  ///< this replica differs from the others
};

/// Short name as in the enumeration, for messages.
const char* name_of(ErrorCode code);

/// Thrown for misuse. what() names the thing and the remedy.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// Success, or why not.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string text) : code_(code), text_(std::move(text)) {}
  [[nodiscard]] bool ok() const { return code_ == ErrorCode::ok; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  /// Throws Error when this is a failure: for callers at the door.
  void or_throw() const {
    if (!ok()) throw Error(code_, text_);
  }

 private:
  ErrorCode code_ = ErrorCode::ok;
  std::string text_;
};

/// A value, or why there is none. (std::expected is not in this compiler generation.)
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Status failure) : held_(std::in_place_index<1>, std::move(failure)) {}
  Result(ErrorCode code, std::string text)
      : held_(std::in_place_index<1>, Status(code, std::move(text))) {}
  [[nodiscard]] bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }
  /// The value; throws Error when there is none.
  T& value() & {
    if (!ok()) status().or_throw();
    return std::get<0>(held_);
  }
  T&& value() && {
    if (!ok()) status().or_throw();
    return std::get<0>(std::move(held_));
  }
  T* operator->() { return &std::get<0>(held_); }
  T& operator*() & { return std::get<0>(held_); }
  T&& operator*() && { return std::get<0>(std::move(held_)); }
  [[nodiscard]] Status status() const { return ok() ? Status() : std::get<1>(held_); }

 private:
  std::variant<T, Status> held_;
};

}  // namespace exdb
