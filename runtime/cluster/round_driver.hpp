// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a Node drives: a Member where membership is fixed, a ViewDriver where nodes come and go. One
// face, and a branch a call in place of a virtual one: a step asks some twenty times, most of the
// answers are one load, and calls that cannot be inlined would be a twentieth of a commit.
//
// Threads: none; the caller has one lock around it. Which of the two it is never changes.
#pragma once
#include <memory>
#include <optional>

#include "cluster/view_driver.hpp"

namespace exdb {

class RoundDriver {
 private:
  template <class Question>
  auto ask(Question&& question) {
    return fixed_ ? question(*fixed_) : question(*views_);
  }
  template <class Question>
  auto ask(Question&& question) const {
    return fixed_ ? question(*fixed_) : question(std::as_const(*views_));
  }

 public:
  using Time = Member::Time;
  using Phase = Member::Phase;
  using Offer = Member::Offer;

  RoundDriver(Member::Options options, RoundHistory& history, Finality& finality, Time now)
      : fixed_(std::in_place, std::move(options), history, finality, now) {}
  explicit RoundDriver(std::unique_ptr<ViewDriver> views) : views_(std::move(views)) {}

  /// Null where membership is fixed.
  [[nodiscard]] ViewDriver* views() const { return views_.get(); }
  /// REQUIRES: views() is null.
  [[nodiscard]] Member& fixed() { return *fixed_; }
  [[nodiscard]] const Member& fixed() const { return *fixed_; }

  void on_frame(MemberId from, Bytes frame, Time now) {
    if (fixed_)
      fixed_->on_frame(from, frame);
    else
      views_->on_frame(from, frame, now);
  }
  /// A frame that may be kept.
  void on_whole_frame(MemberId from, const Frame& frame, Time now) {
    if (fixed_)
      fixed_->on_whole_frame(from, frame);
    else
      views_->on_frame(from, *frame, now);
  }
  void on_gone(MemberId member, Time now) {
    if (fixed_)
      fixed_->on_gone(member);
    else
      views_->on_gone(member, now);
  }
  void want_leave(Time now) {
    if (fixed_)
      fixed_->want_leave();
    else
      views_->want_leave(now);
  }
  void heard(Time now) {
    if (fixed_) fixed_->heard(now);
  }
  void tick(Time now) {
    ask([&](auto& member) { member.tick(now); });
  }
  void want_stop(Time now) {
    ask([&](auto& member) { member.want_stop(now); });
  }
  void post(Offer offer, Time now) {
    ask([&](auto& member) { member.post(std::move(offer), now); });
  }
  void tell_elsewhere(const std::vector<Elsewhere>& where) {
    ask([&](auto& member) { member.tell_elsewhere(where); });
  }
  void set_kept(std::vector<Elsewhere> kept) {
    ask([&](auto& member) { member.set_kept(std::move(kept)); });
  }
  void applied() {
    ask([](auto& member) { member.applied(); });
  }
  void cannot_apply(const Status& why) {
    ask([&](auto& member) { member.cannot_apply(why); });
  }
  void fail(const Status& why) {
    ask([&](auto& member) { member.fail(why); });
  }
  void go() {
    ask([](auto& member) { member.go(); });
  }

  bool advance(Time now) {
    return ask([&](auto& member) { return member.advance(now); });
  }
  const CompletedRound* next_final() {
    return ask([](auto& member) { return member.next_final(); });
  }
  std::vector<std::byte> room() {
    return ask([](auto& member) { return member.room(); });
  }
  /// No items are taken with the next batch.
  [[nodiscard]] bool owes() const { return views_ && views_->owes(); }
  /// Always, where membership is fixed.
  [[nodiscard]] bool seated() const { return fixed_ || views_->seated(); }

  [[nodiscard]] Csn horizon() const {
    return ask([](const auto& member) { return member.horizon(); });
  }
  [[nodiscard]] Phase phase() const {
    return ask([](const auto& member) { return member.phase(); });
  }
  [[nodiscard]] bool may_post() const {
    return ask([](const auto& member) { return member.may_post(); });
  }
  [[nodiscard]] bool wants_post() const {
    return ask([](const auto& member) { return member.wants_post(); });
  }
  [[nodiscard]] bool ping_wanted() const {
    return ask([](const auto& member) { return member.ping_wanted(); });
  }
  [[nodiscard]] bool parting() const {
    return ask([](const auto& member) { return member.parting(); });
  }
  [[nodiscard]] bool active() const {
    return ask([](const auto& member) { return member.active(); });
  }
  [[nodiscard]] bool has_events() const { return !fixed_ || fixed_->has_events(); }
  [[nodiscard]] Round completed() const {
    return ask([](const auto& member) { return member.completed(); });
  }
  [[nodiscard]] Round posted() const {
    return ask([](const auto& member) { return member.posted(); });
  }
  [[nodiscard]] const QuorumCount& quorum() const {
    return fixed_ ? fixed_->quorum() : views_->quorum();
  }
  [[nodiscard]] std::string awaited_names() const {
    return ask([](const auto& member) { return member.awaited_names(); });
  }

 private:
  std::optional<Member> fixed_;
  std::unique_ptr<ViewDriver> views_;
};

}  // namespace exdb
