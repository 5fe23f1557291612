// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/frame.hpp"

#include <array>
#include <cstring>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t frame_magic = 0x42445845;  // "EXDB", little-endian
constexpr std::size_t checked_bytes = frame_header_bytes - sizeof(std::uint64_t);
constexpr std::uint8_t flag_stop = 1, flag_leave = 2, flag_more = 4;

std::uint8_t flags_of(const BatchHeader& header) {
  return std::uint8_t((header.stop ? flag_stop : 0) | (header.leave ? flag_leave : 0) |
                      (header.more ? flag_more : 0));
}

using HeaderBytes = std::array<std::byte, frame_header_bytes>;

/// The header is under the checksum too: a flipped leave flag is worse than a flipped byte of a
/// row.
std::uint64_t checksum_of(Bytes header, Bytes payload) {
  return hash_bytes(payload, hash_bytes(header.first(checked_bytes)));
}

/// Without a vector: a header is written for every batch, and grown byte by byte it cost as much as
/// the hash of it.
HeaderBytes header_bytes(const FrameHeader& header, Bytes payload) {
  HeaderBytes bytes{};
  std::size_t at = 0;
  const auto put = [&](auto value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
    at += sizeof value;
  };
  put(frame_magic);
  put(frame_version);
  put(std::uint8_t(header.type));
  put(flags_of(header.batch));
  put(std::uint64_t(payload.size()));
  put(header.cluster_id);
  put(header.sender.value);
  put(header.batch.digest_lag);
  put(header.round.value);
  put(header.batch.oldest_snapshot.value);
  put(header.batch.digest);
  put(checksum_of(bytes, payload));
  return bytes;
}

Status broken_frame(std::string what) { return {ErrorCode::cluster_protocol, std::move(what)}; }

}  // namespace

namespace {

std::shared_ptr<std::vector<std::byte>> empty_frame(std::size_t bytes) {
  if (bytes >= LargeBuffers::buffer_bytes_min)
    return LargeBuffers::share(LargeBuffers::shared().room(bytes));
  auto buffer = std::make_shared<std::vector<std::byte>>();
  buffer->reserve(bytes);
  return buffer;
}

}  // namespace

Frame encode_frame(const FrameHeader& header, Bytes payload) {
  const auto bytes = empty_frame(frame_header_bytes + payload.size());
  const auto head = header_bytes(header, payload);
  bytes->insert(bytes->end(), head.begin(), head.end());
  bytes->insert(bytes->end(), payload.begin(), payload.end());
  return bytes;
}

Frame frame_in_place(const FrameHeader& header, std::vector<std::byte>&& bytes) {
  const auto head = header_bytes(header, Bytes(bytes).subspan(frame_header_bytes));
  std::memcpy(bytes.data(), head.data(), head.size());
  return LargeBuffers::share(std::move(bytes));
}

std::uint64_t frame_checksum(const FrameHeader& header, Bytes payload) {
  return ByteReader(Bytes(header_bytes(header, payload)).subspan(checked_bytes))
      .get<std::uint64_t>();
}

std::uint64_t checksum_in(const Frame& frame) {
  return ByteReader(Bytes(*frame).subspan(checked_bytes)).get<std::uint64_t>();
}

Result<DecodedFrame> decode_frame(Bytes frame) {
  if (frame.size() < frame_header_bytes)
    return broken_frame("a frame of " + std::to_string(frame.size()) +
                        " bytes is shorter than a header");
  ByteReader in(frame);
  // Magic and version before the checksum: a frame of another version may be checked otherwise, and
  // its sender deserves a better word than "wrong checksum".
  if (in.get<std::uint32_t>() != frame_magic) return broken_frame("a frame that is not exdb's");
  const auto version = in.get<std::uint16_t>();
  if (version != frame_version)
    return broken_frame("a frame of protocol version " + std::to_string(version) + ", here it is " +
                        std::to_string(frame_version) + ": run one exdb version on all nodes");
  const auto type = in.get<std::uint8_t>();
  const auto flags = in.get<std::uint8_t>();
  const auto length = in.get<std::uint64_t>();
  if (length != frame.size() - frame_header_bytes)
    return broken_frame("a frame says " + std::to_string(length) + " bytes of payload and has " +
                        std::to_string(frame.size() - frame_header_bytes));
  DecodedFrame decoded;
  decoded.header.cluster_id = in.get<std::uint64_t>();
  decoded.header.sender = {in.get<std::uint32_t>()};
  decoded.header.batch.digest_lag = in.get<std::uint32_t>();
  decoded.header.round = {in.get<std::uint64_t>()};
  decoded.header.batch.oldest_snapshot = {in.get<std::uint64_t>()};
  decoded.header.batch.digest = in.get<std::uint64_t>();
  decoded.checksum = in.get<std::uint64_t>();
  if (decoded.checksum != checksum_of(frame, frame.subspan(frame_header_bytes)))
    return broken_frame("a frame with a wrong checksum");
  if (type < std::uint8_t(FrameType::batch) || type > std::uint8_t(FrameType::kept))
    return broken_frame("a frame of unknown type " + std::to_string(type));
  if (flags >= 2 * flag_more) return broken_frame("a frame with unknown flags");
  decoded.header.type = FrameType(type);
  decoded.header.batch.stop = flags & flag_stop;
  decoded.header.batch.leave = flags & flag_leave;
  decoded.header.batch.more = flags & flag_more;
  decoded.payload = frame.subspan(frame_header_bytes);
  return decoded;
}

}  // namespace exdb
