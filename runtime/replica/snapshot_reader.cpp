// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Trusts nothing: a stream may come from a disk that lies or a program that is not ours. What the
// storage asserts of its caller is therefore asked here first, object by object.
#include <limits>
#include <new>
#include <string>

#include "replica/snapshot_stream.hpp"
#include "schema/row.hpp"
#include "storage/slots.hpp"

namespace exdb {
namespace {

Status bad(const std::string& what) { return {ErrorCode::cluster_protocol, what}; }

bool may_be_names(const SnapshotHeader& header) {
  const std::string* before = nullptr;
  for (const auto& each : header.names) {
    if (!check_snapshot_name(each.name) || each.csn > header.csn) return false;
    if (before != nullptr && each.name <= *before) return false;
    before = &each.name;
  }
  return header.names_known || header.names.empty();
}

}  // namespace

SnapshotReader::SnapshotReader(std::shared_ptr<const Dictionary> dictionary, StorageOptions options,
                               NodeId self, bool clustered)
    : dictionary_(std::move(dictionary)),
      options_(std::move(options)),
      self_(self),
      clustered_(clustered) {}

Status SnapshotReader::fail(Status status) {
  replica_.reset();  // its memory is of no use any more
  complete_ = false;
  failure_ = std::move(status);
  return failure_;
}

Status SnapshotReader::add(Bytes bytes) {
  if (!failure_.ok()) return failure_;
  const auto where = "chunk " + std::to_string(chunks_) + " of a snapshot cannot be taken: ";
  auto chunk = decode_chunk(bytes);
  auto status = chunk.status();
  try {
    if (status.ok()) status = take(*chunk);
  } catch (const Error& error) {
    status = {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    status = {ErrorCode::no_memory, "out of memory"};
  }
  if (!status.ok()) return fail({status.code(), where + status.text()});
  ++chunks_;
  return {};
}

Status SnapshotReader::take(const SnapshotChunk& chunk) {
  using Kind = SnapshotChunk::Kind;
  if (chunk.number != chunks_) {
    return bad("it is chunk " + std::to_string(chunk.number) +
               ": chunks are given one after the other");
  }
  if (complete_) return bad("it comes after the end");
  if ((chunks_ == 0) != (chunk.kind == Kind::header)) return bad("a header comes first, and once");
  if (chunk.kind == Kind::header) return take_header(chunk);
  // Parts of one transaction are told apart by nothing but their order.
  if (chunk.kind < last_) return bad("its kind comes before that of the chunk before");
  last_ = chunk.kind;
  ByteReader in(chunk.payload);
  yielding_.begin();
  for (std::uint32_t i = 0; i < chunk.objects; ++i) {
    if (in.remaining() == 0) return bad("it has fewer objects than it says");
    auto status = chunk.kind == Kind::changes    ? take_change(in)
                  : chunk.kind == Kind::parts    ? take_part(in)
                  : chunk.kind == Kind::outcomes ? take_outcomes(in)
                  : chunk.kind == Kind::slots    ? take_slot(in)
                                                 : take_end(in);
    if (!status.ok()) return status;
    yielding_.step();
  }
  if (!in.ok() || in.remaining() != 0) return bad("its length is wrong");
  return {};
}

Status SnapshotReader::take_header(const SnapshotChunk& chunk) {
  if (chunk.objects != 1) return bad("there is one header");
  auto header = decode_header(chunk.payload);
  if (!header) return header.status();
  if (header->dictionary != dictionary_->hash()) {
    return {ErrorCode::cluster_incompatible,
            "it was made with another dictionary: load the same schema text"};
  }
  if (header->class_changed.size() != dictionary_->classes().size())
    return bad("it has another number of classes");
  for (const auto csn : header->class_changed) {
    if (csn > header->csn) return bad("a class was changed after its csn");
  }
  if (header->floor > header->csn || header->horizon > header->csn)
    return bad("its conflict log begins after its csn");
  if (!may_be_names(*header)) return bad("names of snapshots that cannot be");
  auto replica = Replica::create(dictionary_, options_, clustered_, self_);
  if (!replica) return replica.status();
  replica_ = std::move(*replica);
  replica_->applied_ = header->csn;
  replica_->horizon_ = header->horizon;
  replica_->log_->restore(header->floor, header->class_changed);
  replica_->certifier_->autoid_seen(header->autoids);
  replica_->see_autoids();
  if (header->names_known) replica_->names_.know(header->names);
  header_ = std::move(*header);
  return {};
}

Status SnapshotReader::take_change(ByteReader& in) {
  const Csn csn{in.get_varint()};
  const auto index = in.get_varint();
  const auto key = in.get_bytes();
  if (!in.ok()) return bad("it is cut short");
  if (index >= dictionary_->indexes().size()) return bad("unknown index");
  if (key.size() > key_bytes_limit) return bad("a key is too long");
  if (csn <= header_->floor || csn > header_->csn || csn < last_change_)
    return bad("a change of a key is out of order");
  last_change_ = csn;
  replica_->log_->key_changed(IndexId{static_cast<std::uint32_t>(index)}, key, true, csn);
  return {};
}

Status SnapshotReader::take_part(ByteReader& in) {
  const auto origin = in.get_varint();
  const auto sequence = in.get_varint();
  const auto member = in.get_varint();
  const auto ops = in.get_bytes();
  if (!in.ok()) return bad("it is cut short");
  if (std::max(origin, member) > std::numeric_limits<std::uint32_t>::max())
    return bad("no such origin");
  auto& fragments = replica_->fragments_[{NodeId{static_cast<std::uint32_t>(origin)}, sequence}];
  fragments.member = MemberId{static_cast<std::uint32_t>(member)};
  fragments.parts.emplace_back(ops.begin(), ops.end());
  ++parts_;
  return {};
}

Status SnapshotReader::take_outcomes(ByteReader& in) { return replica_->outcomes_.decode(in); }

Status SnapshotReader::take_slot(ByteReader& in) {
  const auto cls = in.get_varint();
  const SlotId slot{in.get_varint()};
  const Csn csn{in.get_varint()};
  const auto holds = in.get<std::uint8_t>();
  std::optional<Bytes> row;
  if (holds == 1) row = in.get_bytes();
  if (!in.ok() || holds > 1) return bad("it is cut short");
  if (cls >= dictionary_->classes().size()) return bad("unknown class");
  ++slots_;
  return install(ClassId{static_cast<std::uint32_t>(cls)}, slot, csn, row);
}

Status SnapshotReader::install(ClassId cls, SlotId slot, Csn csn, std::optional<Bytes> row) {
  const auto& type = dictionary_->class_of(cls);
  const auto where = [&] { return "class " + type.name + ", slot " + std::to_string(slot.value); };
  if (clustered_ && type.local) return bad("class " + type.name + " is local");
  if (slot.value >= SlotTable::slots_max) return bad(where() + " cannot be");
  if (csn == Csn{0} || csn > header_->csn) return bad(where() + " has a csn that cannot be");
  auto& storage = *replica_->replicated_;
  const auto there = storage.newest_csn(cls, slot);
  if (!row) {
    // One that was used again while the export went on may come twice, the same both times.
    if (there != Csn{0} && (there != csn || storage.newest_row(cls, slot)))
      return bad(where() + " comes twice");
    storage.install_emptied(cls, slot, csn);
    return {};
  }
  if (there != Csn{0}) return bad(where() + " comes twice");
  if (auto status = validate_row(*dictionary_, cls, *row); !status)
    return bad(where() + ": " + status.text());
  storage.install(cls, slot, csn, *row);
  return {};
}

Status SnapshotReader::take_end(ByteReader& in) {
  const auto slots = in.get_varint();
  const auto missing = [](const char* what) { return bad(std::string(what) + " are missing"); };
  if (!in.ok() || slots != slots_) return missing("slots");
  if (replica_->log_->size() != header_->changes) return missing("changes of keys");
  if (parts_ != header_->parts) return missing("parts of transactions");
  if (replica_->outcomes_.origins().size() != header_->origins) return missing("outcomes");
  if (replica_->replicated_->digest() != header_->digest)
    return {ErrorCode::inconsistent, "the rows are not those that were written"};
  complete_ = true;
  return {};
}

Result<std::unique_ptr<Replica>> SnapshotReader::finish(const std::stop_token& stop) {
  if (!failure_.ok()) return failure_;
  if (!complete_) {
    return fail({ErrorCode::cluster_protocol,
                 "a snapshot ends after chunk " + std::to_string(chunks_) + ", before its end"});
  }
  try {
    if (!replica_->replicated_->finish_install(header_->csn, stop))
      return fail({ErrorCode::interrupted, "a snapshot: its indexes are not wanted any more"});
  } catch (const Error& error) {
    return fail({error.code(), std::string("the indexes of a snapshot: ") + error.what()});
  } catch (const std::bad_alloc&) {
    return fail({ErrorCode::no_memory, "the indexes of a snapshot: out of memory"});
  }
  auto made = std::move(replica_);
  failure_ = {ErrorCode::cluster_protocol, "a snapshot is given out once"};
  return made;
}

}  // namespace exdb
