// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/connection.hpp"

#include "database/transaction.hpp"

namespace exdb {

Connection::Connection(std::shared_ptr<DatabaseCore> core)
    : state_(std::make_unique<Transaction>(std::move(core))) {}

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

std::optional<Object> Connection::find(const IndexDef& index, std::span<const Value> key) {
  state_->statement();
  const auto& type = state_->dictionary().class_of(index.class_id);
  if (key.size() != index.parts.size() || index.parts.empty())
    return cursor(type, &index).find(key);
  KeyBytes bytes;
  make_key(index, key, bytes);
  const auto row = state_->find(index, bytes);
  return row ? std::optional(object(type, *row)) : std::nullopt;
}

std::vector<std::optional<Object>> Connection::find_many(const IndexDef& index,
                                                         std::span<const std::vector<Value>> keys) {
  state_->statement();
  const auto& type = state_->dictionary().class_of(index.class_id);
  std::vector<std::optional<Object>> found(keys.size());
  // The batch looks keys up beside each other in the snapshot alone; own writes and reads that have
  // to be remembered take the way of find().
  if (state_->work().touches(type.id) || state_->records_reads() || index.parts.empty()) {
    for (std::size_t i = 0; i < keys.size(); ++i) found[i] = find(index, keys[i]);
    return found;
  }
  std::vector<KeyBytes> bytes(keys.size());
  std::vector<Bytes> views(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].size() != index.parts.size()) {
      throw Error(ErrorCode::conversion, "find_many needs whole keys: index " + index.name +
                                             " of class " + type.name + " has " +
                                             std::to_string(index.parts.size()) + " parts");
    }
    make_key(index, keys[i], bytes[i]);
    views[i] = bytes[i];
  }
  std::vector<SlotId> slots(keys.size());
  state_->snapshot_of(type).find_many(index.id, views, slots);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (slots[i] != SlotId::none()) found[i] = object(type, RowId::of(slots[i]));
  }
  return found;
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

ConnectionStatistics Connection::statistics() const { return state_->statistics(); }

}  // namespace exdb
