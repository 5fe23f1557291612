// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/log_record.hpp"

#include <algorithm>
#include <limits>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "cluster/crc32c.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t record_magic = 0x43525845;  // "EXRC", little-endian
constexpr std::size_t record_crc_at = 4, record_checked_from = 8, length_at = 48;
constexpr std::uint8_t flag_stop = 1, flag_leave = 2, flag_more = 4;
constexpr std::uint64_t step_goes_on = 256;
constexpr std::uint64_t members_max = std::numeric_limits<std::uint32_t>::max();

constexpr std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + record_alignment - 1) / record_alignment * record_alignment;
}

std::uint32_t record_crc_of(std::uint64_t database, Bytes checked) {
  return crc32c(checked, crc32c(std::as_bytes(std::span(&database, 1))));
}

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte each) { return each == std::byte{0}; });
}

void encode_batch(const Batch& batch, ByteWriter& out) {
  out.put_varint(batch.member.value);
  out.put(std::uint8_t((batch.header.stop ? flag_stop : 0) | (batch.header.leave ? flag_leave : 0) |
                       (batch.header.more ? flag_more : 0)));
  out.put_varint(batch.header.oldest_snapshot.value);
  out.put(batch.header.digest);
  out.put_varint(batch.header.digest_lag);
  out.put(batch.checksum);
  out.put_bytes(batch.bytes());
}

bool decode_batch(ByteReader& in, Batch& batch) {
  const auto member = in.get_varint();
  const auto flags = in.get<std::uint8_t>();
  batch.header.stop = flags & flag_stop;
  batch.header.leave = flags & flag_leave;
  batch.header.more = flags & flag_more;
  batch.header.oldest_snapshot.value = in.get_varint();
  batch.header.digest = in.get<std::uint64_t>();
  const auto lag = in.get_varint();
  batch.checksum = in.get<std::uint64_t>();
  const auto payload = in.get_bytes();
  if (!in.ok() || std::max(member, lag) > members_max || flags >= 2 * flag_more) return false;
  batch.member.value = std::uint32_t(member);
  batch.header.digest_lag = std::uint32_t(lag);
  batch.payload.assign(payload.begin(), payload.end());
  return true;
}

bool decode_round(Bytes payload, LogRecord& record) {
  ByteReader in(payload);
  if (record.kind == LogRecord::Kind::held_round) record.final.value = in.get_varint();
  record.marks.sequence = in.get_varint();
  record.marks.autoid = in.get_varint();
  const auto last = in.get<std::uint8_t>();
  record.round.round = record.chain.round;
  record.round.last = last != 0;
  record.round.view.counter = in.get_varint();
  const auto member = in.get_varint();
  if (record.kind == LogRecord::Kind::held_round) record.round.view.life = in.get_varint();
  const auto batches = in.get_varint();
  if (!in.ok() || last > 1 || member > members_max || batches > in.remaining()) return false;
  record.round.view.member.value = std::uint32_t(member);
  record.round.batches.resize(std::size_t(batches));
  for (auto& batch : record.round.batches)
    if (!decode_batch(in, batch)) return false;
  return in.ok() && in.remaining() == 0;
}

ReadRecord bad(std::string why) { return {ReadRecord::Found::bad, std::move(why), 0, {}}; }

/// Of the bytes at `offset`, where there is the record_magic: the record but for what is in its payload.
ReadRecord decode_head_of(Bytes file, std::uint64_t offset, std::uint64_t database,
                          Bytes& payload) {
  const auto bytes = file.subspan(std::size_t(offset));
  ByteReader in(bytes);
  (void)in.get<std::uint32_t>();
  const auto crc = in.get<std::uint32_t>();
  const auto kind = in.get<std::uint64_t>();
  ReadRecord read;
  read.found = ReadRecord::Found::record;
  read.record.offset = in.get<std::uint64_t>();
  read.record.synced = in.get<std::uint64_t>();
  read.record.chain.round.value = in.get<std::uint64_t>();
  read.record.chain.hash = in.get<std::uint64_t>();
  const auto length = in.get<std::uint64_t>();
  if (!in.ok()) return bad("a record is cut short");
  if (length > bytes.size() - record_head_bytes) return bad("a record is longer than its file");
  if (crc !=
      record_crc_of(database, bytes.subspan(record_checked_from,
                                            record_head_bytes - record_checked_from + length)))
    return bad("the checksum of a record is wrong");
  if (read.record.offset != offset) return bad("a record is not where it was written");
  const auto plain = kind & ~step_goes_on;
  if (plain < std::uint64_t(LogRecord::Kind::round) ||
      plain > std::uint64_t(LogRecord::Kind::memory))
    return bad("a record of an unknown kind");
  read.record.kind = LogRecord::Kind(plain);
  read.record.step_goes_on = kind != plain;
  read.bytes = std::min<std::uint64_t>(aligned(record_head_bytes + length), bytes.size());
  payload = bytes.subspan(record_head_bytes, std::size_t(length));
  const auto used = record_head_bytes + std::size_t(length);
  if (!all_zero(bytes.subspan(used, std::size_t(read.bytes) - used)))
    return bad("a record is not followed by zeros");
  return read;
}

bool has_magic(Bytes file, std::uint64_t offset) {
  return ByteReader(file.subspan(std::size_t(offset))).get<std::uint32_t>() == record_magic;
}

}  // namespace

std::uint64_t record_bytes_at_most(const CompletedRound& round) {
  constexpr std::uint64_t beside_batches = 64, beside_payload = 64;
  return aligned(record_head_bytes + beside_batches + beside_payload * round.batches.size() +
                 payload_bytes(round));
}

void encode_record(const LogRecord& record, const CompletedRound& round, std::uint64_t database,
                   std::vector<std::byte>& out) {
  const auto begin = out.size();
  ByteWriter writer(out);
  writer.put(record_magic);
  writer.put(std::uint32_t{0});
  writer.put(std::uint64_t(record.kind) | (record.step_goes_on ? step_goes_on : 0));
  writer.put(record.offset);
  writer.put(record.synced);
  writer.put(record.chain.round.value);
  writer.put(record.chain.hash);
  writer.put(std::uint64_t{0});
  if (record.kind == LogRecord::Kind::memory) writer.put_raw(record.memory);
  const bool said = record.kind == LogRecord::Kind::closed && record.final > Round{};
  if (said || record.kind == LogRecord::Kind::held_round) writer.put_varint(record.final.value);
  if (record.is_round()) {
    writer.put_varint(record.marks.sequence);
    writer.put_varint(record.marks.autoid);
    writer.put(std::uint8_t(round.last));
    writer.put_varint(round.view.counter);
    writer.put_varint(round.view.member.value);
    if (record.kind == LogRecord::Kind::held_round) writer.put_varint(round.view.life);
    writer.put_varint(round.batches.size());
    for (const auto& batch : round.batches) encode_batch(batch, writer);
  }
  const auto bytes = out.size() - begin;
  writer.patch(begin + length_at, std::uint64_t(bytes - record_head_bytes));
  writer.patch(begin + record_crc_at,
               record_crc_of(database, Bytes(out).subspan(begin + record_checked_from)));
  out.resize(begin + std::size_t(aligned(bytes)));
}

ReadRecord decode_record(Bytes file, std::uint64_t offset, std::uint64_t database) {
  EXDB_ASSERT(offset <= file.size(), "a record is looked for within its file");
  const auto rest = file.subspan(std::size_t(offset));
  if (all_zero(rest.first(std::min(rest.size(), record_head_bytes))))
    return {ReadRecord::Found::nothing, {}, 0, {}};
  if (!has_magic(file, offset)) return bad("there is no record");
  Bytes payload;
  auto read = decode_head_of(file, offset, database, payload);
  if (read.found != ReadRecord::Found::record) return read;
  if (read.record.kind == LogRecord::Kind::memory) {
    read.record.memory.assign(payload.begin(), payload.end());
  } else if (read.record.kind == LogRecord::Kind::closed && !payload.empty()) {
    ByteReader in(payload);
    read.record.final.value = in.get_varint();
    if (!in.ok() || in.remaining() != 0) return bad("a record cannot be read");
  } else if (read.record.is_round() ? !decode_round(payload, read.record) : !payload.empty()) {
    return bad("a record cannot be read");
  }
  return read;
}

bool proven_synced(Bytes file, std::uint64_t offset, std::uint64_t database) {
  for (auto at = aligned(offset + 1); at + record_head_bytes <= file.size();
       at += record_alignment) {
    if (!has_magic(file, at)) continue;
    Bytes payload;
    const auto read = decode_head_of(file, at, database, payload);
    if (read.found == ReadRecord::Found::record && read.record.synced > offset) return true;
  }
  return false;
}

}  // namespace exdb
