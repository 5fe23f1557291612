// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/pinned_stream.hpp"

namespace exdb {

PinnedStream::PinnedStream(std::shared_ptr<const Dictionary> dictionary, NamedSnapshot snapshot,
                           bool clustered, SnapshotBounds bounds)
    : dictionary_(std::move(dictionary)),
      snapshot_(std::move(snapshot)),
      clustered_(clustered),
      bounds_(bounds),
      yielding_(bounds.gives) {}

void PinnedStream::fill(std::vector<std::byte>& chunk, SnapshotChunk::Kind kind) {
  encode_chunk({kind, number_++, objects_, payload_}, chunk);
  objects_ = 0;
  payload_.clear();
}

/// Appends the next row; false when there is none.
bool PinnedStream::next_row() {
  const auto& state = snapshot_.pinned->replicated;
  const auto classes = dictionary_->classes();
  for (; cls_ < classes.size(); ++cls_, slot_ = {}) {
    if (clustered_ && classes[cls_].local) continue;
    slot_ = state.scan(ClassId{cls_}, slot_);
    if (slot_ == SlotId::none()) continue;
    ByteWriter writer(payload_);
    writer.put_varint(cls_);
    writer.put_varint(slot_.value);
    writer.put_varint(snapshot_.csn.value);
    writer.put(std::uint8_t{1});
    writer.put_bytes(*state.row(ClassId{cls_}, slot_));
    ++slot_.value;
    ++objects_;
    ++rows_;
    return true;
  }
  return false;
}

bool PinnedStream::next(std::vector<std::byte>& chunk) {
  if (ended_) return false;
  if (number_ == 0) {
    SnapshotHeader header;
    header.dictionary = dictionary_->hash();
    header.upto.round = snapshot_.round;
    header.csn = header.horizon = header.floor = snapshot_.csn;
    header.digest = snapshot_.digest;
    header.class_changed.resize(dictionary_->classes().size());
    header.names_known = false;
    encode_header(header, payload_);
    objects_ = 1;
    fill(chunk, SnapshotChunk::Kind::header);
    return true;
  }
  yielding_.begin();
  while (objects_ < bounds_.objects && payload_.size() < bounds_.bytes && next_row())
    if (bounds_.gives != 0) yielding_.step();
  if (objects_ != 0) {
    fill(chunk, SnapshotChunk::Kind::slots);
    return true;
  }
  ByteWriter(payload_).put_varint(rows_);
  objects_ = 1;
  fill(chunk, SnapshotChunk::Kind::end);
  ended_ = true;
  return true;
}

}  // namespace exdb
