// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_pieces.hpp"

#include "database/named_files.hpp"

namespace exdb {
namespace {

constexpr std::size_t rounds_bytes = std::size_t{1} << 20;
constexpr std::byte of_chunk{'c'}, of_end{'e'}, of_names{'n'};

Status unreadable(const std::string& what) {
  return {ErrorCode::cluster_protocol, what + " that cannot be read"};
}

}  // namespace

Status give_rounds(HeldCopy& copy, const DatabaseIdentity& identity, Round after,
                   const EachPiece& each) {
  std::vector<std::byte> rounds;
  auto read = read_log(*copy.folder, identity, copy.recovery.from, {},
                       [&](const CompletedRound& round) {
                         if (round.round <= after) return Status();
                         LogRecord record;
                         record.offset = rounds.size();
                         record.chain.round = round.round;
                         encode_record(record, round, identity.database, rounds);
                         if (rounds.size() < rounds_bytes) return Status();
                         auto status = each(rounds);
                         rounds.clear();
                         return status;
                       });
  if (!read) return read.status();
  return rounds.empty() ? Status() : each(rounds);
}

Status take_rounds(Bytes rounds, const DatabaseIdentity& identity, RoundHistory::Chain have,
                   const std::function<Status(CompletedRound&&)>& take) {
  auto newest = have.round;
  for (std::uint64_t offset = 0; offset < rounds.size();) {
    auto found = decode_record(rounds, offset, identity.database);
    if (found.found != ReadRecord::Found::record) return unreadable("rounds (" + found.why + ")");
    offset += found.bytes;
    auto& round = found.record.round;
    if (round.round <= newest) continue;
    if (round.round != newest.next())
      return {ErrorCode::cluster_protocol, "a round is missing among those that came"};
    newest = round.round;
    if (auto status = take(std::move(round)); !status) return status;
  }
  return {};
}

Status give_state(HeldCopy& copy, const EachPiece& each) {
  std::vector<std::byte> piece;
  const auto& from = copy.recovery.from;
  if (from.round != Round{}) {
    auto read = read_checkpoint(*copy.folder, file_name(FileKind::checkpoint, from.round),
                                copy.identity, [&](Bytes chunk) {
                                  piece.assign(1, of_chunk);
                                  piece.insert(piece.end(), chunk.begin(), chunk.end());
                                  return each(piece);
                                });
    if (!read) return read.status();
    piece.assign(1, of_end);
    ByteWriter out(piece);
    out.put(from.round.value);
    out.put(from.hash);
    if (auto status = each(piece); !status) return status;
  }
  auto names = list_named(*copy.folder, copy.identity);
  if (!names) return names.status();
  piece.assign(1, of_names);
  encode_names(*names, piece);
  return each(piece);
}

Status take_state(Bytes piece, ReplicaSink& sink, RoundHistory::Chain& at,
                  std::vector<NamedSnapshot>& names) {
  if (piece.empty()) return unreadable("a state");
  const auto rest = piece.subspan(1);
  if (piece[0] == of_chunk) return sink.chunk(rest);
  if (piece[0] == of_end) {
    ByteReader in(rest);
    at.round.value = in.get<std::uint64_t>();
    at.hash = in.get<std::uint64_t>();
    return in.ok() ? sink.complete(at) : unreadable("a state");
  }
  if (piece[0] != of_names) return unreadable("a state");
  auto decoded = decode_names(rest);
  if (decoded) names = std::move(*decoded);
  return decoded.status();
}

}  // namespace exdb
