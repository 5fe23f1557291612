// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/snapshot_view.hpp"

namespace exdb {
namespace {

[[noreturn]] void throw_changed(const ClassDef& type) {
  throw Error(ErrorCode::invalid_handle,
              "this row of class " + type.name +
                  " was changed or removed by a commit after the statement that found it, and the "
                  "transaction is read_committed: find it again");
}

}  // namespace

void SnapshotView::pin() {
  if (per_statement_ && statements_.size() >= RowHandle::statements_max) {
    throw Error(ErrorCode::too_large,
                "this read_committed transaction has had " + std::to_string(statements_.size()) +
                    " snapshots, as many as one may have: commit it and start another");
  }
  auto shown = at_ ? at_ : route_.pin().value();
  if (!at_ && now_ != nullptr && shown->history != history_) history_given_up().or_throw();
  history_ = shown->history;
  if (per_statement_) statements_.push_back({shown->replicated.csn(), shown->local.csn(), shown});
  now_ = std::move(shown);
}

void SnapshotView::begin(bool per_statement) {
  per_statement_ = per_statement;
  pin();
  first_ = now_->replicated.csn();
  first_local_ = now_->local.csn();
}

void SnapshotView::end() {
  statements_.clear();
  now_.reset();
}

/// Nothing published since: a new pin would show the same and cost a place among the readers.
void SnapshotView::next_statement() {
  if (per_statement_ && !route_.current(*now_)) pin();
}

bool SnapshotView::changed_since(const Statement& found, const ClassDef& type, SlotId slot) const {
  if (route_.history() != history_) return true;
  return route_.newest_change(type, slot) >
         (route_.is_local(type) ? found.local : found.replicated);
}

std::shared_ptr<Snapshots> SnapshotView::shown_to(const ClassDef& type, RowHandle handle) const {
  if (statements_.empty() || handle.statement() == statement_number()) return now_;
  const auto& past = statements_[handle.statement()];
  if (auto shown = past.shown.lock()) return shown;
  // Its snapshot is gone. Unchanged since, the newest shows the same row.
  if (changed_since(past, type, handle.row().slot())) throw_changed(type);
  return now_;
}

/// The entry was read at `base`. A handle of a statement before that, of a slot that was changed after
/// that statement, may mean a row that was there then.
void SnapshotView::require_same_row(const ClassDef& type, RowHandle handle, Csn base) const {
  if (statements_.empty() || handle.row().is_new()) return;
  const auto& found = statements_[handle.statement()];
  const auto at = route_.is_local(type) ? found.local : found.replicated;
  if (at < base && changed_since(found, type, handle.row().slot())) throw_changed(type);
}

}  // namespace exdb
