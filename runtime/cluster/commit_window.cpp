// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "cluster/commit_window.hpp"

#include <algorithm>
#include <limits>

#include "exdb/large_buffers.hpp"

namespace exdb {
namespace {

/// In the byte of the kind: the origin follows. Most items are their member's own, and cost nothing.
constexpr std::uint8_t flag_origin = 0x80;

bool has_no_bounds(const ClusterWindow& bounds) {
  return bounds.bsize_bytes == 0 && bounds.length_transactions == 0;
}

/// A varint of this length, whatever the value: so the head of an item has one length.
void put_varint_of(std::size_t length, std::uint64_t value, std::byte*& to) {
  for (std::size_t at = 1; at < length; ++at, value >>= 7) *to++ = std::byte(value | 0x80);
  *to++ = std::byte(value);
}

/// The payload of a batch of this item alone, with room for the header of a frame before it.
std::vector<std::byte> in_place(PendingItem& item) {
  const auto length = item.record().size();
  auto* to = item.bytes.data() + frame_header_bytes;
  *to++ = std::byte(std::uint8_t(item.kind) | flag_origin);
  put_varint_of(5, item.origin.value, to);
  put_varint_of(10, item.sequence, to);
  put_varint_of(10, length, to);
  auto bytes = std::exchange(item.bytes, {});
  item.let_go_of_bytes();
  return bytes;
}

std::int64_t rank_of(const PendingItem& item) {
  using Limits = std::numeric_limits<std::int64_t>;
  if (item.kind == RoundItem::Kind::gone) return Limits::min();
  return item.kind == RoundItem::Kind::transaction ? item.priority : Limits::max();
}

}  // namespace

CommitWindow::CommitWindow(const ClusterWindow& bounds, std::uint32_t in_exchange_max,
                           std::chrono::nanoseconds held_max)
    : bounds_(bounds),
      in_exchange_max_(std::max(in_exchange_max, 1U)),
      held_max_(held_max),
      unbounded_(has_no_bounds(bounds)) {}

CommitWindow::Admission CommitWindow::add(const std::shared_ptr<PendingItem>& item) {
  const std::lock_guard lock(mutex_);
  if (abandoned_ || (shut_ && !item->of_engine)) return Admission::shut;
  if (outdated(*item)) return Admission::outdated;
  if (!has_room()) return Admission::full;
  // A reading of the clock is a fiftieth of a commit, and without bounds nobody asks for it.
  if (items_.empty() && !unbounded_) oldest_ = Clock::now();
  items_.push_back(item);
  item_bytes_ += item->bytes.size();
  ++in_exchange_;
  count_waiting();
  return Admission::accepted;
}

std::chrono::nanoseconds CommitWindow::due_in(Clock::time_point now) const {
  using std::chrono::nanoseconds;
  // Asked at every poll, and mostly there is nothing: without the lock.
  if (empty()) return nanoseconds::max();
  if (unbounded()) return nanoseconds(0);
  const std::lock_guard lock(mutex_);
  if (items_.empty()) return nanoseconds::max();
  const bool big = bounds_.bsize_bytes != 0 && item_bytes_ >= bounds_.bsize_bytes;
  const bool many =
      bounds_.length_transactions != 0 && items_.size() >= bounds_.length_transactions;
  if (shut_ || left_over_ || unbounded_ || big || many || !has_room()) return nanoseconds(0);
  constexpr std::uint64_t timeout_ms_max =
      86'400'000;  // a day: no bound in practice, and no overflow
  const nanoseconds held =
      bounds_.timeout_ms == 0
          ? held_max_
          : std::chrono::milliseconds(std::min(bounds_.timeout_ms, timeout_ms_max));
  return std::max(nanoseconds(0), nanoseconds(oldest_ + held - now));
}

CommitWindow::Taken CommitWindow::take(MemberId member, Items& items, std::vector<std::byte> room) {
  Taken taken;
  taken.payload = std::move(room);
  const std::lock_guard lock(mutex_);
  const auto before = [](const auto& a, const auto& b) { return rank_of(*a) > rank_of(*b); };
  // Sorted when it leaves rather than kept in order, so that add() stays a push. Nearly always it is
  // in order already, and a stable sort allocates even for one item.
  if (!std::is_sorted(items_.begin(), items_.end(), before))
    std::stable_sort(items_.begin(), items_.end(), before);
  std::size_t count = 0, bytes = 0;
  while (count < items_.size()) {
    const auto more = items_[count]->bytes.size() + item_overhead_bytes;
    if (count > 0 && bytes + more > batch_bytes_max) break;
    bytes += more;
    ++count;
  }
  if (count == 1 && items_[0]->head_room == item_head_room) {
    item_bytes_ -= items_[0]->bytes.size();
    taken.payload = in_place(*items_[0]);
    taken.head_room = frame_header_bytes;
  } else {
    // One allocation, which the batch takes over: the frame copies from it once.
    if (bytes > taken.payload.capacity()) taken.payload = LargeBuffers::shared().room(bytes);
    ByteWriter out(taken.payload);
    for (std::size_t i = 0; i < count; ++i) {
      auto& item = *items_[i];
      item_bytes_ -= item.bytes.size();
      encode_item({item.kind, member, item.origin, item.sequence, item.record()}, out);
      item.let_go_of_bytes();
    }
  }
  const auto end = items_.begin() + std::ptrdiff_t(count);
  items.insert(items.end(), std::make_move_iterator(items_.begin()), std::make_move_iterator(end));
  items_.erase(items_.begin(), end);
  taken.count = count;
  taken.more = left_over_ = !items_.empty();
  count_waiting();
  return taken;
}

void CommitWindow::shut() {
  const std::lock_guard lock(mutex_);
  shut_ = true;
}

CommitWindow::Items CommitWindow::abandon() {
  const std::lock_guard lock(mutex_);
  shut_ = abandoned_ = true;
  return take_waiting();
}

CommitWindow::Items CommitWindow::take_back() {
  const std::lock_guard lock(mutex_);
  return take_waiting();
}

/// REQUIRES: the mutex. A part that goes ahead does no harm: the transaction is refused.
bool CommitWindow::outdated(const PendingItem& item) const {
  return item.kind == RoundItem::Kind::transaction && item.history < history_;
}

CommitWindow::Items CommitWindow::begin_history(std::uint64_t history) {
  const std::lock_guard lock(mutex_);
  history_ = history;
  // Who reads the new one may have been quicker than this call.
  Items given_back;
  for (auto& item : take_waiting()) {
    if (item->kind != RoundItem::Kind::transaction || outdated(*item)) {
      given_back.push_back(std::move(item));
      continue;
    }
    item_bytes_ += item->bytes.size();
    items_.push_back(std::move(item));
  }
  count_waiting();
  return given_back;
}

/// REQUIRES: the mutex.
CommitWindow::Items CommitWindow::take_waiting() {
  item_bytes_ = 0;
  left_over_ = false;
  auto items = std::exchange(items_, {});
  count_waiting();
  return items;
}

void CommitWindow::set_bounds(const ClusterWindow& bounds) {
  const std::lock_guard lock(mutex_);
  bounds_ = bounds;
  // What waits already was added without a look at the clock: it is as old as the bounds.
  if (unbounded_.exchange(has_no_bounds(bounds)) && !unbounded_) oldest_ = Clock::now();
}

ClusterWindow CommitWindow::bounds() const {
  const std::lock_guard lock(mutex_);
  return bounds_;
}

void encode_item(const RoundItem& item, ByteWriter& out) {
  encode_item_head(item, item.bytes.size(), out);
  out.put_raw(item.bytes);
}

void encode_item_head(const RoundItem& item, std::size_t length, ByteWriter& out) {
  const bool own = item.origin.value == item.member.value;
  out.put(std::uint8_t(std::uint8_t(item.kind) | (own ? 0 : flag_origin)));
  if (!own) out.put_varint(item.origin.value);
  out.put_varint(item.sequence);
  out.put_varint(length);
}

/// The next one, with a view into the payload. False when it is broken.
static bool read_item(ByteReader& in, MemberId member, RoundItem& item) {
  const auto first = in.get<std::uint8_t>();
  const auto kind = std::uint8_t(first & ~flag_origin);
  const std::uint64_t origin = first & flag_origin ? in.get_varint() : member.value;
  item.kind = RoundItem::Kind(kind);
  item.member = member;
  item.origin = NodeId{std::uint32_t(origin)};
  item.sequence = in.get_varint();
  item.bytes = in.get_bytes();
  return in.ok() && origin <= std::numeric_limits<std::uint32_t>::max() &&
         kind >= std::uint8_t(RoundItem::Kind::transaction) &&
         kind <= std::uint8_t(RoundItem::Kind::gone);
}

Status decode_items(MemberId member, Bytes payload, std::vector<RoundItem>& items) {
  // No count in front: the payload's length is checked by the frame, and a count could only
  // contradict it.
  for (ByteReader in(payload); in.remaining() > 0;) {
    RoundItem item;
    if (!read_item(in, member, item))
      return {ErrorCode::cluster_protocol, "from node " + std::to_string(member.value) +
                                               ": a batch with a broken item of kind " +
                                               std::to_string(int(item.kind))};
    items.push_back(item);
  }
  return {};
}

std::size_t transactions_in(Bytes payload) {
  std::size_t count = 0;
  RoundItem item;
  for (ByteReader in(payload); in.remaining() > 0 && read_item(in, {}, item);)
    count += item.kind == RoundItem::Kind::transaction;
  return count;
}

}  // namespace exdb
