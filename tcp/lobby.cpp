// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "lobby.hpp"

#include <algorithm>

namespace exdb::tcp {

Status Lobby::open(const std::vector<SocketAddress>& addresses, const SocketOptions& options) {
  options_ = options;
  Status failure;
  for (const auto& address : addresses) {
    if (listeners_.size() == listeners_max) break;
    auto listener = listen_on(address, options);
    if (listener) {
      listeners_.push_back(std::move(*listener));
      addresses_.push_back(address);
    } else if (failure) {
      failure = listener.status();
    }
  }
  return listeners_.empty() ? failure : Status();
}

Status Lobby::adopt(int descriptor, const SocketOptions& options) {
  options_ = options;
  auto address = own_address(descriptor);
  if (!address) return address.status();
  auto listener = adopt_listener(descriptor, options);
  if (!listener) return listener.status();
  listeners_.push_back(std::move(*listener));
  addresses_.push_back(*address);
  return {};
}

Status Lobby::watch(Poller& poller) {
  for (std::size_t i = 0; i < listeners_.size(); ++i)
    if (Status s = poller.add(listeners_[i], i + 1, true, false); !s) return s;
  return {};
}

void Lobby::close(Poller* poller) {
  if (poller != nullptr)
    for (const auto& listener : listeners_) poller->remove(listener);
  listeners_.clear();
}

void Lobby::listen(Poller& poller, bool on) {
  if (listening_ == on) return;
  listening_ = on;
  for (std::size_t i = 0; i < listeners_.size(); ++i)
    poller.change(listeners_[i], i + 1, on, false);
}

std::optional<std::uint64_t> Lobby::enter(std::uint64_t connection) {
  std::optional<std::uint64_t> gone;
  if (strangers_.size() == strangers_max) {
    gone = strangers_.front();
    strangers_.pop_front();
  }
  strangers_.push_back(connection);
  return gone;
}

std::optional<std::uint64_t> Lobby::oldest() const {
  return strangers_.empty() ? std::nullopt : std::optional(strangers_.front());
}

void Lobby::leave(std::uint64_t connection) {
  const auto at = std::find(strangers_.begin(), strangers_.end(), connection);
  if (at != strangers_.end()) strangers_.erase(at);
}

}  // namespace exdb::tcp
