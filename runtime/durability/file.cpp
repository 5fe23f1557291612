// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "durability/file.hpp"

namespace exdb {

Status remove_file(Folder& folder, const std::string& name, OpenFiles* going) {
  if (going != nullptr) {
    // One that cannot be opened is removed all the same.
    if (auto file = folder.open(name)) going->push_back(std::move(*file));
  }
  return folder.remove(name);
}

Result<std::vector<std::byte>> read_all(File& file, std::uint64_t bytes_max) {
  auto size = file.size();
  if (!size) return size.status();
  if (*size > bytes_max)
    return Status(ErrorCode::disk_damaged, "it has " + std::to_string(*size) +
                                               " bytes, more than a file of its kind can have");
  std::vector<std::byte> bytes(static_cast<std::size_t>(*size));
  auto got = file.read(0, bytes);
  if (!got) return got.status();
  bytes.resize(*got);
  return bytes;
}

Status damaged(const std::string& path, std::uint64_t offset, const std::string& why) {
  return {ErrorCode::disk_damaged,
          "'" + path + "' is damaged at offset " + std::to_string(offset) + ": " + why};
}

}  // namespace exdb
