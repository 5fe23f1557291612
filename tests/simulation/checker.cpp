// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "checker.hpp"

#include <algorithm>

namespace exdb::simulation {

Checker::Checker(Weights weights, bool overrides, std::function<void(const std::string&)> fail)
    : weights_(std::move(weights)),
      fail_(std::move(fail)),
      nodes_(weights_.members()),
      overrides_(overrides) {}

void Checker::check(bool good, std::uint32_t id, const std::string& what) const {
  if (!good) fail_("node " + std::to_string(id) + ": " + what);
}

/// What the former life said that it holds may have been counted; what it gave out is forgotten.
void Checker::node_started(std::uint32_t id, bool kept, Round applied) {
  Node fresh;
  fresh.held_before = std::move(nodes_[id].held_before);
  if (kept) {
    fresh.held = std::move(nodes_[id].held);
    fresh.held_upto = nodes_[id].held_upto;
    fresh.applied = applied.value;
  }
  fresh.held_before.insert(nodes_[id].held.begin(), nodes_[id].held.end());
  nodes_[id] = std::move(fresh);
}

void Checker::look(std::uint32_t id, const ViewMember& member, const RoundHistory& history,
                   Round upto, const MemoryRoundHistory* holds) {
  auto& node = nodes_[id];
  check(member.promised() >= node.promised, id, "I4: promises a lower ballot than before");
  check(member.accepted() >= node.accepted, id, "I4: accepts a lower view than before");
  node.promised = member.promised();
  node.accepted = member.accepted();
  const bool forms = lossy_ && !member.voter() && !node.accepted.none() &&
                     member.lineage().id.none() && member.lineage().majority == node.accepted &&
                     member.lineage().since == Round{};
  formed_anew_ |= forms && !published_.empty();
  anybody_accepted_ |= !node.accepted.none();
  check(member.unfinished() <= 2, id, "I12: more than two batches are unfinished");
  // Who follows another lineage gives up what it held, and may.
  if (member.lineage().id != node.lineage)
    node.held_before.insert(node.held.begin(), node.held.end());
  node.lineage = member.lineage().id;
  see_history(id, *holds);
  see_final(id, member, history, upto);
}

void Checker::see_history(std::uint32_t id, const MemoryRoundHistory& history) {
  auto& held = nodes_[id].held;
  const auto newest = history.chain();
  while (!held.empty() && held.rbegin()->first > newest.round.value)
    held.erase(std::prev(held.end()));
  for (auto round = newest.round; round > Round{}; round = {round.value - 1}) {
    auto chain = history.chain_at(round);
    if (!chain) break;
    auto [place, fresh] = held.emplace(round.value, chain->hash);
    if (!fresh && place->second == chain->hash) break;
    place->second = chain->hash;
  }
}

std::string Checker::holders_of(RoundHistory::Chain chain, std::uint64_t& weight) const {
  MemberSet holders;
  for (std::uint32_t id = 0; id < nodes_.size(); ++id) {
    const auto& node = nodes_[id];
    const auto found = node.held.find(chain.round.value);
    const bool held = found != node.held.end() && found->second == chain.hash;
    if (held || node.held_before.contains({chain.round.value, chain.hash}) ||
        node.held_upto >= chain.round.value)
      holders.add(MemberId{id});
  }
  weight = weights_.of(holders);
  return text_of(holders);
}

void Checker::see_final(std::uint32_t id, const ViewMember& member, const RoundHistory& history,
                        Round given) {
  auto& node = nodes_[id];
  const auto upto = given.value;
  check(upto >= node.final, id, "I1: what was final is no more");
  for (auto number = node.final + 1; number <= upto; ++number) {
    auto chain = history.chain_at(Round{number});
    // Inside a snapshot: what it leads to is compared by digest.
    if (!chain) continue;
    if (published_.contains({number, chain->hash})) continue;
    check(overrides_ || !canonical_.contains(number), id,
          "I1: round " + std::to_string(number) + " is another one than was given out before");
    // An override makes final what it goes on from, whoever holds it.
    publish(id, *chain, history, member.was_seated() && member.view().by_override);
  }
  node.final = upto;
}

bool Checker::given_by_majority(std::uint32_t id, Round round) {
  const auto given = canonical_.find(round.value);
  return given != canonical_.end() && given->second == published_as(id, round.value);
}

/// The first time that a round is final anywhere.
void Checker::publish(std::uint32_t id, RoundHistory::Chain chain, const RoundHistory& history,
                      bool by_override) {
  const auto number = std::to_string(chain.round.value);
  check(overrides_ || chain.round.value == canonical_.size() + 1, id, "I1: a round is missing");
  std::uint64_t weight = 0;
  const auto holders = holders_of(chain, weight);
  const auto& round = history.held(chain.round);
  auto& published = published_[{chain.round.value, chain.hash}];
  published.hash = chain.hash;
  published.view = round.view;
  see_transactions(id, round);
  const auto view = views_.find(round.view);
  check(view != views_.end(), id, "I6: a round of a view that nobody installed");
  if (view == views_.end()) return;
  MemberSet batches;
  for (const auto& batch : round.batches) batches.add(batch.member);
  check(batches == view->second.members() && round.batches.size() == view->second.seats.size(), id,
        "I6: not one batch of each member in round " + number);
  if (by_override) {
    check(!view->second.by_override || nodes_[id].view != round.view ||
              weight >= weights_.of(view->second.members()),
          id, "I5: round " + number + " of an override is held by " + holders + " only");
    return;
  }
  check(2 * weight > weights_.total(), id,
        "I5: round " + number + " is held by " + holders + " only");
  if (lossy_) return;
  check(!canonical_.contains(chain.round.value), id,
        "I1: round " + number + " was given out by two majorities");
  check(canonical_.empty() || canonical_.rbegin()->second->view <= round.view, id,
        "I4: a view gives out rounds after a later one did");
  canonical_[chain.round.value] = &published;
}

void Checker::see_transactions(std::uint32_t id, const CompletedRound& round) {
  for (const auto& batch : round.batches)
    for (const auto& one : decode_transactions(batch.payload)) {
      check(submitted_.contains(one.id), id, "I2: a transaction that nobody submitted");
      // A node that took a state as a snapshot cannot know what is in it, and posts again.
      const auto [place, fresh] = in_round_.emplace(one.id, round.round.value);
      check(fresh || overrides_ || lives_replaced_.contains({one.id.node, one.id.incarnation}), id,
            "I2: a transaction of round " + std::to_string(place->second) + " comes again");
    }
}

void Checker::installed(std::uint32_t id, const ViewMember& member, const RoundHistory& history) {
  const auto& view = member.view();
  const auto [known, first] = views_.emplace(view.ballot, view);
  check(known->second == view, id, "I6: two views of one ballot");
  nodes_[id].view = view.ballot;
  check(view.by_override || 2 * weights_.of(view.members()) > weights_.total(), id,
        "I14: a view of a minority");
  nodes_[id].was_installed = true;
  // A view that a later one has overtaken makes no round any more.
  const auto last = [this] {
    for (auto one = views_.rbegin(); one != views_.rend(); ++one)
      if (!one->second.by_override) return one->first;
    return Ballot{};
  };
  if (last() != view.ballot || canonical_.empty() || lossy_) return;
  const auto& held = nodes_[id].held;
  const auto& [newest, published] = *canonical_.rbegin();
  const auto found = held.find(newest);
  auto here = history.chain_at(Round{newest});
  const bool there = here.ok() ? here->hash == published->hash
                               : nodes_[id].held_upto >= newest ||
                                     (found != held.end() && found->second == published->hash);
  check(there, id,
        "I3: view " + text_of(view.ballot) + " lacks round " + std::to_string(newest) +
            ", which was given out");
}

/// The round as this node has it.
Checker::Published* Checker::published_as(std::uint32_t id, std::uint64_t round) {
  const auto held = nodes_[id].held.find(round);
  if (held == nodes_[id].held.end()) return nullptr;
  const auto found = published_.find({round, held->second});
  return found == published_.end() ? nullptr : &found->second;
}

void Checker::applied(std::uint32_t id, const CompletedRound& round, Csn horizon,
                      const ToyState& state) {
  auto& node = nodes_[id];
  const auto number = round.round.value;
  check(number == node.applied + 1, id, "I10: rounds are applied in order");
  node.applied = number;
  auto* const published = published_as(id, number);
  check(published != nullptr, id, "I5: applied before it is final");
  if (published == nullptr) return;
  if (!published->applied) published->horizon = horizon.value;
  check(published->horizon == horizon.value, id, "I11: the horizon is another one here");
  auto* const before = published_as(id, number - 1);
  check(before == nullptr || !before->applied || before->horizon <= horizon.value, id,
        "I11: the horizon goes back");
  check_state(id, *published, number, state);
}

void Checker::check_state(std::uint32_t id, Published& published, std::uint64_t round,
                          const ToyState& state) {
  if (!published.applied) published.digest = state.digest();
  published.applied = true;
  check(published.digest == state.digest(), id,
        "I7: after round " + std::to_string(round) + " the state is another one here");
}

void Checker::replaced(std::uint32_t id, std::uint64_t start, RoundHistory::Chain upto,
                       const ToyState& state) {
  auto& node = nodes_[id];
  lives_replaced_.emplace(id, start);
  check(upto.round.value > node.applied || (overrides_ && node.applied == 0), id,
        "I10: a state that is older");
  node.applied = node.held_upto = upto.round.value;
  const auto found = published_.find({upto.round.value, upto.hash});
  const bool nothing = upto.round == Round{};
  check(found != published_.end() || nothing, id, "I16: a state of a round that is not final");
  if (found != published_.end()) check_state(id, found->second, upto.round.value, state);
}

/// What it held may have been counted, as a former life's.
void Checker::dropped(std::uint32_t id) {
  auto& node = nodes_[id];
  ++drops_;
  node.held_before.insert(node.held.begin(), node.held.end());
  node.held.clear();
  node.final = node.applied = node.held_upto = 0;
}

void Checker::check_kept(const ToyState& state, bool all_views) {
  for (const auto& [id, by_majority] : done_) {
    if (!(all_views || (by_majority && !lossy_))) continue;
    check(state.finished(id.node, id.incarnation) >= id.sequence, id.node,
          "I3: what it was told to be done, number " + std::to_string(id.sequence) + " of life " +
              std::to_string(id.incarnation) + ", is lost");
  }
}

std::uint64_t Checker::overrides() const {
  return std::uint64_t(
      std::ranges::count_if(views_, [](const auto& view) { return view.second.by_override; }));
}

void Checker::submitted(const ToyId& id) { submitted_.insert(id); }

void Checker::answered(const ToyId& id, bool by_majority) {
  done_.emplace_back(id, by_majority);
  check(answered_.insert(id).second, id.node, "I18: a second outcome");
  check(in_round_.contains(id), id.node,
        "I3: an outcome of what is in no round that was given out");
}

void Checker::unknown(const ToyId& id) {
  check(answered_.insert(id).second, id.node, "I18: a second outcome");
}

}  // namespace exdb::simulation
