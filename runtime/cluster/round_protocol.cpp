// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/round_protocol.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {
namespace {

Status broken(MemberId from, const std::string& what) {
  return {ErrorCode::cluster_protocol, "from node " + std::to_string(from.value) + ": " + what};
}

std::string batch_of(Round round) { return "a batch of round " + std::to_string(round.value); }

}  // namespace

RoundProtocol::RoundProtocol(const Options& options)
    : options_(options),
      members_(options.members.empty() ? std::vector<bool>(options.nodes, true) : options.members),
      posted_(options.completed),
      completed_(options.completed),
      current_(options.nodes),
      next_(options.nodes) {
  EXDB_ASSERT(options.nodes > 0 && options.self.value < options.nodes,
              "a node is one of the nodes");
  EXDB_ASSERT(members_.size() == options.nodes, "who takes part is said of all");
}

Status RoundProtocol::on_frame(MemberId from, Bytes bytes) { return take(from, bytes, {}); }

Status RoundProtocol::on_whole_frame(MemberId from, const Frame& frame) {
  return take(from, *frame, frame);
}

Status RoundProtocol::take(MemberId from, Bytes bytes, const Frame& whole) {
  auto frame = decode_frame(bytes);
  if (!frame) return broken(from, frame.status().text());
  // Dropped, not refused: a former cluster over the same links may have left it behind.
  if (frame->header.cluster_id != options_.cluster_id && !mutated(Mutation::takes_foreign_frames))
    return {};
  if (from.value >= options_.nodes || from == options_.self)
    return broken(from, "a frame from a node that is none of the others");
  if (frame->header.sender != from)
    return broken(from,
                  "a frame that says it is of node " + std::to_string(frame->header.sender.value));
  // Beside the rounds, so also after the last of them, which may wait for just this.
  if (frame->header.type == FrameType::kept && member(from))
    kept_.push_back({from, frame->header.round});
  if (ended_ || !member(from) || !member(options_.self)) return {};
  switch (frame->header.type) {
    case FrameType::batch: {
      if (whole)
        return on_batch(from, frame->header.round,
                        {from, frame->header.batch, {}, frame->checksum, whole});
      const auto length = frame->payload.size();
      Batch batch{
          from, frame->header.batch,
          length < LargeBuffers::buffer_bytes_min ? room() : LargeBuffers::shared().room(length),
          frame->checksum};
      batch.payload.assign(frame->payload.begin(), frame->payload.end());
      return on_batch(from, frame->header.round, std::move(batch));
    }
    case FrameType::doorbell:
      return take_doorbell(*frame);
    case FrameType::kept:
      return {};
    case FrameType::note:
      break;
  }
  // One round late at most: where a broadcast is collective it may overtake what was sent before.
  if (frame->header.round >= completed_)
    notes_.push_back({from, frame->header.round, {frame->payload.begin(), frame->payload.end()}});
  return {};
}

Status RoundProtocol::on_batch(MemberId from, Round round, Batch batch) {
  if (round <= completed_) {
    if (!mutated(Mutation::takes_old_rounds)) return {};
    round = completed_.next();
    current_[from.value].reset();
  }
  const auto current = completed_.next();
  const bool early = round == current.next();
  if (round > current.next())
    return broken(from, batch_of(round) + " arrived while round " + std::to_string(current.value) +
                            " is under way here");
  const auto& before = current_[from.value];
  if (early) {
    // What a member sends after its leave is for a round that it takes no part in.
    if (before && before->header.leave) return {};
    if (posted_ == completed_ || !before)
      return broken(from, batch_of(round) + " arrived, but round " + std::to_string(current.value) +
                              " cannot be complete there");
    if (mutated(Mutation::forgets_early_batches)) return {};
  }
  auto& place = early ? next_[from.value] : current_[from.value];
  if (place) return broken(from, "a second batch of round " + std::to_string(round.value));
  place = std::move(batch);
  complete_if_all_there();
  return {};
}

Status RoundProtocol::take_doorbell(const DecodedFrame& frame) {
  // A doorbell may overtake the collective exchange before it, so it proves nothing about that
  // one's batches.
  const auto round = frame.header.round;
  if (round == completed_.next()) rung_ = true;
  if (round == completed_.next().next() && !mutated(Mutation::forgets_early_bells))
    rung_next_ = true;
  if (round > completed_.next().next())
    return broken(frame.header.sender, "a doorbell of round " + std::to_string(round.value) +
                                           " arrived after round " +
                                           std::to_string(completed_.value));
  return {};
}

void RoundProtocol::post(const BatchHeader& header, std::vector<std::byte> payload,
                         std::size_t head_room) {
  const FrameHeader whole{FrameType::batch, options_.cluster_id, options_.self, posted_.next(),
                          header};
  if (head_room != 0) {
    EXDB_ASSERT(head_room == frame_header_bytes, "the room is that of a header");
    auto frame = frame_in_place(whole, std::move(payload));
    if (!alone()) outputs_.push_back({std::nullopt, frame});
    return place({options_.self, header, {}, checksum_in(frame), std::move(frame)});
  }
  std::uint64_t checksum = 0;
  if (alone()) {
    checksum = frame_checksum(whole, payload);
  } else {
    outputs_.push_back({std::nullopt, encode_frame(whole, payload)});
    checksum = checksum_in(outputs_.back().frame);
  }
  place({options_.self, header, std::move(payload), checksum});
}

void RoundProtocol::place(Batch own) {
  EXDB_ASSERT(may_post(), "one batch a round, and only after the round before");
  posted_ = posted_.next();
  (posted_ == completed_.next() ? current_ : next_)[options_.self.value] = std::move(own);
  complete_if_all_there();
}

void RoundProtocol::ring() {
  EXDB_ASSERT(may_post(), "a round is asked for before it is posted");
  if (options_.broadcast_is_collective) send_each(FrameType::doorbell, completed_.next());
}

void RoundProtocol::tell_kept(Round round) { send_each(FrameType::kept, round); }

/// To each member by itself: a broadcast would be a part of the rounds.
void RoundProtocol::send_each(FrameType type, Round round) {
  const auto frame = encode_frame({type, options_.cluster_id, options_.self, round, {}}, {});
  for (std::uint32_t node = 0; node < options_.nodes; ++node)
    if (members_[node] && node != options_.self.value) outputs_.push_back({MemberId{node}, frame});
}

void RoundProtocol::tell(MemberId member, Bytes note) {
  outputs_.push_back(
      {member,
       encode_frame({FrameType::note, options_.cluster_id, options_.self, completed_.next(), {}},
                    note)});
}

void RoundProtocol::expel(MemberId node) {
  // Between rounds, so that all take the next one to be of the same members; and asked for, since
  // nobody may have a reason of its own to post it while the expelled one's batch is still waited
  // for elsewhere.
  EXDB_ASSERT(posted_ == completed_ && !ready_, "members change between rounds only");
  members_[node.value] = false;
  current_[node.value].reset();
  rung_ = true;
}

bool RoundProtocol::may_post() const {
  const bool free =
      posted_ == completed_ || (mutated(Mutation::posts_ahead) && posted_ == completed_.next());
  return free && !ready_ && !ended_ && members_[options_.self.value];
}

bool RoundProtocol::asked() const {
  if (posted_ != completed_ || ended_) return false;
  return rung_ || std::any_of(current_.begin(), current_.end(),
                              [](const auto& batch) { return batch.has_value(); });
}

Round RoundProtocol::posted() const { return posted_; }
Round RoundProtocol::completed() const { return completed_; }
bool RoundProtocol::ended() const { return ended_; }

bool RoundProtocol::member(MemberId node) const {
  return node.value < options_.nodes && members_[node.value];
}

bool RoundProtocol::leaving(MemberId node) const {
  const auto& batch = current_[node.value];
  return batch && batch->header.leave;
}

std::vector<MemberId> RoundProtocol::missing() const {
  std::vector<MemberId> nodes;
  for (std::uint32_t node = 0; node < options_.nodes; ++node)
    if (members_[node] && !current_[node]) nodes.push_back({node});
  return nodes;
}

std::size_t RoundProtocol::missing_count() const {
  std::size_t count = 0;
  for (std::uint32_t node = 0; node < options_.nodes; ++node)
    count += members_[node] && !current_[node];
  return count;
}

void RoundProtocol::reuse(CompletedRound&& round) {
  for (auto& batch : round.batches) {
    if (batch.payload.capacity() == 0 || spare_payloads_.size() >= 2 * options_.nodes) continue;
    batch.payload.clear();
    spare_payloads_.push_back(std::move(batch.payload));
  }
  round.batches.clear();
  spare_batches_ = std::move(round.batches);
}

std::vector<std::byte> RoundProtocol::room() {
  if (spare_payloads_.empty()) return {};
  auto payload = std::move(spare_payloads_.back());
  spare_payloads_.pop_back();
  return payload;
}

bool RoundProtocol::alone() const {
  return std::count(members_.begin(), members_.end(), true) == 1;
}

std::vector<RoundProtocol::Output> RoundProtocol::take_outputs() {
  return std::exchange(outputs_, {});
}

std::optional<CompletedRound> RoundProtocol::take_round() {
  return std::exchange(ready_, std::nullopt);
}

void RoundProtocol::complete_if_all_there() {
  if (ready_ || ended_ || !current_[options_.self.value]) return;
  const std::size_t allowed = mutated(Mutation::completes_without_one) ? 1 : 0;
  if (missing_count() > allowed) return;
  completed_ = completed_.next();
  ready_.emplace();
  ready_->round = completed_;
  ready_->batches = std::exchange(spare_batches_, {});
  ready_->batches.reserve(options_.nodes);
  // Rotated: the first in a round wins its conflicts, and nobody shall always be the first.
  const auto start = mutated(Mutation::own_order) ? options_.self.value : completed_.value;
  for (std::uint32_t i = 0; i < options_.nodes; ++i) {
    auto& batch = current_[(start + i) % options_.nodes];
    if (batch) ready_->batches.push_back(std::move(*batch));
  }
  after_completion();
}

void RoundProtocol::after_completion() {
  // The places of the round that is over were moved from; swapped and emptied they serve again.
  current_.swap(next_);
  for (auto& place : next_) place.reset();
  rung_ = std::exchange(rung_next_, false);
  std::size_t ending = 0;
  for (const auto& batch : ready_->batches) {
    rung_ |= batch.header.more;
    ending += batch.header.stop || batch.header.leave;
    if (batch.header.leave && !mutated(Mutation::keeps_leavers))
      members_[batch.member.value] = false;
  }
  const auto enough = mutated(Mutation::ends_with_first_stop) ? 1 : ready_->batches.size();
  ended_ = ready_->last = ending >= enough;
}

}  // namespace exdb
