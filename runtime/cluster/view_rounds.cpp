// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_rounds.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace exdb {
namespace {

RoundProtocol::Options protocol_options(MemberId self, const View& view, Round after,
                                        std::uint32_t nodes) {
  RoundProtocol::Options options;
  options.self = self;
  options.nodes = nodes;
  options.members.assign(nodes, false);
  for (const auto& seat : view.seats) options.members[seat.member.value] = true;
  options.completed = after;
  return options;
}

}  // namespace

ViewRounds::ViewRounds(MemberId self, View view, Round after, const Weights& weights,
                       ViewMutation mutation)
    : view_(std::move(view)),
      self_(self),
      weights_(weights),
      mutation_(mutation),
      protocol_(protocol_options(self, view_, after, weights.members())),
      marks_(weights.members(), Mark{after, after, after}) {}

Status ViewRounds::on_batch(MemberId from, const BatchMessage& message) {
  on_watermark(from, message.recv, message.applied);
  auto& mark = marks_[from.value];
  if (message.round <= mark.received) return {};
  // A gap: what was lost with a link is on its way again, and this will come again behind it.
  if (message.round > mark.received.next()) return {};
  // In this order, since what the next batch proves is only so when this one is here.
  auto status = protocol_.on_batch(
      from, message.round,
      Batch{from,
            message.header,
            {message.payload.begin(), message.payload.end()},
            batch_checksum(view_.ballot, message.round, from, message.header, message.payload)});
  if (status) mark.received = message.round;
  return status;
}

void ViewRounds::on_watermark(MemberId from, Round recv, Round applied) {
  auto& mark = marks_[from.value];
  mark.recv = std::max(mark.recv, recv);
  mark.applied = std::max(mark.applied, applied);
  auto all = marks_[self_.value].recv;
  for (const auto& seat : view_.seats) all = std::min(all, marks_[seat.member.value].recv);
  while (!sent_.empty() && sent_.front().round <= all) sent_.pop_front();
}

void ViewRounds::holds(Round round) { marks_[self_.value].recv = round; }

void ViewRounds::place(Batch own, Frame frame) {
  protocol_.place(std::move(own));
  sent_.push_back({protocol_.posted(), std::move(frame)});
}

std::vector<Frame> ViewRounds::sent_after(Round recv) const {
  std::vector<Frame> frames;
  for (const auto& sent : sent_)
    if (sent.round > recv) frames.push_back(sent.frame);
  return frames;
}

std::optional<CompletedRound> ViewRounds::take_round() {
  auto round = protocol_.take_round();
  if (round) {
    EXDB_ASSERT(round->batches.size() == view_.seats.size(), "R1: one batch of each member");
    round->view = view_.ballot;
  }
  return round;
}

Round ViewRounds::held_by_majority() const {
  std::vector<std::pair<Round, std::uint32_t>> holders;
  for (const auto& seat : view_.seats) {
    const auto& mark = marks_[seat.member.value];
    const auto held = mutation_ == ViewMutation::posting_acknowledges ? mark.received : mark.recv;
    holders.emplace_back(seat.member == self_ ? mark.recv : held, weights_.of(seat.member));
  }
  std::sort(holders.rbegin(), holders.rend());
  // Others are not there to answer for it: whoever of them goes on has it.
  if (view_.by_override && mutation_ != ViewMutation::override_counts_weight)
    return holders.back().first;
  std::uint64_t weight = 0;
  for (const auto& [round, qrank] : holders)
    if (weight += qrank; weights_.majority(weight) || view_.by_override) return round;
  return {};
}

Round ViewRounds::slowest_applied() const {
  auto slowest = marks_[self_.value].applied;
  for (const auto& seat : view_.seats)
    slowest = std::min(slowest, marks_[seat.member.value].applied);
  return slowest;
}

}  // namespace exdb
