// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "simulated_disk.hpp"

#include <algorithm>

namespace exdb::simulation {

SimulatedDisk::SimulatedDisk(Clock& clock, Random& random, std::size_t history_bytes, Time pace,
                             std::function<const ToyState&()> state)
    : clock_(clock),
      random_(random),
      pace_(pace),
      state_(std::move(state)),
      now_(std::make_unique<MemoryRoundHistory>(history_bytes)),
      device_{MemoryRoundHistory(history_bytes), {}, {}, {}, {}} {}

void SimulatedDisk::crash() {
  ++life_;
  tell_ = {};
  write(std::size_t(random_.below(queue_.size() + 1)));
  queue_.clear();
  given_.clear();
  stored_ = newest_;
  writing_ = false;
}

void SimulatedDisk::open() {
  now_ = std::make_unique<MemoryRoundHistory>(device_.history);
  released_ = device_.applied;
  coming_horizon_ = std::make_shared<Csn>();
}

std::optional<ViewMemory> SimulatedDisk::memory() const {
  if (device_.memory.empty()) return {};
  return decode_view_memory(device_.memory).value();
}

void SimulatedDisk::give(Change change) {
  given_.push_back([this, change = std::move(change), released = released_](Device& device) {
    apply(released);
    change(device);
  });
}

SimulatedDisk::Ticket SimulatedDisk::newest() {
  if (given_.empty()) return newest_;
  queue_.push_back(std::exchange(given_, {}));
  ++newest_;
  if (!writing_) begin_write();
  return newest_;
}

/// What is there now goes with it, and what comes meanwhile with the next.
void SimulatedDisk::begin_write() {
  writing_ = true;
  auto takes = random_.within(2 * pace_);
  if (random_.one_in(100)) takes += random_.within(20 * pace_);
  clock_.at(std::max(clock_.now() + takes, not_before_),
            [this, life = life_, steps = queue_.size()] {
              if (life != life_) return;
              write(steps);
              writing_ = false;
              if (!queue_.empty()) begin_write();
              if (tell_) tell_();
            });
}

void SimulatedDisk::write(std::size_t steps) {
  for (; steps > 0; --steps) {
    for (const auto& change : queue_.front()) change(device_);
    queue_.pop_front();
    ++stored_;
  }
}

void SimulatedDisk::apply(Round upto) {
  for (auto next = device_.applied.next(); next <= upto; next = next.next()) {
    auto oldest = Csn::max();
    for (const auto& batch : device_.history.held(next).batches) {
      oldest = std::min(oldest, batch.header.oldest_snapshot);
      for (const auto& transaction : decode_transactions(batch.payload))
        device_.state.apply(transaction);
    }
    device_.horizon = std::max(device_.horizon, oldest);
    device_.applied = next;
    device_.history.release(next);
  }
}

Status SimulatedDisk::append(CompletedRound&& round) {
  give([copy = round](Device& device) {
    auto another = copy;
    (void)device.history.append(std::move(another));
  });
  return now_->append(std::move(round));
}

void SimulatedDisk::release(Round upto) {
  released_ = upto;
  now_->release(upto);
}

Status SimulatedDisk::drop_after(Round round) {
  if (round == now_->chain().round) return {};
  give([round](Device& device) { (void)device.history.drop_after(round); });
  return now_->drop_after(round);
}

Status SimulatedDisk::restart(Chain at, bool parted) {
  coming_horizon_ = std::make_shared<Csn>();
  give([at, parted, state = state_(), horizon = coming_horizon_](Device& device) {
    (void)device.history.restart(at, parted);
    device.applied = at.round;
    device.state = state;
    device.horizon = *horizon;
  });
  released_ = at.round;
  return now_->restart(at, parted);
}

void SimulatedDisk::remember(Bytes memory) {
  give([bytes = std::vector<std::byte>(memory.begin(), memory.end())](Device& device) {
    device.memory = bytes;
  });
}

}  // namespace exdb::simulation
