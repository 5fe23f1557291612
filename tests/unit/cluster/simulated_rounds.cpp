// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "simulated_rounds.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace exdb {
namespace {

constexpr std::uint64_t cluster_id = 77;
constexpr std::uint64_t events_max =
    400'000;  ///< a run needs some thousands: more means that it is stuck

std::string text_of(const CompletedRound& round) {
  std::string text;
  for (const auto& batch : round.batches) {
    text += std::to_string(batch.member.value) + ":" + std::string(as_text(batch.payload));
    text += batch.header.stop ? "s" : "-";
    text += batch.header.leave ? "l" : "-";
    text += batch.header.more ? "m " : "- ";
  }
  return text + (round.last ? "last" : "");
}

}  // namespace

SimulatedRounds::SimulatedRounds(const Options& options)
    : options_(options),
      random_(options.seed),
      links_(2 * options.nodes * options.nodes),
      removed_at_(options.nodes, ~0ULL) {
  for (std::uint32_t node = 0; node < options.nodes; ++node)
    nodes_.emplace_back(RoundProtocol::Options{MemberId{node}, options.nodes, cluster_id,
                                               options.collective, options.mutation});
  members_[1] = std::vector<bool>(options.nodes, true);
}

std::string SimulatedRounds::run() {
  while (broken_.empty() && events_ < events_max) {
    ++events_;
    if (!event()) break;
    check_counts();
  }
  for (std::uint32_t node = 0; node < options_.nodes && broken_.empty(); ++node)
    if (!nodes_[node].ended && !nodes_[node].left)
      fail("liveness: node " + std::to_string(node) + " has not ended after round " +
           std::to_string(nodes_[node].taken));
  return broken_;
}

/// One thing that can happen, chosen at random. False when nothing can happen any more.
bool SimulatedRounds::event() {
  std::vector<std::uint64_t> choices;
  for (std::uint64_t link = 0; link < links_.size(); ++link)
    if (!links_[link].empty()) choices.push_back(link);
  const auto links = choices.size();
  for (std::uint32_t node = 0; node < options_.nodes; ++node)
    if (!nodes_[node].left && !nodes_[node].ended) choices.push_back(links_.size() + node);
  if (choices.empty()) return false;
  // Nodes act more rarely than links deliver, now and then the other way round: both pile up.
  const auto pick = links > 0 && below(4) ? choices[below(links)] : choices[below(choices.size())];
  if (pick < links_.size())
    deliver(pick);
  else
    work(std::uint32_t(pick - links_.size()));
  if (below(10) == 0) disturb(std::uint32_t(below(options_.nodes)));
  return true;
}

void SimulatedRounds::deliver(std::uint64_t number) {
  auto& link = links_[number];
  const auto to = std::uint32_t(number % options_.nodes);
  const auto from = std::uint32_t(number / options_.nodes % options_.nodes);
  const auto frame = link.front();
  link.pop_front();
  const auto status = nodes_[to].protocol.on_frame(MemberId{from}, *frame);
  if (!status.ok()) fail("legal frame refused: " + status.text());
  if (old_.size() < 4096) old_.emplace_back(from, frame);
  flush(to);
}

/// Throws in what must change nothing (I5).
void SimulatedRounds::disturb(std::uint32_t to) {
  auto& protocol = nodes_[to].protocol;
  Frame frame;
  std::uint32_t from = 0;
  if (below(2) == 0 && !old_.empty()) {
    std::tie(from, frame) = old_[below(old_.size())];
    auto old = decode_frame(*frame);
    if (from == to || old->header.round > protocol.completed()) return;
  } else {
    from = std::uint32_t(below(options_.nodes));
    if (from == to) return;
    const Round round{protocol.completed().value + 1};
    frame = encode_frame({FrameType::batch, cluster_id + 1, MemberId{from}, round, {}}, {});
  }
  const auto before = protocol.missing();
  const auto asked = protocol.asked();
  const auto status = protocol.on_frame(MemberId{from}, *frame);
  if (!status.ok()) fail("I5: a stray frame was refused: " + status.text());
  if (protocol.missing() != before || protocol.asked() != asked)
    fail("I5: a stray frame changed something");
}

void SimulatedRounds::work(std::uint32_t id) {
  auto& node = nodes_[id];
  take(id);
  if (below(3) == 0 && !node.stopping) node.wants += below(3);
  if (node.taken > options_.rounds && below(4) == 0) node.stopping = true;
  if (node.protocol.may_post() &&
      (node.protocol.asked() || node.wants > 0 || (node.stopping && !node.said_stop)))
    post(id);
  flush(id);
}

void SimulatedRounds::post(std::uint32_t id) {
  auto& node = nodes_[id];
  const auto sent = std::min<std::uint64_t>(node.wants, 2);
  node.wants -= sent;
  BatchHeader header;
  header.more = node.wants > 0;
  header.stop = node.stopping && node.wants == 0;
  header.leave = options_.leaves && below(60) == 0 && node.taken > 3;
  const auto payload =
      std::to_string(id) + "." + std::to_string(++node.posted) + "x" + std::to_string(sent);
  if (!node.protocol.asked()) node.protocol.ring();
  node.leaving |= header.leave;
  node.said_stop |= header.stop;
  const auto bytes = as_bytes(payload);
  node.protocol.post(header, {bytes.begin(), bytes.end()});
}

void SimulatedRounds::flush(std::uint32_t id) {
  auto& node = nodes_[id];
  for (auto& output : node.protocol.take_outputs()) {
    if (output.to) {
      links_[id * options_.nodes + output.to->value].push_back(output.frame);
    } else if (options_.collective) {
      if (collective_.size() <= node.broadcasts)
        collective_.resize(node.broadcasts + 1, std::vector<Frame>(options_.nodes));
      collective_[node.broadcasts++][id] = output.frame;
    } else {
      for (std::uint32_t to = 0; to < options_.nodes; ++to)
        if (to != id) links_[id * options_.nodes + to].push_back(output.frame);
    }
  }
  flush_collectives();
}

void SimulatedRounds::flush_collectives() {
  for (std::uint64_t number = 0; number < collective_.size(); ++number) {
    auto& frames = collective_[number];
    if (frames.empty()) continue;
    bool whole = true;
    for (std::uint32_t node = 0; node < options_.nodes; ++node)
      whole &= frames[node] != nullptr || removed_at_[node] <= number;
    if (!whole) continue;
    for (std::uint32_t from = 0; from < options_.nodes; ++from)
      for (std::uint32_t to = 0; to < options_.nodes && frames[from]; ++to)
        if (to != from)
          links_[links_.size() / 2 + from * options_.nodes + to].push_back(frames[from]);
    frames.clear();
  }
}

void SimulatedRounds::take(std::uint32_t id) {
  auto& node = nodes_[id];
  auto round = node.protocol.take_round();
  if (!round) return;
  check_round(id, *round);
  for (const auto& batch : round->batches)
    if (batch.header.leave) removed_at_[batch.member.value] = node.broadcasts;
  node.ended = round->last;
  node.left = !node.ended && !node.protocol.member(MemberId{id});
}

void SimulatedRounds::check_round(std::uint32_t id, const CompletedRound& round) {
  auto& node = nodes_[id];
  if (round.round.value != ++node.taken)
    return fail("I2: round " + std::to_string(round.round.value) + " taken as number " +
                std::to_string(node.taken));
  const auto text = text_of(round);
  const auto [seen, first] = history_.emplace(round.round.value, text);
  if (seen->second != text)
    return fail("I1: round " + std::to_string(round.round.value) + " is " + text + " on node " +
                std::to_string(id) + ", was " + seen->second);
  std::vector<bool> there(options_.nodes, false), next(members_[round.round.value]);
  bool all_end = true;
  for (const auto& batch : round.batches) {
    if (there[batch.member.value]) return fail("I1: two batches of one node");
    there[batch.member.value] = true;
    if (batch.header.leave) next[batch.member.value] = false;
    all_end &= batch.header.stop || batch.header.leave;
  }
  if (there != members_[round.round.value]) return fail("I1/I4: not exactly the members' batches");
  if (all_end != round.last || all_end != node.protocol.ended()) return fail("I4: end");
  if (round.batches[0].member.value != round.round.value % options_.nodes &&
      there[round.round.value % options_.nodes])
    return fail("order is not rotated by the round");
  members_[round.round.value + 1] = next;
}

void SimulatedRounds::check_counts() {
  std::uint64_t completed = 0;
  for (const auto& node : nodes_) completed = std::max(completed, node.protocol.completed().value);
  for (const auto& node : nodes_) {
    const auto open = node.protocol.posted().value - node.protocol.completed().value;
    if (open > 1) fail("I3: " + std::to_string(open) + " rounds open at a node");
  }
  for (std::uint32_t id = 0; id < options_.nodes; ++id) {
    const auto& protocol = nodes_[id].protocol;
    // Whoever has said leave is not waited for any more.
    if (!nodes_[id].leaving && !protocol.ended() && protocol.posted().value < completed)
      fail("I3: somebody completed round " + std::to_string(completed) + ", node " +
           std::to_string(id) + " has posted " + std::to_string(protocol.posted().value));
  }
}

}  // namespace exdb
