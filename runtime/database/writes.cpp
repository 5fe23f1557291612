// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Writes of a transaction against the limit of what one commit may carry: refused at the write that
// crosses it, where the program still knows what it was doing, and not at the commit.
#include <algorithm>

#include "database/autoids.hpp"
#include "database/transaction.hpp"
#include "schema/autoid.hpp"

namespace exdb {
namespace {

/// What a write may add beside its value: the op itself, alignment of what is put into the row.
constexpr std::size_t slack_bytes = 256;

}  // namespace

/// Parts go ahead between writes, when no builder is in use.
void Transaction::begin_write() {
  require_writable();
  fragments_.send_if_due();
}

bool Transaction::near_limit(const ClassDef& type, std::size_t incoming) const {
  if (route_.is_local(type)) return false;  // it travels nowhere
  const auto limit = route_.record_bytes_max(), unsent = fragments_.unsent_bytes();
  return unsent > limit || incoming > limit || incoming + slack_bytes > limit - unsent;
}

void Transaction::require_fits(const ClassDef& type, std::string_view field,
                               std::size_t bytes) const {
  const auto commit_max =
      route_.is_local(type) ? std::size_t{row_bytes_max} : route_.record_bytes_max();
  const auto limit = std::min<std::size_t>(row_bytes_max, commit_max);
  if (bytes <= limit) return;
  throw Error(ErrorCode::too_large,
              type.name + "." + std::string(field) + ": a value of " + std::to_string(bytes) +
                  " bytes is more than the " + std::to_string(limit) + " that one " +
                  (limit == row_bytes_max ? "row may have" : "commit may carry") +
                  ": store it as several rows" +
                  (limit == row_bytes_max ? "" : ", in several transactions"));
}

/// For what can only make the transaction larger.
void Transaction::require_room_for(const ClassDef& type, std::size_t incoming) {
  if (!near_limit(type, incoming)) return;
  const auto wanted = fragments_.recount() + incoming + slack_bytes;
  if (wanted > route_.record_bytes_max()) throw_too_large(wanted);
}

/// The sum counts gaps that replaced values have left; only what is too much with them is counted
/// without them.
void Transaction::require_room() {
  const auto limit = route_.record_bytes_max();
  if (fragments_.unsent_bytes() <= limit) return;
  if (const auto bytes = fragments_.recount(); bytes > limit) throw_too_large(bytes);
}

void Transaction::throw_too_large(std::size_t bytes) const {
  throw Error(ErrorCode::too_large,
              "with this write the transaction would have " + std::to_string(bytes) +
                  " bytes, more than the " + std::to_string(route_.record_bytes_max()) +
                  " that one commit may carry: commit() what is there and go on in another, or "
                  "store less in one row");
}

void Transaction::undo(WorkEntry& entry, const ClassDef& type, bool fresh,
                       std::optional<RowBuilder> before) {
  if (fresh) {
    fragments_.forget(entry);
    work_.take_back_update(type);
    return;
  }
  if (before) entry.builder = std::move(*before);
  fragments_.wrote(entry);
}

RowId Transaction::insert(const ClassDef& type) {
  begin_write();
  require_room_for(type, type.record.size);
  auto& entry = work_.insert(type);
  if (type.autoid) entry.builder.set_autoid(take_autoids(type, 1));
  fragments_.wrote(entry);
  return entry.id;
}

std::uint64_t Transaction::take_autoids(const ClassDef& type, std::uint64_t count) {
  const bool settled =
      core_->autoids_settled.load(std::memory_order_acquire) || settle_autoids(*core_);
  const auto first = core_->next_autoid.fetch_add(count, std::memory_order_relaxed);
  if (!settled && early_autoid_ == 0 && !route_.is_local(type)) early_autoid_ = first;
  return autoid_of(core_->self, first);
}

}  // namespace exdb
