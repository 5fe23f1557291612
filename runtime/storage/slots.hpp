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
// Invariants
//   I1  A chain is ordered: csns never rise from a version to its previous one.
//   I2  A cell's csn is zero while it is free, and each life of a cell has a greater csn than the
//       one before: a version is freed either when a greater csn supersedes it before anybody could
//       see it, or after its death was published, and csns installed are > published. So two equal
//       readings of csn are of one life, and what was read between them belongs to it.
//   I3  The version that a pinned snapshot S needs is never freed while the pin lasts (Reclaimer
//       I1), but for a removal that ends its chain: to find nothing there means the same.
//   I4  A walker at pinned S that validated a version with csn > S and its previous P: P was the
//       next in the chain, so it was the version needed at S or newer. If P was recycled since,
//       that happened after the pin was taken, so its csn is > published >= S: a walker never takes
//       a recycled cell for its row; it passes it by, or finds another owner in it and starts
//       again. So it cannot step over the version it needs.
//   I5  Plain fields (size, bytes) are read only of the version needed at S, which I3 keeps.
//   I6  A slot of which all versions are gone keeps its newest csn: certification needs it.
//   I7  lowest_free() depends on nothing but which slots hold a row in the newest state.
// Threads: the static functions by anybody whose snapshot is pinned, lock-free; all else by the one
//   writer.
// Processes: everything in the segment holds offsets only; the writer's books are in its private
//   memory.
// Failure: install() and install_removed() throw Error(no_memory) with no slot changed.
#pragma once
#include <optional>
#include <vector>

#include "base/types.hpp"
#include "storage/allocator.hpp"
#include "storage/reclaimer.hpp"

namespace exdb {

/// One version of a row: a Stable cell, the row's bytes behind it.
struct Version {
  std::atomic<std::uint64_t> csn;    ///< 0 = the cell is free
  std::atomic<Offset> previous;      ///< the next older version, 0 = none
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
};
static_assert(sizeof(Version) == 32);

struct Slot {
  std::atomic<Offset> newest;      ///< version, 0 = none is left
  std::atomic<std::uint64_t> csn;  ///< of the newest version there was (I6)
};

/// Lies in the segment, zeroed when new. Pages of slots never move, so readers need no lock while
/// the table grows.
struct alignas(64) SlotTableHead {
  std::atomic<Offset> root;          ///< of `directories_max` offsets of directories
  std::atomic<std::uint64_t> slots;  ///< one above the highest slot ever used
  std::atomic<std::uint64_t> rows;   ///< slots that hold a row in the newest state
};

/// Part of a directory: a page, and how many of its slots have versions (0: a scan passes it by).
struct SlotPageEntry {
  std::atomic<Offset> page;
  std::atomic<std::uint64_t> used;
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
  static constexpr std::uint64_t page_slots = 4096;
  static constexpr std::uint64_t directory_pages = 2048;
  static constexpr std::uint64_t directories_max = 2048;
  static constexpr std::uint64_t slots_max =
      page_slots * directory_pages * directories_max;  // 2^34

  SlotTable(Segment& segment, Allocator& allocator, Reclaimer& reclaimer, SlotTableHead* head,
            ClassId cls);

  // --- the writer ---
  /// The lowest slot without a row. O(log slots).
  [[nodiscard]] SlotId lowest_free() const;
  /// Makes `row` the newest version of `slot`, and retires the one before, or frees it at once if
  /// nobody can have seen it. `row` may lie in that one.
  /// REQUIRES: csn > published, csn >= newest_csn(slot); a publish takes in all that is installed.
  void install(SlotId slot, Bytes row, Csn csn, Csn published);
  /// The slot holds no row from csn on. REQUIRES: as install(), and the slot holds a row.
  void install_removed(SlotId slot, Csn csn, Csn published);
  /// Frees a version that install() or install_removed() retired: for Garbage of kind version and
  /// of this class.
  void collect(const Garbage& garbage);

  /// Csn of the newest version, a removal counts; Csn{0} for a slot never used.
  [[nodiscard]] Csn newest_csn(SlotId slot) const;
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
  /// The first slot >= `from` that holds a row; SlotId::none() at the end.
  static SlotId scan(const Segment& segment, const SlotTableHead* head, ClassId cls, SlotId from,
                     Csn csn);
  /// The last slot <= `from` that holds a row; SlotId::none() at the end. SlotId::none() as `from`
  /// starts at the end.
  static SlotId scan_back(const Segment& segment, const SlotTableHead* head, ClassId cls,
                          SlotId from, Csn csn);
  /// Where a slot lies, to fetch it or its newest version ahead; null when its page does not exist.
  static const Slot* locate(const Segment& segment, const SlotTableHead* head, SlotId slot);

 private:
  Slot& make_slot(SlotId slot);
  Offset make_version(SlotId slot, Bytes row, std::uint64_t flags, Csn csn, Offset previous);
  void supersede(SlotId slot, Slot& place, Offset made, Csn csn, Csn published);
  void unlink_newest(SlotId slot, Slot& place);
  void free_version(Offset offset);
  [[nodiscard]] Version* version(Offset offset) const { return segment_.at<Version>(offset); }
  /// The newest version is of this unpublished lot, but of an earlier csn: no snapshot will ever
  /// see it.
  [[nodiscard]] bool newest_goes_unseen(const Slot& place, Csn csn, Csn published) const;
  [[nodiscard]] Offset previous_of_new(const Slot& place, Csn csn, Csn published) const;
  [[nodiscard]] static SlotPageEntry* entry_of(const Segment& segment, const SlotTableHead* head,
                                               SlotId slot);
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

inline SlotPageEntry* SlotTable::entry_of(const Segment& segment, const SlotTableHead* head,
                                          SlotId slot) {
  const auto root = head->root.load(std::memory_order_acquire);
  if (slot.value >= slots_max || root == 0) return nullptr;
  const auto page = slot.value / page_slots;
  const auto directory =
      segment.at<std::atomic<Offset>>(root)[page / directory_pages].load(std::memory_order_acquire);
  if (directory == 0) return nullptr;
  return segment.at<SlotPageEntry>(directory) + page % directory_pages;
}

inline const Slot* SlotTable::locate(const Segment& segment, const SlotTableHead* head,
                                     SlotId slot) {
  const auto* entry = entry_of(segment, head, slot);
  if (entry == nullptr) return nullptr;
  const auto page = entry->page.load(std::memory_order_acquire);
  return page == 0 ? nullptr : segment.at<Slot>(page) + slot.value % page_slots;
}

template <class Walk>
std::optional<Bytes> SlotTable::find(const Segment& segment, const SlotTableHead* head, ClassId cls,
                                     SlotId slot, Csn csn) {
  const auto* place = locate(segment, head, slot);
  if (place == nullptr) return std::nullopt;
  const auto mine = Version::owner_of(cls, slot);
  auto at = place->newest.load(std::memory_order_acquire);
  while (at != 0) {
    const auto* here = segment.at<Version>(at);
    Walk::pause();
    const auto born = here->csn.load(std::memory_order_acquire);
    Walk::pause();
    const auto previous = here->previous.load(std::memory_order_acquire);
    Walk::pause();
    const auto owner = here->owner.load(std::memory_order_acquire);
    Walk::pause();
    const bool free = Walk::checks_free && born == 0;
    const bool other_life = Walk::checks_life && here->csn.load(std::memory_order_acquire) != born;
    const bool other_slot =
        Walk::checks_owner && (owner & ~(Version::removed | Version::big)) != mine;
    if (free || other_life || other_slot) {
      at = place->newest.load(std::memory_order_acquire);
      continue;
    }
    if (born > csn.value) {
      at = previous;
      continue;
    }
    if (owner & Version::removed) return std::nullopt;
    const auto* bytes = here->bytes();
    if (owner & Version::big)
      bytes = segment.at<std::byte>(*reinterpret_cast<const Offset*>(bytes));
    return Bytes(bytes, here->size);
  }
  return std::nullopt;
}

}  // namespace exdb
