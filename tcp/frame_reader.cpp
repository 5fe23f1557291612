// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "frame_reader.hpp"

#include <algorithm>

namespace exdb::tcp {
namespace {

/// After so many short messages the memory of long ones is given back.
constexpr std::size_t short_ones_max = 64;

}  // namespace

FrameReader::FrameReader(std::size_t buffer_bytes)
    : capacity_(std::max<std::size_t>(buffer_bytes, 4096)),
      buffer_(std::make_unique_for_overwrite<std::byte[]>(capacity_)) {}

void FrameReader::LongMessage::grow(std::size_t at_least) {
  const auto more = std::min(wanted, std::max({long_at_first, 2 * capacity, at_least}));
  auto larger = std::make_unique_for_overwrite<std::byte[]>(more);
  if (size != 0) std::memcpy(larger.get(), bytes.get(), size);
  bytes = std::move(larger);
  capacity = more;
}

/// Keeps its memory for the next one, unless it is much.
void FrameReader::LongMessage::done() {
  size = wanted = 0;
  if (capacity > long_at_first) *this = {};
}

std::span<std::byte> FrameReader::space() {
  if (given_long_) {
    long_.done();
    given_long_ = false;
  }
  if (long_.wanted != 0) {
    if (long_.size == long_.capacity) long_.grow(0);
    return {long_.bytes.get() + long_.size, std::min(long_.capacity, long_.wanted) - long_.size};
  }
  if (begin_ == end_) begin_ = end_ = 0;
  // What is left of a message moves to the front when there is little space behind it.
  if (begin_ != 0 && end_ > capacity_ / 2) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameReader::filled(std::size_t bytes) { (long_.wanted != 0 ? long_.size : end_) += bytes; }

Status FrameReader::fail(const char* why) {
  failure_ = Status(ErrorCode::cluster_protocol, why);
  return failure_;
}

Result<bool> FrameReader::give(std::span<const std::byte> whole, const Header& header,
                               Message& message) {
  const auto payload = whole.subspan(header_bytes, header.payload_bytes);
  if (mac_ && !mac_->check(whole.first(header_bytes), payload, whole.last(mac_bytes)))
    return fail("a message with a wrong MAC");
  message = {header, payload};
  return true;
}

Result<bool> FrameReader::next(Message& message) {
  if (!failure_) return failure_;
  const std::size_t trailer = mac_ ? mac_bytes : 0;
  if (long_.wanted != 0 && !given_long_) {
    if (long_.size < long_.wanted) return false;
    given_long_ = true;
    const std::span whole(long_.bytes.get(), long_.wanted);
    return give(whole, *decode_header(whole), message);
  }
  const std::span<const std::byte> there(buffer_.get() + begin_, end_ - begin_);
  if (there.size() < header_bytes) return false;
  const auto header = decode_header(there);
  if (!header) return fail("a message that no node sends");
  const std::size_t wanted = header_bytes + header->payload_bytes + trailer;
  if (wanted > capacity_) {
    long_.wanted = wanted;
    if (long_.capacity < there.size()) long_.grow(there.size());
    short_ones_ = 0;
    // The buffer is shorter than the message, so all that is there is part of it.
    std::memcpy(long_.bytes.get(), there.data(), there.size());
    long_.size = there.size();
    begin_ = end_ = 0;
    return false;
  }
  if (there.size() < wanted) return false;
  begin_ += wanted;
  if (++short_ones_ == short_ones_max && !given_long_) long_ = {};
  return give(there.first(wanted), *header, message);
}

}  // namespace exdb::tcp
