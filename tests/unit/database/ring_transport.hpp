// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A transport among processes of a test, over rings in memory that they share from a fork. What a
// ring has no room for waits here. A process that ends is never told of, as in a plain MPI job.
#pragma once
#include <array>
#include <deque>

#include "exdb/transport.hpp"
#include "host/byte_ring.hpp"
#include "host/futex.hpp"

namespace exdb {

class RingTransport final : public Transport {
 public:
  static constexpr std::size_t nodes_max = 4, ring_bytes = 64 * 1024;
  /// In zeroed shared memory.
  struct Links {
    struct Link {
      RingEnds ends;
      std::byte data[ring_bytes];
    };
    std::array<std::array<Link, nodes_max>, nodes_max> from_to;
    std::array<WakeWord, nodes_max> bells;
  };

  RingTransport(Links& links, std::uint32_t self, std::uint32_t size)
      : links_(links), self_(self), size_(size), out_(size), in_(size), removed_(size) {}

  [[nodiscard]] std::uint32_t self() const override { return self_; }
  [[nodiscard]] std::uint32_t size() const override { return size_; }
  [[nodiscard]] std::string describe() const override { return "rings"; }
  Status send(std::uint32_t to, Frame frame) override {
    const std::uint64_t length = frame->size();
    auto& out = out_[to];
    const auto* const head = reinterpret_cast<const std::byte*>(&length);
    out.insert(out.end(), head, head + sizeof length);
    out.insert(out.end(), frame->begin(), frame->end());
    push(to);
    return {};
  }
  Status broadcast(Frame frame) override {
    for (std::uint32_t to = 0; to < size_; ++to)
      if (to != self_ && !removed_[to]) (void)send(to, frame);
    return {};
  }
  [[nodiscard]] bool has_room(std::uint32_t /*node*/) const override { return true; }
  [[nodiscard]] std::size_t send_bound_bytes() const override { return std::size_t{1} << 30; }
  void remove(std::uint32_t node) override { removed_[node] = true; }
  Status add(std::uint32_t node) override {
    removed_[node] = false;
    return {};
  }
  Status poll(FrameSink& sink, bool& any) override {
    for (std::uint32_t other = 0; other < size_; ++other) {
      if (other == self_) continue;
      push(other);
      pull(other, sink, any);
    }
    return {};
  }
  void wait(std::chrono::nanoseconds cap) override {
    links_.bells[self_].sleep(std::min(cap, std::chrono::nanoseconds(std::chrono::milliseconds(5))),
                              [this] { return woken_.exchange(false); });
  }
  void wake() override {
    woken_ = true;
    links_.bells[self_].wake();
  }
  [[nodiscard]] bool crowded() const override { return true; }
  [[nodiscard]] TransportStatistics statistics() const override { return {}; }
  void close(bool /*collective*/) override {}

 private:
  ByteRing ring(std::uint32_t from, std::uint32_t to) {
    auto& link = links_.from_to[from][to];
    return {&link.ends, link.data, ring_bytes};
  }
  void push(std::uint32_t to) {
    auto& out = out_[to];
    if (out.empty()) return;
    const auto wrote = ring(self_, to).write(out);
    out.erase(out.begin(), out.begin() + std::ptrdiff_t(wrote));
    if (wrote != 0) links_.bells[to].wake();
  }
  void pull(std::uint32_t from, FrameSink& sink, bool& any) {
    auto& in = in_[from];
    const auto had = in.size();
    in.resize(had + ring_bytes);
    in.resize(had + ring(from, self_).read(MutableBytes(in).subspan(had)));
    std::uint64_t length = 0;
    std::size_t at = 0;
    while (in.size() - at >= sizeof length) {
      std::memcpy(&length, in.data() + at, sizeof length);
      if (in.size() - at - sizeof length < length) break;
      sink.on_frame(from, std::span(in).subspan(at + sizeof length, length));
      at += sizeof length + length;
      any = true;
    }
    in.erase(in.begin(), in.begin() + std::ptrdiff_t(at));
  }

  Links& links_;
  const std::uint32_t self_, size_;
  std::vector<std::vector<std::byte>> out_, in_;
  std::vector<bool> removed_;
  std::atomic<bool> woken_{false};
};

}  // namespace exdb
