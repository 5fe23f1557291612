// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_memory.hpp"

#include "cluster/view_codec.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t memory_magic = 0x4D445845;  // "EXDM", little-endian
constexpr std::uint16_t version = 1;

Status broken_memory(std::string what) { return {ErrorCode::disk_damaged, std::move(what)}; }

}  // namespace

std::vector<std::byte> encode_view_memory(const ViewMemory& memory) {
  std::vector<std::byte> bytes;
  view_codec::Out out(bytes);
  out.put(memory_magic);
  out.put(version);
  out.put(memory.cluster_id);
  out.put(memory.self.value);
  out.put(memory.incarnation.value);
  out.put(memory.voter);
  out.put(memory.promised);
  out.put(memory.accepted);
  out.put(memory.history_view);
  out.put(memory.installed);
  out.put(memory.final_view);
  out.put(memory.unconfirmed);
  out.put(memory.lineage);
  return bytes;
}

Result<ViewMemory> decode_view_memory(Bytes bytes) {
  view_codec::In in(bytes);
  if (in.get<std::uint32_t>() != memory_magic)
    return broken_memory("bytes that are no member's memory");
  if (const auto found = in.get<std::uint16_t>(); found != version)
    return Status(ErrorCode::disk_version, "a member's memory of format " + std::to_string(found) +
                                               ", here it is " + std::to_string(version));
  ViewMemory memory;
  memory.cluster_id = in.get<std::uint64_t>();
  memory.self = in.member();
  memory.incarnation = {in.get<std::uint64_t>()};
  memory.voter = in.flag();
  memory.promised = in.ballot();
  memory.accepted = in.ballot();
  memory.history_view = in.ballot();
  memory.installed = in.ballot();
  memory.final_view = in.ballot();
  memory.unconfirmed = in.ballots();
  memory.lineage = in.lineage();
  if (!in.ok() || in.remaining() > 0)
    return broken_memory("a member's memory that is cut or too long");
  return memory;
}

Status check_view_memory(const ViewMemory& memory, MemberId self, std::uint64_t cluster_id) {
  if (memory.self != self)
    return {ErrorCode::cluster_incompatible,
            "this is the folder of node " + std::to_string(memory.self.value) +
                ", and this node is number " + std::to_string(self.value)};
  if (memory.cluster_id != cluster_id)
    return {ErrorCode::cluster_incompatible,
            "this is the folder of a node of another cluster: its schema, the qranks in nodes, or "
            "the cluster id differ"};
  return {};
}

Incarnation first_life(std::chrono::nanoseconds since_1970) {
  // 48 bits of them are enough until 2112.
  using Units = std::chrono::duration<std::uint64_t, std::ratio<16, 1'000'000>>;
  const auto units = std::chrono::duration_cast<Units>(since_1970).count();
  return {units << Incarnation::bits_of_lives};
}

}  // namespace exdb
