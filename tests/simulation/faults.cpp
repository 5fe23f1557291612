// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "faults.hpp"

#include <array>
#include <optional>

namespace exdb::simulation {
namespace {

using namespace std::chrono_literals;

}  // namespace

Faults::Faults(SimulatedCluster& cluster, Counts& counts)
    : cluster_(cluster), random_(cluster.random()), counts_(counts) {
  constexpr std::array gaps{25ms, 70ms, 180ms};
  constexpr std::array<std::uint64_t, 3> odds{8, 30, 1000000};
  gap_ = gaps[random_.below(gaps.size())];
  out_counts_ = random_.one_in(3);
  at_message_in_ = odds[random_.below(odds.size())];
}

void Faults::begin() {
  on_ = true;
  ++round_;
  cluster_.on_send = [this](std::uint32_t from, std::uint32_t to, const Frame& frame) {
    at_message(from, to, frame);
  };
  next();
}

void Faults::end() {
  on_ = false;
  ++round_;
  cluster_.on_send = nullptr;
  cluster_.network().heal_all();
  for (std::uint32_t id = 0; id < cluster_.size(); ++id) {
    cluster_.node(id).applies_at = 0ns;
    cluster_.start(id);
  }
}

void Faults::count(const std::string& what) {
  ++counts_[what];
  cluster_.trace("fault: " + what);
}

std::uint32_t Faults::other_than(std::uint32_t id) {
  return std::uint32_t((id + 1 + random_.below(cluster_.size() - 1)) % cluster_.size());
}

Time Faults::duration() { return random_.between(3ms, random_.one_in(3) ? 600ms : 120ms); }

void Faults::next() {
  const auto round = round_;
  // Every third one comes in a burst.
  const auto gap = random_.one_in(3) ? random_.within(8ms) : random_.within(2 * gap_);
  cluster_.clock().after(gap, [this, round] {
    if (!on_ || round != round_) return;
    strike();
    next();
  });
}

void Faults::strike() {
  if (cluster_.options().consenting != 0 && random_.one_in(4) && forget_beside_override()) return;
  if (cluster_.options().disks && random_.one_in(3)) return strike_disks();
  const auto id = any_node(), other = other_than(id);
  switch (random_.below(16)) {
    case 0:
    case 1:
      if (crash(id, random_.one_in(3))) return;
      break;
    case 2:
      count("link cut");
      return cut(id, other, duration());
    case 3:
      count("node isolated");
      return isolate(id, duration());
    case 4:
      count("full partition");
      return partition(false);
    case 5:
      count("partial partition");
      return partition(true);
    case 6:
      count("one-way stall");
      return cluster_.network().stall(id, other, cluster_.clock().now() + duration());
    case 7: {
      count("both-way stall");
      const auto until = cluster_.clock().now() + duration();
      cluster_.network().stall(id, other, until);
      return cluster_.network().stall(other, id, until);
    }
    case 8:
      count("node stopped for a while");
      return cluster_.pause(id, duration());
    case 9:
      count("flapping link");
      return flap(id, other, 2 + random_.below(6));
    case 10:
      count("slow link");
      return cluster_.network().slow(id, other, random_.within(15ms));
    case 11:
      count("slow applier");
      cluster_.node(id).applies_at = cluster_.clock().now() + duration();
      return;
    case 12:
      return leave(id);
    case 13:
    case 14:
      count("all links cut, one node hears the rest");
      return cut_all_but_to(id, random_.within(60ms));
    default:
      for (auto frames = 1 + random_.below(8); frames > 0; --frames)
        if (cluster_.replay_old_frame()) count("frame of a former life");
  }
}

bool Faults::crash(std::uint32_t id, bool silent) {
  const bool disks = cluster_.options().disks;
  if (!cluster_.node(id).up || (!disks && !cluster_.may_lose(id))) return false;
  const bool lost = !disks || (random_.one_in(8) && cluster_.can_spare(id));
  const std::string what = disks ? lost ? ", disk lost" : ", disk kept" : ", memory lost";
  count((silent ? "silent crash" : "crash") + what);
  cluster_.crash(id, silent);
  if (disks && lost) cluster_.lose_disk(id);
  restart_later(id);
  return true;
}

/// Of nodes on disk: as many at once as there are, and devices that stand still.
void Faults::strike_disks() {
  const auto id = any_node();
  switch (random_.below(4)) {
    case 0:
      count("all nodes crash at once");
      for (std::uint32_t one = 0; one < cluster_.size(); ++one) crash(one, random_.one_in(3));
      return;
    case 1: {
      const auto some = random_.below(1ULL << cluster_.size());
      count("some nodes crash at once");
      for (std::uint32_t one = 0; one < cluster_.size(); ++one)
        if (some >> one & 1) crash(one, random_.one_in(3));
      return;
    }
    case 2:
      count("disk stands still");
      if (cluster_.node(id).disk)
        cluster_.node(id).disk->stall(cluster_.clock().now() + duration());
      return;
    default:
      (void)crash(id, random_.one_in(3));
  }
}

void Faults::restart_later(std::uint32_t id) {
  // Soon, so that what was on its way meets the next life.
  const auto back = random_.one_in(2) ? random_.within(30ms) : duration();
  cluster_.clock().after(back, [this, id] {
    if (!cluster_.node(id).up) count("restart as a new life");
    cluster_.start(id);
  });
}

/// A member of a majority's view loses its memory, and then hears only a node that went on by itself
/// before: that majority may have given out what neither of them knows.
bool Faults::forget_beside_override() {
  std::optional<std::uint32_t> overrider, forgetful;
  for (std::uint32_t id = 0; id < cluster_.size(); ++id) {
    const auto& node = cluster_.node(id);
    if (!node.up || !node.member->seated()) continue;
    auto& which = node.member->view().by_override ? overrider : forgetful;
    if (!which || random_.one_in(2)) which = id;
  }
  if (!overrider || !forgetful || !crash(*forgetful, false)) return false;
  count("memory of a majority lost, only an override heard");
  const auto for_so_long = random_.between(300ms, 900ms);
  for (std::uint32_t other = 0; other < cluster_.size(); ++other)
    for (const auto one : {*overrider, *forgetful})
      if (other != *overrider && other != *forgetful) cut(one, other, for_so_long);
  return true;
}

void Faults::cut(std::uint32_t one, std::uint32_t other, Time for_so_long) {
  cluster_.network().cut(one, other);
  const auto round = round_;
  cluster_.clock().after(for_so_long, [this, one, other, round] {
    if (round == round_) cluster_.network().heal(one, other);
  });
}

/// So one node completes what no other does. The others have time for a view without it, most times,
/// before its links come back.
void Faults::cut_all_but_to(std::uint32_t lucky, Time for_so_long) {
  cluster_.network().cut_all_but_to(lucky);
  const auto round = round_;
  for (std::uint32_t one = 0; one < cluster_.size(); ++one)
    for (std::uint32_t other = one + 1; other < cluster_.size(); ++other) {
      auto more = random_.one_in(2) ? 0ns : random_.within(150ms);
      if ((one == lucky || other == lucky) && !random_.one_in(4))
        more = 60ms + random_.within(200ms);
      cluster_.clock().after(for_so_long + more, [this, one, other, round] {
        if (round == round_) cluster_.network().heal(one, other);
      });
    }
}

void Faults::isolate(std::uint32_t id, Time for_so_long) {
  for (std::uint32_t other = 0; other < cluster_.size(); ++other)
    if (other != id) cut(id, other, for_so_long);
}

void Faults::partition(bool partial) {
  const auto sides = random_.below(1ULL << cluster_.size());
  const auto for_so_long = duration();
  for (std::uint32_t one = 0; one < cluster_.size(); ++one)
    for (std::uint32_t other = one + 1; other < cluster_.size(); ++other) {
      const bool apart = (sides >> one & 1) != (sides >> other & 1);
      if (partial ? random_.one_in(3) : apart) cut(one, other, for_so_long);
    }
}

void Faults::flap(std::uint32_t one, std::uint32_t other, std::uint64_t times) {
  cut(one, other, random_.within(30ms));
  if (times == 0) return;
  const auto round = round_;
  cluster_.clock().after(30ms + random_.within(50ms), [this, one, other, times, round] {
    if (round == round_) flap(one, other, times - 1);
  });
}

void Faults::leave(std::uint32_t id) {
  auto& node = cluster_.node(id);
  // It goes some time later, with its memory: the others are to have a state by then.
  if (!node.up || node.leaving || !cluster_.checker().anybody_accepted() || !cluster_.can_spare(id))
    return;
  count("leave");
  cluster_.leave(id);
}

/// A strike at the sender or the receiver, just before the message goes out.
void Faults::at_message(std::uint32_t from, std::uint32_t to, const Frame& frame) {
  auto decoded = decode_view_frame(*frame);
  const auto name = std::string(name_of(decoded->message));
  const bool steady = name == "BATCH" || name == "ACK" || name == "JOIN" || name == "EVICTED";
  // Catching up hides what a node brings back from a view that is over: it is struck more often.
  const bool catches_up = name == "FETCH" || name == "ROUNDS";
  const auto one_in = at_message_in_ * (steady ? 60 : 1) / (catches_up ? 3 : 1);
  // Where rounds are seldom, one that is under way is worth more: its sender alone is to complete it.
  // So it is in a view that lacks a node: who is left out has none of its rounds.
  const bool some_are_out = out_counts_ && name == "BATCH" && cluster_.somebody_is_out();
  if (name == "BATCH" && random_.one_in(some_are_out ? 20 : 12) &&
      (some_are_out || cluster_.load_every() > 60ms)) {
    count("all links cut at BATCH, its sender hears the rest");
    return cut_all_but_to(from, random_.within(40ms));
  }
  // Who fetches for a view change has given nothing up yet, whatever becomes of the giver.
  if (name == "FETCH" && !decoded->header.ballot.none() && random_.one_in(3)) {
    count("giver isolated at FETCH in a ballot");
    return isolate(to, random_.between(150ms, 700ms));
  }
  if (!random_.one_in(one_in)) return;
  const auto victim = random_.one_in(2) ? from : to;
  switch (random_.below(5)) {
    case 4:
      count("all links cut at " + name);
      return cut_all_but_to(victim, random_.within(60ms));
    case 0:
      if (!cluster_.node(victim).up) return;
      if (!cluster_.options().disks && !cluster_.can_spare(victim)) return;
      count("crash at " + name);
      // Its sender is at work: it dies when it has done what it does now.
      cluster_.clock().after(0ns, [this, victim] {
        if (cluster_.options().disks || cluster_.can_spare(victim))
          crash(victim, random_.one_in(3));
      });
      return;
    case 1:
      count("cut at " + name);
      return cut(from, to, duration());
    case 2:
      count("isolation at " + name);
      return isolate(victim, duration());
    default:
      count("stall at " + name);
      return cluster_.network().stall(from, to, cluster_.clock().now() + duration());
  }
}

}  // namespace exdb::simulation
