// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Names to addresses, in a thread of its own, because the system's resolver may take half a minute.
// The thread is started by the first name and is left alone at the end: what it asks cannot be
// taken back.
//
// Invariants
//   I1  Nothing here blocks its caller.
//   I2  After the destructor `ready` is not called.
// Threads: one caller; `ready` is called by the helper thread.
// Failure: an answer is a Status when the name cannot be resolved.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "address.hpp"

namespace exdb::tcp {

using ResolveFunction = std::function<Result<std::vector<SocketAddress>>(const Address&, int)>;

class Resolver {
 public:
  struct Answer {
    std::uint32_t node;
    Result<std::vector<SocketAddress>> addresses;
  };

  Resolver(ResolveFunction resolve, std::function<void()> ready);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  void ask(std::uint32_t node, const Address& address, int domain);
  std::optional<Answer> take();

 private:
  struct State;
  std::shared_ptr<State> state_;
  bool started_ = false;
};

}  // namespace exdb::tcp
