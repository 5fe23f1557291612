// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Messages on their way into one connection: headers and MACs of its own, payloads shared with all
// other connections that send the same frame, so a broadcast is not copied. What is here is a few
// messages; the queue behind it is the session's, which survives the connection.
//
// Invariants
//   I1  Bytes go out in the order of add(); a message that has begun to go out is not changed.
//   I2  At most messages_max are here.
// Threads: one at a time.
// Failure: none.
#pragma once
#include <sys/uio.h>

#include <deque>

#include "exdb/transport.hpp"
#include "frame_mac.hpp"

namespace exdb::tcp {

class FrameWriter {
 public:
  static constexpr std::size_t messages_max = 16;

  /// From here on messages carry a MAC. Null: none.
  void put_mac(std::unique_ptr<FrameMac> mac) { mac_ = std::move(mac); }
  [[nodiscard]] bool full() const { return messages_.size() >= messages_max; }
  [[nodiscard]] bool empty() const { return messages_.empty(); }

  /// A data message; `payload` is kept until it is out.
  void add(const Header& header, Frame payload);
  /// A message whose payload is a few bytes, or none.
  void add_small(const Header& header, std::span<const std::byte> payload = {});

  /// What to write next, in at most `pieces.size()` pieces; how many.
  [[nodiscard]] std::size_t pieces(std::span<iovec> pieces) const;
  void written(std::size_t bytes);

 private:
  struct Outgoing {
    HeaderBytes header;
    Frame payload;
    Mac mac;
  };
  std::deque<Outgoing> messages_;
  std::size_t offset_ = 0;  ///< bytes of the first message that are out
  std::unique_ptr<FrameMac> mac_;

  [[nodiscard]] std::array<std::span<const std::byte>, 3> parts(const Outgoing& message) const;
};

}  // namespace exdb::tcp
