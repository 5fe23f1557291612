// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The MAC of messages where there is a cluster secret and no TLS: GMAC (AES-256-GCM over additional
// data only) with the number of the message on this connection as nonce. One key serves one
// direction of one connection, so no nonce comes twice; and a message that is left out, repeated or
// moved has another nonce than the receiver counts. Rejected: HMAC-SHA256, three to ten times
// slower on frames of some kilobytes.
//
// Invariants
//   I1  next() and check() are called once a message, in the order of the wire.
// Threads: one at a time.
// Failure: OpenSSL out of memory or without AES-GCM: every check fails, every MAC is empty.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "wire.hpp"

namespace exdb::tcp {

using Mac = std::array<std::byte, mac_bytes>;

class FrameMac {
 public:
  explicit FrameMac(const std::array<std::byte, 32>& key);
  ~FrameMac();
  FrameMac(const FrameMac&) = delete;
  FrameMac& operator=(const FrameMac&) = delete;

  [[nodiscard]] Mac next(std::span<const std::byte> header, std::span<const std::byte> payload);
  /// Constant time in the MAC's bytes.
  [[nodiscard]] bool check(std::span<const std::byte> header, std::span<const std::byte> payload,
                           std::span<const std::byte> mac);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  std::uint64_t count_ = 0;
  bool compute(std::span<const std::byte> header, std::span<const std::byte> payload, Mac& mac);
};

}  // namespace exdb::tcp
