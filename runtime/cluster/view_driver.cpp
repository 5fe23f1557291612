// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/view_driver.hpp"

#include <algorithm>

namespace exdb {

using namespace std::chrono_literals;

ViewDriver::ViewDriver(ViewMember::Options options, Time timeout, bool asks, RoundHistory& history,
                       StateSource& source, StateSink& sink, Time now)
    : self_(options.self),
      timeout_(timeout > 0ns ? timeout : Time::max()),
      give_up_after_(options.timing.suspect),
      give_up_alone_after_(options.timing.link_grace),
      every_(tick_every(options.timing)),
      asks_(asks),
      store_(options.store),
      member_(options, history, source, sink, now),
      count_(options.qranks),
      backlog_(options.qranks.size()),
      next_tick_(now),
      apart_since_(now),
      without_since_(now) {
  if (store_) gate_.emplace(*store_, options.mutation);
  look_at_final();
  for (std::uint32_t id = 0; id < backlog_.size(); ++id) {
    if (MemberId{id} == self_) continue;
    count_.lose(MemberId{id});
    // Nodes are up until the transport says otherwise.
    member_.on_link_up(MemberId{id}, now);
  }
  count(now);
}

/// A quarter of what it has to notice.
ViewDriver::Time ViewDriver::tick_every(const ViewTiming& timing) {
  return std::max<Time>(
      std::min({timing.beat, timing.stagger, timing.grace, timing.link_grace}) / 4, 1ms);
}

void ViewDriver::on_gone(MemberId member, Time now) {
  backlog_[member.value].clear();
  if (gate_) gate_->lose(member);
  if (active()) member_.on_link_down(member, now);
}

void ViewDriver::on_up(MemberId member, Time now) {
  if (active()) member_.on_link_up(member, now);
}

bool ViewDriver::tick(Time now) {
  if (!active() || now < next_tick_) return false;
  next_tick_ = now + every_;
  if (store_)
    if (auto failed = store_->failure(); !failed) member_.fail(failed);
  member_.tick(now);
  if (phase() != Phase::running) return true;
  count(now);
  // There are too few with whom to end: no round will ever say so.
  const auto alone = count_.reached_but(NodeId{self_.value}).empty();
  if (stop_wanted_ && without_since_ &&
      now - *without_since_ >= (alone ? give_up_alone_after_ : give_up_after_))
    finish(Phase::ended);
  return true;
}

void ViewDriver::answer(const MemberSet& reach, bool consents, Time now) {
  member_.answer(reach, consents);
  count(now);
}

/// I2, I3.
void ViewDriver::count(Time now) {
  for (std::uint32_t id = 0; id < backlog_.size(); ++id)
    if (MemberId{id} != self_) count_.set_reached(MemberId{id}, member_.reaches(MemberId{id}));
  if (member_.seated()) apart_since_ = now;
  const bool apart = now - apart_since_ >= timeout_;
  count_.withhold(apart ? "this node has not been taken into the cluster" : "");
  using Consent = QuorumCount::Consent;
  const bool awaited = asks_ && !stop_wanted_ && member_.undecided();
  count_.set_consent(member_.consents() ? Consent::given
                     : awaited          ? Consent::awaited
                                        : Consent::none);
  if (count_.allows())
    without_since_.reset();
  else if (!without_since_)
    without_since_ = now;
}

void ViewDriver::want_stop(Time /*now*/) {
  stop_wanted_ = true;
  member_.want_stop();
}

void ViewDriver::fail(const Status& why) {
  if (!over_) member_.fail(why);
}

/// What is final before it and after it is not the same, and not stored at the same time.
bool ViewDriver::advance(Time now) {
  if (!active()) return false;
  look_at_final();
  const bool any = member_.advance(now);
  look_at_final();
  return any;
}

const CompletedRound* ViewDriver::next_final() {
  if (phase() != Phase::running) return nullptr;
  if (gate_ && gate_->may_give() <= member_.applied_round()) return nullptr;
  return member_.next_final();
}

bool ViewDriver::parting() const {
  return !over_ && member_.phase() == Phase::ended &&
         (member_.slowest_applied() < member_.applied_round() || (gate_ && !gate_->empty()));
}

std::string ViewDriver::awaited_names() const {
  std::vector<MemberId> others;
  for (std::uint32_t id = 0; id < backlog_.size(); ++id)
    if (MemberId{id} != self_ && member_.reaches(MemberId{id})) others.push_back(MemberId{id});
  return names_of(others);
}

std::vector<ViewMember::Event> ViewDriver::take_events() {
  auto events = member_.take_events();
  for (auto& event : own_events_) events.push_back(std::move(event));
  own_events_.clear();
  return events;
}

void ViewDriver::finish(Phase phase) {
  const bool news = this->phase() == Phase::running;
  if (!over_) over_ = news ? phase : this->phase();
  if (news) own_events_.push_back({ViewMember::Event::Kind::finished, self_, {}});
}

}  // namespace exdb
