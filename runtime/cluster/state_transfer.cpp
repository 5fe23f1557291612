// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/state_transfer.hpp"

#include "base/hash.hpp"

namespace exdb {

bool Donation::on_ack(const SnapAck& ack, const Send& send) {
  if (ack.transfer != transfer_ || ack.next < acknowledged_ || ack.next > sent_) return false;
  acknowledged_ = ack.next;
  pump(send);
  return true;
}

void Donation::pump(const Send& send) {
  std::vector<std::byte> chunk;
  while (!ended_ && sent_ - acknowledged_ < credit_) {
    if (stream_->next(chunk)) {
      digest_ = hash_bytes(chunk, digest_);
      send(SnapChunk{transfer_, sent_++, chunk});
    } else {
      ended_ = true;
      stream_.reset();
      send(SnapEnd{transfer_, sent_, digest_});
    }
  }
}

void Intake::begin(const SnapBegin& begin) {
  const bool goes_on = mutation_ == ViewMutation::joins_broken_transfer && next_ > 0;
  begun_ = begin;
  if (goes_on) return;
  next_ = digest_ = 0;
  sink_.begin();
}

bool Intake::fits(std::uint64_t transfer) const { return begun_ && begun_->transfer == transfer; }

Status Intake::broken(std::string what) {
  abandon();
  return {ErrorCode::cluster_sync, "a state transfer broke: " + std::move(what)};
}

Result<std::optional<SnapAck>> Intake::on_chunk(const SnapChunk& chunk) {
  if (!fits(chunk.transfer)) return std::optional<SnapAck>();
  const bool checks = mutation_ != ViewMutation::joins_broken_transfer;
  if (checks && chunk.number != next_)
    return broken("chunk " + std::to_string(chunk.number) + " came, " + std::to_string(next_) +
                  " is the next");
  if (!checks && chunk.number < next_) return std::optional<SnapAck>({chunk.transfer, next_});
  next_ = chunk.number + 1;
  digest_ = hash_bytes(chunk.bytes, digest_);
  if (auto status = sink_.add(chunk.bytes); !status)
    return broken("chunk " + std::to_string(chunk.number) + ": " + status.text());
  return std::optional<SnapAck>({chunk.transfer, next_});
}

Result<std::optional<SnapBegin>> Intake::on_end(const SnapEnd& end) {
  if (!fits(end.transfer)) return std::optional<SnapBegin>();
  const bool checks = mutation_ != ViewMutation::joins_broken_transfer;
  if (checks && (end.chunks != next_ || end.digest != digest_))
    return broken("after " + std::to_string(next_) + " chunks of " + std::to_string(end.chunks) +
                  " the digest is another one");
  const auto begun = *begun_;
  if (auto status = sink_.finish(begun.upto); !status) return broken(status.text());
  abandon();
  next_ = 0;
  return std::optional<SnapBegin>(begun);
}

}  // namespace exdb
