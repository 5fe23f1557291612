// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/storage.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/hash.hpp"
#include "storage/core.hpp"
#include "storage/slot_export.hpp"
#include "storage/snapshot.hpp"
#include "storage/writer.hpp"

namespace exdb {

/// A reader process has no writer.
struct Storage::Inside {
  std::shared_ptr<StorageCore> core;
  std::unique_ptr<StorageWriter> writer;

  [[nodiscard]] StorageWriter& writing() const {
    EXDB_ASSERT(writer != nullptr, "an attached storage is for readers only");
    return *writer;
  }
};

Storage::Storage(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Storage::~Storage() = default;

Result<std::unique_ptr<Storage>> Storage::create(std::shared_ptr<const Dictionary> dictionary,
                                                 const StorageOptions& options) {
  auto segment = Segment::create(options.segment);
  if (!segment.ok()) return segment.status();
  const auto places = options.readers_max == 0 ? 1 : options.readers_max;
  const auto heads = StorageCore::header_offset + StorageCore::bytes_for(*dictionary, places);
  if ((*segment)->size() < heads)
    if (auto grown = (*segment)->grow(heads - (*segment)->size()); !grown.ok()) return grown;

  auto* header = (*segment)->at<StorageHeader>(StorageCore::header_offset);
  header->version = StorageHeader::version_now;
  header->places = places;
  header->dictionary = dictionary->hash();
  auto inside = std::make_unique<Inside>();
  inside->core = std::make_shared<StorageCore>(std::move(dictionary), std::move(*segment));
  try {
    // Hash tables are allocated here; the segment may be too small for size hints.
    inside->writer = std::make_unique<StorageWriter>(*inside->core, heads, options.holds);
  } catch (const Error& error) {
    return Status(error.code(), error.what());
  }
  // A process that attaches meanwhile finds no replica rather than half of one.
  header->magic.store(StorageHeader::magic_now, std::memory_order_release);
  return std::unique_ptr<Storage>(new Storage(std::move(inside)));
}

Result<std::unique_ptr<Storage>> Storage::attach(std::shared_ptr<const Dictionary> dictionary,
                                                 int fd) {
  auto segment = Segment::attach(fd);
  if (!segment.ok()) return segment.status();
  const auto* header = (*segment)->at<StorageHeader>(StorageCore::header_offset);
  const auto size = (*segment)->size();
  // What is behind a descriptor is not to be trusted before it was looked at: sizes first.
  if (size < StorageCore::header_offset + sizeof(StorageHeader) ||
      header->magic.load(std::memory_order_acquire) != StorageHeader::magic_now)
    return Status(ErrorCode::cluster_incompatible,
                  "attach: the shared memory behind descriptor " + std::to_string(fd) +
                      " holds no exdb replica; pass the descriptor of Storage::fd()");
  if (header->version != StorageHeader::version_now)
    return Status(ErrorCode::cluster_incompatible,
                  "attach: the replica has layout " + std::to_string(header->version) +
                      ", this program has layout " + std::to_string(StorageHeader::version_now) +
                      "; run the same exdb version in all processes of a host");
  if (header->dictionary != dictionary->hash() ||
      size < StorageCore::header_offset + StorageCore::bytes_for(*dictionary, header->places))
    return Status(ErrorCode::cluster_incompatible,
                  "attach: the replica was made for another dictionary; load the same schema text "
                  "in all processes of a host");
  auto inside = std::make_unique<Inside>();
  inside->core = std::make_shared<StorageCore>(std::move(dictionary), std::move(*segment));
  return std::unique_ptr<Storage>(new Storage(std::move(inside)));
}

Csn Storage::published() const { return Csn{inside_->core->header->published.load()}; }

Result<Snapshot> Storage::pin() {
  auto pin = inside_->core->pins.take();
  if (!pin.ok()) return pin.status();
  return snapshot_of(pin->csn, pin->place);
}

Result<Snapshot> Storage::pin_older(Csn csn) {
  auto pin = inside_->core->pins.take_older(csn);
  if (!pin.ok()) return pin.status();
  return snapshot_of(pin->csn, pin->place);
}

Snapshot Storage::snapshot_of(Csn csn, std::uint32_t place) const {
  Snapshot snapshot;
  snapshot.csn_ = csn;
  snapshot.place_ = place;
  snapshot.core_ = inside_->core;
  return snapshot;
}

const Dictionary& Storage::dictionary() const { return *inside_->core->dictionary; }
int Storage::fd() const { return inside_->core->segment->fd(); }

std::vector<Csn> Storage::pinned() const {
  std::vector<Csn> pins;
  inside_->core->readers.scan(pins);
  return pins;
}

StorageStatistics Storage::statistics() const {
  const auto& core = *inside_->core;
  StorageStatistics statistics;
  statistics.bytes_reserved = core.segment->size();
  statistics.bytes_used = core.header->bytes_used.load(std::memory_order_relaxed);
  statistics.garbage = core.header->garbage.load(std::memory_order_relaxed);
  for (const auto& cls : core.dictionary->classes())
    statistics.rows += core.rows_of(cls.id)->rows.load(std::memory_order_relaxed);
  return statistics;
}

std::uint64_t Storage::rows(ClassId cls) const {
  return inside_->core->rows_of(cls)->rows.load(std::memory_order_relaxed);
}

Csn Storage::applied() const { return inside_->writing().applied(); }
Csn Storage::newest_csn(ClassId cls, SlotId slot) const {
  const auto& core = *inside_->core;
  return SlotTable::newest_csn(*core.segment, core.rows_of(cls), slot);
}
std::optional<Bytes> Storage::newest_row(ClassId cls, SlotId slot) const {
  return inside_->writing().newest_row(cls, slot);
}
std::optional<Bytes> Storage::pinned_row(ClassId cls, SlotId slot, Csn csn) const {
  const auto& core = *inside_->core;
  std::vector<Csn> pins;
  core.readers.scan(pins);
  // A pin was newest when it was made: one of an older csn has been there ever since.
  if (!std::binary_search(pins.begin(), pins.end(), csn)) return std::nullopt;
  return core.row(cls, slot, csn);
}
SlotId Storage::newest_owner(IndexId index, Bytes key) const {
  return inside_->writing().newest_owner(index, key);
}
bool Storage::key_unchanged(IndexId index, Bytes before, Bytes after) const {
  return inside_->core->keys_of(index).unchanged(before, after);
}
void Storage::newest_owners(IndexId index, Bytes key, std::vector<SlotId>& out) const {
  inside_->writing().newest_owners(index, key, out);
}
void Storage::fetch_slot(ClassId cls, SlotId slot) const {
  const auto& core = *inside_->core;
  const auto* head = core.rows_of(cls);
  SlotTable::prefetch(head, SlotTable::locate(*core.segment, head, slot));
}
void Storage::fetch_row(ClassId cls, SlotId slot) const {
  const auto& core = *inside_->core;
  const auto* place = SlotTable::locate(*core.segment, core.rows_of(cls), slot);
  if (place != nullptr) SlotTable::prefetch_newest(*core.segment, place);
}

void Storage::fetch_key(IndexId index, Bytes key) const {
  inside_->writing().fetch_key(index, key);
}

SlotId Storage::insert(ClassId cls, Bytes row, Csn csn) {
  return inside_->writing().insert(cls, row, csn);
}
void Storage::update(ClassId cls, SlotId slot, Bytes row, Csn csn) {
  inside_->writing().update(cls, slot, row, csn);
}
void Storage::remove(ClassId cls, SlotId slot, Csn csn) {
  inside_->writing().remove(cls, slot, csn);
}
void Storage::publish() { inside_->writing().publish(inside_->writing().applied()); }
void Storage::publish(Csn csn) { inside_->writing().publish(csn); }

Result<SlotExport> Storage::begin_export() {
  auto& writer = inside_->writing();
  EXDB_ASSERT(writer.applied() == published(), "an export begins between two rounds");
  auto snapshot = pin();
  if (!snapshot.ok()) return snapshot.status();
  const auto reused = std::make_shared<ReusedSlots>(snapshot->csn());
  writer.note_reused(reused);
  return SlotExport(std::move(*snapshot), reused);
}
void Storage::install(ClassId cls, SlotId slot, Csn csn, Bytes row) {
  inside_->writing().install(cls, slot, csn, row);
}
void Storage::install_emptied(ClassId cls, SlotId slot, Csn csn) {
  inside_->writing().install_emptied(cls, slot, csn);
}
bool Storage::finish_install(Csn applied, const std::stop_token& stop) {
  return inside_->writing().finish_install(applied, stop);
}

std::uint64_t Storage::digest() const {
  if (inside_->writer != nullptr) return inside_->writer->digest();
  return inside_->core->header->digest.load(std::memory_order_relaxed);
}
std::uint32_t Storage::reap_readers() {
  (void)inside_->writing();
  return inside_->core->readers.reap();
}
void Storage::set_index_changes(IndexChanges* sink) { inside_->writing().set_index_changes(sink); }

void Storage::check() const { inside_->writing().check(); }

}  // namespace exdb
