// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Two Hellos and what they say to each other, in memory.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "hello.hpp"

namespace exdb::tcp {

using Bytes = std::vector<std::byte>;

inline std::array<std::byte, 32> filled(unsigned value) {
  std::array<std::byte, 32> bytes;
  bytes.fill(std::byte(value));
  return bytes;
}

inline Bytes some_secret(unsigned start = 7) {
  Bytes secret;
  for (unsigned i = 0; i < 32; ++i) secret.push_back(std::byte(start + 5 * i));
  return secret;
}

inline HelloParams node(std::uint32_t self, Bytes secret = some_secret()) {
  return {.cluster_id = 0x1122334455667788,
          .self = self,
          .nodes = 3,
          .incarnation = 1000 + self,
          .schema_hash = filled(0x5c),
          .secret = std::move(secret),
          .binding = {}};
}

struct Pair {
  /// Sees, and may change, each message before it arrives.
  using OnTheWay = std::function<void(std::size_t number, Bytes& message)>;

  Pair(HelloParams from, HelloParams to, std::uint32_t expected = Hello::any_node)
      : connecting(std::move(from), true, expected, filled(0xc1)),
        accepting(std::move(to), false, Hello::any_node, filled(0xac)) {}

  /// Exchanges messages until both are silent.
  void run(const OnTheWay& on_the_way = {}) {
    for (bool moved = true; moved;)
      moved = step(connecting, accepting, accepted, on_the_way) ||
              step(accepting, connecting, connected, on_the_way);
  }
  bool step(Hello& from, Hello& to, Status& result, const OnTheWay& on_the_way) {
    auto message = from.next();
    if (!message) return false;
    if (on_the_way) on_the_way(messages.size(), *message);
    messages.push_back(*message);
    const Status status = to.received(*message);
    if (result.ok()) result = status;
    return true;
  }
  [[nodiscard]] bool both_done() const { return connecting.done() && accepting.done(); }
  [[nodiscard]] bool any_done() const { return connecting.done() || accepting.done(); }

  Hello connecting, accepting;
  Status connected, accepted;   ///< the first failure of each
  std::vector<Bytes> messages;  ///< as they arrived
};

}  // namespace exdb::tcp
