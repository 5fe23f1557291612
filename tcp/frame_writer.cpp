// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "frame_writer.hpp"

namespace exdb::tcp {

void FrameWriter::add(const Header& header, Frame payload) {
  Outgoing message{encode(header), std::move(payload), {}};
  if (mac_) {
    const auto bytes = message.payload ? std::span<const std::byte>(*message.payload)
                                       : std::span<const std::byte>();
    message.mac = mac_->next(message.header, bytes);
  }
  messages_.push_back(std::move(message));
}

void FrameWriter::add_small(const Header& header, std::span<const std::byte> payload) {
  Frame copy;
  if (!payload.empty())
    copy = std::make_shared<const std::vector<std::byte>>(payload.begin(), payload.end());
  add(header, std::move(copy));
}

std::array<std::span<const std::byte>, 3> FrameWriter::parts(const Outgoing& message) const {
  std::array<std::span<const std::byte>, 3> parts{message.header};
  if (message.payload) parts[1] = *message.payload;
  if (mac_) parts[2] = message.mac;
  return parts;
}

std::size_t FrameWriter::pieces(std::span<iovec> pieces) const {
  std::size_t count = 0, skip = offset_;
  for (const Outgoing& message : messages_) {
    for (auto part : parts(message)) {
      if (skip >= part.size()) {
        skip -= part.size();
        continue;
      }
      if (count == pieces.size()) return count;
      part = part.subspan(skip);
      skip = 0;
      pieces[count++] = {const_cast<std::byte*>(part.data()), part.size()};
    }
  }
  return count;
}

void FrameWriter::written(std::size_t bytes) {
  offset_ += bytes;
  while (!messages_.empty()) {
    std::size_t length = 0;
    for (const auto& part : parts(messages_.front())) length += part.size();
    if (offset_ < length) return;
    offset_ -= length;
    messages_.pop_front();
  }
}

}  // namespace exdb::tcp
