// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_words.hpp"

#include <sstream>

namespace exdb {
namespace {

std::string names(const CaughtUp& nodes) {
  std::string text;
  for (const auto& [node, round] : nodes) text += (text.empty() ? "" : ", ") + std::to_string(node);
  return (nodes.size() == 1 ? "node " : "nodes ") + text;
}

}  // namespace

Result<Blocks> exchange(CollectiveGather& gather, const Status& mine, Bytes bytes) {
  std::vector<std::byte> said;
  ByteWriter out(said);
  out.put(static_cast<std::int32_t>(mine.code()));
  out.put_text(mine.text());
  out.put_raw(bytes);
  auto gathered = gather.collective_gather(said, std::chrono::milliseconds(0));
  if (!gathered) return gathered.status();
  Blocks blocks;
  for (std::size_t node = 0; node < gathered->size(); ++node) {
    ByteReader in((*gathered)[node]);
    const auto code = static_cast<ErrorCode>(in.get<std::int32_t>());
    const std::string text(in.get_text());
    if (!in.ok()) return {ErrorCode::cluster_protocol, "what a node says cannot be read"};
    if (code != ErrorCode::ok) return Status(code, "node " + std::to_string(node) + ": " + text);
    const auto rest = in.get_raw(in.remaining());
    blocks.emplace_back(rest.begin(), rest.end());
  }
  return blocks;
}

Known said_of(const HeldCopy& held, bool own) {
  Known known;
  known.own = own;
  known.empty = held.empty;
  known.copy = held.copy;
  known.checkpoint = held.recovery.from.round;
  const auto& log = held.recovery.log;
  known.marks = log.end.marks;
  known.torn_down = log.torn || (!log.end.segments.empty() && !log.end.closed);
  if (log.torn)
    known.cut = std::to_string(log.torn->bytes) + " bytes at offset " +
                std::to_string(log.torn->offset) + " of '" + log.torn->path + "'";
  for (const auto& why : held.recovery.passed_over)
    known.cut += (known.cut.empty() ? "" : ", ") + why;
  return known;
}

void encode(const Known& known, ByteWriter& out) {
  out.put(std::uint8_t(known.own));
  out.put(std::uint8_t(known.empty));
  out.put_text(known.copy.path);
  out.put_bytes(encode_epochs(known.copy.database, known.copy.epochs));
  out.put(known.copy.database);
  out.put(known.copy.newest.round.value);
  out.put(known.copy.newest.hash);
  out.put(known.checkpoint.value);
  out.put(known.marks.sequence);
  out.put(known.marks.autoid);
  out.put(std::uint8_t(known.torn_down));
  out.put_text(known.cut);
}

Status decode(ByteReader& in, Known& known) {
  known.own = in.get<std::uint8_t>() != 0;
  known.empty = in.get<std::uint8_t>() != 0;
  known.copy.path = in.get_text();
  const auto epochs = in.get_bytes();
  known.copy.database = in.get<std::uint64_t>();
  known.copy.newest.round.value = in.get<std::uint64_t>();
  known.copy.newest.hash = in.get<std::uint64_t>();
  known.checkpoint.value = in.get<std::uint64_t>();
  known.marks.sequence = in.get<std::uint64_t>();
  known.marks.autoid = in.get<std::uint64_t>();
  known.torn_down = in.get<std::uint8_t>() != 0;
  known.cut = in.get_text();
  auto decoded = decode_epochs(epochs, known.copy.database, known.copy.path);
  if (!in.ok() || !decoded)
    return {ErrorCode::cluster_protocol, "what a node says of its copy cannot be read"};
  known.copy.epochs = std::move(*decoded);
  return {};
}

std::string told_of(const std::vector<Known>& known, const Known& giver, const CaughtUp& by_rounds,
                    const CaughtUp& by_files, const CaughtUp& in_memory, std::chrono::steady_clock::duration took) {
  std::size_t copies = 0;
  std::string left, cut;
  for (const auto& each : known) {
    copies += each.empty ? 0 : 1;
    if (!each.own) left += (left.empty() ? "'" : ", '") + each.copy.path + "'";
    if (!each.cut.empty()) cut += (cut.empty() ? "" : "; ") + each.cut;
  }
  std::ostringstream out;
  out << "recovered to round " << giver.copy.newest.round.value << " of epoch "
      << giver.copy.epoch() << " from '" << giver.copy.path << "', the furthest of " << copies
      << " copies, in " << std::chrono::duration_cast<std::chrono::milliseconds>(took).count()
      << " ms";
  if (!by_rounds.empty()) out << "; " << names(by_rounds) << " caught up by rounds";
  if (!by_files.empty()) out << "; " << names(by_files) << " by a copy of it";
  if (!in_memory.empty()) out << "; " << names(in_memory) << " keep no copy, and took the state";
  if (!cut.empty()) out << "; cut of what was not finished: " << cut;
  if (!left.empty()) out << "; left alone, of nodes that keep none now: " << left;
  return out.str();
}

}  // namespace exdb
