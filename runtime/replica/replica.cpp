// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/replica.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace exdb {

Replica::Replica(std::shared_ptr<const Dictionary> dictionary, bool clustered, NodeId self)
    : dictionary_(std::move(dictionary)),
      clustered_(clustered),
      self_(self),
      log_(std::make_unique<ConflictLog>(*dictionary_)) {}

Result<std::unique_ptr<Replica>> Replica::create(std::shared_ptr<const Dictionary> dictionary,
                                                 const StorageOptions& options, bool clustered,
                                                 NodeId self) {
  std::unique_ptr<Replica> replica(new Replica(dictionary, clustered, self));
  auto in_replicated = options;
  in_replicated.holds = [clustered](const ClassDef& type) { return !clustered || !type.local; };
  auto replicated = Storage::create(dictionary, in_replicated);
  if (!replicated) return replicated.status();
  replica->replicated_.set(std::move(*replicated));
  replica->replicated_->set_index_changes(replica->log_.get());
  replica->certifier_ = std::make_unique<Certifier>(*replica->replicated_, *replica->log_);
  bool any_local = false;
  for (const auto& type : dictionary->classes()) any_local |= type.local;
  if (!clustered || !any_local) return replica;
  auto local = LocalPart::create(dictionary, options, replica->replicated_, replica->history_,
                                 replica->certifier_, replica->half_way_);
  if (!local) return local.status();
  replica->local_ = std::move(*local);
  return replica;
}

Result<std::unique_ptr<Replica>> Replica::attach(std::shared_ptr<const Dictionary> dictionary,
                                                 int fd, const StorageOptions& local, NodeId self,
                                                 OldestOpenWord* oldest_open,
                                                 const JointWords& joint) {
  std::unique_ptr<Replica> replica(new Replica(dictionary, true, self));
  replica->attached_ = true;
  auto replicated = Storage::attach(dictionary, fd);
  if (!replicated) return replicated.status();
  replica->replicated_.set(std::move(*replicated));
  replica->open_.tell(oldest_open);
  bool any_local = false;
  for (const auto& type : dictionary->classes()) any_local |= type.local;
  if (!any_local) return replica;
  auto part = LocalPart::create(dictionary, local, replica->replicated_, replica->history_,
                                replica->certifier_, replica->half_way_, joint);
  if (!part) return part.status();
  replica->local_ = std::move(*part);
  return replica;
}

/// R7: the number was there before the pin, and replace() counts last, so what is pinned is of that
/// history or, should it be given up right now, of the next one: it is refused then.
Result<std::shared_ptr<Snapshots>> Replica::pin() {
  auto snapshots = std::make_shared<Snapshots>();
  do {
    snapshots->history = history();
    if (local_) {
      if (auto status = local_->pin(*snapshots); !status) return status;
      continue;
    }
    auto replicated = replicated_->pin();
    if (!replicated) return replicated.status();
    snapshots->replicated = std::move(*replicated);
  } while (history() != snapshots->history);
  return snapshots;
}

Result<std::shared_ptr<Snapshots>> Replica::pin_older(Csn csn) {
  auto snapshots = std::make_shared<Snapshots>();
  snapshots->history = history();
  if (local_)
    if (auto status = local_->pin(*snapshots); !status) return status;
  auto replicated = replicated_->pin_older(csn);
  if (!replicated) return replicated.status();
  snapshots->replicated = std::move(*replicated);
  return snapshots;
}

bool Replica::current(const Snapshots& snapshots) const {
  return history() == snapshots.history && replicated_->published() == snapshots.replicated.csn() &&
         (!local_ || local_->storage().published() == snapshots.local.csn());
}

Replica::Registered Replica::register_open() {
  return {open_.open(*replicated_), local_ ? local_->open().open(local_->storage()) : Csn{}};
}

void Replica::release_open(const Registered& open) {
  open_.close(open.replicated);
  if (local_) local_->open().close(open.local);
}

Csn Replica::oldest_snapshot() const {
  // In this order: what is published is read first (OpenSnapshots I1).
  const auto oldest = open_.oldest(*replicated_);
  return readers_ == nullptr ? oldest : std::min(oldest, readers_->oldest_open());
}
Csn Replica::published() const { return replicated_->published(); }
std::uint64_t Replica::digest() const { return replicated_->digest(); }

StorageStatistics Replica::storage_statistics() const {
  auto sum = replicated_->statistics();
  if (local_) {
    const auto more = local_->storage().statistics();
    sum.bytes_reserved += more.bytes_reserved;
    sum.bytes_used += more.bytes_used;
    sum.garbage += more.garbage;
    sum.rows += more.rows;
  }
  return sum;
}

const WriteOp* Replica::hopeless(const TransactionRecord& record) const {
  for (const auto& op : record.ops) {
    if (op.names_slot() && replicated_->newest_csn(op.cls, SlotId{op.row}) > op.base) return &op;
  }
  return nullptr;
}

Csn Replica::newest_change(const ClassDef& type, SlotId slot) const {
  return (is_local(type) ? local_->storage() : *replicated_).newest_csn(type.id, slot);
}

Replica::Arrived& Replica::next_arrived(std::size_t item) {
  if (arrived_count_ == arrived_.size()) arrived_.emplace_back();
  auto& arrived = arrived_[arrived_count_++];
  arrived.item = item;
  arrived.record.clear();
  arrived.fragments.clear();
  arrived.parts_missing = false;
  return arrived;
}

/// The ops that were sent ahead come before those of the record itself, which may overrule them.
Status Replica::add_fragments(const RoundItem& item, Arrived& arrived) {
  const auto found = fragments_.find({item.origin, item.sequence});
  if (found == fragments_.end()) return {};
  arrived.fragments = std::move(found->second.parts);
  fragments_.erase(found);
  std::vector<WriteOp> ops;
  for (const auto& fragment : arrived.fragments) {
    ByteReader in(fragment);
    (void)in.get_varint();  // its number
    const Csn snapshot{in.get_varint()};
    if (auto status = TransactionRecord::decode_ops(*dictionary_, snapshot, in, ops); !status)
      return status;
  }
  auto& own = arrived.record.ops;
  ops.insert(ops.end(), own.begin(), own.end());
  own = std::move(ops);
  return {};
}

Status Replica::assemble(const RoundItem& item, Arrived& arrived) {
  auto& record = arrived.record;
  if (auto status = TransactionRecord::decode(*dictionary_, item.bytes, record); !status)
    return status;
  if (!fragments_.empty()) {
    if (auto status = add_fragments(item, arrived); !status) return status;
  }
  arrived.parts_missing = arrived.fragments.size() != record.parts;
  // What began here was normalised and valid as it left. It is spared here alone, so nothing may
  // follow from it that the other nodes do not know.
  if (item.origin == self_ && arrived.fragments.empty()) return {};
  record.normalise_ops();
  record.drop_cancelled();
  record.normalise_reads();
  return item.origin == self_ ? Status() : certifier_->validate(record);
}

/// R6: the next one is kept, one that came before is not kept again, and after a gap nothing is: the
/// number of parts then tells that some are missing.
void Replica::keep_fragment(const RoundItem& item) {
  const TxnId id{item.origin, item.sequence};
  forget_former_life(id);
  // Of a transaction that has come: it came again.
  if (repeats_ && outcomes_.decided(id)) return;
  ByteReader in(item.bytes);
  const auto number = in.get_varint();
  const auto found = fragments_.find(id);
  if (number != (found == fragments_.end() ? 0 : found->second.parts.size())) return;
  auto& fragments = fragments_[id];
  fragments.member = item.member;
  fragments.parts.emplace_back(item.bytes.begin(), item.bytes.end());
  counters_.fragments.fetch_add(1, std::memory_order_relaxed);
}

/// What its origin had open when it ended and was started again will never be committed.
void Replica::forget_former_life(TxnId id) {
  auto at = fragments_.lower_bound({id.origin, 0});
  while (at != fragments_.end() && at->first.origin == id.origin &&
         at->first.sequence + OutcomeTable::life_gap <= id.sequence)
    at = fragments_.erase(at);
}

/// Reads the items of a round; the transactions among them go to arrived_, in order.
Status Replica::unpack(std::span<const RoundItem> items) {
  arrived_count_ = 0;
  gone_.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& item = items[i];
    switch (item.kind) {
      case RoundItem::Kind::fragment:
        keep_fragment(item);
        break;
      case RoundItem::Kind::discard:
        fragments_.erase({item.origin, item.sequence});
        break;
      case RoundItem::Kind::gone:
        gone_.push_back(item);
        break;
      case RoundItem::Kind::transaction:
        if (auto status = assemble(item, next_arrived(i)); !status) return status;
        break;
    }
  }
  return {};
}

/// Memory is asked for some transactions ahead of their turn: a round of small updates would
/// otherwise wait for each slot and each row (136 ns an update instead of 602, storage/README.md).
/// For a single op there is nothing to do meanwhile.
void Replica::fetch(std::size_t first) {
  const auto last = std::min(first + fetch_ahead, arrived_count_);
  if (last - first == 1 && arrived_[first].record.ops.size() == 1) return;
  const auto each = [&](auto&& what) {
    for (auto i = first; i < last; ++i) {
      for (const auto& op : arrived_[i].record.ops) {
        if (op.names_slot()) what(op);
      }
    }
  };
  each([&](const WriteOp& op) { replicated_->fetch_slot(op.cls, SlotId{op.row}); });
  each([&](const WriteOp& op) { replicated_->fetch_row(op.cls, SlotId{op.row}); });
}

ItemOutcome Replica::aborted(ErrorCode code, std::string text, bool mine) {
  counters_.aborted.fetch_add(1, std::memory_order_relaxed);
  if (!mine) counters_.remote_aborted.fetch_add(1, std::memory_order_relaxed);
  return {code, {}, std::move(text)};
}

ItemOutcome Replica::settle(const Arrived& arrived, bool mine) {
  const auto& record = arrived.record;
  if (arrived.parts_missing) {
    return aborted(ErrorCode::conflict,
                   "a part of this transaction that was sent ahead was lost when the nodes that "
                   "take part changed: begin it again",
                   mine);
  }
  auto verdict = certifier_->certify(record, mine);
  if (verdict.code != ErrorCode::ok) return aborted(verdict.code, std::move(verdict.text), mine);
  applied_ = applied_.next();
  certifier_->apply(record, applied_);
  counters_.committed.fetch_add(1, std::memory_order_relaxed);
  if (!mine) counters_.remote_committed.fetch_add(1, std::memory_order_relaxed);
  if (!record.snapshot_name.empty())
    (AgreedWords::is_word(record.snapshot_name) ? saying_ : naming_)
        .push_back({record.snapshot_name, record.drops_name, record.snapshot});
  counters_.rows_written.fetch_add(record.ops.size(), std::memory_order_relaxed);
  return {ErrorCode::ok, applied_, {}};
}

void Replica::settle_all(std::span<const RoundItem> items, const std::vector<bool>& mine,
                         std::vector<ItemOutcome>& outcomes) {
  HalfWay::Change change(half_way_);
  struct EndRound {
    LocalPart* local;
    ~EndRound() {
      if (local != nullptr) local->end_round();
    }
  };
  const EndRound at_end{local_.get()};
  bool local_too = false;
  for (std::size_t i = 0; i < arrived_count_; ++i) {
    if (i % fetch_ahead == 0) fetch(i);
    const auto at = arrived_[i].item;
    auto known = repeats_ ? decided(items[at]) : std::nullopt;
    outcomes[at] = known ? std::move(*known) : settle(arrived_[i], mine[at]);
    if (items[at].origin != self_) {
      if (readers_ != nullptr && mine[at] && outcomes[at].code == ErrorCode::ok)
        readers_->committing({items[at].origin, items[at].sequence}, outcomes[at].csn);
      continue;
    }
    if (local_) local_too |= local_->settle(items[at].sequence, outcomes[at].code == ErrorCode::ok);
  }
  if (local_too) {
    local_->publish(applied_);
  } else if (arrived_count_ != 0) {
    replicated_->publish(applied_);
  }
  see_autoids();
  remember(items, outcomes);
  change.done();
}

/// Of one that came before. Its csn is not kept: that of the newest commit stands for it, which has it
/// too. R5.
std::optional<ItemOutcome> Replica::decided(const RoundItem& item) const {
  const auto code = outcomes_.decided({item.origin, item.sequence});
  if (!code) return std::nullopt;
  if (*code == ErrorCode::ok) return ItemOutcome{ErrorCode::ok, applied_, {}};
  return ItemOutcome{
      *code, {}, "it came a second time, after a change of view, and was decided then"};
}

void Replica::replace(std::unique_ptr<Replica> made, bool parted) {
  EXDB_ASSERT(!attached_ && readers_ == nullptr, "a replica that others read is not replaced");
  EXDB_ASSERT(parted || made->applied_ >= applied_, "a state is replaced by one that is not older");
  replicated_->set_index_changes(nullptr);
  replicated_.set(made->replicated_.take());
  log_ = std::move(made->log_);
  certifier_ = std::move(made->certifier_);
  applied_ = made->applied_;
  horizon_ = made->horizon_;
  fragments_ = std::move(made->fragments_);
  outcomes_.replace(made->outcomes_);
  names_.replace(made->names_);
  see_autoids();
  if (parted) history_.fetch_add(1, std::memory_order_release);
}

/// Once the round is published: its state is what was named, wherever in the round that was.
void Replica::name_state(Round round) {
  for (auto& naming : naming_) {
    if (naming.drops) {
      names_.drop(naming.name, round);
      continue;
    }
    NamedSnapshot given{
        std::move(naming.name), applied_, round, replicated_->digest(), {}, false, {}, false};
    auto pinned = pin();
    if (pinned)
      given.pinned = std::move(*pinned);
    else
      given.why_not = pinned.status();
    names_.set(std::move(given));
  }
  naming_.clear();
}

/// When nothing of the round is left to do: a checkpoint is of the whole state.
void Replica::say_words(Round round) {
  for (const auto& each : saying_) words_.said(each.name, each.seen, applied_, round);
  saying_.clear();
}

Status Replica::apply_round(Round round, std::span<const RoundItem> items, Csn horizon,
                            const std::vector<bool>& mine, std::vector<ItemOutcome>& outcomes) {
  EXDB_ASSERT(!attached_, "rounds are applied by the process that made the replica");
  // Memory for a large round, or for fragments, may be wanting before anything is installed: the
  // node has to stop all the same, for the round is agreed and this replica does not have it.
  try {
    outcomes.assign(items.size(), {});
    if (half_way_.failed()) return {ErrorCode::no_memory, HalfWay::text};
    if (auto status = unpack(items); !status) return status;
    settle_all(items, mine, outcomes);
    if (!naming_.empty()) name_state(round);
    for (const auto& item : gone_) forget_origin(item);
  } catch (const Error& error) {
    return {error.code(), std::string("this replica cannot go on: ") + error.what()};
  } catch (const std::bad_alloc&) {
    return {ErrorCode::no_memory,
            "this replica cannot go on: out of memory while a round was applied"};
  }
  horizon_ = std::max(horizon_, horizon);
  log_->prune(horizon_);
  if (!saying_.empty()) say_words(round);
  return {};
}

/// What it never sent, as its window held it when it left, is known not to be committed from here on.
void Replica::forget(MemberId member) {
  // While membership is fixed nobody else sends for these.
  if (origins_.empty())
    outcomes_.end(NodeId{member.value});
  else
    for (const auto origin : origins_[member.value]) outcomes_.end(origin);
  std::erase_if(fragments_, [&](const auto& entry) { return entry.second.member == member; });
}

/// Its transactions of this very round are settled. A member ends none but those it sends for.
void Replica::forget_origin(const RoundItem& gone) {
  if (origins_.empty()) return;
  const auto& own = origins_[gone.member.value];
  if (std::find(own.begin(), own.end(), gone.origin) == own.end()) return;
  outcomes_.end(gone.origin);
  std::erase_if(fragments_, [&](const auto& entry) { return entry.first.origin == gone.origin; });
}

void Replica::forget_others(std::span<const MemberId> members) {
  if (fragments_.empty()) return;
  std::erase_if(fragments_, [&](const auto& entry) {
    return std::find(members.begin(), members.end(), entry.second.member) == members.end();
  });
}

/// After publishing, so that who is told of a commit finds it.
void Replica::remember(std::span<const RoundItem> items, const std::vector<ItemOutcome>& outcomes) {
  if (arrived_count_ == 0) return;
  OutcomeTable::Writer writer(outcomes_);
  for (std::size_t i = 0; i < arrived_count_; ++i) {
    const auto at = arrived_[i].item;
    const TxnId id{items[at].origin, items[at].sequence};
    writer.record(id, outcomes[at].code);
    if (readers_ != nullptr) readers_->decided(id, outcomes[at].code);
  }
}

}  // namespace exdb
