// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/checkpoints.hpp"

#include <algorithm>
#include <cstdio>

#include "database/leader_route.hpp"

namespace exdb {
namespace {

/// How often who waits looks, at first and at last; it drives the node meanwhile.
constexpr std::chrono::microseconds look_first{200}, look_last{20'000};
/// After so many looks it asks who is still there: that takes a lock.
constexpr int looks_each = 16;

/// Where nodes come and go each makes its own: there is no round that all of them are sure to take.
bool agrees(const DatabaseCore& core) { return core.restored && !core.restored->keeps.empty(); }

/// Those that keep a copy and have not said what became of it.
std::vector<std::uint32_t> silent(const DatabaseCore& core, const AgreedWords& words, Round round) {
  std::vector<std::uint32_t> nodes;
  const auto written = words.written_checkpoints();
  for (std::uint32_t node = 0; node < core.restored->keeps.size(); ++node) {
    if (!core.restored->keeps[node]) continue;
    const auto found = written.find(NodeId{node});
    if (found == written.end() || found->second.round < round) nodes.push_back(node);
  }
  return nodes;
}

/// Of these those that are not members any more.
std::vector<std::uint32_t> gone_of(const DatabaseCore& core, std::vector<std::uint32_t> nodes) {
  const auto info = core.node->cluster_info();
  std::erase_if(nodes, [&info](std::uint32_t node) {
    return info.nodes[node].reached || info.nodes[node].self;
  });
  return nodes;
}

/// Those that were members when the checkpoint was asked for have left in between.
void tell_gone(const DatabaseCore& core, std::vector<std::uint32_t> nodes,
               const std::vector<std::uint32_t>& before) {
  std::erase_if(nodes, [&before](std::uint32_t node) {
    return std::find(before.begin(), before.end(), node) != before.end();
  });
  for (const auto node : nodes)
    std::fprintf(stderr,
                 "exdb: warning: the checkpoint of database '%s' is without the copy of node %u, "
                 "which has left meanwhile\n",
                 core.name.c_str(), node);
}

void throw_failure(const AgreedWords& words, Round round) {
  for (const auto& [node, written] : words.written_checkpoints())
    if (written.round == round && !written.status.ok())
      throw Error(written.status.code(),
                  "node " + std::to_string(node.value) + ": " + written.status.text());
}

/// A1.
void write_agreed(DatabaseCore& core) {
  commit_name(core, AgreedWords::checkpoint(), false);
  AgreedWords words;
  look_at_words(core, words);
  const auto round = words.newest_checkpoint().round;
  const auto gone_before = gone_of(core, silent(core, words, round));
  std::chrono::microseconds pause = look_first;
  for (int looks = 1;; ++looks) {
    const auto missing = silent(core, words, round);
    if (missing.empty()) return throw_failure(words, round);
    core.require_open();
    core.node->failure().or_throw();
    if (looks % looks_each == 0 && gone_of(core, missing) == missing) {
      tell_gone(core, missing, gone_before);
      return throw_failure(words, round);
    }
    if (!core.node->progress()) {
      std::this_thread::sleep_for(pause);
      pause = std::min<std::chrono::microseconds>(2 * pause, look_last);
    }
    look_at_words(core, words);
  }
}

}  // namespace

void commit_name(DatabaseCore& core, const std::string& name, bool drops, bool of_engine) {
  Outgoing out;
  out.id = core.route->new_id();
  out.of_engine = of_engine;
  out.shared.snapshot = core.route->published();
  out.shared.history = core.route->history();
  out.shared.snapshot_name = name;
  out.shared.drops_name = drops;
  auto item = core.route->submit(out);
  item.status().or_throw();
  const auto outcome = core.route->wait(**item);
  if (outcome.code != ErrorCode::ok) throw Error(outcome.code, outcome.text);
}

void look_at_words(DatabaseCore& core, AgreedWords& words) {
  if (core.leader == nullptr)
    words.decode(core.replica->words().encode()).or_throw();
  else
    core.leader->words(words).or_throw();
}

void write_checkpoint(DatabaseCore& core) {
  if (agrees(core)) return write_agreed(core);
  if (!core.durable)
    throw Error(ErrorCode::invalid_handle,
                "checkpoint: database '" + core.name + "' is in memory; open it with is_disk");
  core.durable->checkpoint().or_throw();
}

void watch_checkpoints(DatabaseCore& core) {
  if (core.leader != nullptr) return;
  core.replica->words().forget();
  if (!core.durable || !agrees(core)) return;
  core.replica->words().on_checkpoint(
      [&durable = *core.durable](Round round) { durable.begin_agreed(round); });
  core.durable->on_written([&core](Round round, const Status& status) {
    core.replica->words().written_here(core.self, round, status);
    try {
      commit_name(core, AgreedWords::written(core.self, round, status), false, true);
    } catch (const std::exception&) {
      // It has ended, or has no quorum: the others do not wait for it.
    }
  });
}

/// The writing goes on while the node stops: who waits for it has not stopped, and is told.
Status close_node(DatabaseCore& core, std::optional<std::chrono::milliseconds> deadline,
                  SteadyNow now) {
  const auto until = now() + deadline.value_or(std::chrono::hours(24));
  auto stopped = core.node->stop(deadline);
  core.node->close(stopped.ok());
  if (core.durable) core.durable->finish_agreed(until);
  return stopped;
}

std::shared_ptr<Checkpoint> begin_checkpoint(const std::shared_ptr<DatabaseCore>& core) {
  auto made = std::make_shared<Checkpoint>([weak = std::weak_ptr(core)] {
    const auto of = weak.lock();
    return of && of->durable ? of->durable->bytes_now() : 0;
  });
  const std::lock_guard lock(core->checkpoints_lock);
  core->require_open();
  std::erase_if(core->checkpoints, [](const auto& each) { return each.first->done(); });
  core->checkpoints.emplace_back(made, std::jthread([core = core.get(), made] {
                                   std::exception_ptr why_not;
                                   try {
                                     write_checkpoint(*core);
                                   } catch (...) {
                                     why_not = std::current_exception();
                                   }
                                   made->end(why_not);
                                 }));
  return made;
}

bool Checkpoint::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

bool Checkpoint::wait(std::optional<std::chrono::milliseconds> timeout) const {
  std::unique_lock lock(mutex_);
  const auto over = [this] { return done_; };
  if (!timeout)
    changed_.wait(lock, over);
  else if (!changed_.wait_for(lock, *timeout, over))
    return false;
  if (why_not_) std::rethrow_exception(why_not_);
  return true;
}

std::uint64_t Checkpoint::bytes_written() const {
  const std::lock_guard lock(mutex_);
  return done_ ? bytes_at_end_ : bytes_();
}

void Checkpoint::end(std::exception_ptr why_not) {
  const std::lock_guard lock(mutex_);
  bytes_at_end_ = bytes_();
  why_not_ = std::move(why_not);
  done_ = true;
  changed_.notify_all();
}

}  // namespace exdb
