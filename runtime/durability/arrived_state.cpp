// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/arrived_state.hpp"

#include <algorithm>

namespace exdb {
namespace {

/// So that the last sync has little to wait for.
constexpr std::uint64_t synced_every = std::uint64_t{16} << 20;

std::string prefix() { return std::string(arriving_name) + "-"; }

bool is_arrived(const std::string& name) {
  return name.starts_with(prefix()) || name == unfinished(arriving_name);
}

/// The last file of the log, if it begins anew.
Result<std::optional<FileHead>> new_beginning(Folder& folder,
                                              const std::vector<std::string>& names) {
  const auto last = std::find_if(names.rbegin(), names.rend(), [](const std::string& name) {
    return round_of_name(FileKind::log, name).has_value();
  });
  if (last == names.rend()) return std::optional<FileHead>();
  auto head = read_head(folder, FileKind::log, *last);
  // Damage is told by who reads the log.
  if (!head && head.status().code() == ErrorCode::disk_damaged) return std::optional<FileHead>();
  if (!head) return head.status();
  return head->more_bytes == 0 ? std::optional<FileHead>() : std::optional(*head);
}

}  // namespace

std::string arrived_name(Round round) { return prefix() + file_name(FileKind::base, round); }

ArrivingState::ArrivingState(Folder& folder, FileHead head, std::unique_ptr<File> file)
    : folder_(folder), head_(head), file_(std::move(file)), writer_(*file_, head_) {}

Result<std::unique_ptr<ArrivingState>> ArrivingState::begin(Folder& folder,
                                                            const DatabaseIdentity& identity,
                                                            RoundHistory::Chain at, Marks marks) {
  if (auto status = drop_arrived(folder); !status) return status;
  auto file = folder.create(unfinished(arriving_name));
  if (!file) return file.status();
  return std::unique_ptr<ArrivingState>(
      new ArrivingState(folder, {FileKind::checkpoint, identity, at, marks, 0}, std::move(*file)));
}

Status ArrivingState::add(Bytes chunk) {
  if (auto status = writer_.add(chunk); !status) return status;
  if (writer_.bytes() < synced_ + synced_every) return {};
  synced_ = writer_.bytes();
  return file_->sync();
}

Status ArrivingState::finish(const std::stop_token& stop) {
  if (auto status = writer_.add({}); !status) return status;
  if (auto status = file_->sync(); !status) return status;
  file_->forget_cached();
  file_.reset();
  const auto name = unfinished(arriving_name);
  auto read = read_checkpoint(folder_, name, head_.identity, [&stop](Bytes) {
    return stop.stop_requested()
               ? Status(ErrorCode::interrupted, "a state that comes is not wanted any more")
               : Status();
  });
  if (!read) return read.status();
  if (!(read->head == head_) || read->bytes != writer_.bytes())
    return damaged(folder_.path_of(name), 0, "it is not what was written just now");
  if (auto status = folder_.rename(name, arrived_name(head_.at.round)); !status) return status;
  return folder_.sync();
}

Status drop_arrived(Folder& folder) {
  auto names = folder.list();
  if (!names) return names.status();
  for (const auto& name : *names) {
    if (!is_arrived(name)) continue;
    if (auto status = folder.remove(name); !status) return status;
  }
  return {};
}

Status take_arrived(Folder& folder, Round round) {
  auto names = folder.list();
  if (!names) return names.status();
  for (const auto& name : *names) {
    if (!round_of_name(FileKind::checkpoint, name)) continue;
    if (auto status = folder.remove(name); !status) return status;
  }
  // A2: they are gone for good before it is one of them.
  if (auto status = folder.sync(); !status) return status;
  if (auto status = folder.rename(arrived_name(round), file_name(FileKind::checkpoint, round));
      !status)
    return status;
  return folder.sync();
}

Status settle_arrived(Folder& folder, const DatabaseIdentity& identity) {
  auto arrived = arrived_in_force(folder, identity);
  if (!arrived) return arrived.status();
  if (*arrived) {
    auto head = read_checkpoint_head(folder, **arrived, identity);
    if (!head) return head.status();
    if (auto status = take_arrived(folder, head->at.round); !status) return status;
  }
  if (auto status = drop_arrived(folder); !status) return status;
  // Files of the log before a new beginning count for nothing (R4 of log_reader.hpp).
  auto names = folder.list();
  if (!names) return names.status();
  auto begun = new_beginning(folder, *names);
  if (!begun) return begun.status();
  if (!*begun) return {};
  std::string before;
  for (const auto& name : *names) {
    if (!round_of_name(FileKind::log, name)) continue;
    if (!before.empty())
      if (auto status = folder.remove(before); !status) return status;
    before = name;
  }
  return folder.sync();
}

Result<std::optional<std::string>> arrived_in_force(Folder& folder,
                                                    const DatabaseIdentity& identity) {
  auto names = folder.list();
  if (!names) return names.status();
  auto begun = new_beginning(folder, *names);
  if (!begun) return begun.status();
  if (!*begun) return std::optional<std::string>();
  const auto name = arrived_name((*begun)->at.round);
  if (std::find(names->begin(), names->end(), name) == names->end())
    return std::optional<std::string>();
  auto head = read_checkpoint_head(folder, name, identity);
  if (!head) return head.status();
  return head->at == (*begun)->at ? std::optional(name) : std::optional<std::string>();
}

}  // namespace exdb
