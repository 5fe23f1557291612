// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What goes over a link after the hello: messages, each a header of fixed size, a payload of the
// length that the header says and, with a cluster secret, a MAC. All numbers are little-endian.
//
//   bytes   header
//    0..3   length of the payload
//    4      kind
//    5..7   zero
//    8..15  number of a data message in its session and direction, from 1; else zero
//   16..23  number of the last data message that the sender has taken in from the other side
//
// Threads: any; plain functions.
// Failure: decode_header() refuses what no node would have sent.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace exdb::tcp {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

constexpr std::size_t header_bytes = 24;
constexpr std::size_t mac_bytes = 16;
/// Of one frame. A frame this long would take a link some seconds; what is larger is cut by the
/// runtime.
constexpr std::size_t frame_bytes_max = std::size_t{1} << 30;

enum class Kind : std::uint8_t {
  link = 1,   ///< payload: Link; the first message each way
  data = 2,   ///< payload: a frame
  alive = 3,  ///< no payload: it is there, and has taken in what the header says
  bye = 4,    ///< payload: Farewell; the last message
};

struct Header {
  std::uint32_t payload_bytes = 0;
  Kind kind = Kind::alive;
  std::uint64_t number = 0;
  std::uint64_t taken = 0;
};
using HeaderBytes = std::array<std::byte, header_bytes>;

/// Which session a link is to go on with (session.hpp).
struct Link {
  std::uint64_t mine = 0;     ///< the sender's name for its session with this peer
  std::uint64_t yours = 0;    ///< the peer's name for it; 0 = not known yet
  std::uint64_t attempt = 0;  ///< counts the dials of this process; 0 from the side dialled
};
constexpr std::size_t link_bytes = 24;
static_assert(sizeof(Link) == link_bytes);

enum class Farewell : std::uint32_t {
  leaving = 1,     ///< closed in order: nothing more will come from this process
  superseded = 2,  ///< a newer process with your node number is in the cluster
};
constexpr std::size_t farewell_bytes = 4;

inline HeaderBytes encode(const Header& header) {
  HeaderBytes bytes{};
  std::memcpy(bytes.data(), &header.payload_bytes, 4);
  bytes[4] = std::byte(header.kind);
  std::memcpy(bytes.data() + 8, &header.number, 8);
  std::memcpy(bytes.data() + 16, &header.taken, 8);
  return bytes;
}

/// REQUIRES: header_bytes of them. Nothing when no node would have sent it.
inline std::optional<Header> decode_header(std::span<const std::byte> bytes) {
  Header header;
  std::memcpy(&header.payload_bytes, bytes.data(), 4);
  header.kind = Kind(bytes[4]);
  std::memcpy(&header.number, bytes.data() + 8, 8);
  std::memcpy(&header.taken, bytes.data() + 16, 8);
  if (bytes[5] != std::byte{0} || bytes[6] != std::byte{0} || bytes[7] != std::byte{0})
    return std::nullopt;
  if ((header.number != 0) != (header.kind == Kind::data)) return std::nullopt;
  switch (header.kind) {
    case Kind::link:
      return header.payload_bytes == link_bytes ? std::optional(header) : std::nullopt;
    case Kind::data:
      return header.payload_bytes <= frame_bytes_max ? std::optional(header) : std::nullopt;
    case Kind::alive:
      return header.payload_bytes == 0 ? std::optional(header) : std::nullopt;
    case Kind::bye:
      return header.payload_bytes == farewell_bytes ? std::optional(header) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace exdb::tcp
