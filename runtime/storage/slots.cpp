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

}  // namespace

SlotTable::SlotTable(Segment& segment, Allocator& allocator, Reclaimer& reclaimer,
                     SlotTableHead* head, ClassId cls)
    : segment_(segment), allocator_(allocator), reclaimer_(reclaimer), head_(head), cls_(cls) {
  EXDB_ASSERT(cls.value < std::uint32_t{1} << 21,
              "a class number fits the owner word of a version");
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

Slot& SlotTable::make_slot(SlotId slot) {
  if (slot.value >= slots_max) {
    throw Error(ErrorCode::no_memory, "class " + std::to_string(cls_.value) +
                                          " is full: it holds " + std::to_string(slots_max) +
                                          " rows; spread them over several classes");
  }
  const auto ensure = [this](std::atomic<Offset>& place, std::size_t bytes) {
    if (place.load(relaxed) == 0) place.store(allocate_zeroed(bytes), release);
    return place.load(relaxed);
  };
  const auto page = slot.value / page_slots;
  const auto root = ensure(head_->root, sizeof(std::atomic<Offset>) * directories_max);
  auto& directory = segment_.at<std::atomic<Offset>>(root)[page / directory_pages];
  ensure(directory, sizeof(SlotPageEntry) * directory_pages);
  auto& entry = *entry_of(segment_, head_, slot);
  return segment_.at<Slot>(ensure(entry.page, sizeof(Slot) * page_slots))[slot.value % page_slots];
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
  auto& made = *version(offset);
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
  made.csn.store(csn.value, release);
  return offset;
}

void SlotTable::free_version(Offset offset) {
  auto& dead = *version(offset);
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

bool SlotTable::newest_goes_unseen(const Slot& place, Csn csn, Csn published) const {
  const auto newest = place.newest.load(relaxed);
  if (newest == 0) return false;
  const auto born = version(newest)->csn.load(relaxed);
  return born > published.value && born < csn.value;
}

Offset SlotTable::previous_of_new(const Slot& place, Csn csn, Csn published) const {
  const auto newest = place.newest.load(relaxed);
  return newest_goes_unseen(place, csn, published) ? version(newest)->previous.load(relaxed)
                                                   : newest;
}

void SlotTable::supersede(SlotId slot, Slot& place, Offset made, Csn csn, Csn published) {
  const bool unseen = newest_goes_unseen(place, csn, published);
  const auto old = place.newest.load(relaxed);
  if (old == 0) entry_of(segment_, head_, slot)->used.fetch_add(1, release);
  place.newest.store(made, release);
  place.csn.store(csn.value, release);
  if (unseen) {
    free_version(old);
  } else if (old != 0) {
    const auto& dead = *version(old);
    reclaimer_.retire({.kind = Garbage::Kind::version,
                       .owner = cls_.value,
                       .key = slot.value,
                       .offset = old,
                       .bytes = cell_bytes(dead.owner.load(relaxed), dead.size),
                       .birth = Csn{dead.csn.load(relaxed)},
                       .death = csn});
  }
}

void SlotTable::unlink_newest(SlotId slot, Slot& place) {
  const auto old = place.newest.load(relaxed);
  place.newest.store(0, release);
  entry_of(segment_, head_, slot)->used.fetch_sub(1, release);
  free_version(old);
}

void SlotTable::install(SlotId slot, Bytes row, Csn csn, Csn published) {
  EXDB_ASSERT(csn > published, "a version is installed before its csn is published");
  auto& place = make_slot(slot);
  EXDB_ASSERT(csn.value >= place.csn.load(relaxed), "csns of a slot never fall");
  const auto made = make_version(slot, row, 0, csn, previous_of_new(place, csn, published));
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
  EXDB_ASSERT(csn.value >= place.csn.load(relaxed), "csns of a slot never fall");
  const auto previous = previous_of_new(place, csn, published);
  if (previous == 0) {  // the row came and went unseen: there is nothing to hide
    place.csn.store(csn.value, release);
    unlink_newest(slot, place);
  } else {
    supersede(slot, place, make_version(slot, {}, Version::removed, csn, previous), csn, published);
  }
  set_live(slot, false);
  head_->rows.fetch_sub(1, release);
}

void SlotTable::collect(const Garbage& garbage) {
  const SlotId slot{garbage.key};
  auto& place = make_slot(slot);
  const auto dead = garbage.offset;
  EXDB_ASSERT((version(dead)->owner.load(relaxed) & ~(Version::removed | Version::big)) ==
                  Version::owner_of(cls_, slot),
              "a retired version is freed once, by its own slot");
  const auto newest = place.newest.load(relaxed);
  auto newer = newest;
  while (newer != 0 && version(newer)->previous.load(relaxed) != dead)
    newer = version(newer)->previous.load(relaxed);
  EXDB_ASSERT(newer != 0, "a retired version has a newer one in its chain");
  version(newer)->previous.store(version(dead)->previous.load(relaxed), release);
  free_version(dead);
  const bool hides_nothing = newer == newest && version(newer)->previous.load(relaxed) == 0 &&
                             (version(newer)->owner.load(relaxed) & Version::removed) != 0;
  if (hides_nothing) unlink_newest(slot, place);
}

Csn SlotTable::newest_csn(SlotId slot) const {
  const auto* place = locate(segment_, head_, slot);
  return Csn{place == nullptr ? 0 : place->csn.load(relaxed)};
}

std::optional<Bytes> SlotTable::newest_row(SlotId slot) const {
  return find(segment_, head_, cls_, slot, Csn::max());
}

std::uint64_t SlotTable::check() const {
  std::uint64_t versions = 0;
  std::uint64_t rows_found = 0;
  for (std::uint64_t first = 0; first < slots(); first += page_slots) {
    std::uint64_t used = 0;
    for (auto at = first; at < std::min(first + page_slots, slots()); ++at) {
      const auto* place = locate(segment_, head_, {at});
      if (place == nullptr) break;
      auto offset = place->newest.load(relaxed);
      used += offset != 0;
      auto above = place->csn.load(relaxed);
      const bool row =
          offset != 0 && (version(offset)->owner.load(relaxed) & Version::removed) == 0;
      EXDB_ASSERT(row == live({at}), "live slots are those whose newest version is a row");
      rows_found += row;
      for (; offset != 0; offset = version(offset)->previous.load(relaxed), ++versions) {
        const auto& here = *version(offset);
        const auto born = here.csn.load(relaxed);
        EXDB_ASSERT(born != 0 && born <= above,
                    "I1: a chain is ordered and has no free cell in it");
        EXDB_ASSERT((here.owner.load(relaxed) & ~(Version::removed | Version::big)) ==
                        Version::owner_of(cls_, {at}),
                    "a chain holds versions of its slot");
        above = born;
      }
    }
    const auto* entry = entry_of(segment_, head_, {first});
    EXDB_ASSERT(used == (entry == nullptr ? 0 : entry->used.load(relaxed)),
                "a page counts its chains");
  }
  EXDB_ASSERT(rows_found == rows(), "the head counts the rows");
  return versions;
}

// --- scans ---

SlotId SlotTable::scan(const Segment& segment, const SlotTableHead* head, ClassId cls, SlotId from,
                       Csn csn) {
  const auto end = head->slots.load(acquire);
  auto at = from.value;
  while (at < end) {
    const auto* entry = entry_of(segment, head, {at});
    if (entry == nullptr) {
      at = (at / (page_slots * directory_pages) + 1) * page_slots * directory_pages;
    } else if (entry->used.load(acquire) == 0) {
      at = (at / page_slots + 1) * page_slots;
    } else {
      for (const auto page_end = std::min((at / page_slots + 1) * page_slots, end); at < page_end;
           ++at) {
        if (find(segment, head, cls, {at}, csn)) return {at};
      }
    }
  }
  return SlotId::none();
}

SlotId SlotTable::scan_back(const Segment& segment, const SlotTableHead* head, ClassId cls,
                            SlotId from, Csn csn) {
  const auto slots = head->slots.load(acquire);
  auto end = from.value < slots ? from.value + 1 : slots;  // one above where to look next
  while (end > 0) {
    const auto at = end - 1;
    const auto* entry = entry_of(segment, head, {at});
    if (entry == nullptr) {
      end = at / (page_slots * directory_pages) * page_slots * directory_pages;
    } else if (entry->used.load(acquire) == 0) {
      end = at / page_slots * page_slots;
    } else {
      for (const auto page = at / page_slots * page_slots; end > page; --end) {
        if (find(segment, head, cls, {end - 1}, csn)) return {end - 1};
      }
    }
  }
  return SlotId::none();
}

}  // namespace exdb
