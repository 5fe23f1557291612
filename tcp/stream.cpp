// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "stream.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace exdb::tcp {
namespace {

/// What one call of the channel gets: a TLS record holds 16 KiB.
constexpr std::size_t record_bytes = 16 * 1024;

Status broken(const char* what, int error) {
  return {ErrorCode::cluster, std::string(what) + std::strerror(error)};
}

}  // namespace

Stream::Moved Stream::receive(std::span<std::byte> space) {
  while (true) {
    const auto got = ::recv(socket_.get(), space.data(), space.size(), MSG_DONTWAIT);
    if (got > 0) return {std::size_t(got), false, {}, false};
    if (got == 0)
      return {0, false, {ErrorCode::cluster, "the peer has ended the connection"}, false};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {0, true, {}, false};
    if (errno != EINTR) return {0, false, broken("reading: ", errno), false};
  }
}

Stream::Moved Stream::send(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  while (true) {
    const auto sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return {std::size_t(sent), false, {}, false};
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {0, true, {}, false};
    if (errno != EINTR) return {0, false, broken("writing: ", errno), false};
  }
}

Stream::Moved Stream::read(std::span<std::byte> space) {
  if (!channel_) return receive(space);
  if (const auto bytes = channel_->take(space)) return {bytes, false, {}, false};
  scratch_.resize(4 * record_bytes);
  Moved moved = receive(scratch_);
  if (!moved.status || moved.blocked) return moved;
  const std::span<const std::byte> wire(scratch_.data(), moved.bytes);
  moved.bytes = 0;
  moved.status = channel_->received(wire);
  moved.refused = !moved.status;
  // Also after a failure: an alert says to the peer what it was.
  if (Status s = push_wire(); !s && moved.status) moved.status = s;
  if (moved.status) moved.bytes = channel_->take(space);
  return moved;
}

Status Stream::push_wire() {
  while (!channel_->wire().empty()) {
    const auto wire = channel_->wire();
    const iovec piece{const_cast<std::byte*>(wire.data()), wire.size()};
    const Moved moved = send({&piece, 1});
    if (!moved.status) return moved.status;
    if (moved.blocked) break;
    channel_->written(moved.bytes);
  }
  return {};
}

Stream::Moved Stream::write(std::span<const iovec> pieces) {
  if (channel_) return write_through_channel(pieces);
  if (pieces.empty()) return {};
  return send(pieces);
}

Stream::Moved Stream::write_through_channel(std::span<const iovec> pieces) {
  Moved moved;
  moved.status = push_wire();
  if (!moved.status || !channel_->established()) {
    moved.blocked = true;
    return moved;
  }
  std::vector<std::byte> record;
  record.reserve(record_bytes);
  const auto pass_on = [&](std::span<const std::byte> bytes) {
    if (!bytes.empty() && moved.status) moved.status = channel_->send(bytes);
  };
  const auto room = [&] { return moved.status && channel_->wire().size() < wire_bytes_max; };
  for (const iovec& piece : pieces) {
    std::span bytes(static_cast<const std::byte*>(piece.iov_base), piece.iov_len);
    while (!bytes.empty() && room()) {
      // Short pieces travel together; a full record is not copied here.
      const auto count = std::min(bytes.size(), record_bytes - record.size());
      if (record.empty() && count == record_bytes) {
        pass_on(bytes.first(count));
      } else {
        record.insert(record.end(), bytes.begin(), bytes.begin() + std::ptrdiff_t(count));
        if (record.size() == record_bytes) {
          pass_on(record);
          record.clear();
        }
      }
      moved.bytes += count;
      bytes = bytes.subspan(count);
    }
    if (!bytes.empty()) break;
  }
  pass_on(record);
  if (moved.status) moved.status = push_wire();
  moved.blocked = unwritten();
  return moved;
}

void Stream::end_writing() {
  if (channel_) {
    channel_->shut();
    (void)push_wire();
  }
  (void)::shutdown(socket_.get(), SHUT_WR);
}

bool Stream::delivered() const {
  int waiting = 0;
  return ::ioctl(socket_.get(), SIOCOUTQ, &waiting) != 0 || waiting == 0;
}

bool Stream::discard() {
  scratch_.resize(4 * record_bytes);
  for (int turn = 0; turn < 64; ++turn) {
    const Moved moved = receive(scratch_);
    if (!moved.status) return true;
    if (moved.blocked) return false;
  }
  return false;
}

}  // namespace exdb::tcp
