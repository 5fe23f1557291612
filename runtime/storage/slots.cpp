// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/slots.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.hpp"

namespace exdb {

namespace {

constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto relaxed =
    std::memory_order_relaxed;  // the writer's reads of what only the writer writes

constexpr std::size_t cell_bytes(std::uint64_t owner, std::uint64_t size) {
  if (owner & Version::removed) return sizeof(Version);
  return sizeof(Version) + (owner & Version::big ? sizeof(Offset) : size);
}

/// Multiples of half a line: so no row touches a line more than it must, wherever it begins (a third
/// line was measured at 25 ns a read on average), and rows of up to 40 bytes lie in one.
constexpr std::uint32_t stride_for(std::size_t row_bytes) {
  if (row_bytes == 0) return sizeof(Slot);
  return static_cast<std::uint32_t>((sizeof(Slot) + sizeof(VersionHead) + row_bytes + 31) / 32 *
                                    32);
}

}  // namespace

static_assert(std::uint64_t{1} << SlotTableHead::directories_max >
                  SlotTable::slots_max / (SlotTable::page_bytes_max / 256),
              "the directories reach slots_max, however few slots a page has");
static_assert(sizeof(SlotTableHead) == 320, "the same in every process");

SlotTable::SlotTable(Segment& segment, Allocator& allocator, Reclaimer& reclaimer,
                     SlotTableHead* head, ClassId cls, std::size_t row_bytes)
    : segment_(segment), allocator_(allocator), reclaimer_(reclaimer), head_(head), cls_(cls) {
  EXDB_ASSERT(cls.value < std::uint32_t{1} << 21,
              "a class number fits the owner word of a version");
  EXDB_ASSERT(row_bytes <= inline_row_bytes_max, "only small rows lie in their slots");
  EXDB_ASSERT(head->stride == 0, "a table is made once");
  head->row_bytes = static_cast<std::uint16_t>(row_bytes);
  head->stride = stride_for(row_bytes);
  // A power of two, so that a slot is found by shift and mask.
  // Slots without a cell are so small that a page of 256 KiB would be too many of them.
  const auto page_slots = std::min<std::size_t>(page_bytes_max / head->stride, 4096);
  head->page_log2 = static_cast<std::uint16_t>(std::bit_width(page_slots) - 1);
}

// --- which slots are free ---

SlotId SlotTable::lowest_free() const {
  // The first word of the top level is never full (a full one has a level above it), so in every
  // level the word that `at` names has a clear bit, or lies beyond the end, where all is clear.
  std::uint64_t at = 0;
  for (auto level = live_.size(); level-- > 0;) {
    const auto& words = live_[level];
    at = at * 64 + (at < words.size() ? static_cast<std::uint64_t>(std::countr_one(words[at])) : 0);
  }
  return {at};
}

bool SlotTable::live(SlotId slot) const {
  const auto at = slot.value / 64;
  return !live_.empty() && at < live_[0].size() && (live_[0][at] >> slot.value % 64 & 1) != 0;
}

// A level up changes only when a word becomes full or ceases to be: one store for most changes.
void SlotTable::set_live(SlotId slot, bool live) {
  auto at = slot.value;
  for (std::size_t level = 0;; ++level, at /= 64) {
    if (level == live_.size()) live_.emplace_back();
    auto& words = live_[level];
    if (words.size() <= at / 64) words.resize(at / 64 + 1);
    auto& word = words[at / 64];
    const bool was_full = ~word == 0;
    const auto bit = std::uint64_t{1} << at % 64;
    word = live ? word | bit : word & ~bit;
    live = ~word == 0;
    if (live == was_full) return;
  }
}

// --- where slots lie ---

Offset SlotTable::allocate_zeroed(std::size_t bytes) {
  const auto offset = allocator_.allocate(bytes);
  std::memset(segment_.at<std::byte>(offset), 0, bytes);
  return offset;
}

SlotPageEntry& SlotTable::make_entry(SlotId slot) {
  if (slot.value < head_->first_slots()) return head_->first;
  const auto number = (slot.value >> head_->page_log2) + 1;
  const auto log2 = static_cast<unsigned>(std::bit_width(number)) - 1;
  auto& directory = head_->directories[log2];
  if (directory.load(relaxed) == 0)
    directory.store(allocate_zeroed(sizeof(SlotPageEntry) << log2), release);
  return segment_.at<SlotPageEntry>(directory.load(relaxed))[number - (std::uint64_t{1} << log2)];
}

Slot& SlotTable::make_slot(SlotId slot) {
  if (slot.value >= slots_max) {
    throw Error(ErrorCode::no_memory, "class " + std::to_string(cls_.value) +
                                          " is full: it holds " + std::to_string(slots_max) +
                                          " rows; spread them over several classes");
  }
  auto& entry = make_entry(slot);
  if (entry.page.load(relaxed) == 0) {
    const auto count = &entry == &head_->first ? head_->first_slots() : head_->page_slots();
    // Heads of slots and of inline cells are zeroed; rows need not be, and are most of the page.
    const auto offset = allocator_.allocate(count * head_->stride);
    const auto heads = sizeof(Slot) + (head_->row_bytes != 0 ? sizeof(VersionHead) : 0);
    for (std::uint64_t i = 0; i < count; ++i)
      std::memset(segment_.at<std::byte>(offset + i * head_->stride), 0, heads);
    entry.page.store(offset, release);
  }
  return *const_cast<Slot*>(locate(segment_, head_, slot));
}

// --- versions ---

Offset SlotTable::make_version(SlotId slot, Bytes row, std::uint64_t flags, Csn csn,
                               Offset previous) {
  Offset extent = 0;
  if (row.size() > Version::inline_bytes_max) {
    flags |= Version::big;
    extent = allocator_.allocate(row.size());
  }
  const auto owner = Version::owner_of(cls_, slot) | flags;
  Offset offset = 0;
  try {
    offset = allocator_.allocate_stable(cell_bytes(owner, row.size()), StablePool::versions);
  } catch (const Error&) {
    if (extent != 0) allocator_.free(extent, row.size());
    throw;
  }
  auto& made = *stable(offset);
  // Release stores: who sees one of them sees the zero that free_version() left in csn, too (I2).
  made.owner.store(owner, release);
  made.previous.store(previous, release);
  made.size = row.size();
  auto* bytes = made.bytes();
  if (extent != 0) {
    std::memcpy(bytes, &extent, sizeof extent);
    bytes = segment_.at<std::byte>(extent);
  }
  if (!row.empty()) std::memcpy(bytes, row.data(), row.size());
  made.csn.store(csn.value, release);  // last: the cell is a version from here on
  return offset;
}

Offset SlotTable::make_inline(const Slot& place, Bytes row, Csn csn, Offset previous) {
  const auto offset = inline_cell(segment_, &place);
  auto& made = *version(offset);
  made.previous.store(previous, release);  // as in make_version()
  std::memcpy(segment_.at<std::byte>(offset) + sizeof(VersionHead), row.data(), row.size());
  made.csn.store(csn.value, release);
  return offset;
}

bool SlotTable::fits_inline(const Slot& place, Bytes row) const {
  return head_->row_bytes != 0 && row.size() == head_->row_bytes &&
         version(inline_cell(segment_, &place))->csn.load(relaxed) == 0;
}

void SlotTable::free_version(const Slot& place, Offset offset) {
  if (is_inline(place, offset)) return version(offset)->csn.store(0, release);
  auto& dead = *stable(offset);
  const auto owner = dead.owner.load(relaxed);
  const auto size = dead.size;
  dead.csn.store(0, release);
  if (owner & Version::big) {
    Offset extent;
    std::memcpy(&extent, dead.bytes(), sizeof extent);
    allocator_.free(extent, size);
  }
  allocator_.free_stable(offset, cell_bytes(owner, size), StablePool::versions);
}

bool SlotTable::is_removal(const Slot& place, Offset offset) const {
  return !is_inline(place, offset) && (stable(offset)->owner.load(relaxed) & Version::removed) != 0;
}

ShownVersion SlotTable::shown(const Slot& place, Offset offset) const {
  const Csn csn{version(offset)->csn.load(relaxed)};
  if (is_inline(place, offset))
    return {csn, Bytes(version(offset)->inline_row(), head_->row_bytes)};
  if (is_removal(place, offset)) return {csn, std::nullopt};
  return {csn, stable(offset)->row(segment_)};
}

bool SlotTable::newest_goes_unseen(const Slot& place, Csn csn, Csn published) const {
  const auto newest = place.first(relaxed);
  if (newest == 0) return false;
  const auto born = version(newest)->csn.load(relaxed);
  return born > published.value && born < csn.value;
}

Offset SlotTable::previous_of_new(const Slot& place, Csn csn, Csn published) const {
  const auto newest = place.first(relaxed);
  return newest_goes_unseen(place, csn, published) ? version(newest)->previous.load(relaxed)
                                                   : newest;
}

/// Links the new version in front. A version that no reader can have seen (of an earlier csn of the
/// same unpublished lot) is freed at once: a row updated a thousand times in a round leaves one.
void SlotTable::supersede(SlotId slot, Slot& place, Offset made, Csn csn, Csn published) {
  const bool unseen = newest_goes_unseen(place, csn, published);
  const auto old = place.first(relaxed);
  if (old == 0) make_entry(slot).used.fetch_add(1, release);
  place.newest.store(made, release);
  if (unseen) {
    free_version(place, old);
  } else if (old != 0) {
    reclaimer_.retire({.kind = Garbage::Kind::version,
                       .owner = cls_.value,
                       .key = slot.value,
                       .offset = old,
                       .birth = Csn{version(old)->csn.load(relaxed)},
                       .death = csn});
  }
}

/// The chain ends empty. The link goes before the cell: a walker that finds the cell free starts
/// again from the link.
void SlotTable::unlink_newest(SlotId slot, Slot& place, Csn csn) {
  const auto old = place.first(relaxed);
  place.newest.store(Slot::emptied | csn.value, release);
  make_entry(slot).used.fetch_sub(1, release);
  free_version(place, old);
}

void SlotTable::install(SlotId slot, Bytes row, Csn csn, Csn published) {
  EXDB_ASSERT(csn > published, "a version is installed before its csn is published");
  auto& place = make_slot(slot);
  EXDB_ASSERT(csn >= csn_in(place), "csns of a slot never fall");
  const auto previous = previous_of_new(place, csn, published);
  const auto made = fits_inline(place, row) ? make_inline(place, row, csn, previous)
                                            : make_version(slot, row, 0, csn, previous);
  if (!live(slot)) {
    set_live(slot, true);
    head_->rows.fetch_add(1, release);
    if (slot.value >= slots()) head_->slots.store(slot.value + 1, release);
  }
  supersede(slot, place, made, csn, published);
}

void SlotTable::install_removed(SlotId slot, Csn csn, Csn published) {
  EXDB_ASSERT(csn > published, "a version is installed before its csn is published");
  EXDB_ASSERT(live(slot), "only a slot that holds a row can lose it");
  auto& place = make_slot(slot);
  EXDB_ASSERT(csn >= csn_in(place), "csns of a slot never fall");
  const auto previous = previous_of_new(place, csn, published);
  if (previous == 0) {  // the row came and went unseen: there is nothing to hide
    unlink_newest(slot, place, csn);
  } else {
    const auto made = make_version(slot, {}, Version::removed, csn, previous);
    supersede(slot, place, made, csn, published);
  }
  set_live(slot, false);
  head_->rows.fetch_sub(1, release);
}

void SlotTable::install_emptied(SlotId slot, Csn csn) {
  auto& place = make_slot(slot);
  const auto word = Slot::emptied | csn.value;
  const auto there = place.newest.load(relaxed);
  EXDB_ASSERT(there == 0 || there == word, "a slot is installed once: with its row, or emptied");
  place.newest.store(word, release);
  if (slot.value >= slots()) head_->slots.store(slot.value + 1, release);
}

void SlotTable::collect(const Garbage& garbage) {
  const SlotId slot{garbage.key};
  auto& place = make_slot(slot);
  const auto dead = garbage.offset;
  EXDB_ASSERT(is_inline(place, dead) ||
                  (stable(dead)->owner.load(relaxed) & ~(Version::removed | Version::big)) ==
                      Version::owner_of(cls_, slot),
              "a retired version is freed once, by its own slot");
  // Chains are short: as many versions as pins hold, and those of the rounds not collected yet. So
  // the newer one is looked for, rather than kept in every version.
  const auto newest = place.first(relaxed);
  auto newer = newest;
  while (newer != 0 && version(newer)->previous.load(relaxed) != dead)
    newer = version(newer)->previous.load(relaxed);
  EXDB_ASSERT(newer != 0, "a retired version has a newer one in its chain");
  version(newer)->previous.store(version(dead)->previous.load(relaxed), release);
  free_version(place, dead);
  const bool hides_nothing =
      newer == newest && version(newer)->previous.load(relaxed) == 0 && is_removal(place, newer);
  // A removal is there to hide what is below it. With nothing below it the slot is as if never used,
  // but for its csn (I6), and a scan passes it by.
  if (hides_nothing) unlink_newest(slot, place, Csn{version(newer)->csn.load(relaxed)});
}

Csn SlotTable::csn_in(const Segment& segment, const Slot& place) {
  const auto word = place.newest.load(relaxed);
  if (word == 0 || (word & Slot::emptied) != 0) return Csn{word & ~Slot::emptied};
  return Csn{segment.at<VersionHead>(word)->csn.load(relaxed)};
}

Csn SlotTable::newest_csn(const Segment& segment, const SlotTableHead* head, SlotId slot) {
  const auto* place = locate(segment, head, slot);
  return place == nullptr ? Csn{0} : csn_in(segment, *place);
}

Csn SlotTable::newest_csn(SlotId slot) const { return newest_csn(segment_, head_, slot); }

std::optional<Bytes> SlotTable::newest_row(SlotId slot) const {
  return find(segment_, head_, cls_, slot, Csn::max());
}

std::uint64_t SlotTable::check_chain(SlotId slot, const Slot& place) const {
  std::uint64_t versions = 0;
  bool found_inline = false;
  auto above = csn_in(place).value;
  for (auto offset = place.first(relaxed); offset != 0; ++versions) {
    const auto born = version(offset)->csn.load(relaxed);
    EXDB_ASSERT(born != 0 && born <= above, "I1: a chain is ordered and has no free cell in it");
    EXDB_ASSERT(is_inline(place, offset) ||
                    (stable(offset)->owner.load(relaxed) & ~(Version::removed | Version::big)) ==
                        Version::owner_of(cls_, slot),
                "a chain holds versions of its slot");
    found_inline = found_inline || is_inline(place, offset);
    above = born;
    offset = version(offset)->previous.load(relaxed);
  }
  EXDB_ASSERT(head_->row_bytes == 0 ||
                  found_inline == (version(inline_cell(segment_, &place))->csn.load(relaxed) != 0),
              "I8: an inline cell in use is in the chain of its slot");
  return versions;
}

std::uint64_t SlotTable::check() const {
  std::uint64_t versions = 0;
  std::uint64_t rows_found = 0;
  for (std::uint64_t at = 0; at < slots();) {
    const auto* entry = entry_of(segment_, head_, {at});
    std::uint64_t used = 0;
    for (const auto end = std::min(page_around(head_, at).end, slots()); at < end; ++at) {
      const auto* place = locate(segment_, head_, {at});
      const auto newest = place == nullptr ? 0 : place->first(relaxed);
      const bool row = newest != 0 && !is_removal(*place, newest);
      EXDB_ASSERT(row == live({at}), "live slots are those whose newest version is a row");
      used += newest != 0;
      rows_found += row;
      if (place != nullptr) versions += check_chain({at}, *place);
    }
    EXDB_ASSERT(used == (entry == nullptr ? 0 : entry->used.load(relaxed)),
                "a page counts its chains");
  }
  EXDB_ASSERT(rows_found == rows(), "the head counts the rows");
  return versions;
}

// --- scans ---

SlotTable::PageBounds SlotTable::page_around(const SlotTableHead* head, std::uint64_t slot) {
  const auto first = head->first_slots();
  if (slot < first) return {0, first};
  const auto begin = slot >> head->page_log2 << head->page_log2;
  return {std::max(begin, first), begin + head->page_slots()};
}

SlotId SlotTable::scan(const Segment& segment, const SlotTableHead* head, ClassId cls, SlotId from,
                       Csn csn) {
  const auto slots = head->slots.load(acquire);
  for (auto at = from.value; at < slots;) {
    const auto* entry = entry_of(segment, head, {at});
    const auto end = std::min(page_around(head, at).end, slots);
    if (entry == nullptr || entry->used.load(acquire) == 0) at = end;
    for (; at < end; ++at) {
      if (find(segment, head, cls, {at}, csn)) return {at};
    }
  }
  return SlotId::none();
}

// `used` is read before the page's slots. A chain that begins later is of a csn above the pin, and one
// that ended was empty for the pin: either way a page passed by shows nothing at it.
SlotId SlotTable::scan_back(const Segment& segment, const SlotTableHead* head, ClassId cls,
                            SlotId from, Csn csn) {
  const auto slots = head->slots.load(acquire);
  auto end = from.value < slots ? from.value + 1 : slots;  // one above where to look next
  while (end > 0) {
    const auto* entry = entry_of(segment, head, {end - 1});
    const auto begin = page_around(head, end - 1).begin;
    if (entry == nullptr || entry->used.load(acquire) == 0) end = begin;
    for (; end > begin; --end) {
      if (find(segment, head, cls, {end - 1}, csn)) return {end - 1};
    }
  }
  return SlotId::none();
}

}  // namespace exdb
