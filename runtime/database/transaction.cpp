// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How transactions begin, and what they give back at their end.
#include "database/transaction.hpp"

namespace exdb {

Transaction::Transaction(std::shared_ptr<DatabaseCore> core, std::shared_ptr<Snapshots> at)
    : core_(std::move(core)),
      route_(*core_->route),
      view_(route_, std::move(at)),
      work_(*core_->dictionary),
      fragments_(route_, work_) {}

void Transaction::require_connection() const {
  core_->require_open();
  if (!open_) {
    throw Error(ErrorCode::invalid_handle,
                "this connection is closed: connect() to the database again");
  }
}

void Transaction::require_active() const {
  require_connection();
  if (!active_) {
    throw Error(
        ErrorCode::transaction_not_active,
        "no transaction is open on this connection: call startTransaction() / start() first");
  }
}

void Transaction::require_writable() {
  require_active();
  if (!core_->read_only.empty()) throw Error(ErrorCode::access, core_->read_only);
  if (view_.fixed())
    throw Error(ErrorCode::access,
                "this connection reads a named snapshot, in which nothing can be changed");
  if (options_.type == TransactionType::read_only) {
    throw Error(ErrorCode::access,
                "this transaction is read-only: start it as READ_WRITE to change anything");
  }
  if (options_.type == TransactionType::update) options_.type = TransactionType::read_write;
}

/// Without an open transaction it is told of the one that is over, which says what to do: "none is
/// open, start one" leads to the next error.
void Transaction::require_generation(std::uint64_t of_handle, const char* what) const {
  require_connection();
  if (of_handle == generation_ && active_) return;
  if (active_) {
    throw Error(
        ErrorCode::invalid_handle,
        std::string(what) + " of a transaction that has ended: find it again in the open one");
  }
  throw Error(ErrorCode::transaction_not_active,
              std::string(what) +
                  " of a transaction that has ended: start another, and find it again there");
}

void Transaction::require_no_later() const {
  if (!later_) return;
  throw Error(ErrorCode::transaction_active,
              "a commit_later() of this connection is on its way: wait() for its result first");
}

/// Before the snapshot is pinned, and before the exclusive turn is taken: whoever waits for another
/// node here keeps nobody of this one waiting.
void Transaction::wait_for_state(const TransactionOptions& wanted) {
  if (wanted.fresh) route_.fresh().or_throw();
  if (wanted.at_least) route_.at_least(*wanted.at_least).or_throw();
}

void Transaction::begin(const TransactionOptions& wanted) {
  require_connection();
  if (active_) {
    throw Error(ErrorCode::transaction_active,
                "a transaction is already open on this connection: commit() or rollback() it "
                "first, or use another connection");
  }
  options_ = wanted;
  if (view_.fixed()) {
    // There is nothing to wait for, to be in conflict with, or to see anew.
    options_ = {};
    options_.type = TransactionType::read_only;
  }
  wait_for_state(options_);
  isolation_ =
      options_.isolation == Isolation::standard ? Isolation::repeatable_read : options_.isolation;
  if (options_.type == TransactionType::exclusive) {
    core_->exclusive_turn.take([this] { core_->require_open(); });
    has_turn_ = true;
  }
  try {
    // Registered before it pins: the horizon must not pass the snapshot in between.
    if (records_reads()) open_place_.emplace(route_);
    view_.begin(isolation_ == Isolation::read_committed);
  } catch (...) {
    give_back();
    throw;
  }
  fragments_.begin(view_.first(false), options_.priority);
  active_ = true;
  ++generation_;
}

/// The turn first: who waits for it need not wait for this one's memory to be freed.
void Transaction::give_back() {
  if (std::exchange(has_turn_, false)) core_->exclusive_turn.release();
  open_place_.reset();
  view_.end();
}

void Transaction::end() {
  give_back();
  out_.clear();  // its ops are views into the workspace
  work_.clear();
  own_keys_.clear();
  early_autoid_ = 0;
  fragments_.end();
  active_ = false;
  ++generation_;
}

/// Writes are no statements: a row is changed as the statement showed it that found it.
void Transaction::statement() {
  require_active();
  view_.next_statement();
}

void Transaction::rollback() {
  require_active();
  fragments_.discard();
  ++statistics_.rolled_back;
  core_->counters.rolled_back.fetch_add(1, std::memory_order_relaxed);
  end();
}

/// A commit that is on its way goes on, and nobody asks how it ends. It may not hold the horizon back
/// for that.
void Transaction::close() {
  if (!open_) return;
  open_ = false;
  if (active_) {
    fragments_.discard();
    end();
  }
  later_.reset();
  core_->connections.fetch_sub(1);
}

}  // namespace exdb
