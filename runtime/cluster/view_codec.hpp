// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What members of a cluster are made of, as bytes: ballots, chains, lineages, sets. For the frames
// between them, and for what one of them keeps on a disk.
//
// Invariants
//   C1  Reading accepts exactly what writing makes; nothing is read or allocated on the word of a
//       length that was not checked against the bytes at hand.
// Threads: plain values.
#pragma once
#include "base/bytes.hpp"
#include "cluster/lineage.hpp"
#include "cluster/round_history.hpp"
#include "cluster/view.hpp"

namespace exdb::view_codec {

/// More members than this are no cluster of ours: a bound for what bytes may make us allocate.
constexpr std::uint32_t members_max = 4096;
constexpr std::uint8_t flag_stop = 1, flag_leave = 2, flag_more = 4, flag_last = 8;

using Chain = RoundHistory::Chain;

class Out : public ByteWriter {
 public:
  using ByteWriter::ByteWriter;
  using ByteWriter::put;
  void put(bool value) { put(std::uint8_t(value)); }
  void put(Round round) { put(round.value); }
  void put(Ballot ballot) {
    put(ballot.counter);
    put(ballot.member.value);
    put(ballot.life);
  }
  void put(const Chain& chain) {
    put(chain.round.value);
    put(chain.hash);
  }
  void put(const std::vector<Ballot>& ballots) {
    put_varint(ballots.size());
    for (const auto ballot : ballots) put(ballot);
  }
  void put(const Lineage& line) {
    put(line.id);
    put(line.majority);
    put(line.root);
    put(line.base);
    put(line.complete);
    put(line.weight);
    put(line.held);
    put(line.since);
    put(line.founded);
  }
  void put(const MemberSet& set) {
    put_varint(set.words().size());
    for (const auto word : set.words()) put(word);
  }
  void put(const BatchHeader& header, bool last = false) {
    put(std::uint8_t((header.stop ? flag_stop : 0) | (header.leave ? flag_leave : 0) |
                     (header.more ? flag_more : 0) | (last ? flag_last : 0)));
    put(header.oldest_snapshot.value);
    put(header.digest);
    put(header.digest_lag);
  }
};

class In : public ByteReader {
 public:
  using ByteReader::ByteReader;

  bool flag() {
    const auto value = get<std::uint8_t>();
    if (value > 1) refuse();
    return value == 1;
  }
  Round round() { return {get<std::uint64_t>()}; }
  Ballot ballot() {
    Ballot ballot;
    ballot.counter = get<std::uint64_t>();
    ballot.member = member();
    ballot.life = get<std::uint64_t>();
    return ballot;
  }
  MemberId member() {
    const MemberId member{get<std::uint32_t>()};
    if (member.value >= members_max) refuse();
    return member;
  }
  Chain chain() {
    Chain chain;
    chain.round = round();
    chain.hash = get<std::uint64_t>();
    return chain;
  }
  Lineage lineage() {
    Lineage line;
    line.id = ballot();
    line.majority = ballot();
    line.root = ballot();
    line.base = round();
    line.complete = flag();
    line.weight = get<std::uint64_t>();
    line.held = ballot();
    line.since = round();
    line.founded = ballot();
    return line;
  }
  std::vector<Ballot> ballots() {
    std::vector<Ballot> ballots;
    const auto size = count(20);
    for (std::uint64_t i = 0; i < size && ok(); ++i) ballots.push_back(ballot());
    return ballots;
  }
  MemberSet set() {
    MemberSet set;
    const auto words = count(sizeof(std::uint64_t));
    if (words > members_max / 64) refuse();
    for (std::uint64_t word = 0; word < words && ok(); ++word) {
      const auto bits = get<std::uint64_t>();
      if (word + 1 == words && bits == 0) refuse();
      for (std::uint32_t bit = 0; bit < 64; ++bit)
        if (bits >> bit & 1) set.add(MemberId{std::uint32_t(64 * word + bit)});
    }
    return set;
  }
  BatchHeader batch_header(bool* last = nullptr) {
    BatchHeader header;
    const auto flags = get<std::uint8_t>();
    if (flags >= (last ? 2 * flag_last : flag_last)) refuse();
    header.stop = flags & flag_stop;
    header.leave = flags & flag_leave;
    header.more = flags & flag_more;
    if (last) *last = flags & flag_last;
    header.oldest_snapshot = {get<std::uint64_t>()};
    header.digest = get<std::uint64_t>();
    header.digest_lag = get<std::uint32_t>();
    return header;
  }
  /// How many things of at least `size` bytes follow: no more than there are bytes for.
  std::uint64_t count(std::size_t size) {
    const auto number = varint();
    if (ok() && number > remaining() / size) refuse();
    return ok() ? number : 0;
  }
  Bytes bytes() { return get_raw(count(1)); }
  void refuse() { refused_ = true; }
  [[nodiscard]] bool ok() const { return !refused_ && ByteReader::ok(); }

 private:
  /// In the one form that encoding gives it (M1).
  std::uint64_t varint() {
    const auto before = position();
    const auto value = get_varint();
    if (position() - before > 1 && value >> (7 * (position() - before - 1)) == 0) refuse();
    return value;
  }

  bool refused_ = false;
};

}  // namespace exdb::view_codec
