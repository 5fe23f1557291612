// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "connection.hpp"

namespace exdb::tcp {

/// True when nothing is left to write.
Result<bool> Connection::write_hello() {
  if (stream.established())
    while (auto message = hello.next()) said_.insert(said_.end(), message->begin(), message->end());
  while (!said_.empty() || stream.unwritten()) {
    const iovec piece{said_.data(), said_.size()};
    const auto moved = stream.write({&piece, said_.empty() ? 0U : 1U});
    if (!moved.status) return moved.status;
    said_.erase(said_.begin(), said_.begin() + std::ptrdiff_t(moved.bytes));
    if (moved.blocked) return false;
  }
  return true;
}

/// True when something was read.
Result<bool> Connection::read_hello() {
  const auto there = heard_.size();
  heard_.resize(Hello::message_bytes);
  const auto moved = stream.read(std::span(heard_).subspan(there));
  heard_.resize(there + moved.bytes);
  if (!moved.status) return moved.status;
  if (heard_.size() == Hello::message_bytes) {
    if (Status s = hello.received(heard_); !s) return s;
    heard_.clear();
  }
  return !moved.blocked;
}

Result<bool> Connection::greet(std::size_t buffer_bytes, bool with_macs) {
  while (true) {
    auto all_said = write_hello();
    if (!all_said) return all_said;
    if (hello.done()) {
      if (!*all_said) return false;
      break;
    }
    auto some = read_hello();
    if (!some) return some;
    if (!*some) return false;
  }
  reader.emplace(buffer_bytes);
  if (with_macs) {
    reader->expect_mac(std::make_unique<FrameMac>(hello.key(false)));
    writer.put_mac(std::make_unique<FrameMac>(hello.key(true)));
  }
  return true;
}

}  // namespace exdb::tcp
