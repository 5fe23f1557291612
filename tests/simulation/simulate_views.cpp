// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// simulate_views [--ranks 1,1,1] [--seeds 1-2000] [--mutant NAME|all] [--disks|--override] [--trace]
//                [--table]
//   Without --mutant every seed must keep every invariant. With it, some seed must not: the exit code
//   is 1 when the mutant was not found. A seed that breaks a rule prints the command that replays it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "faults.hpp"

namespace exdb::simulation {
namespace {

using namespace std::chrono_literals;

struct Mutant {
  ViewMutation mutation;
  const char* name;
};

#define EXDB_MUTANT(name) \
  Mutant { ViewMutation::name, #name }
const std::vector<Mutant> mutants{
    EXDB_MUTANT(final_when_complete), EXDB_MUTANT(posting_acknowledges),
    EXDB_MUTANT(half_is_quorum), EXDB_MUTANT(amnesiac_votes), EXDB_MUTANT(no_accept_phase),
    EXDB_MUTANT(longest_log_wins), EXDB_MUTANT(keeps_on_after_promise),
    EXDB_MUTANT(promises_backwards), EXDB_MUTANT(installs_after_promise),
    EXDB_MUTANT(drops_before_fetch), EXDB_MUTANT(keeps_suffix), EXDB_MUTANT(forms_beside_state),
    EXDB_MUTANT(gives_unfinal), EXDB_MUTANT(takes_old_lives), EXDB_MUTANT(takes_other_views),
    EXDB_MUTANT(forgets_unfinished), EXDB_MUTANT(repeats_finished),
    EXDB_MUTANT(joins_broken_transfer), EXDB_MUTANT(ignores_reach), EXDB_MUTANT(never_admits),
    // Of overrides.
    EXDB_MUTANT(override_beats_majority), EXDB_MUTANT(ancestor_wins), EXDB_MUTANT(confirms_early),
    EXDB_MUTANT(override_counts_weight), EXDB_MUTANT(forms_without_consent),
    // Of nodes on disk.
    EXDB_MUTANT(says_before_stored), EXDB_MUTANT(gives_before_stored), EXDB_MUTANT(forgets_promise),
    EXDB_MUTANT(forgets_accepted), EXDB_MUTANT(ends_again)};
#undef EXDB_MUTANT

struct Run {
  std::string broken;
  std::uint64_t trace_hash = 0, events = 0, rounds = 0, views = 0;
};

/// Two nodes that never hear each other, and all others do: the rest must go on, without a view
/// change each moment.
void live_through_partial_cut(SimulatedCluster& cluster, Faults::Counts& counts) {
  auto& random = cluster.random();
  const auto one = std::uint32_t(random.below(cluster.size()));
  const auto other = std::uint32_t((one + 1 + random.below(cluster.size() - 1)) % cluster.size());
  ++counts["lasting partial cut"];
  cluster.set_load(30ms);
  cluster.trace("lasting cut " + std::to_string(one) + " - " + std::to_string(other));
  cluster.network().cut(one, other);
  const auto never = [] { return false; };
  cluster.run_until(cluster.clock().now() + 3s, never);
  const auto rounds = cluster.checker().rounds(), views = cluster.checker().views();
  cluster.run_until(cluster.clock().now() + 1s, never);
  if (cluster.checker().rounds() < rounds + 2)
    cluster.fail("I15: no progress although a majority reach each other");
  if (cluster.checker().views() > views + 2) cluster.fail("I15: views come and go without end");
  cluster.network().heal(one, other);
}

void become_whole(SimulatedCluster& cluster) {
  const auto whole = [&cluster] { return cluster.whole(); };
  if (!cluster.run_until(cluster.clock().now() + 15s, whole))
    cluster.fail("I15: not all nodes are members 15 s after the last fault");
  for (std::uint32_t id = 0; id < cluster.size(); ++id) cluster.submit(id);
  if (!cluster.run_until(cluster.clock().now() + 3s, whole))
    cluster.fail("I15: no commit 3 s after all nodes are members");
}

/// Whatever parted is one again. Where one node alone may go on, and all others need it for a
/// majority, nothing that anybody was told is lost.
void check_one_history(SimulatedCluster& cluster) {
  const auto load = cluster.load_every();
  cluster.set_load(3600s);
  if (!cluster.run_until(cluster.clock().now() + 3s, [&] { return cluster.same_state(); }))
    cluster.fail("I7: the nodes are one view and have not one state");
  const auto consenting = cluster.options().consenting;
  const auto& qranks = cluster.options().qranks;
  const bool alone = consenting != 0 && qranks.size() == 2 && qranks[0] == qranks[1] &&
                     (consenting & (consenting - 1)) == 0;
  if (cluster.broken().empty()) cluster.checker().check_kept(cluster.node(0).state, alone);
  cluster.set_load(load);
}

void stop_all(SimulatedCluster& cluster) {
  cluster.set_load(3600s);
  cluster.run_until(cluster.clock().now() + 3s, [&cluster] { return cluster.whole(); });
  for (std::uint32_t id = 0; id < cluster.size(); ++id) cluster.node(id).member->want_stop();
  const auto ended = [&cluster] {
    for (std::uint32_t id = 0; id < cluster.size(); ++id)
      if (cluster.node(id).member->phase() != ViewMember::Phase::ended) return false;
    return true;
  };
  if (!cluster.run_until(cluster.clock().now() + 3s, ended))
    cluster.fail("a stop of all nodes does not end");
}

/// A job that ends, and the next one on the same disks: each node may have heard of the end or not.
void stop_and_open_again(SimulatedCluster& cluster, Faults::Counts& counts) {
  auto& random = cluster.random();
  ++counts["all stop, and open their disks again"];
  const auto load = cluster.load_every();
  cluster.set_load(3600s);
  for (std::uint32_t id = 0; id < cluster.size(); ++id)
    cluster.clock().after(random.within(3ms), [&cluster, id] {
      if (cluster.node(id).up) cluster.node(id).member->want_stop();
    });
  cluster.run_until(cluster.clock().now() + random.within(60ms), [] { return false; });
  for (std::uint32_t id = 0; id < cluster.size(); ++id) {
    cluster.crash(id, false);
    cluster.clock().after(random.within(300ms), [&cluster, id] { cluster.start(id); });
  }
  cluster.run_until(cluster.clock().now() + 300ms, [] { return false; });
  become_whole(cluster);
  check_one_history(cluster);
  cluster.set_load(load);
}

Run simulate(const ClusterOptions& options, Faults::Counts& counts) {
  SimulatedCluster cluster(options);
  Faults faults(cluster, counts);
  faults.begin();
  cluster.run_until(1s + cluster.random().within(3s), [] { return false; });
  faults.end();
  become_whole(cluster);
  if (options.consenting != 0) check_one_history(cluster);
  if (options.seed % 6 == 0 && options.consenting == 0 && options.qranks.size() > 2) {
    live_through_partial_cut(cluster, counts);
    become_whole(cluster);
  }
  if (options.disks) check_one_history(cluster);
  if (options.disks && options.seed % 4 < 2) stop_and_open_again(cluster, counts);
  if (options.seed % 4 == 0) stop_all(cluster);
  if (options.consenting != 0) {
    counts["(views by override)"] += cluster.checker().overrides();
    counts["(histories given up)"] += cluster.checker().drops();
  }
  for (std::uint32_t id = 0; id < cluster.size(); ++id) {
    if (!cluster.node(id).member) continue;
    const auto& did = cluster.node(id).member->counters();
    counts["(states taken as a snapshot)"] += did.states_taken;
    counts["(state transfers broken)"] += did.transfers_broken;
    counts["(rounds fetched)"] += did.rounds_fetched;
    counts["(batches posted again)"] += did.repeated;
    counts["(evictions)"] += did.evictions;
  }
  if (cluster.checker().formed_anew()) {
    ++counts["(formed anew without reaching a state: not judged)"];
    cluster.forgive();
  }
  return {cluster.broken(), cluster.trace_hash(), cluster.events(), cluster.checker().rounds(),
          cluster.checker().views()};
}

struct Arguments {
  std::vector<std::vector<std::uint32_t>> ranks;
  std::uint64_t first = 1, last = 100;
  std::string mutant;
  bool traced = false, table = false, overrides = false, disks = false;
};

std::string text_of(const std::vector<std::uint32_t>& ranks) {
  std::string text;
  for (const auto rank : ranks) text += (text.empty() ? "" : ",") + std::to_string(rank);
  return text;
}

void say_replay(const ClusterOptions& options, const char* mutant, const std::string& broken) {
  const char* const kind = mutant[0] ? "" : options.disks ? " --disks" : " --override";
  std::printf("seed %llu: %s\n  replay: simulate_views%s --ranks %s --seeds %llu%s%s --trace\n",
              static_cast<unsigned long long>(options.seed), broken.c_str(),
              options.consenting != 0 || options.disks ? kind : "", text_of(options.qranks).c_str(),
              static_cast<unsigned long long>(options.seed), mutant[0] ? " --mutant " : "", mutant);
}

/// The real rules, or one mutant, over the seeds. Whether all is as it should be.
bool run_seeds(const Arguments& arguments, Mutant mutant) {
  const bool real = mutant.mutation == ViewMutation::none;
  Faults::Counts counts;
  Run sum;
  for (auto seed = arguments.first; seed <= arguments.last; ++seed) {
    ClusterOptions options;
    options.qranks = arguments.ranks[seed % arguments.ranks.size()];
    options.seed = seed;
    options.mutation = mutant.mutation;
    options.traced = arguments.traced;
    options.disks = arguments.disks || mutant.mutation >= ViewMutation::says_before_stored;
    if (arguments.overrides || (mutant.mutation >= ViewMutation::override_beats_majority &&
                                mutant.mutation < ViewMutation::says_before_stored)) {
      options.consenting = 1 + seed / 2 % ((1 << options.qranks.size()) - 1);
      options.beyond_budget = seed % 2 == 0;
    }
    const auto run = simulate(options, counts);
    sum.events += run.events;
    sum.rounds += run.rounds;
    sum.views += run.views;
    auto broken = run.broken;
    if (real && seed % 50 == 1 && broken.empty() && !arguments.traced) {
      Faults::Counts again;
      if (simulate(options, again).trace_hash != run.trace_hash)
        broken = "I20: the same seed ran another way the second time";
    }
    if (broken.empty()) continue;
    if (real || arguments.traced) say_replay(options, real ? "" : mutant.name, broken);
    if (!real) {
      std::printf("%-24s found by seed %4llu (%s): %s\n", mutant.name,
                  static_cast<unsigned long long>(seed), text_of(options.qranks).c_str(),
                  broken.c_str());
      return true;
    }
    return false;
  }
  if (!real) std::printf("%-24s NOT FOUND\n", mutant.name);
  if (arguments.table)
    for (const auto& [what, often] : counts)
      std::printf("%10llu  %s\n", static_cast<unsigned long long>(often), what.c_str());
  if (real)
    std::printf(
        "ranks %s, seeds %llu to %llu: %llu events, %llu rounds, %llu views, all kept\n",
        text_of(arguments.ranks[0]).c_str(), static_cast<unsigned long long>(arguments.first),
        static_cast<unsigned long long>(arguments.last),
        static_cast<unsigned long long>(sum.events), static_cast<unsigned long long>(sum.rounds),
        static_cast<unsigned long long>(sum.views));
  return real;
}

std::vector<std::uint32_t> read_ranks(const char* text) {
  std::vector<std::uint32_t> ranks;
  for (char* at = const_cast<char*>(text); *at;) {
    ranks.push_back(std::uint32_t(std::strtoul(at, &at, 10)));
    if (*at == ',') ++at;
  }
  return ranks;
}

bool read(int count, char** words, Arguments& arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const char* value = i + 1 < count ? words[i + 1] : nullptr;
    if (word == "--trace") {
      arguments.traced = true;
    } else if (word == "--override") {
      arguments.overrides = true;
    } else if (word == "--disks") {
      arguments.disks = true;
    } else if (word == "--table") {
      arguments.table = true;
    } else if (!value) {
      return false;
    } else if (++i; word == "--ranks") {
      arguments.ranks = {read_ranks(value)};
    } else if (word == "--mutant") {
      arguments.mutant = value;
    } else if (word == "--seeds") {
      char* end = nullptr;
      arguments.first = arguments.last = std::strtoull(value, &end, 10);
      if (*end == '-') arguments.last = std::strtoull(end + 1, nullptr, 10);
    } else {
      return false;
    }
  }
  // Mutants are looked for in all of these in turn.
  if (arguments.ranks.empty() && !arguments.mutant.empty())
    arguments.ranks = {{1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1, 1}, {2, 1, 1, 1}};
  if (arguments.ranks.empty()) arguments.ranks = {{1, 1, 1}};
  return arguments.ranks[0].size() > 1;
}

int main_of(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Arguments arguments;
  if (!read(count, words, arguments)) {
    std::fprintf(stderr,
                 "usage: simulate_views [--ranks 1,1,1] [--seeds 1-100] "
                 "[--mutant NAME|all] [--disks|--override] [--trace] [--table]\n");
    return 2;
  }
  if (arguments.mutant.empty()) return run_seeds(arguments, {ViewMutation::none, ""}) ? 0 : 1;
  bool good = true, any = false;
  for (const auto& mutant : mutants) {
    if (arguments.mutant != "all" && arguments.mutant != mutant.name) continue;
    any = true;
    good &= run_seeds(arguments, mutant);
  }
  return good && any ? 0 : 1;
}

}  // namespace
}  // namespace exdb::simulation

int main(int count, char** words) { return exdb::simulation::main_of(count, words); }
