// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/slot_export.hpp"

#include "storage/core.hpp"

namespace exdb {
namespace {

/// Slots that are asked for before they are read.
constexpr std::uint64_t slots_ahead = 8;

}  // namespace

void ReusedSlots::note(ClassId cls, SlotId slot, Csn csn) {
  // Only what the export's csn still showed: a slot that was used again, emptied and used again was
  // noted the first time, and a slot never used before shows nothing.
  if (csn == Csn{0} || csn > at_) return;
  const std::lock_guard lock(mutex_);
  noted_.push_back({cls, slot, csn, std::nullopt});
}

std::vector<ExportedSlot> ReusedSlots::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(noted_, {});
}

SlotExport::SlotExport(Snapshot snapshot, std::shared_ptr<ReusedSlots> reused)
    : snapshot_(std::move(snapshot)), reused_(std::move(reused)) {
  const auto& core = *snapshot_.core_;
  for (const auto& cls : core.dictionary->classes())
    ends_.push_back(core.rows_of(cls.id)->slots.load(std::memory_order_acquire));
}

std::optional<ExportedSlot> SlotExport::next() {
  if (!walked_) {
    if (auto found = next_in_place()) return found;
    walked_ = true;
    // What is noted from here on was given above: every slot was passed while it was empty.
    late_ = reused_->take();
  }
  if (late_.empty()) return std::nullopt;
  auto last = std::move(late_.back());
  late_.pop_back();
  return last;
}

std::optional<ExportedSlot> SlotExport::next_in_place() {
  const auto& core = *snapshot_.core_;
  for (; cls_ < ends_.size(); ++cls_, slot_ = 0) {
    const ClassId cls{static_cast<std::uint32_t>(cls_)};
    const auto* head = core.rows_of(cls);
    while (slot_ < ends_[cls_]) {
      SlotTable::prefetch(head, SlotTable::locate(*core.segment, head, {slot_ + slots_ahead}));
      const SlotId slot{slot_++};
      const auto* place = SlotTable::locate(*core.segment, head, slot);
      if (place == nullptr) continue;
      if (const auto shown =
              SlotTable::find_version(*core.segment, head, cls, slot, snapshot_.csn()))
        return ExportedSlot{cls, slot, shown->csn, shown->row};
      // Nothing of then is in the chain. Csns of a slot only rise: if it is empty still, it is since
      // then; if not, that was noted (I2), or it was not used before.
      const auto csn = place->emptied_at();
      if (csn > Csn{0} && csn <= snapshot_.csn()) return ExportedSlot{cls, slot, csn, std::nullopt};
    }
  }
  return std::nullopt;
}

}  // namespace exdb
