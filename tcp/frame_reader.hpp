// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whole messages from the bytes of a link. The caller reads into space(), says how much came, and
// takes messages until there is none. Short ones are given out where they lie in the buffer; a long
// one is put together in memory of its own, into which the socket is read directly.
//
// Invariants
//   I1  A length is checked before memory is taken, and memory grows with the bytes that came, not
//       with the length that a header claims: at most twice what is there, and long_at_first.
//   I2  After a failure nothing more is given out.
//   I3  What was given out counts as read before the caller sees it: a sink may throw.
// Threads: one at a time.
// Failure: a Status `cluster_protocol`; the link ends.
#pragma once
#include <memory>

#include "exdb/errors.hpp"
#include "frame_mac.hpp"

namespace exdb::tcp {

struct Message {
  Header header;
  std::span<const std::byte> payload;  ///< until the next call of the reader
};

class FrameReader {
 public:
  static constexpr std::size_t long_at_first = std::size_t{4} << 20;

  /// `buffer_bytes`: what is longer is a long message.
  explicit FrameReader(std::size_t buffer_bytes);

  /// From here on messages carry a MAC. Null: none.
  void expect_mac(std::unique_ptr<FrameMac> mac) { mac_ = std::move(mac); }
  /// Where the next bytes go; never empty. Until the next call of the reader.
  std::span<std::byte> space();
  void filled(std::size_t bytes);
  /// True with a message; false when more bytes are needed.
  Result<bool> next(Message& message);

 private:
  struct LongMessage {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0, capacity = 0, wanted = 0;
    void grow(std::size_t at_least);
    void done();
  };

  const std::size_t capacity_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t begin_ = 0, end_ = 0;  ///< unread bytes of the buffer
  LongMessage long_;
  bool given_long_ = false;  ///< the last message given out was the long one
  /// Since then. A stream of long ones has one memory: fresh pages cost more than their copying.
  std::size_t short_ones_ = 0;
  std::unique_ptr<FrameMac> mac_;
  Status failure_;

  Result<bool> give(std::span<const std::byte> whole, const Header& header, Message& message);
  Status fail(const char* why);
};

}  // namespace exdb::tcp
