// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "session.hpp"

namespace exdb::tcp {

Status Session::resume(const Link& theirs, std::uint64_t taken) {
  if (theirs.mine == 0) return {ErrorCode::cluster_protocol, "a session without a name"};
  yours_ = theirs.mine;
  next_ = 0;
  return peer_has_taken(taken);
}

void Session::renew() {
  const auto name = mine_ + 1;
  *this = {};
  mine_ = name;
}

void Session::push(Frame frame) {
  under_way_.add(frame->size());
  kept_.push_back(std::move(frame));
}

std::pair<std::uint64_t, Frame> Session::next_unsent() {
  const auto at = next_++;
  return {released_ + at + 1, kept_[at]};
}

Status Session::peer_has_taken(std::uint64_t number) {
  if (number < released_ || number - released_ > kept_.size())
    return {ErrorCode::cluster_protocol,
            "it says that it has " + std::to_string(number) + " frames, of " +
                std::to_string(released_ + kept_.size()) + " that were sent; it had " +
                std::to_string(released_)};
  for (; released_ < number; ++released_) {
    --under_way_.frames;
    under_way_.bytes -= kept_.front()->size();
    kept_.pop_front();
    if (next_ > 0) --next_;
  }
  return {};
}

Session::Arrival Session::arrived(std::uint64_t number, std::size_t bytes) {
  if (number <= taken_) return Arrival::duplicate;
  if (number != taken_ + 1) return Arrival::gap;
  ++taken_;
  untold_.add(bytes);
  return Arrival::fresh;
}

}  // namespace exdb::tcp
