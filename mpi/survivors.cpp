// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "survivors.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <utility>

#include "left_sessions.hpp"

namespace exdb::mpi {
namespace {

constexpr std::uint64_t finish_with_all = 1, finish_without_mpi = 2;

struct Kept {
  std::mutex lock;
  std::vector<std::shared_ptr<ResilientSession>> sessions;
  bool any = false;
};

Kept& kept() {
  static auto* one = new Kept;  // never destroyed: MPI may outlive our statics
  return *one;
}

}  // namespace

ResilientSession::ResilientSession(Opened from, std::size_t bound_bytes,
                                   std::chrono::milliseconds keep_alive)
    : Session(std::move(from), bound_bytes),
      fates(opened.size, Fate::up),
      heard_lately(opened.size),
      heard_at(opened.size, Clock::now()),
      keep_alive_(keep_alive) {
  std::vector<HostCard> hosts;
  for (const NodeCard& card : opened.cards) hosts.push_back(card.host);
  liveness.watch(hosts, opened.rank);
  inbox.tolerate(failed);
  outbox.tolerate(failed);
}

void ResilientSession::die(std::uint32_t node) {
  fates[node] = Fate::dead;
  inbox.drop(node);
  outbox.drop(node);
}

void ResilientSession::look(bool now_at_all, std::vector<std::uint32_t>& news) {
  const auto now = Clock::now();
  if (!now_at_all && failed.empty() && now < next_look_) return;
  next_look_ = now + look_every;
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (heard_lately[node]) heard_at[node] = now;
    if (heard_lately[node] && fates[node] != Fate::dead) died_here_.reset();
    heard_lately[node] = false;
    if (fates[node] != Fate::up || !inbox.ended(node, tag_end) || inbox.transferring(node))
      continue;
    fates[node] = Fate::left;
    news.push_back(node);
  }
  look_for_shut_queue(now);
  auto dead = liveness.ended();
  if (!dead.empty()) {
    died_here_ = dead.front();
    died_at_ = now;
  }
  dead.insert(dead.end(), failed.begin(), failed.end());
  failed.clear();
  for (const auto node : dead) {
    if (fates[node] == Fate::dead) continue;
    if (fates[node] == Fate::up) news.push_back(node);
    die(node);
  }
}

/// Of a rank that lives on this host one hears within a beat, wherever it is in its program.
void ResilientSession::look_for_shut_queue(Clock::time_point now) {
  if (closed || !died_here_ || keep_alive_.count() == 0 || now - died_at_ < keep_alive_) return;
  const auto node = std::exchange(died_here_, std::nullopt);
  std::string silent;
  for (std::uint32_t other = 0; other < opened.size; ++other)
    if (liveness.watches(other) && fates[other] == Fate::up)
      silent += (silent.empty() ? "" : ", ") + std::to_string(other);
  if (silent.empty()) return;
  std::fprintf(
      stderr,
      "exdb[node %u]: nothing has come from node %s since node %u died, though its process "
      "lives: it is stopped, or node %u was killed in the middle of a send and left MPI's "
      "shared memory shut for ever: if this lasts, start the job again\n",
      opened.rank, silent.c_str(), *node, *node);
}

void ResilientSession::tell_all(int tag, std::uint64_t number) {
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (node != opened.rank && fates[node] != Fate::dead) (void)outbox.send_end(node, tag, number);
  }
}

std::string ResilientSession::lost() const {
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (node == opened.rank) continue;
    const std::string name = "node " + std::to_string(node);
    const auto& finished = inbox.ended(node, tag_finish);
    if (finished == finish_without_mpi) return name + " ends without it";
    if (fates[node] == Fate::dead) return name + " is dead";
    // What a process of this host does is known better.
    if (fates[node] == Fate::up && !finished && !liveness.watches(node) &&
        keep_alive_.count() > 0 && Clock::now() - heard_at[node] >= keep_alive_)
      return name + " has not been heard of";
  }
  return "";
}

bool ResilientSession::all_finish() const {
  for (std::uint32_t node = 0; node < opened.size; ++node) {
    if (node != opened.rank && !inbox.ended(node, tag_finish)) return false;
  }
  return true;
}

void keep(std::shared_ptr<ResilientSession> session) {
  Kept& all = kept();
  const std::lock_guard guard(all.lock);
  all.any = true;
  std::erase_if(all.sessions, [&](const auto& one) {
    if (!one->closed || one->opened.size != session->opened.size || !one->lost().empty())
      return false;
    leave_behind(one);
    return true;
  });
  all.sessions.push_back(std::move(session));
}

bool any_resilient() {
  Kept& all = kept();
  const std::lock_guard guard(all.lock);
  return all.any;
}

bool finish_together() {
  Kept& all = kept();
  const std::lock_guard guard(all.lock);
  const auto sessions = std::exchange(all.sessions, {});
  // Who is known to be lost is looked for first: a rank that was told finish_with_all by everybody
  // enters MPI_Finalize at once, and a rank that is only taken for dead (a call with it has failed)
  // tells that too.
  std::string lost;
  for (const auto& session : sessions) {
    std::vector<std::uint32_t> news;
    session->look(true, news);
    if (lost.empty()) lost = session->lost();
  }
  if (lost.empty())
    for (const auto& session : sessions) session->tell_all(tag_finish, finish_with_all);
  for (Patience patience; lost.empty(); patience.pause()) {
    bool complete = true;
    for (const auto& session : sessions) {
      std::vector<std::uint32_t> news;
      session->look(false, news);
      if (!session->drain_turn() && lost.empty()) lost = "a call of MPI has failed";
      if (lost.empty()) lost = session->lost();
      complete = complete && session->all_finish();
    }
    if (complete && lost.empty()) break;
  }
  for (const auto& session : sessions) {
    if (!lost.empty()) session->tell_all(tag_finish, finish_without_mpi);
    session->flush(std::chrono::milliseconds(lost.empty() ? 100 : 1000));
    session->cancel();
    keep_for_ever(session);
  }
  if (lost.empty()) return true;
  std::fprintf(stderr, "exdb[node %u]: this process ends without MPI_Finalize: %s\n",
               sessions.front()->opened.rank, lost.c_str());
  return false;
}

void unlink_mapped_segments() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto at = line.find("/dev/shm/mpich_shm_");
    if (at != std::string::npos && line.find(' ', at) == std::string::npos)
      (void)unlink(line.c_str() + at);
  }
}

}  // namespace exdb::mpi
