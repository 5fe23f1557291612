// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Messages in the rings of a host: a head of fixed size, then bytes. The reader keeps what has come
// of a message until the rest is there.
//
// Invariants
//   I1  take() gives each message once, whole, in the order of the writes.
// Threads: one at a time.
// Failure: a head that promises more than `bytes_max` gives broken(); nothing more is read then.
#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "exdb/large_buffers.hpp"
#include "host/byte_ring.hpp"

namespace exdb {

/// From a follower to its leader.
struct SubmitHead {
  enum class Kind : std::uint32_t {
    transaction = 1,  ///< these three as RoundItem::Kind
    fragment = 2,
    discard = 3,
    question = 4,  ///< to be answered by the leader itself
  };
  Kind kind;
  std::int32_t priority;
  std::uint64_t sequence;
  std::uint64_t bytes;
  std::uint32_t overrules_quorum;  ///< the follower's own quorum callback has said yes
  std::uint32_t question;          ///< what is asked
};

/// From the leader: how a transaction ended, or the answer to a question.
struct AnswerHead {
  std::uint64_t sequence;
  std::uint64_t csn;
  std::uint64_t bytes;  ///< of the text that follows
  std::int32_t code;
  std::uint32_t question;  ///< 1: `sequence` is that of a question
};

template <class Head>
class RecordReader {
 public:
  struct Record {
    Head head;
    std::vector<std::byte> bytes;
    std::size_t head_room = 0;  ///< of `bytes`: not the message's
    [[nodiscard]] Bytes message() const { return Bytes(bytes).subspan(head_room); }
  };

  RecordReader() = default;
  /// `head_room`: bytes without meaning that large messages are given before them.
  RecordReader(ByteRing ring, std::uint64_t bytes_max, std::size_t head_room = 0)
      : ring_(ring), bytes_max_(bytes_max), head_room_(head_room) {}

  /// Reads on; a message if one has come to its end. `moved` is set when anything was read.
  std::optional<Record> take(bool& moved) {
    if (broken_) return std::nullopt;
    if (head_bytes_ < sizeof(Head)) {
      auto* const to = reinterpret_cast<std::byte*>(&now_.head) + head_bytes_;
      const auto got = ring_.read(MutableBytes(to, sizeof(Head) - head_bytes_));
      moved |= got != 0;
      head_bytes_ += got;
      if (head_bytes_ < sizeof(Head)) return std::nullopt;
      broken_ = now_.head.bytes > bytes_max_;
      if (broken_) return std::nullopt;
      now_.head_room = now_.head.bytes >= LargeBuffers::buffer_bytes_min ? head_room_ : 0;
      now_.bytes.resize(now_.head_room);
    }
    // By what has come, not by what is promised: a writer that dies costs no more than it wrote.
    while (now_.message().size() < now_.head.bytes) {
      const auto had = now_.bytes.size();
      const auto left = now_.head.bytes - now_.message().size();
      const auto more = std::min<std::uint64_t>(ring_.filled(), left);
      if (more == 0) return std::nullopt;
      now_.bytes.resize(had + more);
      (void)ring_.read(MutableBytes(now_.bytes).subspan(had));
      moved = true;
    }
    head_bytes_ = 0;
    return std::exchange(now_, {});
  }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] bool has_more() const { return !broken_ && ring_.filled() != 0; }

 private:
  ByteRing ring_;
  std::uint64_t bytes_max_ = 0;
  std::size_t head_room_ = 0;
  Record now_{};
  std::size_t head_bytes_ = 0;
  bool broken_ = false;
};

template <class Head>
Bytes bytes_of_head(const Head& head) {
  return {reinterpret_cast<const std::byte*>(&head), sizeof head};
}

}  // namespace exdb
