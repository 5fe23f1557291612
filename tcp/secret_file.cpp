// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "secret_file.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace exdb::tcp {
namespace {

class OpenFile {
 public:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

/// Why this open file is no place for a secret, or nothing.
std::string objection(const struct stat& facts, const std::string& path) {
  if (!S_ISREG(facts.st_mode)) return "is not a regular file";
  if (facts.st_uid != ::geteuid())
    return "belongs to user " + std::to_string(facts.st_uid) + ", and this process runs as " +
           std::to_string(::geteuid()) + ": copy it to a file of your own";
  if ((facts.st_mode & 077) != 0)
    return "is open to others (mode " + octal(facts.st_mode) + "): chmod 600 " + path;
  return {};
}

}  // namespace

void wipe(std::span<std::byte> bytes) {
  if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

Result<std::vector<std::byte>> read_secret_file(std::string_view parameter, const std::string& path,
                                                std::size_t bytes_max) {
  const auto refuse = [&](const std::string& why) {
    return Status(ErrorCode::cluster_invalid_parameter,
                  std::string(parameter) + ": " + path + " " + why);
  };
  // O_NONBLOCK: a FIFO in this place must not hold the program up before it is refused.
  const OpenFile file(
      ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.descriptor() < 0) {
    if (errno == ELOOP) return refuse("is a symbolic link: name the file itself");
    return refuse("cannot be read: " + std::system_category().message(errno));
  }
  struct stat facts {};
  if (::fstat(file.descriptor(), &facts) != 0)
    return refuse("cannot be read: " + std::system_category().message(errno));
  if (const std::string why = objection(facts, path); !why.empty()) return refuse(why);

  std::vector<std::byte> bytes(bytes_max + 1);
  std::size_t length = 0;
  while (length < bytes.size()) {
    const ssize_t some = ::read(file.descriptor(), bytes.data() + length, bytes.size() - length);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) {
      const std::string reason = std::system_category().message(errno);
      wipe(bytes);
      return refuse("cannot be read: " + reason);
    }
    if (some == 0) break;
    length += static_cast<std::size_t>(some);
  }
  if (length > bytes_max) {
    wipe(bytes);
    return refuse("is longer than " + std::to_string(bytes_max) + " bytes");
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace exdb::tcp
