// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/connection.hpp"

#include "database/transaction.hpp"

namespace exdb {

Connection::Connection(std::shared_ptr<DatabaseCore> core, std::shared_ptr<Snapshots> at)
    : state_(std::make_unique<Transaction>(std::move(core), std::move(at))) {}

Connection::~Connection() { close(); }

void Connection::close() { state_->close(); }

bool Connection::is_open() const { return state_->open() && state_->core().open.load(); }

void Connection::start(const TransactionOptions& options) { state_->begin(options); }
CommitResult Connection::commit() { return state_->commit(); }
void Connection::commit_later() { state_->commit_later(); }
CommitResult Connection::wait() { return state_->wait_later(); }
void Connection::rollback() { state_->rollback(); }
bool Connection::in_transaction() const { return state_->active(); }

Csn Connection::snapshot() const {
  state_->require_active();
  return state_->snapshots()->replicated.csn();
}

Object Connection::object(const ClassDef& type, RowId row) {
  Object object;
  object.state_ = state_.get();
  object.generation_ = state_->generation();
  object.class_ = type.id;
  object.row_ = RowHandle::of(row, state_->statement_number()).value;
  return object;
}

Object Connection::create(const ClassDef& type) { return object(type, state_->insert(type)); }

void Connection::insert_many(const ClassDef& type, std::size_t rows,
                             std::span<const Column> columns) {
  state_->require_writable();
  state_->insert_many(type, RowsOfColumns(type, rows, columns));
}

/// An object of another connection belongs to another transaction, whose writes this one may not
/// touch.
void Connection::remove(const Object& object) {
  state_->require_active();
  if (object.state_ != state_.get()) {
    throw Error(ErrorCode::invalid_handle, "this object belongs to another connection");
  }
  Object(object).remove();
}

std::uint64_t Connection::delete_all(const ClassDef& type) {
  state_->require_writable();
  std::uint64_t removed = 0;
  auto all = cursor(type);
  while (const auto next = all.next()) {
    state_->remove(type, RowHandle{next->row_});
    ++removed;
  }
  return removed;
}

std::uint64_t Connection::count(const ClassDef& type) {
  std::uint64_t rows = 0;
  for (auto all = cursor(type); all.next();) ++rows;
  return rows;
}

/// Not by way of the transaction: whoever listens or stops speaks for the node.
void Connection::listen() {
  state_->require_connection();
  state_->core().require_cluster("listen()").listen().or_throw();
}

void Connection::stop(std::optional<std::chrono::milliseconds> deadline) {
  state_->require_connection();
  auto& node = state_->core().require_cluster("stop()");
  if (state_->active()) {
    throw Error(
        ErrorCode::transaction_active,
        "stop(): a transaction is open on this connection; commit() or rollback() it first");
  }
  node.stop(deadline).or_throw();
}

ConnectionStatistics Connection::statistics() const {
  auto statistics = state_->statistics();
  statistics.entries_walked = state_->work().entries_walked;
  return statistics;
}

}  // namespace exdb
