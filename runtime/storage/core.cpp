// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "storage/core.hpp"

namespace exdb {
namespace {

// The order and alignment of what follows the header, in one place: attach() in another process, of
// another build of the same version, must come to the same offsets (I1).
constexpr std::size_t at_line(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

std::vector<IndexKeys> keys_of_all(const Dictionary& dictionary) {
  std::vector<IndexKeys> keys;
  keys.reserve(dictionary.indexes().size());
  for (const auto& index : dictionary.indexes()) keys.emplace_back(dictionary, index.id);
  return keys;
}

std::size_t classes_at() { return StorageCore::header_offset + sizeof(StorageHeader); }
std::size_t indexes_at(const Dictionary& dictionary) {
  return classes_at() + at_line(sizeof(SlotTableHead) * dictionary.classes().size());
}
std::size_t readers_at(const Dictionary& dictionary) {
  return indexes_at(dictionary) + sizeof(IndexHead) * dictionary.indexes().size();
}

}  // namespace

std::size_t StorageCore::bytes_for(const Dictionary& dictionary, std::uint32_t places) {
  return readers_at(dictionary) + ReaderTable::bytes_for(places);
}

// Nothing is written here: a process that attaches builds the same object over memory that is in
// use already.
StorageCore::StorageCore(std::shared_ptr<const Dictionary> dictionary_,
                         std::unique_ptr<Segment> segment_)
    : dictionary(std::move(dictionary_)),
      segment(std::move(segment_)),
      header(segment->at<StorageHeader>(header_offset)),
      classes(segment->at<SlotTableHead>(classes_at())),
      indexes(segment->at<IndexHead>(indexes_at(*dictionary))),
      keys(keys_of_all(*dictionary)),
      readers(segment->at<std::byte>(readers_at(*dictionary)), header->places, &header->published),
      pins(readers, header->places) {}

}  // namespace exdb
