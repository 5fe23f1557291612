// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/crc32c.hpp"

#include <array>
#include <cstring>

namespace exdb {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // reflected

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    auto crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? polynomial : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr auto table = make_table();

#if defined(__x86_64__)
/// Bytes of each of the three parts that the instruction works on at once: it takes three cycles,
/// and one can begin in each.
constexpr std::size_t part_bytes = 1024;

/// What a crc (not inverted) becomes by part_bytes zero bytes: linear in its bits, so the sum of what
/// its four bytes become.
using Shift = std::array<std::array<std::uint32_t, 256>, 4>;
constexpr Shift make_shift() {
  std::array<std::uint32_t, 32> of_bit{};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    auto crc = std::uint32_t{1} << bit;
    for (std::size_t i = 0; i < part_bytes; ++i) crc = (crc >> 8) ^ table[crc & 0xff];
    of_bit[bit] = crc;
  }
  Shift shift{};
  for (std::size_t byte = 0; byte < 4; ++byte)
    for (std::size_t value = 0; value < 256; ++value)
      for (std::size_t bit = 0; bit < 8; ++bit)
        if (value >> bit & 1) shift[byte][value] ^= of_bit[8 * byte + bit];
  return shift;
}

constexpr auto shift = make_shift();

std::uint32_t shifted(std::uint64_t crc) {
  return shift[0][crc & 0xff] ^ shift[1][crc >> 8 & 0xff] ^ shift[2][crc >> 16 & 0xff] ^
         shift[3][crc >> 24 & 0xff];
}

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(Bytes bytes, std::uint32_t before) {
  const auto word = [&bytes](std::size_t at) {
    std::uint64_t read = 0;
    std::memcpy(&read, bytes.data() + at, sizeof read);
    return read;
  };
  std::uint64_t crc = ~before;
  std::size_t at = 0;
  for (; at + 3 * part_bytes <= bytes.size(); at += 3 * part_bytes) {
    std::uint64_t second = 0, third = 0;
    for (auto i = at; i < at + part_bytes; i += 8) {
      crc = __builtin_ia32_crc32di(crc, word(i));
      second = __builtin_ia32_crc32di(second, word(i + part_bytes));
      third = __builtin_ia32_crc32di(third, word(i + 2 * part_bytes));
    }
    crc = shifted(shifted(crc) ^ second) ^ third;
  }
  for (; at + 8 <= bytes.size(); at += 8) crc = __builtin_ia32_crc32di(crc, word(at));
  auto rest = std::uint32_t(crc);
  for (; at < bytes.size(); ++at)
    rest = __builtin_ia32_crc32qi(rest, std::to_integer<unsigned char>(bytes[at]));
  return ~rest;
}
#endif

}  // namespace

std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t before) {
  auto crc = ~before;
  for (const auto byte : bytes)
    crc = (crc >> 8) ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
  return ~crc;
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t before) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return by_instruction(bytes, before);
#endif
  return crc32c_by_table(bytes, before);
}

}  // namespace exdb
