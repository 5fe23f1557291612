// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/state_transfer.hpp"

#include "base/hash.hpp"

namespace exdb {

// --- giving ---

bool Donation::on_ack(const SnapAck& ack) {
  if (ack.transfer != transfer_ || ack.next < acknowledged_ || ack.next > sent_) return false;
  for (; acknowledged_ < ack.next; ++acknowledged_) {
    under_way_bytes_ -= under_way_.front();
    under_way_.pop_front();
  }
  return true;
}

std::size_t Donation::pump(const Send& send, std::size_t bytes_max) {
  std::vector<std::byte> chunk;
  std::size_t bytes = 0;
  const auto may_send = [&] {
    return sent_ - acknowledged_ < credit_ || under_way_bytes_ < credit_bytes;
  };
  while (!ended_ && may_send() && bytes < bytes_max) {
    if (stream_->next(chunk)) {
      bytes += chunk.size();
      under_way_.push_back(chunk.size());
      under_way_bytes_ += chunk.size();
      digest_ = hash_bytes(chunk, digest_);
      send(SnapChunk{transfer_, sent_++, chunk});
    } else {
      ended_ = true;
      stream_.reset();
      send(SnapEnd{transfer_, sent_, digest_});
    }
  }
  return bytes;
}

// --- taking ---

void RoundsAhead::begin(RoundHistory::Chain after) {
  *this = {};
  upto_ = after;
}

std::optional<RoundHistory::Chain> RoundsAhead::ask(std::size_t bytes_max) {
  if (asked_ || broken_ || bytes_ >= bytes_max) return {};
  asked_ = true;
  return upto_;
}

/// An answer that does not go on where this one stands was asked for by a former transfer.
bool RoundsAhead::take(Rounds& rounds) {
  asked_ = false;
  if (rounds.state != Rounds::State::some) {
    broken_ = true;
    return false;
  }
  for (auto& round : rounds.rounds) {
    if (round.round != upto_.round.next()) continue;
    upto_ = {round.round, chained(upto_.hash, round)};
    bytes_ += payload_bytes(round);
    rounds_.push_back(std::move(round));
  }
  return !rounds.rounds.empty() && rounds.final.round > upto_.round;
}

void Intake::begin(const SnapBegin& begin, bool parted) {
  const bool goes_on = mutation_ == ViewMutation::joins_broken_transfer && next_ > 0;
  begun_ = begin;
  parted_ = parted;
  whole_ = false;
  if (goes_on) return;
  next_ = digest_ = 0;
  bytes_ = unanswered_bytes_ = 0;
  sink_.begin(parted);
}

bool Intake::fits(std::uint64_t transfer) const {
  return begun_ && !whole_ && begun_->transfer == transfer;
}

void Intake::abandon() {
  // The mutant goes on where this one broke off.
  if (begun_ && mutation_ != ViewMutation::joins_broken_transfer) sink_.drop();
  begun_.reset();
  whole_ = false;
}

Status Intake::broken(std::string what) {
  abandon();
  return {ErrorCode::cluster_sync, "a state transfer broke: " + std::move(what)};
}

Result<std::optional<SnapAck>> Intake::on_chunk(const SnapChunk& chunk, bool now) {
  if (!fits(chunk.transfer)) return std::optional<SnapAck>();
  const bool checks = mutation_ != ViewMutation::joins_broken_transfer;
  if (checks && chunk.number != next_)
    return broken("chunk " + std::to_string(chunk.number) + " came, " + std::to_string(next_) +
                  " is the next");
  if (!checks && chunk.number < next_) return std::optional<SnapAck>({chunk.transfer, next_});
  next_ = chunk.number + 1;
  bytes_ += chunk.bytes.size();
  digest_ = hash_bytes(chunk.bytes, digest_);
  if (auto status = sink_.add(chunk.bytes); !status)
    return broken("chunk " + std::to_string(chunk.number) + ": " + status.text());
  unanswered_bytes_ += chunk.bytes.size();
  if (now || unanswered_bytes_ >= Donation::credit_bytes / 4) return owed(chunk.transfer);
  return std::optional<SnapAck>();
}

std::optional<SnapAck> Intake::owed(std::uint64_t transfer) {
  if (!fits(transfer) || unanswered_bytes_ == 0) return {};
  unanswered_bytes_ = 0;
  return SnapAck{transfer, next_};
}

Status Intake::on_end(const SnapEnd& end) {
  if (!fits(end.transfer)) return {};
  const bool checks = mutation_ != ViewMutation::joins_broken_transfer;
  if (checks && (end.chunks != next_ || end.digest != digest_))
    return broken("after " + std::to_string(next_) + " chunks of " + std::to_string(end.chunks) +
                  " the digest is another one");
  if (auto status = sink_.finish(begun_->upto); !status) return broken(status.text());
  whole_ = true;
  next_ = 0;
  return {};
}

Result<std::optional<SnapBegin>> Intake::ready() {
  auto ready = sink_.ready();
  if (!ready) return broken(ready.status().text());
  if (!*ready) return std::optional<SnapBegin>();
  whole_ = false;
  return std::exchange(begun_, std::nullopt);
}

}  // namespace exdb
