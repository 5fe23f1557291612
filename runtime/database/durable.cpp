// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable.hpp"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "cluster/commit_window.hpp"
#include "database/dictionary_difference.hpp"
#include "replica/outcome_table.hpp"

namespace exdb {
namespace {

/// The numbers of this life are beyond all of those before, those included that never came into the
/// log: so an outcome that is asked for is never that of another transaction. By the clock, as where
/// nodes come and go; and beyond what the log knows by a part of the clock, since of two lives that
/// left nothing in the log the second may begin before the clock is where the log is.
std::uint64_t first_number_after(std::uint64_t highest) {
  constexpr unsigned sequence_shift = 2;
  constexpr std::uint64_t part = std::uint64_t{1} << 40;  // 73 minutes
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto now = std::uint64_t(std::chrono::nanoseconds(since_1970).count()) >> sequence_shift;
  return std::max(now, highest + 2 * OutcomeTable::life_gap + now % part);
}

/// Makes a replica of what is read. A log is its own process's, under checksums, a chain and digests:
/// its records are not validated again, as those of another node would be, which may not have
/// local classes either.
class ReplicaSink final : public RecoverySink {
 public:
  ReplicaSink(std::shared_ptr<const Dictionary> dictionary, StorageOptions storage)
      : dictionary_(std::move(dictionary)), storage_(std::move(storage)) {}

  Status begin() override {
    replica_.reset();  // its memory first
    reader_.emplace(dictionary_, storage_, NodeId{}, false);
    auto made = Replica::create(dictionary_, storage_, false, NodeId{});
    if (!made) return made.status();
    replica_ = std::move(*made);
    return {};
  }
  Status chunk(Bytes chunk) override { return reader_->add(chunk); }
  Status complete(RoundHistory::Chain at) override {
    if (reader_->header() && !(reader_->header()->upto == at))
      return {ErrorCode::disk_damaged, "its chunks are of another round than its head"};
    auto made = reader_->finish();
    if (!made) return made.status();
    replica_ = std::move(*made);
    return {};
  }
  Status round(const CompletedRound& round) override {
    for (const auto& batch : round.batches) {
      const auto where = "round " + std::to_string(round.round.value) + " of the log: ";
      if (batch.header.digest != replica_->digest())
        return {ErrorCode::inconsistent,
                where + "the state before it is not the one in which it was made"};
      items_.clear();
      auto status = decode_items(batch.member, batch.payload, items_);
      const std::vector<bool> mine(items_.size(), false);
      if (status.ok())
        status = replica_->apply_round(round.round, items_, batch.header.oldest_snapshot, mine,
                                       outcomes_);
      if (!status.ok()) return {status.code(), where + status.text()};
    }
    return {};
  }
  std::unique_ptr<Replica> take() { return std::move(replica_); }

 private:
  const std::shared_ptr<const Dictionary> dictionary_;
  const StorageOptions storage_;
  std::optional<SnapshotReader> reader_;
  std::unique_ptr<Replica> replica_;
  std::vector<RoundItem> items_;
  std::vector<ItemOutcome> outcomes_;
};

class WriterStream final : public StateStream {
 public:
  explicit WriterStream(SnapshotWriter writer) : writer_(std::move(writer)) {}
  bool next(std::vector<std::byte>& chunk) override { return writer_.next(chunk); }

 private:
  SnapshotWriter writer_;
};

/// Says nothing of the device.
bool harmless(ErrorCode code) {
  return code == ErrorCode::disk_full || code == ErrorCode::no_memory ||
         code == ErrorCode::interrupted;
}

}  // namespace

Durable::Durable(std::unique_ptr<Folder> folder, std::shared_ptr<const Dictionary> dictionary,
                 Options options)
    : folder_(std::move(folder)),
      dictionary_(std::move(dictionary)),
      options_(std::move(options)) {}

Durable::~Durable() { (void)close(); }

Result<std::unique_ptr<Durable>> Durable::open(std::unique_ptr<Folder> folder,
                                               std::shared_ptr<const Dictionary> dictionary,
                                               const StorageOptions& storage, Options options,
                                               std::uint64_t random) {
  std::unique_ptr<Durable> made(
      new Durable(std::move(folder), std::move(dictionary), std::move(options)));
  if (auto status = made->recover_all(storage, random); !status) return status;
  return made;
}

Status Durable::check_schema(const DatabaseIdentity& found, const std::string& text) const {
  if (found.dictionary == dictionary_->hash()) return {};
  const auto difference =
      first_difference(text, dictionary_->to_text(), "on disk", "in the schema that was given");
  return {ErrorCode::disk_schema, "'" + folder_->path_of(base_name) +
                                      "': the database on disk has another schema" +
                                      (difference.empty() ? "" : ": " + difference) +
                                      "; open it with the one it was made with"};
}

Status Durable::recover_all(const StorageOptions& storage, std::uint64_t random) {
  const auto begun = std::chrono::steady_clock::now();
  std::string text;
  auto identity = open_base(*folder_, {random, dictionary_->hash()}, dictionary_->to_text(), text);
  if (!identity) return identity.status();
  identity_ = *identity;
  if (auto status = check_schema(identity_, text); !status) return status;
  ReplicaSink sink(dictionary_, storage);
  auto recovery = recover(*folder_, identity_, sink);
  if (!recovery) return recovery.status();
  recovered_ = sink.take();
  end_ = recovery->log.end;
  recovered_csn_ = recovered_->published();
  last_ = recovery->from.round;
  last_bytes_ = recovery->checkpoint_bytes;
  log_before_ = recovery->log.bytes;
  tell(*recovery, std::chrono::steady_clock::now() - begun);
  return {};
}

void Durable::tell(const Recovery& recovery, std::chrono::steady_clock::duration took) {
  const auto& log = recovery.log;
  torn_down_ = log.torn || (!log.end.segments.empty() && !log.end.closed);
  std::ostringstream out;
  out << "database '" << options_.name << "' recovered from '" << folder_->path_of("") << "': ";
  if (recovery.from.round == Round{}) {
    out << "no checkpoint";
  } else {
    out << "the checkpoint of round " << recovery.from.round.value;
  }
  out << " and " << log.rounds << " rounds of the log, to csn " << recovered_csn_.value << ", in "
      << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms";
  if (log.torn)
    out << "; cut " << log.torn->bytes << " bytes of a commit that was not finished, at offset "
        << log.torn->offset << " of '" << log.torn->path << "'";
  for (const auto& why : recovery.passed_over) out << "; passed over a checkpoint: " << why;
  told_ = out.str();
}

std::unique_ptr<CommitRoute> Durable::make_route(Replica& replica, std::mutex& lock,
                                                 std::atomic<std::uint64_t>& autoids) {
  const auto marks = end_.marks;
  autoids = std::max<std::uint64_t>(1, marks.autoid);
  auto route = std::make_unique<DurableRoute>(
      replica, std::make_unique<RoundLog>(*folder_, identity_, options_.log, std::move(end_)), lock,
      autoids, marks);
  highest_recovered_ = marks.sequence;
  first_number_ = first_number_after(marks.sequence);
  route->number_from(first_number_);
  replica_ = &replica;
  route_ = route.get();
  lock_ = &lock;
  if (options_.checkpoint_bytes == 0) return route;
  route->on_round([this] {
    if (!due()) return;
    const std::lock_guard due_lock(due_lock_);
    due_changed_.notify_one();
  });
  writer_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  return route;
}

bool Durable::due() const {
  const auto grown = log_before_ + route_->written_bytes() - log_at_last_.load();
  return grown > std::max(options_.checkpoint_bytes, last_bytes_.load());
}

/// One that fails for want of room is tried again when the log has grown as much again: meanwhile
/// nothing is lost but time at the next open.
void Durable::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {  // wait() says that one is due also when it is told to stop
    {
      std::unique_lock due_lock(due_lock_);
      if (!due_changed_.wait(due_lock, stop, [this] { return due(); })) return;
    }
    const auto status = checkpoint();
    if (status.ok() || status.code() == ErrorCode::interrupted) continue;
    log_at_last_ = log_before_ + route_->written_bytes();
    std::fprintf(stderr, "exdb: warning: database '%s' made no checkpoint: %s\n",
                 options_.name.c_str(), status.text().c_str());
  }
}

Status Durable::checkpoint() {
  const std::lock_guard writing(writing_);
  if (closed_) return {ErrorCode::invalid_handle, "the database is closed"};
  if (auto failure = route_->failure(); !failure.ok()) return failure;
  auto status = write(stop_.get_token());
  if (!status.ok() && !harmless(status.code())) route_->stop(status);
  return status;
}

Status Durable::write(const std::stop_token& stop) {
  DurableRoute::State applied;
  std::optional<WriterStream> stream;
  std::uint64_t log_now = 0;
  {
    const std::lock_guard lock(*lock_);
    applied = route_->state();
    if (applied.chain.round == last_) return {};
    log_now = log_before_ + route_->written_bytes();
    auto writer = SnapshotWriter::begin(*replica_, applied.chain);
    if (!writer) return writer.status();
    stream.emplace(std::move(*writer));
  }
  // A checkpoint is never ahead of its log.
  if (auto status = route_->in_turn([](RoundLog& log) { return log.settle(); }); !status)
    return status;
  auto bytes = write_checkpoint(*folder_, identity_, applied.chain, applied.marks, *stream, stop);
  if (!bytes) return bytes.status();
  last_ = applied.chain.round;
  last_bytes_ = *bytes;
  log_at_last_ = log_now;
  ++checkpoints_;
  return drop(last_);
}

bool Durable::never_came(TxnId id) const {
  return id.origin == NodeId{} && id.sequence != 0 && id.sequence < first_number_ &&
         id.sequence + OutcomeTable::remembered > highest_recovered_;
}

Status Durable::drop(Round upto) {
  if (auto status = drop_checkpoints_before(*folder_, upto); !status) return status;
  return route_->in_turn([upto](RoundLog& log) { return log.drop_before(upto); });
}

Status Durable::close() {
  stop_.request_stop();
  writer_.request_stop();
  if (writer_.joinable()) writer_.join();
  const std::lock_guard writing(writing_);
  if (closed_) return {};
  closed_ = true;
  auto status = route_ == nullptr ? Status() : route_->close();
  folder_.reset();
  return status;
}

Durable::Counters Durable::counters() const {
  return {route_->rounds(), route_->written_bytes(), checkpoints_.load(), last_bytes_.load()};
}

}  // namespace exdb
