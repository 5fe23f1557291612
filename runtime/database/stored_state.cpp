// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/stored_state.hpp"

#include "replica/snapshot_chunk.hpp"

namespace exdb {
namespace {

/// After which round it is: the first chunk says so.
Result<RoundHistory::Chain> round_of(Bytes first_chunk) {
  auto chunk = decode_chunk(first_chunk);
  if (!chunk) return chunk.status();
  auto header = decode_header(chunk->payload);
  if (!header) return header.status();
  return header->upto;
}

}  // namespace

void StoredState::begin(bool parted) {
  end_writing();
  sink_.begin(parted);
}

Status StoredState::add(Bytes chunk) {
  if (auto status = sink_.add(chunk); !status) return status;
  if (!writer_.joinable()) {
    auto at = round_of(chunk);
    if (!at) return at.status();
    writer_ = std::jthread([this, at = *at](const std::stop_token& stop) { run(stop, at); });
  }
  std::unique_lock lock(mutex_);
  waiting_.emplace_back(chunk.begin(), chunk.end());
  waiting_bytes_ += chunk.size();
  changed_.notify_all();
  changed_.wait(lock, [this] { return waiting_bytes_ <= waiting_bytes_max || done_; });
  return failure_;
}

Status StoredState::finish(RoundHistory::Chain upto) {
  if (auto status = sink_.finish(upto); !status) return status;
  const std::lock_guard lock(mutex_);
  waiting_.emplace_back();
  changed_.notify_all();
  return failure_;
}

Result<bool> StoredState::ready() {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.ok()) return failure_;
    if (!done_) return false;
  }
  return sink_.ready();
}

void StoredState::drop() {
  end_writing();
  sink_.drop();
}

/// What it has written is removed when the next one begins, or the folder is opened again.
void StoredState::end_writing() {
  writer_ = {};
  waiting_.clear();
  waiting_bytes_ = 0;
  done_ = false;
  failure_ = {};
}

void StoredState::run(const std::stop_token& stop, RoundHistory::Chain at) {
  auto status = write(stop, at);
  const std::lock_guard lock(mutex_);
  failure_ = std::move(status);
  done_ = true;
  changed_.notify_all();
}

Status StoredState::write(const std::stop_token& stop, RoundHistory::Chain at) {
  auto arriving = ArrivingState::begin(folder_, identity_, at, marks_());
  if (!arriving) return arriving.status();
  while (true) {
    std::vector<std::byte> chunk;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return !waiting_.empty(); }) || stop.stop_requested())
        return {ErrorCode::interrupted, "a state that comes is not wanted any more"};
      chunk = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= chunk.size();
      changed_.notify_all();
    }
    if (chunk.empty()) return (*arriving)->finish(stop);
    if (auto status = (*arriving)->add(chunk); !status) return status;
  }
}

}  // namespace exdb
