// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/frame.hpp"

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t magic = 0x42445845;  // "EXDB", little-endian
constexpr std::size_t checked_bytes = frame_header_bytes - sizeof(std::uint64_t);
constexpr std::uint8_t flag_stop = 1, flag_leave = 2, flag_more = 4;

std::uint8_t flags_of(const BatchHeader& header) {
  return std::uint8_t((header.stop ? flag_stop : 0) | (header.leave ? flag_leave : 0) |
                      (header.more ? flag_more : 0));
}

/// The header is under the checksum too: a flipped leave flag is worse than a flipped byte of a
/// row.
std::uint64_t checksum(Bytes frame) {
  return hash_bytes(frame.subspan(frame_header_bytes), hash_bytes(frame.first(checked_bytes)));
}

Status broken(std::string what) { return {ErrorCode::cluster_protocol, std::move(what)}; }

}  // namespace

Frame encode_frame(const FrameHeader& header, Bytes payload) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  bytes->reserve(frame_header_bytes + payload.size());
  ByteWriter out(*bytes);
  out.put(magic);
  out.put(frame_version);
  out.put(std::uint8_t(header.type));
  out.put(flags_of(header.batch));
  out.put(std::uint64_t(payload.size()));
  out.put(header.cluster_id);
  out.put(header.sender.value);
  out.put(std::uint32_t(0));
  out.put(header.round.value);
  out.put(header.batch.oldest_snapshot.value);
  out.put(header.batch.digest);
  out.put(std::uint64_t(0));
  out.put_raw(payload);
  out.patch(checked_bytes, checksum(*bytes));
  return bytes;
}

Result<DecodedFrame> decode_frame(Bytes frame) {
  if (frame.size() < frame_header_bytes)
    return broken("a frame of " + std::to_string(frame.size()) + " bytes is shorter than a header");
  ByteReader in(frame);
  if (in.get<std::uint32_t>() != magic) return broken("a frame that is not exdb's");
  const auto version = in.get<std::uint16_t>();
  if (version != frame_version)
    return broken("a frame of protocol version " + std::to_string(version) + ", here it is " +
                  std::to_string(frame_version) + ": run one exdb version on all nodes");
  const auto type = in.get<std::uint8_t>();
  const auto flags = in.get<std::uint8_t>();
  const auto length = in.get<std::uint64_t>();
  if (length != frame.size() - frame_header_bytes)
    return broken("a frame says " + std::to_string(length) + " bytes of payload and has " +
                  std::to_string(frame.size() - frame_header_bytes));
  DecodedFrame decoded;
  decoded.header.cluster_id = in.get<std::uint64_t>();
  decoded.header.sender = {in.get<std::uint32_t>()};
  const auto zero = in.get<std::uint32_t>();
  decoded.header.round = {in.get<std::uint64_t>()};
  decoded.header.batch.oldest_snapshot = {in.get<std::uint64_t>()};
  decoded.header.batch.digest = in.get<std::uint64_t>();
  if (in.get<std::uint64_t>() != checksum(frame)) return broken("a frame with a wrong checksum");
  if (type != std::uint8_t(FrameType::batch) && type != std::uint8_t(FrameType::doorbell))
    return broken("a frame of unknown type " + std::to_string(type));
  if (zero != 0 || flags >= 2 * flag_more) return broken("a frame with unknown flags");
  decoded.header.type = FrameType(type);
  decoded.header.batch.stop = flags & flag_stop;
  decoded.header.batch.leave = flags & flag_leave;
  decoded.header.batch.more = flags & flag_more;
  decoded.payload = frame.subspan(frame_header_bytes);
  return decoded;
}

}  // namespace exdb
