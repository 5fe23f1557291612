// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// 64-bit hashes, the same on every node and in every run (XXH3, github.com/Cyan4973/xxHash, through
// its own library headers: the fastest well-kept one for keys and rows of a few to a few hundred
// bytes).
#pragma once
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/types.hpp"

namespace exdb {

inline std::uint64_t hash_bytes(Bytes bytes, std::uint64_t seed = 0) {
  // The size of most keys. Known to the compiler, it leaves a dozen instructions of some hundred.
  if (bytes.size() == 8) return XXH3_64bits_withSeed(bytes.data(), 8, seed);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

/// Mixes one 64-bit word (the finaliser of SplitMix64, Steele et al., OOPSLA 2014).
inline std::uint64_t hash_word(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace exdb
