// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/checkpoint.hpp"

#include <array>

#include "base/bytes.hpp"
#include "base/low_priority.hpp"
#include "base/yielding.hpp"
#include "cluster/crc32c.hpp"

namespace exdb {
namespace {

constexpr std::size_t frame_bytes = 16;
/// A chunk has a bound, or is one object that is larger: a row of 4 GiB at most.
constexpr std::uint64_t chunk_bytes_max = (std::uint64_t{4} << 30) + (std::uint64_t{1} << 20);

Result<std::uint64_t> write_all(File& file, const FileHead& head, StateStream& state,
                                const std::stop_token& stop) {
  CheckpointWriter writer(file, head);
  std::vector<std::byte> chunk;
  Yielding yielding(low_priority_gives);
  while (state.next(chunk)) {
    if (stop.stop_requested())
      return Status(ErrorCode::interrupted, "a checkpoint is not wanted any more");
    yielding.begin();
    if (auto status = writer.add(chunk); !status) return status;
    yielding.long_step();
  }
  if (auto status = writer.add({}); !status) return status;
  if (auto status = file.sync(); !status) return status;
  return writer.bytes();
}

/// All of an open file. `path`: for the messages.
Result<ReadCheckpoint> read_open(File& file, const std::string& path,
                                 const DatabaseIdentity& identity, const EachChunk& each) {
  auto size = file.size();
  if (!size) return size.status();
  std::vector<std::byte> bytes(head_bytes);
  auto got = file.read(0, bytes);
  if (!got) return got.status();
  bytes.resize(*got);
  auto head = decode_head(bytes, FileKind::checkpoint, path);
  if (!head) return head.status();
  if (auto status = check_identity(head->identity, identity, path); !status) return status;
  auto crc = crc32c(bytes);
  ReadCheckpoint read{*head, head_bytes, 0};
  std::array<std::byte, frame_bytes> frame;
  while (true) {
    const auto at = read.bytes;
    got = file.read(at, frame);
    if (!got) return got.status();
    if (*got < frame_bytes) return damaged(path, at, "it ends before its end");
    ByteReader in(frame);
    const auto length = in.get<std::uint64_t>();
    const auto wanted = in.get<std::uint32_t>();
    if (in.get<std::uint32_t>() != 0 || length > chunk_bytes_max ||
        length > *size - at - frame_bytes)
      return damaged(path, at, "there is no chunk");
    crc = crc32c(std::as_bytes(std::span(&length, 1)), crc);
    // Grown only: what is read is not zeroed first.
    if (bytes.size() < length) bytes.resize(std::size_t(length));
    const auto chunk = MutableBytes(bytes).first(std::size_t(length));
    got = file.read(at + frame_bytes, chunk);
    if (!got) return got.status();
    crc = crc32c(chunk, crc);
    if (*got < length || crc != wanted)
      return damaged(path, at, "the checksum of a chunk is wrong");
    read.bytes += frame_bytes + length;
    if (length == 0) break;
    ++read.chunks;
    if (auto status = each(chunk); !status)
      return Status(status.code(),
                    "'" + path + "', chunk at offset " + std::to_string(at) + ": " + status.text());
  }
  if (read.bytes != *size) return damaged(path, read.bytes, "there are bytes behind its end");
  return read;
}

/// C1, all but the name.
Result<std::uint64_t> write_and_verify(File& file, const std::string& path, const FileHead& head,
                                       StateStream& state, const std::stop_token& stop) {
  auto written = write_all(file, head, state, stop);
  if (!written) return written;
  file.forget_cached();
  Yielding yielding(low_priority_gives);
  yielding.begin();
  auto read = read_open(file, path, head.identity, [&](Bytes) {
    yielding.long_step();
    return stop.stop_requested()
               ? Status(ErrorCode::interrupted, "a checkpoint is not wanted any more")
               : Status();
  });
  if (!read) return read.status();
  if (!(read->head == head) || read->bytes != *written)
    return damaged(path, 0, "it is not what was written just now");
  return written;
}

}  // namespace

CheckpointWriter::CheckpointWriter(File& file, const FileHead& head) : file_(file) {
  encode_head(head, bytes_);
  crc_ = crc32c(bytes_);
}

Status CheckpointWriter::add(Bytes chunk) {
  ByteWriter out(bytes_);
  const std::uint64_t length = chunk.size();
  crc_ = crc32c(chunk, crc32c(std::as_bytes(std::span(&length, 1)), crc_));
  out.put(length);
  out.put(crc_);
  out.put(std::uint32_t{0});
  if (auto status = flush(); !status) return status;
  if (auto status = file_.write(offset_, chunk); !status) return status;
  offset_ += chunk.size();
  return {};
}

Status CheckpointWriter::flush() {
  if (auto status = file_.write(offset_, bytes_); !status) return status;
  offset_ += bytes_.size();
  bytes_.clear();
  return {};
}

Result<std::uint64_t> write_checkpoint(Folder& folder, const DatabaseIdentity& identity,
                                       RoundHistory::Chain at, Marks marks, StateStream& state,
                                       const std::stop_token& stop, const NameIt& name_it) {
  return write_state(folder, file_name(FileKind::checkpoint, at.round), identity, at, marks, state,
                     stop, name_it);
}

Result<std::uint64_t> write_state(Folder& folder, const std::string& name,
                                  const DatabaseIdentity& identity, RoundHistory::Chain at,
                                  Marks marks, StateStream& state, const std::stop_token& stop,
                                  const NameIt& name_it) {
  auto file = folder.create(unfinished(name));
  if (!file) return file.status();
  auto written = at_low_priority([&] {
    return write_and_verify(**file, folder.path_of(unfinished(name)),
                            {FileKind::checkpoint, identity, at, marks, 0}, state, stop);
  });
  file->reset();
  if (!written) {
    // Recovery removes it otherwise: what matters is why it was not finished.
    (void)folder.remove(unfinished(name));
    return written;
  }
  const auto named = [&] {
    if (auto status = folder.rename(unfinished(name), name); !status) return status;
    return folder.sync();
  };
  if (auto status = name_it ? name_it(named) : named(); !status) {
    if (status.code() == ErrorCode::interrupted) (void)folder.remove(unfinished(name));
    return status;
  }
  return written;
}

Result<FileHead> read_checkpoint_head(Folder& folder, const std::string& name,
                                      const DatabaseIdentity& identity) {
  auto head = read_head(folder, FileKind::checkpoint, name);
  if (!head) return head;
  if (auto status = check_identity(head->identity, identity, folder.path_of(name)); !status)
    return status;
  return head;
}

Status drop_checkpoints_before(Folder& folder, Round upto, OpenFiles* going) {
  auto names = folder.list();
  if (!names) return names.status();
  bool dropped = false;
  for (const auto& name : *names) {
    const auto round = round_of_name(FileKind::checkpoint, name);
    if (!round || *round >= upto) continue;
    if (auto status = remove_file(folder, name, going); !status) return status;
    dropped = true;
  }
  return dropped ? folder.sync() : Status();
}

Result<ReadCheckpoint> read_checkpoint(Folder& folder, const std::string& name,
                                       const DatabaseIdentity& identity, const EachChunk& each) {
  auto file = folder.open(name);
  if (!file) return file.status();
  return read_open(**file, folder.path_of(name), identity, each);
}

}  // namespace exdb
