// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/snapshot_chunk.hpp"

#include <string>

#include "base/hash.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t chunk_magic = 0x4e535845;  // "EXSN" in memory
constexpr std::size_t checked_bytes = 24;

Status bad_chunk(const std::string& what) { return {ErrorCode::cluster_protocol, what}; }

/// Over the head as well: a chunk that says another number or kind than it was made with is wrong
/// whatever its payload.
std::uint64_t checksum_of(Bytes head, Bytes payload) {
  return hash_bytes(payload, hash_bytes(head));
}

/// What format 4 has more than format 3.
void decode_names(ByteReader& in, SnapshotHeader& header) {
  header.autoids = in.get<std::uint64_t>();
  header.names_known = in.get<std::uint8_t>() == 1;
  while (in.ok() && in.remaining() != 0) {
    auto& each = header.names.emplace_back();
    each.name = in.get_text();
    each.csn.value = in.get<std::uint64_t>();
    each.round.value = in.get<std::uint64_t>();
    each.digest = in.get<std::uint64_t>();
  }
}

}  // namespace

void encode_chunk(const SnapshotChunk& chunk, std::vector<std::byte>& out) {
  out.clear();
  out.reserve(chunk_head_bytes + chunk.payload.size());
  ByteWriter writer(out);
  writer.put(chunk_magic);
  writer.put(static_cast<std::uint32_t>(chunk.kind));
  writer.put(chunk.number);
  writer.put(chunk.objects);
  writer.put(std::uint64_t{chunk.payload.size()});
  writer.put(checksum_of(out, chunk.payload));
  writer.put_raw(chunk.payload);
}

Result<SnapshotChunk> decode_chunk(Bytes bytes) {
  ByteReader in(bytes);
  if (in.get<std::uint32_t>() != chunk_magic) return bad_chunk("it is no chunk of a snapshot");
  const auto kind = in.get<std::uint32_t>();
  SnapshotChunk chunk;
  chunk.number = in.get<std::uint32_t>();
  chunk.objects = in.get<std::uint32_t>();
  const auto length = in.get<std::uint64_t>();
  const auto checksum = in.get<std::uint64_t>();
  if (!in.ok()) return bad_chunk("it is cut short");
  if (length != in.remaining()) {
    return bad_chunk("it has " + std::to_string(in.remaining()) + " bytes where it says " +
                     std::to_string(length));
  }
  chunk.payload = in.get_raw(in.remaining());
  if (checksum != checksum_of(bytes.first(checked_bytes), chunk.payload))
    return bad_chunk("its checksum is wrong");
  if (kind < static_cast<std::uint32_t>(SnapshotChunk::Kind::header) ||
      kind > static_cast<std::uint32_t>(SnapshotChunk::Kind::end))
    return bad_chunk("unknown kind " + std::to_string(kind));
  chunk.kind = static_cast<SnapshotChunk::Kind>(kind);
  return chunk;
}

void encode_header(const SnapshotHeader& header, std::vector<std::byte>& out) {
  ByteWriter writer(out);
  // Version and dictionary first, and of one size in all versions to come: what is refused by them
  // is refused before anything else is read.
  writer.put(snapshot_version);
  writer.put(header.dictionary);
  writer.put(header.upto.round.value);
  writer.put(header.upto.hash);
  writer.put(header.csn.value);
  writer.put(header.digest);
  writer.put(header.horizon.value);
  writer.put(header.floor.value);
  writer.put(header.changes);
  writer.put(header.parts);
  writer.put(header.origins);
  writer.put(header.slots);
  writer.put_varint(header.class_changed.size());
  for (const auto csn : header.class_changed) writer.put(csn.value);
  writer.put(header.autoids);
  writer.put(std::uint8_t(header.names_known));
  for (const auto& each : header.names) {
    writer.put_text(each.name);
    writer.put(each.csn.value);
    writer.put(each.round.value);
    writer.put(each.digest);
  }
}

Result<SnapshotHeader> decode_header(Bytes bytes) {
  ByteReader in(bytes);
  const auto version = in.get<std::uint16_t>();
  if (in.ok() && (version > snapshot_version || version < snapshot_version_oldest)) {
    return Status(ErrorCode::cluster_incompatible, "it is of format " + std::to_string(version) +
                                                       ", this program has formats " +
                                                       std::to_string(snapshot_version_oldest) +
                                                       " to " + std::to_string(snapshot_version));
  }
  SnapshotHeader header;
  header.dictionary = in.get<std::uint64_t>();
  header.upto.round = Round{in.get<std::uint64_t>()};
  header.upto.hash = in.get<std::uint64_t>();
  header.csn = Csn{in.get<std::uint64_t>()};
  header.digest = in.get<std::uint64_t>();
  header.horizon = Csn{in.get<std::uint64_t>()};
  header.floor = Csn{in.get<std::uint64_t>()};
  header.changes = in.get<std::uint64_t>();
  header.parts = in.get<std::uint64_t>();
  header.origins = in.get<std::uint64_t>();
  header.slots = in.get<std::uint64_t>();
  const auto classes = in.get_varint();
  if (!in.ok() || in.remaining() / sizeof(Csn) < classes) return bad_chunk("its length is wrong");
  header.class_changed.resize(static_cast<std::size_t>(classes));
  for (auto& csn : header.class_changed) csn = Csn{in.get<std::uint64_t>()};
  header.names_known = false;
  if (version > 3) decode_names(in, header);
  if (!in.ok() || in.remaining() != 0) return bad_chunk("its length is wrong");
  return header;
}

}  // namespace exdb
