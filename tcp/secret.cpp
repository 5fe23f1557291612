// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "secret.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "secret_file.hpp"

namespace exdb::tcp {
namespace {

constexpr std::string_view parameter = "cluster_secret_file";
constexpr std::string_view descriptor_prefix = "fd:";
/// 64 digits, carriage return and newline.
constexpr std::size_t content_bytes_max = 2 * secret_bytes + 2;

Status refusal(const std::string& where, const std::string& why) {
  return Status(ErrorCode::cluster_invalid_parameter,
                std::string(parameter) + ": " + where + " " + why);
}

Status bad_content(const std::string& where, const std::string& what) {
  const bool is_path = where.rfind(descriptor_prefix, 0) != 0;
  return refusal(where, what + ": make one by (umask 077; openssl rand -hex 32 > " +
                            (is_path ? where : "FILE") + ") and give it to all nodes");
}

std::optional<unsigned> hex_digit(std::byte character) {
  const char c = static_cast<char>(character);
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

bool all_hex(std::span<const std::byte> text) {
  return std::all_of(text.begin(), text.end(),
                     [](std::byte c) { return hex_digit(c).has_value(); });
}

std::span<const std::byte> without_newline(std::span<const std::byte> text) {
  if (!text.empty() && text.back() == std::byte{'\n'}) text = text.first(text.size() - 1);
  if (!text.empty() && text.back() == std::byte{'\r'}) text = text.first(text.size() - 1);
  return text;
}

Result<std::vector<std::byte>> read_descriptor(const std::string& where) {
  const std::string_view digits = std::string_view(where).substr(descriptor_prefix.size());
  int descriptor = -1;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), descriptor);
  if (error != std::errc() || end != digits.data() + digits.size() || descriptor < 0)
    return refusal(where, "names no descriptor: write fd:3, or ./" + where + " for such a file");
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0)
    return refusal(where, "is not open: the program that starts this one must pass it on");
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);

  std::vector<std::byte> bytes(content_bytes_max + 1);
  std::size_t length = 0;
  while (length < bytes.size()) {
    const std::size_t room = bytes.size() - length;
    const ssize_t some = S_ISREG(facts.st_mode) ? ::pread(descriptor, bytes.data() + length, room,
                                                          static_cast<off_t>(length))
                                                : ::read(descriptor, bytes.data() + length, room);
    if (some < 0 && errno == EINTR) continue;
    if (some < 0) {
      const std::string reason = std::system_category().message(errno);
      wipe(bytes);
      return refusal(where, "cannot be read: " + reason);
    }
    if (some == 0) break;
    length += static_cast<std::size_t>(some);
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace

Result<std::vector<std::byte>> parse_cluster_secret(const std::vector<std::byte>& content,
                                                    const std::string& where) {
  std::vector<std::byte> secret;
  const auto text = without_newline(content);
  if (text.size() == 2 * secret_bytes && all_hex(text)) {
    for (std::size_t i = 0; i < text.size(); i += 2)
      secret.push_back(std::byte(*hex_digit(text[i]) * 16 + *hex_digit(text[i + 1])));
  } else if (content.size() == secret_bytes && !all_hex(content)) {
    secret = content;
  } else if (text.size() == secret_bytes && all_hex(text)) {
    // Half of what is asked for, and it would pass for 32 bytes.
    return bad_content(where, "holds 32 hexadecimal digits, which are 128 bits, not 256");
  } else {
    return bad_content(
        where, content.empty() ? "is empty" : "holds neither 32 bytes nor 64 hexadecimal digits");
  }
  if (std::all_of(secret.begin(), secret.end(), [&](std::byte b) { return b == secret[0]; })) {
    return bad_content(where, "holds one byte 32 times, which is no secret");
  }
  return secret;
}

Result<std::vector<std::byte>> read_cluster_secret(const std::string& where) {
  auto content = where.rfind(descriptor_prefix, 0) == 0
                     ? read_descriptor(where)
                     : read_secret_file(parameter, where, content_bytes_max);
  if (!content.ok()) {
    const Status why = content.status();
    if (where.rfind(descriptor_prefix, 0) == 0) return why;
    return Status(why.code(), why.text() + " (one is made by: openssl rand -hex 32)");
  }
  auto secret = parse_cluster_secret(*content, where);
  wipe(*content);
  return secret;
}

}  // namespace exdb::tcp
