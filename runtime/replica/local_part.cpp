// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/local_part.hpp"

#include <utility>

#include "base/assert.hpp"

namespace exdb {
namespace {

/// Gives the turn back at the end of a scope, unless it was kept.
class Turn {
 public:
  explicit Turn(std::binary_semaphore& turn) : turn_(&turn) {}
  ~Turn() {
    if (turn_ != nullptr) turn_->release();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  void keep() { turn_ = nullptr; }

 private:
  std::binary_semaphore* turn_;
};

}  // namespace

LocalPart::LocalPart(const Dictionary& dictionary, const Replaceable<Storage>& replicated,
                     const std::atomic<std::uint64_t>& history,
                     const std::unique_ptr<Certifier>& certifier, HalfWay& half_way,
                     const JointWords& joint)
    : replicated_(replicated),
      history_(history),
      replicated_certifier_(certifier),
      half_way_(half_way),
      joint_(joint),
      log_(dictionary) {}

Result<std::unique_ptr<LocalPart>> LocalPart::create(std::shared_ptr<const Dictionary> dictionary,
                                                     StorageOptions options,
                                                     const Replaceable<Storage>& replicated,
                                                     const std::atomic<std::uint64_t>& history,
                                                     const std::unique_ptr<Certifier>& certifier,
                                                     HalfWay& half_way, const JointWords& joint) {
  std::unique_ptr<LocalPart> part(
      new LocalPart(*dictionary, replicated, history, certifier, half_way, joint));
  options.segment.shared = false;
  options.holds = [](const ClassDef& type) { return type.local; };
  auto storage = Storage::create(std::move(dictionary), options);
  if (!storage) return storage.status();
  part->storage_ = std::move(*storage);
  part->storage_->set_index_changes(&part->log_);
  part->certifier_ = std::make_unique<Certifier>(*part->storage_, part->log_);
  return part;
}

Status LocalPart::pin(Snapshots& out) {
  for (;;) {
    const auto before = joint_publications_.load(std::memory_order_acquire);
    if (attached() && before % 2 == 1) {
      const std::lock_guard lock(prepared_mutex_);
      auto pinned = pin_beside_prepared(out);
      if (!pinned.ok() || *pinned) return pinned.status();
      continue;
    }
    auto replicated = replicated_->pin();
    if (!replicated) return replicated.status();
    auto local = storage_->pin();
    if (!local) return local.status();
    out.replicated = std::move(*replicated);
    out.local = std::move(*local);
    // csns never fall within a history: what is published still was so when the local one was pinned.
    // Without that a local commit could be seen beside a state older than the one it was made on.
    if (before % 2 == 0 && replicated_->published() == out.replicated.csn() &&
        joint_publications_.load(std::memory_order_acquire) == before)
      return {};
  }
}

/// False when nothing is prepared any more. The local part changes by nobody else meanwhile: what is
/// prepared has the turn.
Result<bool> LocalPart::pin_beside_prepared(Snapshots& out) {
  if (!prepared_) return false;
  auto replicated = replicated_->pin();
  if (!replicated) return replicated.status();
  out.replicated = std::move(*replicated);
  // After the pin: a published csn was decided before. And decided beyond the pin: it is shown by the
  // next one.
  const auto decided = joint_.decided->load();
  if (decided != 0 && Csn{decided - 1} <= out.replicated.csn())
    if (auto status = install_prepared(); !status.ok()) return status;
  auto local = storage_->pin();
  if (!local) return local.status();
  out.local = std::move(*local);
  return true;
}

bool LocalPart::is_published() const {
  const auto decided = joint_.decided->load();
  return decided != 0 && Csn{decided - 1} <= replicated_->published();
}

Status LocalPart::install_prepared() {
  struct AtEnd {
    LocalPart& part;
    ~AtEnd() { part.end_prepared(); }
  };
  const AtEnd at_end{*this};
  try {
    HalfWay::Change change(half_way_);
    TransactionRecord record;
    const auto status = TransactionRecord::decode(storage_->dictionary(), prepared_->bytes, record);
    EXDB_ASSERT(status.ok(), "a record that this node encoded can be decoded");
    certifier_->apply(record, storage_->applied().next());
    storage_->publish();
    change.done();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::no_memory, HalfWay::text};
  }
  log_.prune(open_.oldest(*storage_));
  return {};
}

void LocalPart::end_prepared() {
  prepared_.reset();
  joint_.sequence->store(0);
  joint_publications_.fetch_add(1, std::memory_order_acq_rel);
  turn_.release();
}

Status LocalPart::committed(std::uint64_t sequence) {
  const std::lock_guard lock(prepared_mutex_);
  if (!prepared_ || prepared_->sequence != sequence) return {};
  EXDB_ASSERT(is_published(), "L5: what is answered was told before, and published");
  return install_prepared();
}

/// True when the prepared transaction will never be resolved by a round, and is dropped.
bool LocalPart::give_up_if_ended() {
  const std::lock_guard lock(prepared_mutex_);
  if (!prepared_ || !prepared_->item || !prepared_->item->done.load(std::memory_order_acquire))
    return false;
  if (attached()) {
    // Who submitted it may ask for its answer much later: here the words say it.
    if (is_published())
      (void)install_prepared();
    else
      end_prepared();
    return turn_.try_acquire();
  }
  prepared_.reset();
  return true;
}

bool LocalPart::take_turn(std::chrono::microseconds patience) {
  if (turn_.try_acquire_for(patience)) return true;
  // Its turn passes to who found it: who submitted it may wait for its answer much later, or never.
  return give_up_if_ended();
}

/// Its place among the replicated transactions is where they are now: held there by the lock.
ItemOutcome LocalPart::certify(const TransactionRecord& record, TransactionRecord& reads,
                               std::mutex& drive_lock) {
  auto verdict = certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) return {verdict.code, {}, std::move(verdict.text)};
  if (!reads.serializable && !reads.exclusive) return {};
  if (attached()) return certify_unmoved(reads);
  reads.normalise_reads();
  const std::lock_guard lock(drive_lock);
  if (reads.history != history_) {
    const auto why = history_given_up();
    return {why.code(), {}, why.text()};
  }
  verdict = replicated_certifier_->certify(reads, true);
  return {verdict.code, {}, std::move(verdict.text)};
}

/// The log of changes is in the process that installs them. So it commits if nothing at all was: its
/// place is at its snapshot then. To ask the leader was thought of instead: it would cost a hand-over
/// for classes that are meant for what one process keeps for itself.
ItemOutcome LocalPart::certify_unmoved(const TransactionRecord& reads) const {
  const bool none = reads.ranges.empty() && reads.rows.empty() && reads.classes.empty();
  if ((none && !reads.exclusive) || replicated_->published() == reads.snapshot) return {};
  return {ErrorCode::conflict,
          {},
          "conflict: replicated classes have changed since this transaction began, and here (the "
          "replica is kept by the leader of this host) it cannot be told whether that was what it "
          "has read; run the transaction again"};
}

ItemOutcome LocalPart::commit(TransactionRecord& record, TransactionRecord& reads,
                              std::mutex& drive_lock) {
  const Turn turn(turn_);
  if (half_way_.failed()) return {ErrorCode::no_memory, {}, HalfWay::text};
  record.normalise_ops();
  record.normalise_reads();
  auto outcome = certify(record, reads, drive_lock);
  if (outcome.code == ErrorCode::ok) {
    // Not under the drive lock: rounds go on meanwhile, and what they publish is another storage.
    HalfWay::Change change(half_way_);
    certifier_->apply(record, storage_->applied().next());
    storage_->publish();
    change.done();
    log_.prune(open_.oldest(*storage_));
  }
  outcome.csn = replicated_->published();
  return outcome;
}

ItemOutcome LocalPart::prepare(std::uint64_t sequence, TransactionRecord record) {
  Turn turn(turn_);
  if (half_way_.failed()) return {ErrorCode::no_memory, {}, HalfWay::text};
  record.normalise_ops();
  record.normalise_reads();
  auto verdict = certifier_->certify(record, true);
  if (verdict.code != ErrorCode::ok) return {verdict.code, {}, std::move(verdict.text)};
  // Encoded, since its ops are views into a workspace that may be gone when the round comes.
  Prepared prepared;
  prepared.sequence = sequence;
  record.encode(prepared.bytes);
  const std::lock_guard lock(prepared_mutex_);
  if (attached()) {
    joint_.decided->store(0);
    joint_.sequence->store(sequence);
    joint_publications_.fetch_add(1, std::memory_order_acq_rel);
  }
  prepared_ = std::move(prepared);
  turn.keep();
  return {};
}

void LocalPart::sent(std::uint64_t sequence, std::shared_ptr<PendingItem> item) {
  // Its round may have come already, and another transaction may be prepared by now.
  const std::lock_guard lock(prepared_mutex_);
  if (prepared_ && prepared_->sequence == sequence) prepared_->item = std::move(item);
}

std::optional<std::vector<std::byte>> LocalPart::take_prepared(std::uint64_t sequence) {
  const std::lock_guard lock(prepared_mutex_);
  if (!prepared_ || prepared_->sequence != sequence) return std::nullopt;
  auto bytes = std::move(prepared_->bytes);
  prepared_.reset();
  return bytes;
}

void LocalPart::drop(std::uint64_t sequence) {
  if (attached()) {
    const std::lock_guard lock(prepared_mutex_);
    if (!prepared_ || prepared_->sequence != sequence) return;
    // An answer that was lost with the leader may have been a good one.
    return is_published() ? static_cast<void>(install_prepared()) : end_prepared();
  }
  if (take_prepared(sequence)) turn_.release();
}

bool LocalPart::settle(std::uint64_t sequence, bool committed) {
  auto bytes = take_prepared(sequence);
  if (!bytes) return false;
  if (!committed) {
    turn_.release();
    return false;
  }
  // Not before publish(): the next one would be certified against what nobody can see yet.
  consumed_ = true;
  TransactionRecord record;
  const auto status = TransactionRecord::decode(storage_->dictionary(), *bytes, record);
  EXDB_ASSERT(status.ok(), "a record that this node encoded can be decoded");
  certifier_->apply(record, storage_->applied().next());
  return true;
}

void LocalPart::publish(Csn replicated) {
  joint_publications_.fetch_add(1, std::memory_order_acq_rel);
  replicated_->publish(replicated);
  storage_->publish();
  joint_publications_.fetch_add(1, std::memory_order_acq_rel);
  log_.prune(open_.oldest(*storage_));
}

void LocalPart::end_round() {
  if (std::exchange(consumed_, false)) turn_.release();
}

}  // namespace exdb
