// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "callbacks.hpp"

#include <cstdio>

#include "process.hpp"

namespace exdb::python {

void Callbacks::set_patience(std::chrono::milliseconds patience) {
  const std::lock_guard lock(mutex_);
  patience_ = patience;
}

void Callbacks::tell(Notification what, const NodeInfo& about) {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  events_.push_back({what, about});
  changed_.notify_all();
}

bool Callbacks::ask(const std::vector<std::uint32_t>& neighbours) {
  if (ending() || forked()) return false;  // nobody is left to answer
  std::unique_lock lock(mutex_);
  if (refused_) return false;
  const std::uint64_t number = ++asked_;
  std::optional<bool>& answer = waiting_[number];
  questions_.push_back({number, neighbours});
  changed_.notify_all();
  const auto done = [&] { return refused_ || answer; };
  if (patience_.count() == 0)
    changed_.wait(lock, done);
  else if (!changed_.wait_for(lock, patience_, done))
    std::fputs("exdb: quorumCallback has not answered within `timeout`: taken as no\n", stderr);
  const bool yes = answer.value_or(false);
  waiting_.erase(number);
  return yes;
}

void Callbacks::refuse() {
  const std::lock_guard lock(mutex_);
  refused_ = true;
  changed_.notify_all();
}

void Callbacks::close() {
  const std::lock_guard lock(mutex_);
  refused_ = closed_ = true;
  changed_.notify_all();
}

std::optional<Callbacks::Event> Callbacks::next_event() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !events_.empty(); });
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::optional<Callbacks::Question> Callbacks::next_question() {
  std::unique_lock lock(mutex_);
  answering_ = std::this_thread::get_id();
  changed_.wait(lock, [this] { return refused_ || !questions_.empty(); });
  if (refused_) return std::nullopt;  // whoever asked has gone with "no"
  Question question = std::move(questions_.front());
  questions_.pop_front();
  return question;
}

void Callbacks::answer(std::uint64_t number, bool yes) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;  // it came too late
  found->second = yes;
  changed_.notify_all();
}

bool Callbacks::in_answering_thread() const {
  const std::lock_guard lock(mutex_);
  return answering_ == std::this_thread::get_id();
}

}  // namespace exdb::python
