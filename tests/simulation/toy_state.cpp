// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "toy_state.hpp"

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace exdb::simulation {
namespace {

constexpr std::uint32_t keys_a_chunk = 4;

}  // namespace

void encode(const ToyTransaction& transaction, std::vector<std::byte>& out) {
  ByteWriter to(out);
  to.put(transaction.id.node);
  to.put(transaction.id.incarnation);
  to.put(transaction.id.sequence);
  to.put(transaction.key);
  to.put(transaction.read_version);
}

std::vector<ToyTransaction> decode_transactions(Bytes payload) {
  std::vector<ToyTransaction> transactions;
  ByteReader in(payload);
  while (in.remaining() > 0 && in.ok()) {
    ToyTransaction one;
    one.id.node = in.get<std::uint32_t>();
    one.id.incarnation = in.get<std::uint64_t>();
    one.id.sequence = in.get<std::uint64_t>();
    one.key = in.get<std::uint32_t>() % ToyState::keys;
    one.read_version = in.get<std::uint64_t>();
    transactions.push_back(one);
  }
  return transactions;
}

ToyOutcome ToyState::apply(const ToyTransaction& transaction) {
  auto& finished = finished_[{transaction.id.node, transaction.id.incarnation}];
  if (transaction.id.sequence <= finished) return ToyOutcome::repeated;
  finished = transaction.id.sequence;
  auto& version = versions_[transaction.key];
  if (version != transaction.read_version) return ToyOutcome::aborted;
  ++version;
  ++csn_;
  return ToyOutcome::committed;
}

std::uint64_t ToyState::digest() const {
  auto hash = hash_bytes(std::as_bytes(std::span(versions_)), csn_);
  for (const auto& [origin, sequence] : finished_)
    hash = hash_word(hash ^ hash_word(origin.first + 31 * origin.second) ^ sequence);
  return hash;
}

std::uint64_t ToyState::finished(std::uint32_t node, std::uint64_t incarnation) const {
  const auto found = finished_.find({node, incarnation});
  return found == finished_.end() ? 0 : found->second;
}

std::vector<std::vector<std::byte>> ToyState::chunks() const {
  std::vector<std::vector<std::byte>> chunks;
  for (std::uint32_t key = 0; key < keys; ++key) {
    if (key % keys_a_chunk == 0) chunks.emplace_back();
    ByteWriter to(chunks.back());
    to.put(std::uint8_t(0));
    to.put(key);
    to.put(versions_[key]);
  }
  chunks.emplace_back();
  ByteWriter to(chunks.back());
  to.put(std::uint8_t(1));
  to.put(csn_);
  for (const auto& [origin, sequence] : finished_) {
    to.put(std::uint8_t(2));
    to.put(origin.first);
    to.put(origin.second);
    to.put(sequence);
  }
  return chunks;
}

bool ToyState::add(Bytes chunk) {
  ByteReader in(chunk);
  while (in.remaining() > 0 && in.ok()) {
    const auto kind = in.get<std::uint8_t>();
    if (kind == 0) {
      const auto key = in.get<std::uint32_t>() % keys;
      versions_[key] = in.get<std::uint64_t>();
    } else if (kind == 1) {
      csn_ = in.get<std::uint64_t>();
    } else {
      const auto node = in.get<std::uint32_t>();
      const auto incarnation = in.get<std::uint64_t>();
      finished_[{node, incarnation}] = in.get<std::uint64_t>();
    }
  }
  return in.ok();
}

}  // namespace exdb::simulation
