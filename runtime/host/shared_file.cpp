// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "host/shared_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace exdb {

Descriptor::~Descriptor() {
  if (number_ >= 0) close(number_);
}

Result<Descriptor> make_shared_file(const char* name, std::size_t bytes) {
  const auto failed = [bytes](const char* what, int error) {
    return Status(ErrorCode::no_memory, "cannot make " + std::to_string(bytes) +
                                            " bytes of shared memory: " + what + ": " +
                                            std::strerror(error));
  };
  Descriptor made(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (made.get() < 0) return failed("memfd_create", errno);
  const auto length = static_cast<off_t>(bytes);
  if (fchmod(made.get(), 0600) != 0) return failed("fchmod", errno);
  if (ftruncate(made.get(), length) != 0) return failed("ftruncate", errno);
  // An error here instead of SIGBUS at first touch in a small container. A signal interrupts it.
  int error = EINTR;
  while (error == EINTR) error = posix_fallocate(made.get(), 0, length);
  if (error != 0) return failed("posix_fallocate", error);
  if (fcntl(made.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return failed("F_ADD_SEALS", errno);
  return made;
}

Result<Descriptor> open_descriptor_of(std::int32_t pid, int number) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
  Descriptor opened(open(path, O_RDWR | O_CLOEXEC));
  if (opened.get() >= 0) return opened;
  const int error = errno;
  std::string text = std::string("open(") + path + "): " + std::strerror(error);
  if (error == EACCES || error == EPERM)
    text +=
        " (another user, a process that is not dumpable, or a container or kernel that forbids to "
        "look into other processes, as hidepid or a ptrace restriction do)";
  else if (error == ENOENT)
    text +=
        " (it has ended, or lives in another PID namespace: one container for all processes of a "
        "host, or --pid=host)";
  return Status(ErrorCode::unsupported, std::move(text));
}

std::uint64_t random_nonce() {
  std::uint64_t nonce = 0;
  if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce) return 0;
  return nonce == 0 ? 1 : nonce;
}

}  // namespace exdb
