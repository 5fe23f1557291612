// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Memory that processes of a host share by descriptors: a memfd of one, which the others open
// through /proc/<pid>/fd. Nothing has a name in a file system, so nothing is left behind.
//
// Invariants
//   I1  The memory behind a descriptor of make_shared_file() is there: touching it is no SIGBUS, and
//       nobody can shrink it.
// Threads: any.
// Failure: a Status that says what the system said, and what may be the cause.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "exdb/errors.hpp"

namespace exdb {

/// A descriptor, owned.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

/// Zeroed memory of `bytes`.
Result<Descriptor> make_shared_file(const char* name, std::size_t bytes);
/// The file behind a descriptor of another process. Not to be believed before a nonce was found in
/// it: the process id may mean another process here.
Result<Descriptor> open_descriptor_of(std::int32_t pid, int number);
/// A random number that is not 0; 0 where there is no randomness.
std::uint64_t random_nonce();

}  // namespace exdb
