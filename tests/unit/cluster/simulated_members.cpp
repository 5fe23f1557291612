// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "simulated_members.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

constexpr Member::Time timeout = 20s, stops_within = 100s, never = 1000s;
/// What noticing may take beyond the timeout: a ping, and the steps of the clock.
constexpr Member::Time slack = 3s;

}  // namespace

SimulatedMembers::SimulatedMembers(const Options& options)
    : options_(options),
      random_(options.seed),
      links_(2 * options.members * options.members),
      removed_at_(options.members, ~0ULL) {
  for (std::uint32_t id = 0; id < options.members; ++id) {
    auto node = std::make_unique<Node>();
    Member::Options made;
    made.self = MemberId{id};
    made.qranks.assign(options.members, 1);
    made.cluster_id = 77;
    made.broadcast_is_collective = options.collective;
    made.timeout = timeout;
    made.mutation = options.mutation;
    node->member = std::make_unique<Member>(made, node->history, node->finality, now_);
    node->lost.resize(options.members);
    if (!options.holds) node->finality.released = Round{~0ULL};
    node->stops_at = Time(below(std::uint64_t(stops_within.count())));
    if (options.leaves && below(3) == 0)
      node->leaves_at = Time(below(std::uint64_t(stops_within.count())));
    nodes_.push_back(std::move(node));
  }
  victim_ = std::uint32_t(below(options.members));
  if (options.fault != Fault::none) strikes_at_ = Time(below(std::uint64_t(stops_within.count())));
}

std::string SimulatedMembers::run() {
  while (broken_.empty() && !over()) {
    ++events_;
    if (now_ > never) {
      fail("liveness: not all have ended");
    } else if (!links_empty() && below(3) != 0) {
      deliver();
    } else if (links_empty()) {
      bool any = false;
      for (std::uint32_t id = 0; id < options_.members; ++id) any |= work(id);
      if (!any) pass_time();
    } else {
      work(std::uint32_t(below(options_.members)));
    }
  }
  if (broken_.empty()) check_end();
  return broken_;
}

bool SimulatedMembers::over() const {
  return std::none_of(nodes_.begin(), nodes_.end(), [](const auto& node) {
    return node->member->phase() == Member::Phase::running;
  });
}

bool SimulatedMembers::links_empty() const {
  return std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link.empty(); });
}

/// Nothing goes to or comes from this member any more.
bool SimulatedMembers::cut(std::uint32_t id) const {
  return struck_ && id == victim_ &&
         (options_.fault == Fault::silent || options_.fault == Fault::gone);
}

void SimulatedMembers::deliver() {
  std::vector<std::size_t> full;
  for (std::size_t link = 0; link < links_.size(); ++link)
    if (!links_[link].empty()) full.push_back(link);
  const auto number = full[below(full.size())];
  const auto to = std::uint32_t(number % options_.members);
  const auto from = std::uint32_t(number / options_.members % options_.members);
  const auto arrival = links_[number].front();
  links_[number].pop_front();
  auto& member = *nodes_[to]->member;
  if (!member.active() || cut(to)) return;
  if (arrival.frame) {
    member.on_frame(MemberId{from}, *arrival.frame);
    member.heard(now_);
  } else {
    member.on_gone(MemberId{from});
  }
  drain(to);
}

bool SimulatedMembers::work(std::uint32_t id) {
  auto& node = *nodes_[id];
  if (!node.member->active()) return false;
  bool any = node.member->advance(now_);
  drain(id);
  any |= apply(id);
  if (node.member->wants_post() || (node.member->may_post() && node.wants > 0)) {
    post(id);
    any = true;
  }
  flush(id);
  return any;
}

bool SimulatedMembers::apply(std::uint32_t id) {
  auto& node = *nodes_[id];
  bool any = false;
  while (const auto* round = node.member->next_final()) {
    any = true;
    if (round->round != node.applied.next()) fail("I1: rounds are given out in order");
    if (round->round > node.finality.released) fail("I1: a round before it is final");
    if (struck_ && options_.fault == Fault::unfit && id == victim_) {
      node.member->cannot_apply({ErrorCode::no_memory, "struck"});
      drain(id);
      break;
    }
    node.applied = round->round;
    for (const auto& batch : round->batches) node.digest = hash_bytes(batch.payload, node.digest);
    const auto [seen, first] = chains_.emplace(round->round, node.digest);
    if (seen->second != node.digest) fail("I1: members apply different rounds");
    node.member->applied();
    drain(id);
  }
  return any;
}

void SimulatedMembers::post(std::uint32_t id) {
  auto& node = *nodes_[id];
  Member::Offer offer;
  if (node.member->phase() == Member::Phase::running && node.wants > 0) {
    const auto text = std::to_string(id) + "." + std::to_string(++node.made);
    const auto bytes = as_bytes(text);
    offer.payload.assign(bytes.begin(), bytes.end());
    offer.items = 1;
    offer.more = --node.wants > 0;
  }
  const bool corrupt = struck_ && options_.fault == Fault::odd && id == victim_;
  // Who leaves may do so because its state is broken: its digest is nobody's business.
  offer.digest = node.digest ^ (corrupt ? 1 : 0) ^ (now_ >= node.leaves_at ? 2 : 0);
  node.member->post(std::move(offer), now_);
}

void SimulatedMembers::flush(std::uint32_t id) {
  auto& node = *nodes_[id];
  const auto send = [&](std::uint32_t to, const Frame& frame) {
    if (!cut(id) && !cut(to)) links_[id * options_.members + to].push_back({frame});
  };
  for (auto& output : node.member->take_outputs()) {
    if (output.to) {
      send(output.to->value, output.frame);
    } else if (options_.collective) {
      if (collective_.size() <= node.broadcasts)
        collective_.resize(node.broadcasts + 1, std::vector<Frame>(options_.members));
      const auto number = node.broadcasts++;
      if (!cut(id)) collective_[number][id] = output.frame;
    } else {
      for (std::uint32_t to = 0; to < options_.members; ++to)
        if (to != id) send(to, output.frame);
    }
  }
  flush_collectives();
}

void SimulatedMembers::flush_collectives() {
  for (std::uint64_t number = 0; number < collective_.size(); ++number) {
    auto& frames = collective_[number];
    if (frames.empty()) continue;
    bool whole = true;
    for (std::uint32_t id = 0; id < options_.members; ++id)
      whole &= frames[id] != nullptr || removed_at_[id] <= number;
    if (!whole) continue;
    for (std::uint32_t from = 0; from < options_.members; ++from)
      for (std::uint32_t to = 0; to < options_.members && frames[from]; ++to)
        if (to != from)
          links_[links_.size() / 2 + from * options_.members + to].push_back({frames[from]});
    frames.clear();
  }
}

void SimulatedMembers::drain(std::uint32_t id) {
  auto& node = *nodes_[id];
  for (const auto& event : node.member->take_events()) {
    switch (event.kind) {
      case Member::Event::Kind::removed:
        if (removed_at_[event.member.value] != ~0ULL &&
            removed_at_[event.member.value] != node.broadcasts)
          fail("a member is removed at different places of the order");
        removed_at_[event.member.value] = node.broadcasts;
        break;
      case Member::Event::Kind::lost:
        node.lost[event.member.value] = true;
        break;
      case Member::Event::Kind::finished:
        node.why = event.why;
        node.ended_at = now_;
        if (node.member->phase() != Member::Phase::failed && !struck_ &&
            node.member->applied_round() != node.member->completed())
          fail("I3: ended before the last round was applied");
        break;
      default:
        break;
    }
  }
  for (std::uint32_t other = 0; other < options_.members; ++other)
    if (node.member->quorum().reaches(MemberId{other}) == node.lost[other])
      fail("the quorum of " + std::to_string(id) + " is wrong about " + std::to_string(other));
}

void SimulatedMembers::pass_time() {
  now_ += 50ms + Time(below(Time(200ms).count()));
  if (options_.fault != Fault::none && now_ >= strikes_at_ && !struck_) strike();
  for (std::uint32_t id = 0; id < options_.members; ++id) {
    auto& node = *nodes_[id];
    if (options_.holds && below(2) == 0)
      node.finality.released = std::max(node.finality.released, node.history.chain().round);
    if (now_ < node.stops_at && below(8) == 0) node.wants += 1 + below(3);
    if (now_ >= node.leaves_at)
      node.member->want_leave();
    else if (now_ >= node.stops_at)
      node.member->want_stop(now_);
    node.member->tick(now_);
    drain(id);
  }
}

void SimulatedMembers::strike() {
  struck_ = true;
  if (options_.fault != Fault::gone) return;
  for (std::uint32_t to = 0; to < options_.members; ++to)
    if (to != victim_) links_[victim_ * options_.members + to].push_back({nullptr});
}

void SimulatedMembers::check_end() {
  for (std::uint32_t id = 0; id < options_.members; ++id) check_end_of(id);
}

void SimulatedMembers::check_end_of(std::uint32_t id) {
  const auto& node = *nodes_[id];
  const bool failed = node.member->phase() == Member::Phase::failed;
  const auto as_text = "member " + std::to_string(id) + " (struck " + std::to_string(victim_) +
                       "): " + std::to_string(int(node.why.code())) + " " + node.why.text();
  const bool victim = id == victim_ && options_.fault != Fault::none;
  switch (options_.fault) {
    case Fault::none:
      if (failed) fail("nobody has a reason to fail: " + as_text);
      break;
    case Fault::odd: {
      const bool majority = options_.members > 2;
      if (failed && node.why.code() != ErrorCode::inconsistent) fail("I2: " + as_text);
      if (failed && majority && !victim) fail("I2: the majority goes on: " + as_text);
      if (victim && !failed && node.ended_at > strikes_at_ + slack && node.applied.value > 1 &&
          node.stops_at > strikes_at_ + slack)
        fail("I2: the odd one goes on: " + as_text);
      break;
    }
    case Fault::silent:
      if (victim) break;
      if (failed && node.why.code() != ErrorCode::timeout) fail("I4: " + as_text);
      if (failed && node.ended_at < strikes_at_ + timeout - slack)
        fail("I4: silent for less than the timeout: " + as_text);
      if (failed && node.stops_at < strikes_at_ && node.ended_at > strikes_at_ + timeout + slack)
        fail("I4: noticed late: " + as_text);
      break;
    case Fault::gone:
      if (victim) break;
      if (failed && node.why.code() != ErrorCode::cluster) fail("a lost link: " + as_text);
      break;
    case Fault::unfit:
      if (failed && !victim) fail("a member that cannot apply leaves in peace: " + as_text);
      if (failed && node.why.code() != ErrorCode::no_memory) fail("not its reason: " + as_text);
      break;
  }
}

}  // namespace exdb
