// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <sched.h>

#include <algorithm>
#include <thread>

#include "cluster/node_inside.hpp"
#include "exdb/large_buffers.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// Polling goes on this long after the last event: an answer within a host takes some microseconds,
/// so most of a busy exchange is over before anybody thinks of sleeping. On a crowded host the
/// polls take time from who should answer.
constexpr auto poll_after_event = 100us;
constexpr auto poll_after_event_crowded = 20us;
/// An event that ends a listener's sleep of this length is one of few. A yield would not do: the
/// scheduler lets a thread that was just woken go on through a hundred of them, while the committer
/// whose processor it was given waits (first commit after idle: 100 of 235 µs).
constexpr auto rare_after = 1ms;
/// A committer spins no longer than this and then yields between polls, and a listener yields from
/// the start: the scheduler likes to put a node that was woken on its waker's processor, where each
/// would spin while the other has the answer (first commit after idle, 2 ranks on 2 processors: 100
/// to 200 µs of it).
constexpr auto spin_after_event = 20us;
/// Where the system brings the frames, it likes to wake a thread on the processor of who sent the
/// frame, and leaves both there while each sleeps or yields for the other (TCP on the loopback, two
/// nodes on two processors: a commit 100 us instead of 20, for seconds, the other processor idle).
/// Who spins is moved away by the next balancing.
constexpr auto spin_after_event_system = 150us;
/// A waiting committer polls for longer than the listener, yielding: a nap costs it more than it
/// costs the host.
constexpr auto yield_after_event = 1ms;
/// Where the answer wakes it: one that takes longer is of a node that has no processor, and as long
/// as this thread only yields, the system does not move the node to this one (on a loaded host the
/// first commit after idle took the whole 1 ms: 1.3 ms instead of 0.3).
constexpr auto yield_after_event_woken = 200us;
/// The first nap, doubling up to a cap. Across hosts the cap bounds how late a doorbell is heard,
/// and with it the latency of the first commit after idle: 1 ms costs 1.8 % of a core, 10 ms 0.5 %
/// (table in mpi/README.md). So it grows with the pause: who has waited for a minute can wait for
/// ten milliseconds more, who has waited for a second can not.
constexpr auto nap_first = 50us;
/// Where every frame wakes its receiver (within a host, in process) a nap need not end by itself; a
/// thread that waits for something still looks at its clock now and then.
constexpr auto nap_woken_listener = 200ms;
constexpr auto nap_woken_driver = 10ms;
constexpr auto nap_cap_busy = 1ms;
constexpr auto nap_cap_idle = 10ms;
constexpr int naps_a_pause = 1000;  ///< a nap is this part of the pause so far, between the two
/// The listener looks this often whether the committers, who drive themselves, are still at it.
constexpr auto park_first = 50us;
constexpr auto park_cap = 200us;
/// While a driver naps: it tells when it goes.
constexpr auto park_long = 10ms;
/// Committers that came and went this often since the listener last slept are in a closed loop: the
/// next comes at once, and a listener that polls in between only takes the lock from it.
constexpr std::uint64_t closed_loop_wishes = 3;
/// Spins for the turn before sleeping: about what waking a sleeper costs.
constexpr int turn_spins = 2000;
constexpr int turn_yields_crowded = 20;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// A breath between two polls, in which the drive lock is free for who else wants it.
void breathe(bool crowded) {
  if (crowded) {
    sched_yield();
    return;
  }
  for (int i = 0; i < 8; ++i) relax();
}

}  // namespace

Node::Inside::Driven Node::Inside::drive_until(const Turn::Condition& done,
                                               Clock::time_point deadline) {
  if (done()) return Driven::done;
  const Turn::Wish wish(turn);
  const Turn::Condition over = [&] { return done() || finished(); };
  bool slept = false, napped = false;
  auto result = Driven::expired;
  do {
    if (done()) {
      result = Driven::done;
    } else if (finished()) {
      result = Driven::finished;
    } else if (turn.try_take()) {
      napped |= drive(over, deadline);
      turn.release();
      slept = false;
      if (done()) result = Driven::done;
    } else if (!spin_for_turn(over)) {
      turn.sleep(over, deadline);
      slept = true;
    }
  } while (result == Driven::expired && Clock::now() < deadline);
  if (slept) turn.pass_on();
  // The listener has kept away from the transport meanwhile, and what comes next should wake it.
  if (napped) turn.unpark();
  // An answer that came with the deadline counts.
  return result == Driven::expired && done() ? Driven::done : result;
}

/// True when there is something to do: the turn is free, or the condition holds.
bool Node::Inside::spin_for_turn(const Turn::Condition& over) {
  const bool crowded = transport->crowded();
  for (int i = 0; i < (crowded ? turn_yields_crowded : turn_spins); ++i) {
    if (!turn.taken() || over()) return true;
    if (crowded)
      sched_yield();
    else
      relax();
  }
  return false;
}

/// True when it has napped. REQUIRES: this thread has the turn.
bool Node::Inside::drive(const Turn::Condition& over, Clock::time_point deadline) {
  Nanoseconds nap = nap_first;
  bool napped = false;
  while (!over()) {
    Clock::time_point now;
    {
      const std::lock_guard lock(drive_lock);
      if (step()) {
        nap = nap_first;
        continue;
      }
      now = Clock::now();
      tick(now);
    }
    if (now >= deadline) return napped;
    napped |= pause(now, deadline, nap);
  }
  return napped;
}

/// True when it slept.
bool Node::Inside::pause(Clock::time_point now, Clock::time_point deadline, Nanoseconds& nap) {
  const auto idle = idle_since(now);
  const bool crowded = transport->crowded();
  const auto spin = transport->by_system() && !crowded ? spin_after_event_system : spin_after_event;
  if (idle < spin || options.progress == Progress::spin) {
    breathe(crowded);
    return false;
  }
  if (idle < (transport->wakes() ? yield_after_event_woken : yield_after_event)) {
    breathe(true);
    return false;
  }
  const auto cap = transport->wakes() ? Nanoseconds(nap_woken_driver) : nap;
  sleep_in_transport(std::min(cap, Nanoseconds(deadline - now)), true);
  nap = std::min(nap * 2, nap_cap(idle));
  return true;
}

Node::Inside::Nanoseconds Node::Inside::nap_cap(Nanoseconds idle) const {
  return std::clamp(idle / naps_a_pause, Nanoseconds(nap_cap_busy), Nanoseconds(nap_cap_idle));
}

void Node::Inside::sleep_in_transport(Nanoseconds cap, bool has_turn) {
  LargeBuffers::shared().drop_idle();
  if (in_transport_wait.exchange(true)) {
    // The other one is the listener, who came here before this thread did. A frame would wake it
    // instead of this thread, so it is sent away: it sees that there is a driver, and parks.
    if (has_turn) transport->wake();
    std::this_thread::sleep_for(std::min(cap, Nanoseconds(nap_first)));
    return;
  }
  // First the sign, then the look into the window: whoever submits does it the other way round, so
  // one of the two sees the other.
  napper = has_turn ? Napper::driver : Napper::listener;
  const auto due = window.due_in(Clock::now());
  const bool wanted = !active() || (!has_turn && turn.wished());
  if (!wanted && due > 0ns) transport->wait(std::min({cap, due, tick_every}));
  napper = Napper::none;
  in_transport_wait = false;
}

/// How long a listener polls on after an event. Not at all when the event has ended a long sleep and
/// the next one would do so again: what comes once in a while gets its answer, and then the
/// processor is free for who waits for it, who often sat on the same one.
Node::Inside::Nanoseconds Node::Inside::polls_after_event(Nanoseconds slept) const {
  if (slept >= rare_after && transport->wakes()) return 0ns;
  return transport->crowded() ? poll_after_event_crowded : poll_after_event;
}

/// Takes the turn for one step at a time, never for longer: a listener that is put to sleep by the
/// system in a yield must not keep a committer waiting.
void Node::Inside::listen() {
  Nanoseconds nap = nap_first, park = park_first, slept{0};
  auto wishes = turn.wishes();
  while (active()) {
    if ((turn.wished() || turn.wishes() - wishes >= closed_loop_wishes) &&
        options.progress != Progress::spin) {
      wishes = turn.wishes();
      turn.park(park);
      park = napper == Napper::driver ? Nanoseconds(park_long)
                                      : std::min(park * 2, Nanoseconds(park_cap));
      continue;
    }
    park = park_first;
    bool any = false;
    if (turn.try_take()) {
      {
        const std::lock_guard lock(drive_lock);
        any = step();
      }
      turn.release();
    }
    if (any) nap = nap_first;
    const bool crowded = transport->crowded();
    const auto now = Clock::now();
    const auto idle = idle_since(now);
    if (any || options.progress == Progress::spin || idle < polls_after_event(slept)) {
      breathe(crowded || options.progress != Progress::spin);
      continue;
    }
    wishes = turn.wishes();
    sleep_in_transport(transport->wakes() ? Nanoseconds(nap_woken_listener) : nap, false);
    slept = Clock::now() - now;
    nap = std::min(nap * 2, nap_cap(idle));
  }
}

}  // namespace exdb
