// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The rows of one class. A row lives in a slot; a slot leads to a chain of versions, newest first;
// a reader at snapshot S takes the first version with csn <= S. Any version that no pinned snapshot
// needs is freed, also out of the middle of a chain and under the feet of walkers: a walker checks
// what it stands on and starts again when that has changed. The usual ways (hazard pointers,
// epochs) would cost each reader a fence a step, or let one long snapshot keep every version
// written since.
//
// A version lies in a Stable cell, or, in classes whose rows are small and all of one size, in the
// inline cell of its slot, so that a read waits for memory once less. The inline cell is taken when
// it is free; a row that is updated while it lies there goes to a Stable cell, and comes back with
// the next update after the old version was collected.
//
// An inline cell has no room for what is known without it (whose it is, the size of the row): 24
// bytes beside the row. Slots are padded to halves of a cache line. Whole lines would let a read of
// the first bytes do with one; but a second line is asked for at the same time and costs next to
// nothing, and memory does cost: a step takes 75 ns within 32 MB and 150 within 128 (README.md).
//
// Invariants
//   I1  A chain is ordered: csns never rise from a version to its previous one.
//   I2  A cell's csn is zero while it is free, and each life of a cell, Stable or inline, has a
//       greater csn than the one before: a version is freed either when a greater csn supersedes it
//       before anybody could see it, or after its death was published, and csns installed are >
//       published. So two equal readings of csn are of one life, and what was read between them
//       belongs to it.
//   I3  The version that a pinned snapshot S needs is never freed while the pin lasts (Reclaimer
//       I1), but for a removal that ends its chain: to find nothing there means the same.
//   I4  A walker at pinned S that validated a version with csn > S and its previous P: P was the
//       next in the chain, so it was the version needed at S or newer. If P was recycled since,
//       that happened after the pin was taken, so its csn is > published >= S: a walker never takes
//       a recycled cell for its row; it passes it by (an inline cell always, for it has but one
//       owner: what is previous to its new life leads on to the version needed), or finds another
//       owner in it and starts again. So it cannot step over the version it needs.
//   I5  Plain fields (size, bytes) are read only of the version needed at S, which I3 keeps.
//   I6  A slot of which all versions are gone keeps its newest csn, in the place of the link to its
//       newest version: certification needs it.
//   I7  lowest_free() depends on nothing but which slots hold a row in the newest state.
//   I8  An inline cell is a version cell of its own slot for ever, and its csn is not zero exactly
//       while it is in the chain of that slot. It never holds a removal. The layout of a page
//       (head->stride, row_bytes, page_log2) is set before anybody reads, by the writer alone: every
//       process takes it from the head.
// Threads: the static functions by anybody whose snapshot is pinned, lock-free; all else by the one
//   writer.
// Processes: everything in the segment holds offsets only; the writer's books are in its private
//   memory.
// Failure: install() and install_removed() throw Error(no_memory) with no slot changed.
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "base/types.hpp"
#include "exdb/schema.hpp"
#include "storage/allocator.hpp"
#include "storage/reclaimer.hpp"

namespace exdb {

/// What every version begins with. In an inline cell the row follows.
struct VersionHead {
  std::atomic<std::uint64_t> csn;  ///< 0 = the cell is free
  std::atomic<Offset> previous;    ///< the next older version, 0 = none

  [[nodiscard]] const std::byte* inline_row() const {
    return reinterpret_cast<const std::byte*>(this + 1);
  }
};

/// A version in a Stable cell, the row's bytes behind it.
struct Version : VersionHead {
  std::atomic<std::uint64_t> owner;  ///< which slot, and flags: see the constants below
  std::uint64_t size;  ///< of the row; what follows is the row, or its extent's Offset if big

  /// Flag: from here on there is no row.
  static constexpr std::uint64_t removed = std::uint64_t{1} << 63;
  /// Flag: the row is in an extent of the allocator, aligned to 64.
  static constexpr std::uint64_t big = std::uint64_t{1} << 62;
  static constexpr unsigned slot_bits = 40;
  static constexpr std::size_t inline_bytes_max = 2048 - 32;

  [[nodiscard]] static std::uint64_t owner_of(ClassId cls, SlotId slot) {
    return std::uint64_t{cls.value} << slot_bits | slot.value;
  }
  [[nodiscard]] const std::byte* bytes() const {
    return reinterpret_cast<const std::byte*>(this + 1);
  }
  [[nodiscard]] std::byte* bytes() { return reinterpret_cast<std::byte*>(this + 1); }
  /// The row's bytes. REQUIRES: the version is no removal and cannot go now.
  [[nodiscard]] Bytes row(const Segment& segment) const {
    const auto* at = bytes();
    if (owner.load(std::memory_order_relaxed) & big)
      at = segment.at<std::byte>(*reinterpret_cast<const Offset*>(at));
    return Bytes(at, size);
  }
};
static_assert(sizeof(VersionHead) == 16 && sizeof(Version) == 32);

/// Its inline cell, in classes that have them, follows it.
struct Slot {
  /// The newest version; emptied | the csn of the removal when none is left (I6); 0 = never used.
  std::atomic<std::uint64_t> newest;
  static constexpr std::uint64_t emptied = std::uint64_t{1} << 63;

  /// The newest version, 0 = none.
  [[nodiscard]] Offset first(std::memory_order order = std::memory_order_acquire) const {
    const auto word = newest.load(order);
    return (word & emptied) != 0 ? 0 : word;
  }
  /// When the slot was emptied; 0 when it was not.
  [[nodiscard]] Csn emptied_at() const {
    const auto word = newest.load(std::memory_order_acquire);
    return Csn{(word & emptied) != 0 ? word & ~emptied : 0};
  }
};
static_assert(sizeof(Slot) == 8);

/// What a slot shows at a snapshot: no row when the newest version there is a removal.
struct ShownVersion {
  Csn csn;
  std::optional<Bytes> row;
};

/// A page of slots, and how many of them have versions (0: a scan passes it by).
struct SlotPageEntry {
  std::atomic<Offset> page;
  std::atomic<std::uint64_t> used;
};

/// Lies in the segment, zeroed when new. Pages and directories never move, so readers need no lock
/// while the table grows. Directory n holds 2^n pages: a class pays for what it has, and a page is
/// found in two steps.
struct alignas(64) SlotTableHead {
  static constexpr unsigned directories_max = 25;

  std::uint32_t stride;     ///< bytes from a slot to the next
  std::uint16_t row_bytes;  ///< of the row in an inline cell; 0 = slots have none
  std::uint16_t page_log2;  ///< of the slots of a page
  /// A small page for the first slots: few rows cost little. Page 0 leaves their room unused.
  SlotPageEntry first;
  std::array<std::atomic<Offset>, directories_max> directories;
  /// Apart from what readers need: the writer stores here at each insert.
  alignas(64) std::atomic<std::uint64_t> slots;  ///< one above the highest slot ever used
  std::atomic<std::uint64_t> rows;               ///< slots that hold a row in the newest state

  [[nodiscard]] std::uint64_t page_slots() const { return std::uint64_t{1} << page_log2; }
  [[nodiscard]] std::uint64_t first_slots() const { return page_slots() / 16; }
  /// Whether a slot may lie in more than one cache line.
  [[nodiscard]] bool in_two_lines() const { return stride > 64; }
};

/// How a reader walks a chain. Tests put the writer's work into the pauses, and leave out one check
/// at a time to show that it is needed.
struct VersionWalk {
  static constexpr bool checks_free = true;
  static constexpr bool checks_life = true;
  static constexpr bool checks_owner = true;
  static void pause() {}
};

class SlotTable {
 public:
  static constexpr std::uint64_t slots_max = std::uint64_t{1} << 34;
  static constexpr std::size_t page_bytes_max = std::size_t{256} << 10;
  /// Rows above would make a removed slot dear; 232 is what a stride of 256 holds.
  static constexpr std::size_t inline_row_bytes_max = 256 - sizeof(Slot) - sizeof(VersionHead);

  /// What the constructor is to be given for a class: the size of its rows when they are all of
  /// one size and small; else 0.
  [[nodiscard]] static std::size_t inline_row_bytes(const RecordDef& record) {
    return !record.has_references && record.size <= inline_row_bytes_max ? record.size : 0;
  }

  /// Each slot has an inline cell for rows of `row_bytes`; 0: none has.
  SlotTable(Segment& segment, Allocator& allocator, Reclaimer& reclaimer, SlotTableHead* head,
            ClassId cls, std::size_t row_bytes = 0);

  // --- the writer ---
  /// The lowest slot without a row. O(log slots).
  [[nodiscard]] SlotId lowest_free() const;
  /// Makes `row` the newest version of `slot`, and retires the one before, or frees it at once if
  /// nobody can have seen it. `row` may lie in that one.
  /// REQUIRES: csn > published, csn >= newest_csn(slot); a publish takes in all that is installed.
  void install(SlotId slot, Bytes row, Csn csn, Csn published);
  /// The slot holds no row from csn on. REQUIRES: as install(), and the slot holds a row.
  void install_removed(SlotId slot, Csn csn, Csn published);
  /// A fresh slot whose row was removed at `csn`: I6 for a table filled from a stream. It may be told
  /// twice. REQUIRES: the slot never held a row here.
  void install_emptied(SlotId slot, Csn csn);
  /// Frees a version that install() or install_removed() retired: for Garbage of kind version and
  /// of this class.
  void collect(const Garbage& garbage);

  /// Csn of the newest version, a removal counts; Csn{0} for a slot never used.
  [[nodiscard]] Csn newest_csn(SlotId slot) const;
  /// Calls see(ShownVersion) for the versions of a slot, newest first, until it returns false.
  template <class See>
  void each_version(SlotId slot, See&& see) const;
  /// None when it is removed or was never there. Valid until the next install.
  [[nodiscard]] std::optional<Bytes> newest_row(SlotId slot) const;
  [[nodiscard]] std::uint64_t rows() const { return head_->rows.load(std::memory_order_relaxed); }
  /// One above the highest slot ever used.
  [[nodiscard]] std::uint64_t slots() const { return head_->slots.load(std::memory_order_relaxed); }
  /// Asserts I1, I2 and the counters over all slots; returns the number of versions. For tests:
  /// O(slots).
  [[nodiscard]] std::uint64_t check() const;

  // --- readers: `csn` is pinned by the caller, what is returned is valid while it stays so ---
  /// The row in `slot` at snapshot `csn`.
  template <class Walk = VersionWalk>
  static std::optional<Bytes> find(const Segment& segment, const SlotTableHead* head, ClassId cls,
                                   SlotId slot, Csn csn);
  /// The same, with the version's csn, and removals that are in the chain still.
  static std::optional<ShownVersion> find_version(const Segment& segment, const SlotTableHead* head,
                                                  ClassId cls, SlotId slot, Csn csn);
  /// The first slot >= `from` that holds a row; SlotId::none() at the end.
  static SlotId scan(const Segment& segment, const SlotTableHead* head, ClassId cls, SlotId from,
                     Csn csn);
  /// The last slot <= `from` that holds a row; SlotId::none() at the end. SlotId::none() as `from`
  /// starts at the end.
  static SlotId scan_back(const Segment& segment, const SlotTableHead* head, ClassId cls,
                          SlotId from, Csn csn);
  /// Where a slot lies; null when its page does not exist.
  static const Slot* locate(const Segment& segment, const SlotTableHead* head, SlotId slot);
  /// As newest_csn(slot), by any thread of any process: of some moment of the call.
  static Csn newest_csn(const Segment& segment, const SlotTableHead* head, SlotId slot);
  /// Asks for the memory of a slot, and waits for nothing. `place` may be null.
  static void prefetch(const SlotTableHead* head, const Slot* place);
  /// Asks for its newest version, when that lies elsewhere. Waits for the slot.
  static void prefetch_newest(const Segment& segment, const Slot* place);

 private:
  /// What find() and find_version() do: found(csn, row) gives the answer.
  template <class Walk, class Found>
  static auto walk(const Segment& segment, const SlotTableHead* head, ClassId cls, SlotId slot,
                   Csn csn, Found&& found) -> decltype(found(csn, std::optional<Bytes>()));
  /// The rest of walk(), from the version `at` on. Not inlined: few reads come here.
  template <class Walk, class Found>
  [[gnu::noinline]] static auto walk_chain(const Segment& segment, const SlotTableHead* head,
                                           std::uint64_t mine, const Slot* place, Offset at,
                                           Csn csn, Found& found)
      -> decltype(found(csn, std::optional<Bytes>()));
  SlotPageEntry& make_entry(SlotId slot);
  Slot& make_slot(SlotId slot);
  Offset make_version(SlotId slot, Bytes row, std::uint64_t flags, Csn csn, Offset previous);
  Offset make_inline(const Slot& place, Bytes row, Csn csn, Offset previous);
  [[nodiscard]] bool fits_inline(const Slot& place, Bytes row) const;
  void supersede(SlotId slot, Slot& place, Offset made, Csn csn, Csn published);
  void unlink_newest(SlotId slot, Slot& place, Csn csn);
  void free_version(const Slot& place, Offset offset);
  [[nodiscard]] static Offset inline_cell(const Segment& segment, const Slot* place) {
    return segment.offset_of(place + 1);
  }
  /// No Stable cell lies there, so in classes without inline cells none is taken for one.
  [[nodiscard]] bool is_inline(const Slot& place, Offset offset) const {
    return offset == inline_cell(segment_, &place);
  }
  [[nodiscard]] VersionHead* version(Offset offset) const {
    return segment_.at<VersionHead>(offset);
  }
  [[nodiscard]] Version* stable(Offset offset) const { return segment_.at<Version>(offset); }
  [[nodiscard]] static Csn csn_in(const Segment& segment, const Slot& place);
  [[nodiscard]] Csn csn_in(const Slot& place) const { return csn_in(segment_, place); }
  [[nodiscard]] bool is_removal(const Slot& place, Offset offset) const;
  [[nodiscard]] ShownVersion shown(const Slot& place, Offset offset) const;
  /// The newest version is of this unpublished lot, but of an earlier csn: no snapshot will ever
  /// see it.
  [[nodiscard]] bool newest_goes_unseen(const Slot& place, Csn csn, Csn published) const;
  [[nodiscard]] Offset previous_of_new(const Slot& place, Csn csn, Csn published) const;
  [[nodiscard]] static const SlotPageEntry* entry_of(const Segment& segment,
                                                     const SlotTableHead* head, SlotId slot);
  /// The slots of the page (or of the room of a page that is not there) around `slot`.
  struct PageBounds {
    std::uint64_t begin, end;
  };
  [[nodiscard]] static PageBounds page_around(const SlotTableHead* head, std::uint64_t slot);
  /// Versions in the chain of `slot`. Asserts what check() promises of it.
  [[nodiscard]] std::uint64_t check_chain(SlotId slot, const Slot& place) const;
  Offset allocate_zeroed(std::size_t bytes);
  void set_live(SlotId slot, bool live);
  [[nodiscard]] bool live(SlotId slot) const;

  Segment& segment_;
  Allocator& allocator_;
  Reclaimer& reclaimer_;
  SlotTableHead* head_;
  ClassId cls_;
  /// live_[0]: a bit a slot, set when it holds a row; live_[n + 1]: a bit a word of live_[n], set
  /// when that is full.
  std::vector<std::vector<std::uint64_t>> live_;
};

inline const SlotPageEntry* SlotTable::entry_of(const Segment& segment, const SlotTableHead* head,
                                                SlotId slot) {
  if (slot.value < head->first_slots()) return &head->first;
  if (slot.value >= slots_max) return nullptr;
  const auto number = (slot.value >> head->page_log2) + 1;
  const auto log2 = 63U - static_cast<unsigned>(__builtin_clzll(number));
  const auto directory = head->directories[log2].load(std::memory_order_acquire);
  if (directory == 0) return nullptr;
  return segment.at<SlotPageEntry>(directory) + (number - (std::uint64_t{1} << log2));
}

inline const Slot* SlotTable::locate(const Segment& segment, const SlotTableHead* head,
                                     SlotId slot) {
  const auto* entry = entry_of(segment, head, slot);
  if (entry == nullptr) return nullptr;
  const auto page = entry->page.load(std::memory_order_acquire);
  if (page == 0) return nullptr;
  return segment.at<Slot>(page + (slot.value & (head->page_slots() - 1)) * head->stride);
}

inline void SlotTable::prefetch(const SlotTableHead* head, const Slot* place) {
  __builtin_prefetch(place);
  if (head->in_two_lines()) __builtin_prefetch(reinterpret_cast<const std::byte*>(place) + 64);
}

inline void SlotTable::prefetch_newest(const Segment& segment, const Slot* place) {
  const auto newest = place->first();
  if (newest == 0 || newest == inline_cell(segment, place)) return;
  __builtin_prefetch(segment.at<std::byte>(newest));
  __builtin_prefetch(segment.at<std::byte>(newest) + 64);
}

template <class See>
void SlotTable::each_version(SlotId slot, See&& see) const {
  const auto* place = locate(segment_, head_, slot);
  if (place == nullptr) return;
  for (auto at = place->first(); at != 0; at = version(at)->previous.load())
    if (!see(shown(*place, at))) return;
}

template <class Walk, class Found>
auto SlotTable::walk(const Segment& segment, const SlotTableHead* head, ClassId cls, SlotId slot,
                     Csn csn, Found&& found) -> decltype(found(csn, std::optional<Bytes>())) {
  const auto* place = locate(segment, head, slot);
  if (place == nullptr) return std::nullopt;
  // The rest of an inline row: asked for together with its beginning.
  if (head->in_two_lines()) __builtin_prefetch(reinterpret_cast<const std::byte*>(place) + 64);
  const auto at = place->first();
  Walk::pause();
  // What most reads find. One reading of csn will do: a life that began at S or before, in the place
  // of what was newest after S was pinned, is the version needed at S, and stays (I2, I3).
  if (at == inline_cell(segment, place)) {
    const auto* here = segment.at<VersionHead>(at);
    const auto born = here->csn.load(std::memory_order_acquire);
    if ((!Walk::checks_free || born != 0) && born <= csn.value)
      return found(Csn{born}, Bytes(here->inline_row(), head->row_bytes));
  }
  return walk_chain<Walk>(segment, head, Version::owner_of(cls, slot), place, at, csn, found);
}

template <class Walk, class Found>
auto SlotTable::walk_chain(const Segment& segment, const SlotTableHead* head, std::uint64_t mine,
                           const Slot* place, Offset at, Csn csn, Found& found)
    -> decltype(found(csn, std::optional<Bytes>())) {
  const auto inside = inline_cell(segment, place);
  while (at != 0) {
    const auto* here = segment.at<Version>(at);
    Walk::pause();
    const auto born = here->csn.load(std::memory_order_acquire);
    Walk::pause();
    const auto previous = here->previous.load(std::memory_order_acquire);
    Walk::pause();
    const auto owner = at == inside ? mine : here->owner.load(std::memory_order_acquire);
    Walk::pause();
    const bool free = Walk::checks_free && born == 0;
    const bool other_life = Walk::checks_life && here->csn.load(std::memory_order_acquire) != born;
    const bool other_slot =
        Walk::checks_owner && (owner & ~(Version::removed | Version::big)) != mine;
    if (free || other_life || other_slot) {
      at = place->first();
      continue;
    }
    if (born <= csn.value) {
      if (at == inside) return found(Csn{born}, Bytes(here->inline_row(), head->row_bytes));
      if ((owner & Version::removed) != 0) return found(Csn{born}, std::nullopt);
      return found(Csn{born}, here->row(segment));
    }
    at = previous;
  }
  return std::nullopt;
}

template <class Walk>
std::optional<Bytes> SlotTable::find(const Segment& segment, const SlotTableHead* head, ClassId cls,
                                     SlotId slot, Csn csn) {
  return walk<Walk>(segment, head, cls, slot, csn,
                    [](Csn, std::optional<Bytes> row) { return row; });
}

inline std::optional<ShownVersion> SlotTable::find_version(const Segment& segment,
                                                           const SlotTableHead* head, ClassId cls,
                                                           SlotId slot, Csn csn) {
  return walk<VersionWalk>(segment, head, cls, slot, csn, [](Csn born, std::optional<Bytes> row) {
    return std::optional(ShownVersion{born, row});
  });
}

}  // namespace exdb
