// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/snapshot_stream.hpp"

namespace exdb {

Result<SnapshotWriter> SnapshotWriter::begin(const Replica& replica, RoundHistory::Chain upto,
                                             SnapshotBounds bounds) {
  if (replica.half_way_.failed()) return Status(ErrorCode::no_memory, HalfWay::text);
  auto slots = replica.replicated_->begin_export();
  if (!slots) return slots.status();
  SnapshotWriter writer(std::move(*slots), bounds);
  // Straight into chunks: a copy that is encoded later would hold the memory twice.
  writer.add_header(replica, upto);
  writer.add_changes(replica);
  writer.add_parts(replica);
  writer.add_outcomes(replica);
  return writer;
}

bool SnapshotWriter::next(std::vector<std::byte>& chunk) {
  yielding_.begin();
  spare_ = std::move(chunk);
  while (ready_.empty() && !ended_) {
    if (const auto slot = slots_.next()) {
      add_slot(*slot);
      if (bounds_.gives != 0) yielding_.step();
      continue;
    }
    object_.clear();
    ByteWriter(object_).put_varint(slot_objects_);
    add(SnapshotChunk::Kind::end, object_);
    flush();
    ended_ = true;
  }
  if (ready_.empty()) return false;
  chunk = std::move(ready_.front());
  ready_.pop_front();
  return true;
}

/// An object that does not fit any more, or is of another kind, begins a new chunk.
void SnapshotWriter::make_room(SnapshotChunk::Kind kind, std::size_t bytes) {
  if (objects_ != 0 &&
      (kind != kind_ || objects_ >= bounds_.objects || payload_.size() + bytes > bounds_.bytes))
    flush();
  kind_ = kind;
  ++objects_;
}

void SnapshotWriter::add(SnapshotChunk::Kind kind, Bytes object) {
  make_room(kind, object.size());
  ByteWriter(payload_).put_raw(object);
}

void SnapshotWriter::flush() {
  if (objects_ == 0) return;
  encode_chunk({kind_, number_++, objects_, payload_}, ready_.emplace_back(std::move(spare_)));
  spare_.clear();
  objects_ = 0;
  payload_.clear();
}

void SnapshotWriter::add_header(const Replica& replica, RoundHistory::Chain upto) {
  SnapshotHeader header;
  header.dictionary = replica.dictionary_->hash();
  header.upto = upto;
  header.csn = replica.applied_;
  header.digest = replica.replicated_->digest();
  header.horizon = replica.horizon_;
  header.floor = replica.log_->floor();
  for (const auto& type : replica.dictionary_->classes())
    header.class_changed.push_back(replica.log_->class_changed(type.id));
  header.changes = replica.log_->size();
  for (const auto& [id, fragments] : replica.fragments_) header.parts += fragments.parts.size();
  header.slots = slots_.slots_at_most();
  header.origins = replica.outcomes_.origins().size();
  header.autoids = replica.autoids_seen();
  for (auto& each : replica.names_.all())
    header.names.push_back({std::move(each.name), each.csn, each.round, each.digest});
  object_.clear();
  encode_header(header, object_);
  add(SnapshotChunk::Kind::header, object_);
}

void SnapshotWriter::add_changes(const Replica& replica) {
  replica.log_->for_each([&](const ConflictLog::Change& change) {
    object_.clear();
    ByteWriter writer(object_);
    writer.put_varint(change.csn.value);
    writer.put_varint(change.index.value);
    writer.put_bytes(change.key);
    add(SnapshotChunk::Kind::changes, object_);
  });
}

void SnapshotWriter::add_parts(const Replica& replica) {
  for (const auto& [id, fragments] : replica.fragments_) {
    for (const auto& part : fragments.parts) {
      object_.clear();
      ByteWriter writer(object_);
      writer.put_varint(id.origin.value);
      writer.put_varint(id.sequence);
      writer.put_varint(fragments.member.value);
      writer.put_bytes(part);
      add(SnapshotChunk::Kind::parts, object_);
    }
  }
}

void SnapshotWriter::add_outcomes(const Replica& replica) {
  for (const auto origin : replica.outcomes_.origins()) {
    object_.clear();
    replica.outcomes_.encode(origin, object_);
    add(SnapshotChunk::Kind::outcomes, object_);
  }
}

/// Straight into the chunk: there are more of these than of all others.
void SnapshotWriter::add_slot(const ExportedSlot& slot) {
  constexpr std::size_t beside_row_at_most = 48;
  const auto bytes = beside_row_at_most + (slot.row ? slot.row->size() : 0);
  make_room(SnapshotChunk::Kind::slots, bytes);
  ByteWriter writer(payload_);
  writer.put_varint(slot.cls.value);
  writer.put_varint(slot.slot.value);
  writer.put_varint(slot.csn.value);
  writer.put(static_cast<std::uint8_t>(slot.row.has_value()));
  if (slot.row) writer.put_bytes(*slot.row);
  ++slot_objects_;
}

}  // namespace exdb
