// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/copies.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "cluster/crc32c.hpp"

namespace exdb {
namespace {

constexpr std::uint64_t copies_magic = 0x434f504542445845;  // "EXDBEPOC", little-endian
constexpr std::size_t copies_crc_at = 12, copies_checked_from = 16, fixed_bytes = 32,
                      epoch_bytes = 32;

std::uint32_t copies_crc_of(Bytes all) {
  return crc32c(all.subspan(copies_checked_from), crc32c(all.first(copies_crc_at)));
}

std::string where(const Copy& copy) {
  return "'" + copy.path + "' (epoch " + std::to_string(copy.epoch()) + ", round " +
         std::to_string(copy.newest.round.value) + ")";
}

}  // namespace

Epochs epochs_until(Epochs epochs, Round newest) {
  std::erase_if(epochs, [newest](const Epoch& epoch) { return epoch.before.round >= newest; });
  return epochs;
}

Status check_older(const Copy& copy, const Copy& furthest) {
  const auto fork = [&](const std::string& why) {
    return Status(ErrorCode::inconsistent,
                  "the copies of this database have gone different ways: " + where(copy) +
                      " is no older state of " + where(furthest) + ": " + why +
                      ". Each may have commits that were acknowledged. Decide which one shall be "
                      "kept, move the other folder elsewhere, and open again");
  };
  if (copy.database != furthest.database)
    return {ErrorCode::inconsistent, where(copy) + " and " + where(furthest) +
                                         " are of two databases: move one of them elsewhere"};
  auto left_at = furthest.newest;
  auto next = furthest.epochs.begin();
  if (!copy.epochs.empty()) {
    const auto& last = copy.epochs.back();
    next = std::find_if(furthest.epochs.begin(), furthest.epochs.end(),
                        [&](const Epoch& epoch) { return epoch.number == last.number; });
    if (next == furthest.epochs.end() || !(*next == last))
      return fork("it was opened without the other, and went on");
    ++next;
  }
  if (next != furthest.epochs.end()) left_at = next->before;
  if (copy.newest.round > left_at.round)
    return fork("the other went on from round " + std::to_string(left_at.round.value) +
                " without what came after");
  if (copy.newest.round == left_at.round && copy.newest.hash != left_at.hash)
    return fork("their rounds " + std::to_string(left_at.round.value) + " differ");
  return {};
}

std::optional<std::size_t> furthest_one(const std::vector<Copy>& copies) {
  if (copies.empty()) return std::nullopt;
  const auto rank = [](const Copy& copy) { return std::pair(copy.epoch(), copy.newest.round); };
  std::size_t best = 0;
  for (std::size_t i = 1; i < copies.size(); ++i)
    if (rank(copies[best]) < rank(copies[i])) best = i;
  return best;
}

Result<std::optional<std::size_t>> furthest_of(const std::vector<Copy>& copies) {
  const auto best = furthest_one(copies);
  for (const auto& copy : copies)
    if (auto status = check_older(copy, copies[*best]); !status) return status;
  return best;
}

std::vector<std::byte> encode_epochs(std::uint64_t database, const Epochs& epochs) {
  std::vector<std::byte> bytes;
  bytes.reserve(fixed_bytes + epochs.size() * epoch_bytes);
  ByteWriter out(bytes);
  out.put(copies_magic);
  out.put(disk_format_version);
  out.put(std::uint32_t{0});
  out.put(database);
  out.put(std::uint64_t(epochs.size()));
  for (const auto& epoch : epochs) {
    out.put(epoch.number);
    out.put(epoch.name);
    out.put(epoch.before.round.value);
    out.put(epoch.before.hash);
  }
  out.patch(copies_crc_at, copies_crc_of(bytes));
  return bytes;
}

Result<Epochs> decode_epochs(Bytes bytes, std::uint64_t database, const std::string& path) {
  ByteReader in(bytes);
  if (in.get<std::uint64_t>() != copies_magic) return damaged(path, 0, "this is no file of epochs");
  const auto version = in.get<std::uint32_t>();
  if (in.ok() && version > disk_format_version)
    return Status(ErrorCode::disk_version,
                  "'" + path + "' is of format " + std::to_string(version) +
                      ", and this exdb reads up to " + std::to_string(disk_format_version) +
                      ": open it with the newer exdb that has written it");
  const auto crc = in.get<std::uint32_t>();
  const auto of = in.get<std::uint64_t>();
  const auto count = in.get<std::uint64_t>();
  if (!in.ok() || count > epochs_max || bytes.size() - fixed_bytes != count * epoch_bytes)
    return damaged(path, bytes.size(), "its length is wrong");
  if (crc != copies_crc_of(bytes)) return damaged(path, copies_crc_at, "its checksum is wrong");
  if (of != database) return damaged(path, 0, "it is of another database");
  Epochs epochs(static_cast<std::size_t>(count));
  for (auto& epoch : epochs) {
    epoch.number = in.get<std::uint64_t>();
    epoch.name = in.get<std::uint64_t>();
    epoch.before.round.value = in.get<std::uint64_t>();
    epoch.before.hash = in.get<std::uint64_t>();
  }
  return epochs;
}

Result<Epochs> read_epochs(Folder& folder, std::uint64_t database) {
  auto names = folder.list();
  if (!names) return names.status();
  if (std::find(names->begin(), names->end(), epochs_name) == names->end()) return Epochs();
  auto file = folder.open(epochs_name);
  if (!file) return file.status();
  auto bytes = read_all(**file, fixed_bytes + std::uint64_t{epochs_max} * epoch_bytes);
  if (!bytes && bytes.status().code() == ErrorCode::disk_damaged)
    return damaged(folder.path_of(epochs_name), 0, bytes.status().text());
  if (!bytes) return bytes.status();
  return decode_epochs(*bytes, database, folder.path_of(epochs_name));
}

Status write_epochs(Folder& folder, std::uint64_t database, Epochs epochs) {
  if (epochs.size() > epochs_max)
    epochs.erase(epochs.begin(), epochs.end() - std::ptrdiff_t(epochs_max));
  const auto name = unfinished(epochs_name);
  auto names = folder.list();
  if (!names) return names.status();
  if (std::find(names->begin(), names->end(), name) != names->end())
    if (auto status = folder.remove(name); !status) return status;
  auto file = folder.create(name);
  if (!file) return file.status();
  if (auto status = (*file)->write(0, encode_epochs(database, epochs)); !status) return status;
  if (auto status = (*file)->sync(); !status) return status;
  if (auto status = folder.rename(name, epochs_name); !status) return status;
  return folder.sync();
}

}  // namespace exdb
