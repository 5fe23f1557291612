// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The cryptography of Hello, by OpenSSL.
//
// Threads: any.
// Failure: core, when OpenSSL cannot (no memory, no such algorithm in its configuration).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "exdb/errors.hpp"

namespace exdb::tcp {

using Digest = std::array<std::byte, 32>;

/// HMAC-SHA256 of the parts, one after the other.
Result<Digest> hmac_sha256(std::span<const std::byte> key,
                           std::initializer_list<std::span<const std::byte>> parts);
/// HKDF-SHA256 (RFC 5869), 32 bytes of it. REQUIRES: `secret` is not empty.
Result<Digest> hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt,
                           std::string_view info);
Result<Digest> sha256(std::span<const std::byte> bytes);
/// In a time that does not tell where they differ.
bool same(const Digest& a, const Digest& b);
/// From the generator of OpenSSL for what an adversary must not guess.
Result<Digest> secure_random();

}  // namespace exdb::tcp
