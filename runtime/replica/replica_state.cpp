// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica_state.hpp"

#include <algorithm>

namespace exdb {
namespace {

class WriterStream final : public StateStream {
 public:
  explicit WriterStream(SnapshotWriter writer) : writer_(std::move(writer)) {}
  bool next(std::vector<std::byte>& chunk) override { return writer_.next(chunk); }

 private:
  SnapshotWriter writer_;
};

}  // namespace

Result<std::unique_ptr<StateStream>> ReplicaState::open(RoundHistory::Chain upto) {
  auto writer = SnapshotWriter::begin(replica_, upto, bounds_);
  if (!writer) return writer.status();
  return std::unique_ptr<StateStream>(std::make_unique<WriterStream>(std::move(*writer)));
}

void ReplicaState::drop() {
  stop_.request_stop();
  if (building_.valid()) building_.wait();
  building_ = {};
  coming_.reset();
}

void ReplicaState::begin(bool parted) {
  drop();  // its memory first
  parted_ = parted;
  tenths_told_ = 0;
  coming_ = std::make_unique<SnapshotReader>(dictionary_, options_, self_);
}

Status ReplicaState::add(Bytes chunk) {
  auto status = coming_->add(chunk);
  if (!status || !tell_ || !coming_->header()) return status;
  const auto of = coming_->header()->slots;
  if (of < progress_rows_min) return status;
  const auto rows = std::min(coming_->slots(), of);
  const auto tenths = rows / (of / 10);
  if (tenths > tenths_told_) tell_(rows, of);
  tenths_told_ = std::max(tenths_told_, tenths);
  return status;
}

Status ReplicaState::finish(RoundHistory::Chain upto) {
  if (coming_->header() && !(coming_->header()->upto == upto))
    return {ErrorCode::cluster_protocol, "the state is of another round than was said"};
  stop_ = {};
  building_ = std::async(std::launch::async, [reader = coming_.get(), stop = stop_.get_token()] {
    return reader->finish(stop);
  });
  return {};
}

Result<bool> ReplicaState::ready() {
  if (building_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
  auto made = building_.get();
  coming_.reset();
  if (!made) return made.status();
  // Rounds that are final are so everywhere: one of the two nodes has a history of its own.
  if (!parted_ && (*made)->published() < replica_.published())
    return Status(ErrorCode::inconsistent, "the state is older than the one that is here");
  replica_.replace(std::move(*made), parted_);
  return true;
}

}  // namespace exdb
