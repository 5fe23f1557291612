// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/durable.hpp"

#include <algorithm>
#include <cstdio>

#include "cluster/commit_window.hpp"
#include "database/checkpoint_progress.hpp"
#include "database/named_files.hpp"
#include "replica/outcome_table.hpp"

namespace exdb {
namespace {

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

/// So an outcome that is asked for is never that of another transaction. Beyond what the log knows by
/// a part of the clock: of two lives that left nothing in the log the second may begin before the
/// clock is where the log is.
std::uint64_t first_number_after(std::uint64_t highest) {
  // A node that commits less than one each 4 ns never comes near the numbers of its next life, and
  // they stay below OutcomeTable::sequence_max.
  constexpr unsigned sequence_shift = 2;
  constexpr std::uint64_t part = std::uint64_t{1} << 40;  // 73 minutes
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto now = std::uint64_t(std::chrono::nanoseconds(since_1970).count()) >> sequence_shift;
  return std::max(now, highest + 2 * OutcomeTable::life_gap + now % part);
}

/// What a checkpoint is of: taken at one round, written later.
struct Durable::Begun {
  LoggedRounds::State at;
  std::optional<WriterStream> stream;
  std::uint64_t log_bytes = 0;
  Status status;  ///< why there is no stream
};

Durable::Durable(std::unique_ptr<Folder> folder, std::shared_ptr<const Dictionary> dictionary,
                 Options options)
    : folder_(std::move(folder)),
      dictionary_(std::move(dictionary)),
      options_(std::move(options)) {}

Durable::Durable(Recovered recovered, std::shared_ptr<const Dictionary> dictionary, Options options)
    : folder_(std::move(recovered.folder)),
      dictionary_(std::move(dictionary)),
      options_(std::move(options)),
      identity_(recovered.identity),
      recovered_(std::move(recovered.replica)),
      told_(std::move(recovered.told)),
      first_number_(0),  // what a node never sent is not known by its own log alone
      torn_down_(recovered.worth_telling),
      log_(std::move(recovered.log)),
      last_(recovered.checkpoint),
      last_bytes_(recovered.checkpoint_bytes),
      log_before_(recovered.log_bytes) {
  recovered_csn_ = recovered_->published();
  end_.marks = recovered.marks;
  // A folder that cannot be listed is told when it is written to.
  if (auto named = list_named(*folder_, identity_)) recovered_->names().merge(std::move(*named));
}

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

Status Durable::recover_all(const StorageOptions& storage, std::uint64_t random) {
  const auto begun = std::chrono::steady_clock::now();
  std::string text;
  auto identity = open_base(*folder_, {random, dictionary_->hash()}, dictionary_->to_text(), text);
  if (!identity) return identity.status();
  identity_ = *identity;
  if (auto status = check_schema(*folder_, identity_, text, *dictionary_); !status) return status;
  ReplicaSink sink(dictionary_, storage, false, NodeId{});
  auto recovery = recover(*folder_, identity_, sink);
  if (!recovery) return recovery.status();
  recovered_ = sink.take();
  auto named = list_named(*folder_, identity_);
  if (!named) return named.status();
  recovered_->names().merge(std::move(*named));
  end_ = recovery->log.end;
  recovered_csn_ = recovered_->published();
  last_ = recovery->from.round;
  last_bytes_ = recovery->checkpoint_bytes;
  log_before_ = recovery->log.bytes;
  torn_down_ = recovery->torn_down();
  told_ = recovery->told(options_.name, folder_->path_of(""), recovered_csn_,
                         std::chrono::steady_clock::now() - begun);
  return {};
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
  rounds_ = route.get();
  rounds_->on_round([this] { tell_if_due(); });
  watch(replica, lock);
  return route;
}

std::shared_ptr<DurableHistory> Durable::make_history(std::function<Marks()> marks,
                                                      std::optional<MemberId> answered) {
  history_ = std::make_shared<DurableHistory>(std::move(log_), std::move(marks), options_.log.fsync,
                                              answered);
  rounds_ = history_.get();
  rounds_->on_round([this] { tell_if_due(); });
  return history_;
}

std::shared_ptr<StableHistory> Durable::make_stable_history(StableHistory::Begin begin,
                                                            std::function<Marks()> marks) {
  StableHistory::Options options;
  options.waits = options_.log.fsync;
  stable_ = std::make_shared<StableHistory>(*folder_, std::move(log_), std::move(begin),
                                            std::move(marks), options);
  rounds_ = stable_.get();
  rounds_->on_round([this] { tell_if_due(); });
  return stable_;
}

StateSink& Durable::make_stored_state(StateSink& sink, std::function<Marks()> marks) {
  arriving_ = std::make_unique<StoredState>(sink, *folder_, identity_, std::move(marks));
  return *arriving_;
}

void Durable::watch(Replica& replica, std::mutex& lock) {
  replica_ = &replica;
  lock_ = &lock;
  last_time_ = std::chrono::steady_clock::now().time_since_epoch().count();
  if (options_.checkpoint_bytes == 0 && options_.checkpoint_every.count() == 0 && !history_) return;
  writer_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Durable::tell_if_due() {
  if (options_.checkpoint_bytes == 0 || !due()) return;
  const std::lock_guard due_lock(due_lock_);
  due_changed_.notify_one();
}

bool Durable::due() const {
  if (options_.checkpoint_bytes == 0) return false;
  const auto grown = log_before_ + rounds_->written_bytes() - log_at_last_.load();
  return grown > std::max(options_.checkpoint_bytes, last_bytes_.load());
}

bool Durable::due_by_time() const {
  using Clock = std::chrono::steady_clock;
  if (options_.checkpoint_every.count() == 0) return false;
  const Clock::time_point last{Clock::duration(last_time_.load())};
  return Clock::now() - last >= options_.checkpoint_every &&
         log_before_ + rounds_->written_bytes() != log_at_last_.load();
}

/// One that fails for want of room is tried again when the log has grown as much again, or after as
/// long: meanwhile nothing is lost but time at the next open.
void Durable::run(const std::stop_token& stop) {
  constexpr std::chrono::milliseconds look_at_least{10};
  const auto look = std::max(look_at_least, options_.checkpoint_every / 8);
  while (!stop.stop_requested()) {  // a wait says that one is due also when it is told to stop
    std::unique_ptr<Begun> agreed;
    {
      std::unique_lock due_lock(due_lock_);
      const auto wanted = [this] { return agreed_ || due() || due_by_time(); };
      if (options_.checkpoint_every.count() != 0)
        due_changed_.wait_for(due_lock, stop, look, wanted);
      else
        due_changed_.wait(due_lock, stop, wanted);
      agreed.swap(agreed_);
    }
    if (stop.stop_requested()) return;
    if (agreed) {
      write_agreed(*agreed);
      continue;
    }
    if (!due() && !due_by_time()) continue;
    const auto status = checkpoint();
    if (status.ok() || status.code() == ErrorCode::interrupted) continue;
    log_at_last_ = log_before_ + rounds_->written_bytes();
    last_time_ = std::chrono::steady_clock::now().time_since_epoch().count();
    std::fprintf(stderr, "exdb: warning: database '%s' made no checkpoint: %s\n",
                 options_.name.c_str(), status.text().c_str());
  }
}

void Durable::begin_agreed(Round round) {
  auto begun = begin(history_->state_after(round));
  const std::lock_guard lock(due_lock_);
  agreed_ = std::move(begun);  // F4
  agreed_busy_ = true;
  due_changed_.notify_all();
}

void Durable::write_agreed(Begun& begun) {
  const auto round = begun.at.chain.round;
  (void)write_guarded(
      [&] {
        // One by size or time has come in between: it has more.
        return round < last_ ? Status() : write(begun, stop_.get_token());
      },
      [&](const Status& status) {
        if (written_) written_(round, status);
      });
  const std::lock_guard lock(due_lock_);
  agreed_busy_ = agreed_ != nullptr;
  due_changed_.notify_all();
}

void Durable::finish_agreed(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(due_lock_);
  due_changed_.wait_until(lock, until, [this] { return !agreed_busy_; });
}

Status Durable::checkpoint() {
  Status status;
  do {
    status = write_guarded([this] {
      std::unique_ptr<Begun> begun;
      {
        const std::lock_guard lock(*lock_);
        auto at = rounds_->state();
        if (at.chain.round == last_ && replica_->names().files_to_remove().empty()) return Status();
        begun = begin(at);
      }
      return write(*begun, stop_.get_token());
    });
    // The state may have been replaced meanwhile by that of another node.
  } while (stable_ && status.code() == ErrorCode::interrupted && !stop_.stop_requested());
  return status;
}

/// What failed is told before it ends this node, which then tells nothing more.
Status Durable::write_guarded(const std::function<Status()>& what,
                              const std::function<void(const Status&)>& tell) {
  Status status;
  bool stops = false;
  {
    const std::lock_guard writing(writing_);
    if (closed_) return {ErrorCode::invalid_handle, "the database is closed"};
    status = rounds_->failure();
    if (status.ok()) {
      status = what();
      stops = !status.ok() && !harmless(status.code());
    }
  }
  if (tell) tell(status);
  if (stops) rounds_->stop(status);
  return status;
}

/// Under the replica's lock, between two rounds.
std::unique_ptr<Durable::Begun> Durable::begin(LoggedRounds::State at) {
  auto made = std::make_unique<Begun>();
  auto& begun = *made;
  begun.at = at;
  begun.log_bytes = log_before_ + rounds_->written_bytes();
  auto writer = SnapshotWriter::begin(*replica_, at.chain, file_bounds);
  begun.status = writer.status();
  if (writer) begun.stream.emplace(std::move(*writer));
  return made;
}

Status Durable::write(Begun& begun, const std::stop_token& stop) {
  if (!begun.stream) return begun.status;
  const auto& at = begun.at;
  // A checkpoint is never ahead of its log.
  if (auto status = rounds_->in_turn([](RoundLog& log) { return log.settle(); }); !status)
    return status;
  if (auto status =
          write_named(*folder_, identity_, dictionary_, history_ != nullptr || stable_ != nullptr,
                      replica_->names(), at.chain.round, stop);
      !status)
    return status;
  if (at.chain.round == last_) return {};
  bytes_now_ = 0;
  CheckpointProgress told(*begun.stream, options_.name, bytes_now_);
  auto bytes = write_checkpoint(*folder_, identity_, at.chain, at.marks, told, stop,
                                [&](const std::function<Status()>& name_it) {
                                  return stable_ ? in_turn(at, [&](RoundLog&) { return name_it(); })
                                                 : name_it();
                                });
  if (!bytes) return bytes.status();
  last_ = at.chain.round;
  last_bytes_ = *bytes;
  log_at_last_ = begun.log_bytes;
  last_time_ = std::chrono::steady_clock::now().time_since_epoch().count();
  ++checkpoints_;
  return drop(at);
}

/// What is done of a state is done while it is the one in the folder.
Status Durable::in_turn(const LoggedRounds::State& applied,
                        const std::function<Status(RoundLog&)>& what) {
  return rounds_->in_turn([&](RoundLog& log) {
    return log.restarts() == applied.restarts
               ? what(log)
               : Status(ErrorCode::interrupted, "the state was replaced by that of another node");
  });
}

Result<std::unique_ptr<Replica>> Durable::read_named(const NamedSnapshot& snapshot,
                                                     const StorageOptions& storage) {
  const std::lock_guard writing(writing_);
  if (closed_) return Status(ErrorCode::invalid_handle, "the database is closed");
  return exdb::read_named(*folder_, identity_, dictionary_, storage, snapshot);
}

bool Durable::never_came(TxnId id) const {
  return id.origin == NodeId{} && id.sequence != 0 && id.sequence < first_number_ &&
         id.sequence + OutcomeTable::remembered > highest_recovered_;
}

Status Durable::drop(const LoggedRounds::State& applied) {
  OpenFiles going;  // what they take is given back when the turn is over
  return in_turn(applied, [&, upto = applied.chain.round](RoundLog& log) {
    if (auto status = drop_checkpoints_before(*folder_, upto, &going); !status) return status;
    return log.drop_before(upto, &going);
  });
}

Status Durable::close() {
  stop_.request_stop();
  writer_.request_stop();
  if (writer_.joinable()) writer_.join();
  const std::lock_guard writing(writing_);
  if (closed_) return {};
  closed_ = true;
  if (arriving_) arriving_->end_writing();
  auto status = rounds_ == nullptr ? Status() : rounds_->close();
  folder_.reset();
  return status;
}

Durable::Counters Durable::counters() const {
  return {rounds_->rounds(), rounds_->written_bytes(), rounds_->groups(), checkpoints_.load(),
          last_bytes_.load()};
}

}  // namespace exdb
