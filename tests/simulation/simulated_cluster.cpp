// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "simulated_cluster.hpp"

#include <algorithm>
#include <cstdio>

#include "base/hash.hpp"

namespace exdb::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t old_frames_max = 64;
constexpr std::size_t waiting_max = 40, pending_max = 60;

class Chunks final : public StateStream {
 public:
  explicit Chunks(std::vector<std::vector<std::byte>> chunks) : chunks_(std::move(chunks)) {}
  bool next(std::vector<std::byte>& chunk) override {
    if (at_ == chunks_.size()) return false;
    chunk = chunks_[at_++];
    return true;
  }

 private:
  std::vector<std::vector<std::byte>> chunks_;
  std::size_t at_ = 0;
};

ViewTiming timing() {
  ViewTiming timing;
  timing.beat = 20ms;
  timing.suspect = 100ms;
  timing.link_grace = 30ms;
  timing.grace = 25ms;
  timing.patience = 100ms;
  timing.stagger = 15ms;
  timing.form_grace = 120ms;
  timing.stall = 200ms;
  timing.backoff = 50ms;
  timing.backoff_max = 800ms;
  return timing;
}

/// Of a frame of ours, as view_messages.hpp lays it out.
std::uint8_t type_in(const Frame& frame) { return std::to_integer<std::uint8_t>((*frame)[6]); }

}  // namespace

// --- a node ---

Result<std::unique_ptr<StateStream>> SimulatedNode::open(RoundHistory::Chain /*upto*/) {
  return std::unique_ptr<StateStream>(std::make_unique<Chunks>(state.chunks()));
}

Status SimulatedNode::add(Bytes chunk) {
  return coming.add(chunk) ? Status() : Status(ErrorCode::cluster_sync, "a broken chunk");
}

Status SimulatedNode::finish(RoundHistory::Chain /*upto*/) {
  asked_until_ready = ready_after();
  return {};
}

Result<bool> SimulatedNode::ready() {
  if (asked_until_ready-- > 0) return false;
  state = coming;
  return true;
}

// --- the cluster ---

SimulatedCluster::SimulatedCluster(const ClusterOptions& options)
    : options_(options),
      random_(options.seed),
      network_(std::uint32_t(options.qranks.size()), clock_, random_, *this),
      weights_(options.qranks),
      checker_(weights_, options.consenting != 0, [this](const std::string& what) { fail(what); }) {
  constexpr std::size_t sizes[] = {0, 1500, 20000};
  auto size = sizes[random_.below(3)];
  // A view of one node finishes its rounds by itself: who joins would never meet it between two.
  if (options.consenting != 0) size = std::max<std::size_t>(size, 6000);
  history_bytes_ = options.history_bytes.value_or(size);
  member_options_.qranks = options.qranks;
  member_options_.cluster_id = 77;
  member_options_.timing = timing();
  member_options_.lag_max = random_.one_in(2) ? 8 : 64;
  member_options_.window = random_.one_in(2) ? 3 : 64;
  member_options_.rounds_per_frame = random_.one_in(2) ? 4 : 16;
  member_options_.chunk_credit = 1 + random_.below(3);
  member_options_.state_bytes_per_second = random_.one_in(3) ? 2000 : 10'000'000;
  member_options_.ahead_bytes_min = random_.one_in(4) ? 500 : 10'000'000;
  if (options.ahead_bytes_min) member_options_.ahead_bytes_min = *options.ahead_bytes_min;
  if (options.state_bytes_per_second)
    member_options_.state_bytes_per_second = *options.state_bytes_per_second;
  member_options_.mutation = options.mutation;
  // Seldom enough in some seeds that few rounds lie between two faults.
  load_every_ = random_.one_in(3) ? 100ms + random_.within(900ms) : 10ms + random_.within(40ms);
  for (std::uint32_t id = 0; id < options.qranks.size(); ++id) {
    auto node = std::make_unique<SimulatedNode>();
    node->id = id;
    // At once, or later than other nodes keep rounds.
    node->ready_after = [this] {
      if (options_.asked_until_ready) return *options_.asked_until_ready;
      return random_.one_in(2) ? random_.below(60) : 0;
    };
    nodes_.push_back(std::move(node));
    clock_.at(random_.within(random_.one_in(3) ? 300ms : 5ms), [this, id] { start(id); });
  }
  load();
}

void SimulatedCluster::start(std::uint32_t id) {
  auto& one = node(id);
  if (one.up) return;
  one.up = true;
  one.start = ++starts_;
  one.life = {one.start};
  const bool kept = one.disk != nullptr;
  one.offset = random_.within(1000s);
  one.rate = 0.8 + 0.4 * double(random_.below(1000)) / 1000;
  one.paused_until = one.applies_at = 0ns;
  one.state = one.coming = {};
  one.waiting.clear();
  one.deferred.clear();
  one.submitted = 0;
  one.leaving = one.asked = false;
  auto made = member_options_;
  if (options_.disks) {
    open_disk(one, made);
  } else {
    one.in_memory = std::make_unique<MemoryRoundHistory>(history_bytes_);
    one.history = one.in_memory.get();
  }
  made.self = MemberId{id};
  made.incarnation = one.life;
  one.member = std::make_unique<ViewMember>(made, *one.history, one, one, local(one));
  checker_.node_started(id, kept, made.applied);
  see_final(one);
  trace("node " + std::to_string(id) + " starts, life " + std::to_string(one.life.value));
  network_.node_up(id);
  tick(id, one.start);
}

void SimulatedCluster::open_disk(SimulatedNode& one, ViewMember::Options& made) {
  const auto id = one.id;
  if (!one.disk)
    one.disk = std::make_unique<SimulatedDisk>(
        clock_, random_, history_bytes_, 50us + random_.within(random_.one_in(4) ? 2ms : 400us),
        [&one]() -> const ToyState& { return one.state; });
  auto& disk = *one.disk;
  disk.open();
  disk.on_change([this, id] { wake(id, [](SimulatedNode&, Time) {}); });
  made.store = &disk;
  made.memory = disk.memory();
  made.applied = disk.applied();
  made.horizon = disk.horizon();
  one.life =
      made.memory ? next_life(*made.memory) : Incarnation{one.start << Incarnation::bits_of_lives};
  one.state = disk.state();
  one.history = &disk;
  one.gate.emplace(disk, options_.mutation);
}

void SimulatedCluster::crash(std::uint32_t id, bool silent) {
  auto& one = node(id);
  if (!one.up) return;
  trace("node " + std::to_string(id) + " crashes" + (silent ? " silently" : ""));
  one.up = false;
  network_.node_down(id, silent);
  if (one.disk) one.disk->crash();
  // Nobody is there to be told.
  for (const auto sequence : one.pending) checker_.unknown({id, one.start, sequence});
  one.pending.clear();
}

/// On a disk: what a new life would remember.
bool SimulatedCluster::keeps_state(const SimulatedNode& one) const {
  if (options_.disks) {
    const auto memory = one.disk ? one.disk->memory() : std::nullopt;
    return memory && memory->voter;
  }
  return one.up && one.member->phase() == ViewMember::Phase::running &&
         checker_.was_installed(one.id) && !one.leaving &&
         (options_.consenting == 0 || one.member->voter());
}

bool SimulatedCluster::can_spare(std::uint32_t id) const {
  if (!checker_.anybody_accepted()) return true;
  MemberSet voters;
  for (const auto& one : nodes_)
    if (one->id != id && keeps_state(*one)) voters.add(MemberId{one->id});
  return weights_.majority(voters);
}

bool SimulatedCluster::may_lose(std::uint32_t id) {
  if (can_spare(id)) return true;
  if (!options_.beyond_budget) return false;
  const bool one_is_left = std::ranges::any_of(nodes_, [&](const auto& one) {
    return one->id != id && one->up && !one->leaving && one->member->voter() &&
           one->member->phase() == ViewMember::Phase::running && consents(one->id);
  });
  if (one_is_left) checker_.beyond_budget();
  return one_is_left;
}

bool SimulatedCluster::same_state() const {
  return std::ranges::all_of(nodes_, [this](const auto& one) {
    return one->member->applied_round() == nodes_[0]->member->applied_round() &&
           one->member->final_round() == one->member->newest().round &&
           one->member->newest() == nodes_[0]->member->newest() &&
           one->state.digest() == nodes_[0]->state.digest();
  });
}

bool SimulatedCluster::somebody_is_out() const {
  return std::ranges::any_of(nodes_,
                             [](const auto& one) { return !one->up || !one->member->seated(); });
}

void SimulatedCluster::pause(std::uint32_t id, Time for_so_long) {
  // Never shorter: what waits for the end of a pause keeps its order.
  auto& until = node(id).paused_until;
  until = std::max(until, clock_.now() + for_so_long);
}

void SimulatedCluster::leave(std::uint32_t id) {
  node(id).leaving = true;
  wake(id, [](SimulatedNode& one, Time now) { one.member->want_leave(now); });
}

bool SimulatedCluster::replay_old_frame() {
  if (old_frames_.empty()) return false;
  const auto old = old_frames_[random_.below(old_frames_.size())];
  if (old.life >= node(old.from).life || !node(old.to).up) return false;
  on_frame(old.to, old.from, old.frame);
  return true;
}

Time SimulatedCluster::local(const SimulatedNode& one) const {
  return one.offset + Time(std::int64_t(double(clock_.now().count()) * one.rate));
}

bool SimulatedCluster::run_until(Time end, const std::function<bool()>& when) {
  while (broken_.empty() && clock_.now() < end) {
    if (when()) return true;
    if (!clock_.step()) break;
    ++events_;
  }
  return false;
}

bool SimulatedCluster::whole() const {
  std::optional<Ballot> view;
  for (const auto& one : nodes_) {
    if (!one->up || one->leaving) return false;
    if (!one->member->seated() || !one->pending.empty()) return false;
    if (!view) view = one->member->view().ballot;
    if (one->member->view().ballot != *view) return false;
    for (const auto& other : nodes_)
      if (!one->member->view().has(MemberId{other->id}, other->life)) return false;
  }
  return true;
}

void SimulatedCluster::fail(const std::string& what) {
  trace("BROKEN " + what);
  if (broken_.empty()) broken_ = what;
}

void SimulatedCluster::trace(const std::string& line) {
  mix(hash_bytes(std::as_bytes(std::span(line.data(), line.size()))));
  if (options_.traced)
    std::fprintf(stderr, "%10.3f ms  %s\n", double(clock_.now().count()) / 1e6, line.c_str());
}

void SimulatedCluster::mix(std::uint64_t word) {
  trace_hash_ = hash_word(trace_hash_ ^ word) + std::uint64_t(clock_.now().count());
}

// --- what happens to nodes ---

void SimulatedCluster::wake(std::uint32_t id,
                            const std::function<void(SimulatedNode&, Time)>& what) {
  auto& one = node(id);
  if (!one.up) return;
  // What comes while it is stopped waits in order.
  if (clock_.now() < one.paused_until || !one.deferred.empty()) {
    if (one.deferred.empty()) resume_at(id);
    one.deferred.push_back(what);
    return;
  }
  what(one, local(one));
  work(one);
}

void SimulatedCluster::resume_at(std::uint32_t id) {
  const auto start = node(id).start;
  clock_.at(node(id).paused_until, [this, id, start] {
    auto& one = node(id);
    if (one.start != start || !one.up) return;
    if (clock_.now() < one.paused_until) return resume_at(id);
    for (const auto& what : std::exchange(one.deferred, {})) {
      if (!one.up || one.start != start) return;
      what(one, local(one));
      work(one);
    }
  });
}

void SimulatedCluster::on_frame(std::uint32_t id, std::uint32_t from, const Frame& frame) {
  wake(id, [this, from, frame](SimulatedNode& one, Time now) {
    mix(hash_bytes(*frame, one.id));
    const auto& member = *one.member;
    const auto print = [&member] {
      return std::tuple(member.promised(), member.accepted(), member.final_round(),
                        member.newest().hash, member.seated(), member.unfinished());
    };
    const auto before = print();
    const auto dropped = member.counters().old_lives;
    one.member->on_frame(MemberId{from}, *frame, now);
    see_final(one);
    if (options_.traced) {
      auto decoded = decode_view_frame(*frame);
      trace(std::to_string(from) + " -> " + std::to_string(one.id) + " " +
            name_of(decoded->message) + " " + text_of(decoded->header.ballot));
    }
    if (member.counters().old_lives > dropped && print() != before)
      fail("node " + std::to_string(one.id) + ": I13: a frame of a former life changed something");
  });
}

void SimulatedCluster::on_link(std::uint32_t id, std::uint32_t other, bool up) {
  wake(id, [this, other, up](SimulatedNode& one, Time now) {
    mix(2 * one.id + up);
    if (options_.traced)
      trace("link " + std::to_string(one.id) + " - " + std::to_string(other) +
            (up ? " up" : " down"));
    if (up)
      one.member->on_link_up(MemberId{other}, now);
    else
      one.member->on_link_down(MemberId{other}, now);
    if (!up && one.gate) one.gate->lose(MemberId{other});
  });
}

void SimulatedCluster::tick(std::uint32_t id, std::uint64_t start) {
  if (node(id).start != start || !node(id).up) return;
  wake(id, [this](SimulatedNode& one, Time now) {
    one.member->tick(now);
    ask(one);
  });
  clock_.after(4ms + random_.within(3ms), [this, id, start] { tick(id, start); });
}

/// The callback answers some time later, of those that were reached when it was asked.
void SimulatedCluster::ask(SimulatedNode& one) {
  if (options_.consenting == 0 || one.asked || !one.member->asks()) return;
  one.asked = true;
  const auto reach = one.member->reach();
  const auto start = one.start;
  trace("node " + std::to_string(one.id) + " is asked, reaches " + text_of(reach));
  clock_.after(random_.within(20ms), [this, id = one.id, start, reach] {
    if (node(id).start != start || !node(id).up) return;
    node(id).asked = false;
    wake(id, [this, reach](SimulatedNode& asked, Time) {
      asked.member->answer(reach, consents(asked.id));
    });
  });
}

void SimulatedCluster::load() {
  for (std::uint32_t id = 0; id < size(); ++id)
    if (random_.one_in(2)) submit(id);
  clock_.after(random_.within(load_every_), [this] { load(); });
}

void SimulatedCluster::submit(std::uint32_t id) {
  auto& one = node(id);
  if (!one.up || one.leaving || one.waiting.size() > waiting_max ||
      one.pending.size() > pending_max)
    return;
  for (auto count = 1 + random_.below(3); count > 0; --count) {
    ToyTransaction made;
    made.id = {id, one.start, ++one.submitted};
    made.key = std::uint32_t(random_.below(ToyState::keys));
    made.read_version = one.state.version(made.key);
    checker_.submitted(made.id);
    one.pending.insert(made.id.sequence);
    one.waiting.push_back(made);
  }
  wake(id, [](SimulatedNode&, Time) {});
}

/// As ViewDriver does before anything is stamped.
void SimulatedCluster::see_final(SimulatedNode& one) {
  if (!one.gate) return;
  one.member->remember();
  one.gate->see_final(one.member->final_round());
}

void SimulatedCluster::look(SimulatedNode& one) {
  checker_.look(one.id, *one.member, *one.history,
                one.gate ? one.gate->may_give() : one.member->final_round(),
                one.disk ? &one.disk->on_device() : one.in_memory.get());
}

void SimulatedCluster::work(SimulatedNode& one) {
  auto& member = *one.member;
  bool any = true;
  while (any && one.up && broken_.empty()) {
    see_final(one);
    any = member.advance(local(one));
    see_final(one);
    see_events(one);
    any |= apply(one);
    any |= post(one);
    look(one);
    any |= send(one);
  }
  if (member.phase() != ViewMember::Phase::left || !one.up) return;
  crash(one.id, false);
  clock_.after(random_.within(400ms), [this, id = one.id] { start(id); });
}

bool SimulatedCluster::apply(SimulatedNode& one) {
  if (clock_.now() < one.applies_at) return false;
  bool any = false;
  while (const auto* round = one.member->next_final()) {
    if (one.gate && one.gate->may_give() < round->round) break;
    any = true;
    const auto whole = *round;
    look(one);
    const bool by_majority = checker_.given_by_majority(one.id, whole.round);
    for (const auto& batch : whole.batches)
      for (const auto& transaction : decode_transactions(batch.payload)) {
        one.state.apply(transaction);
        if (transaction.id.node == one.id && transaction.id.incarnation == one.start)
          answer(one, transaction.id.sequence, by_majority);
      }
    look(one);
    checker_.applied(one.id, whole, one.member->horizon(), one.state);
    one.member->applied();
  }
  return any;
}

/// An outcome is told when the transaction's round is applied; the second time it is no news.
void SimulatedCluster::answer(SimulatedNode& one, std::uint64_t sequence, bool by_majority) {
  if (one.pending.erase(sequence) == 0) return;
  look(one);
  if (options_.traced)
    trace("node " + std::to_string(one.id) + " answers " + std::to_string(sequence) + " of life " +
          std::to_string(one.start) + (by_majority ? "" : ", by override") + ", round " +
          std::to_string(one.member->applied_round().value + 1));
  checker_.answered({one.id, one.start, sequence}, by_majority);
}

/// What is under way here was made on a state that is no more.
void SimulatedCluster::drop(SimulatedNode& one) {
  for (const auto sequence : one.pending) checker_.unknown({one.id, one.start, sequence});
  one.pending.clear();
  one.waiting.clear();
  checker_.dropped(one.id);
}

bool SimulatedCluster::post(SimulatedNode& one) {
  auto& member = *one.member;
  if (!member.wants_post() && (!member.may_post() || one.waiting.empty())) return false;
  ViewMember::Offer offer;
  offer.oldest_snapshot = Csn{one.state.csn()};
  offer.digest = one.state.digest() ^ one.digest_mask;
  if (!member.owes()) {
    const auto count = std::min<std::size_t>(one.waiting.size(), 1 + random_.below(4));
    for (std::size_t i = 0; i < count; ++i) encode(one.waiting[i], offer.payload);
    one.waiting.erase(one.waiting.begin(), one.waiting.begin() + std::ptrdiff_t(count));
    offer.items = count;
    offer.more = !one.waiting.empty();
  }
  member.post(std::move(offer), local(one));
  return true;
}

bool SimulatedCluster::send(SimulatedNode& one) {
  auto outputs = one.member->take_outputs();
  if (one.gate) {
    see_final(one);
    one.gate->hold(std::exchange(outputs, {}));
    one.gate->release(
        [&outputs](ViewMember::Output&& output) { outputs.push_back(std::move(output)); });
  }
  for (auto& output : outputs) {
    if (!one.up) break;
    if (type_in(output.frame) != 0 && random_.one_in(16)) {
      const OldFrame old{one.id, output.to.value, one.life, output.frame};
      if (old_frames_.size() < old_frames_max)
        old_frames_.push_back(old);
      else
        old_frames_[random_.below(old_frames_max)] = old;
    }
    if (on_send) on_send(one.id, output.to.value, output.frame);
    if (one.up) network_.send(one.id, output.to.value, std::move(output.frame));
  }
  return !outputs.empty();
}

void SimulatedCluster::see_events(SimulatedNode& one) {
  for (const auto& event : one.member->take_events()) {
    if (options_.traced && event.kind != ViewMember::Event::Kind::finished)
      trace("node " + std::to_string(one.id) + " event " + std::to_string(int(event.kind)) + " " +
            std::to_string(event.member.value) + " " + event.why.text());
    switch (event.kind) {
      case ViewMember::Event::Kind::installed:
        checker_.installed(one.id, *one.member, *one.history);
        for (const auto& seat : one.member->view().seats)
          if (!weights_.majority(one.member->view().members()) && !consents(seat.member.value))
            fail("node " + std::to_string(seat.member.value) +
                 ": I14: a member of a view of a minority, and has not consented");
        break;
      case ViewMember::Event::Kind::dropped:
        drop(one);
        [[fallthrough]];
      case ViewMember::Event::Kind::replaced: {
        checker_.replaced(one.id, one.start,
                          one.history->chain_at(one.member->applied_round()).value(), one.state);
        if (one.disk) one.disk->set_horizon(one.member->horizon());
        const auto finished = one.state.finished(one.id, one.start);
        const auto pending = one.pending;
        for (const auto sequence : pending)
          if (sequence <= finished) answer(one, sequence, options_.consenting == 0);
        break;
      }
      case ViewMember::Event::Kind::warning:
        if (event.why.text().find("of its own") != std::string::npos)
          fail("node " + std::to_string(one.id) + ": W14: " + event.why.text());
        break;
      case ViewMember::Event::Kind::finished:
        if (one.member->phase() == ViewMember::Phase::failed)
          fail("node " + std::to_string(one.id) + " fails: " + event.why.text());
        break;
      default:
        break;
    }
  }
}

}  // namespace exdb::simulation
