// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_messages.hpp"

#include <array>

#include "base/hash.hpp"
#include "cluster/crc32c.hpp"
#include "cluster/view_codec.hpp"

namespace exdb {
namespace {

constexpr std::uint32_t view_magic = 0x56445845;  // "EXDV", little-endian
constexpr std::size_t crc_at = 48;

using view_codec::In;
using view_codec::Out;

void put(Out&, const Prepare&) {}
void put(Out&, const ViewAck&) {}
void put(Out&, const Install&) {}
void put(Out&, const Leave&) {}

void put(Out& out, const Promise& promise) {
  out.put(promise.refused);
  out.put(promise.voter);
  out.put(promise.leaves);
  out.put(promise.consents);
  out.put(promise.lineage);
  out.put(promise.promised);
  out.put(promise.accepted);
  out.put(promise.installed);
  out.put(promise.last);
  out.put(promise.final);
  out.put(promise.reach);
  out.put(promise.unconfirmed);
}

void put(Out& out, const NewView& view) {
  out.put(view.after);
  out.put(view.source);
  out.put(view.lineage);
  out.put_varint(view.seats.size());
  for (const auto& seat : view.seats) {
    out.put(seat.member.value);
    out.put(seat.incarnation.value);
    out.put(seat.counted);
  }
}

void put(Out& out, const Fetch& fetch) {
  out.put(fetch.after);
  out.put(fetch.ahead);
  out.put(fetch.parted);
}

void put(Out& out, const Rounds& rounds) {
  out.put(std::uint8_t(rounds.state));
  out.put(rounds.upto);
  out.put(rounds.final);
  out.put(rounds.lineage);
  out.put_varint(rounds.rounds.size());
  for (const auto& round : rounds.rounds) {
    out.put(round.round);
    out.put(round.view);
    out.put_varint(round.batches.size());
    for (const auto& batch : round.batches) {
      out.put(batch.member.value);
      out.put(batch.header, round.last);
      out.put_bytes(batch.payload);
    }
  }
}

void put(Out& out, const Join& join) {
  out.put(join.voter);
  out.put(join.leaves);
  out.put(join.consents);
  out.put(join.promised);
  out.put(join.final);
  out.put(join.last);
  out.put(join.applied);
  out.put(join.reach);
  out.put(join.lineage);
}

void put(Out& out, const Evicted& evicted) { out.put(evicted.known.value); }

void put(Out& out, const Ack& ack) {
  out.put(ack.want);
  out.put(ack.leaves);
  out.put(ack.recv);
  out.put(ack.applied);
  out.put(ack.final);
  out.put(ack.reach);
  out.put(ack.lineage);
}

void put(Out& out, const BatchMessage& batch) {
  out.put(batch.round);
  out.put(batch.recv);
  out.put(batch.applied);
  out.put(batch.header);
  out.put_raw(batch.payload);
}

void put(Out& out, const SnapBegin& begin) {
  out.put(begin.transfer);
  out.put(begin.upto);
  out.put(begin.view);
  out.put(begin.horizon.value);
  out.put(begin.lineage);
}

void put(Out& out, const SnapChunk& chunk) {
  out.put(chunk.transfer);
  out.put(chunk.number);
  out.put_raw(chunk.bytes);
}

void put(Out& out, const SnapAck& ack) {
  out.put(ack.transfer);
  out.put(ack.next);
}

void put(Out& out, const SnapEnd& end) {
  out.put(end.transfer);
  out.put(end.chunks);
  out.put(end.digest);
}

void get(In&, Prepare&) {}
void get(In&, ViewAck&) {}
void get(In&, Install&) {}
void get(In&, Leave&) {}

void get(In& in, Promise& promise) {
  promise.refused = in.flag();
  promise.voter = in.flag();
  promise.leaves = in.flag();
  promise.consents = in.flag();
  promise.lineage = in.lineage();
  promise.promised = in.ballot();
  promise.accepted = in.ballot();
  promise.installed = in.ballot();
  promise.last = in.chain();
  promise.final = in.chain();
  promise.reach = in.set();
  promise.unconfirmed = in.ballots();
}

void get(In& in, NewView& view) {
  view.after = in.chain();
  view.source = in.ballot();
  view.lineage = in.lineage();
  const auto count = in.count(13);
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    Seat seat;
    seat.member = in.member();
    seat.incarnation = {in.get<std::uint64_t>()};
    seat.counted = in.flag();
    if (i > 0 && seat.member <= view.seats.back().member) in.refuse();
    view.seats.push_back(seat);
  }
}

void get(In& in, Fetch& fetch) {
  fetch.after = in.chain();
  fetch.ahead = in.flag();
  fetch.parted = in.flag();
}

CompletedRound get_round(In& in) {
  CompletedRound round;
  round.round = in.round();
  round.view = in.ballot();
  const auto batches = in.count(26);
  if (batches == 0) in.refuse();
  for (std::uint64_t i = 0; i < batches && in.ok(); ++i) {
    Batch batch;
    bool last = false;
    batch.member = in.member();
    batch.header = in.batch_header(&last);
    const auto payload = in.bytes();
    if (i > 0 && last != round.last) in.refuse();
    round.last = last;
    if (!in.ok()) break;
    batch.payload.assign(payload.begin(), payload.end());
    batch.checksum =
        batch_checksum(round.view, round.round, batch.member, batch.header, batch.payload);
    round.batches.push_back(std::move(batch));
  }
  return round;
}

void get(In& in, Rounds& rounds) {
  const auto state = in.get<std::uint8_t>();
  if (state > std::uint8_t(Rounds::State::differs)) in.refuse();
  rounds.state = Rounds::State(state);
  rounds.upto = in.chain();
  rounds.final = in.chain();
  rounds.lineage = in.lineage();
  const auto count = in.count(55);
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    rounds.rounds.push_back(get_round(in));
    if (i > 0 && rounds.rounds[i].round != rounds.rounds[i - 1].round.next()) in.refuse();
  }
}

void get(In& in, Join& join) {
  join.voter = in.flag();
  join.leaves = in.flag();
  join.consents = in.flag();
  join.promised = in.ballot();
  join.final = in.chain();
  join.last = in.round();
  join.applied = in.round();
  join.reach = in.set();
  join.lineage = in.lineage();
}

void get(In& in, Evicted& evicted) { evicted.known = {in.get<std::uint64_t>()}; }

void get(In& in, Ack& ack) {
  ack.want = in.flag();
  ack.leaves = in.flag();
  ack.recv = in.round();
  ack.applied = in.round();
  ack.final = in.chain();
  ack.reach = in.set();
  ack.lineage = in.lineage();
}

void get(In& in, BatchMessage& batch) {
  batch.round = in.round();
  batch.recv = in.round();
  batch.applied = in.round();
  batch.header = in.batch_header();
  batch.payload = in.get_raw(in.remaining());
}

void get(In& in, SnapBegin& begin) {
  begin.transfer = in.get<std::uint64_t>();
  begin.upto = in.chain();
  begin.view = in.ballot();
  begin.horizon = {in.get<std::uint64_t>()};
  begin.lineage = in.lineage();
}

void get(In& in, SnapChunk& chunk) {
  chunk.transfer = in.get<std::uint64_t>();
  chunk.number = in.get<std::uint64_t>();
  chunk.bytes = in.get_raw(in.remaining());
}

void get(In& in, SnapAck& ack) {
  ack.transfer = in.get<std::uint64_t>();
  ack.next = in.get<std::uint64_t>();
}

void get(In& in, SnapEnd& end) {
  end.transfer = in.get<std::uint64_t>();
  end.chunks = in.get<std::uint64_t>();
  end.digest = in.get<std::uint64_t>();
}

template <std::size_t I = 0>
void get_type(std::size_t type, In& in, ViewMessage& message) {
  if constexpr (I < std::variant_size_v<ViewMessage>) {
    if (type != I + 1) return get_type<I + 1>(type, in, message);
    std::variant_alternative_t<I, ViewMessage> body;
    get(in, body);
    message = std::move(body);
  }
}

std::uint32_t crc_of(Bytes frame) {
  return crc32c(frame.subspan(crc_at + 8), crc32c(frame.first(crc_at)));
}

Status broken_message(std::string what) { return {ErrorCode::cluster_protocol, std::move(what)}; }

constexpr std::array names{"PREPARE",    "PROMISE",    "NEWVIEW",  "VIEWACK", "INSTALL", "FETCH",
                           "ROUNDS",     "JOIN",       "LEAVE",    "EVICTED", "ACK",     "BATCH",
                           "SNAP_BEGIN", "SNAP_CHUNK", "SNAP_ACK", "SNAP_END"};
static_assert(names.size() == std::variant_size_v<ViewMessage>);

}  // namespace

const char* name_of(const ViewMessage& message) { return names[message.index()]; }

std::uint64_t batch_checksum(Ballot view, Round round, MemberId member, const BatchHeader& header,
                             Bytes payload) {
  const std::array<std::uint64_t, 9> words{
      view.counter,
      view.member.value,
      view.life,
      round.value,
      member.value,
      std::uint64_t(header.stop) | header.leave << 1 | header.more << 2,
      header.oldest_snapshot.value,
      header.digest,
      header.digest_lag};
  return hash_bytes(payload, hash_bytes(std::as_bytes(std::span(words))));
}

Frame encode_view_frame(const ViewHeader& header, const ViewMessage& message) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  if (const auto* batch = std::get_if<BatchMessage>(&message))
    bytes->reserve(view_header_bytes + 64 + batch->payload.size());
  Out out(*bytes);
  out.put(view_magic);
  out.put(view_version);
  out.put(std::uint8_t(message.index() + 1));
  out.put(std::uint8_t(0));
  out.put(std::uint64_t(0));
  out.put(header.cluster_id);
  out.put(header.sender.value);
  out.put(header.ballot.member.value);
  out.put(header.ballot.counter);
  out.put(header.incarnation.value);
  out.put(std::uint64_t(0));
  out.put(header.ballot.life);
  std::visit([&out](const auto& body) { put(out, body); }, message);
  out.patch(8, std::uint64_t(bytes->size() - view_header_bytes));
  out.patch(crc_at, crc_of(*bytes));
  return bytes;
}

Result<ViewFrame> decode_view_frame(Bytes frame) {
  if (frame.size() < view_header_bytes)
    return broken_message("a frame of " + std::to_string(frame.size()) +
                          " bytes is shorter than a header");
  In in(frame);
  // Magic and version before the checksum, as in frame.cpp.
  if (in.get<std::uint32_t>() != view_magic) return broken_message("a frame that is not exdb's");
  const auto version = in.get<std::uint16_t>();
  if (version != view_version)
    return broken_message("a frame of protocol version " + std::to_string(version) +
                          ", here it is " + std::to_string(view_version) +
                          ": run one exdb version on all nodes");
  const auto type = in.get<std::uint8_t>();
  const auto zero = in.get<std::uint8_t>();
  const auto length = in.get<std::uint64_t>();
  if (length != frame.size() - view_header_bytes)
    return broken_message("a frame says " + std::to_string(length) + " bytes of body and has " +
                          std::to_string(frame.size() - view_header_bytes));
  ViewFrame decoded;
  decoded.header.cluster_id = in.get<std::uint64_t>();
  decoded.header.sender = in.member();
  decoded.header.ballot.member = in.member();
  decoded.header.ballot.counter = in.get<std::uint64_t>();
  decoded.header.incarnation = {in.get<std::uint64_t>()};
  if (in.get<std::uint32_t>() != crc_of(frame))
    return broken_message("a frame with a wrong checksum");
  if (in.get<std::uint32_t>() != 0 || zero != 0)
    return broken_message("a frame with unknown flags");
  decoded.header.ballot.life = in.get<std::uint64_t>();
  if (type < 1 || type > std::variant_size_v<ViewMessage>)
    return broken_message("a frame of unknown type " + std::to_string(type));
  get_type(type, in, decoded.message);
  if (!in.ok() || in.remaining() > 0)
    return broken_message(std::string("a body that is no ") + names[type - 1] + "'s");
  return decoded;
}

}  // namespace exdb
