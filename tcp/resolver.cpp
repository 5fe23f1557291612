// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "resolver.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace exdb::tcp {

struct Resolver::State {
  struct Question {
    std::uint32_t node;
    Address address;
    int domain;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Question> questions;
  std::deque<Answer> answers;
  std::atomic<bool> answered{false};
  bool over = false;
  ResolveFunction resolve;
  std::function<void()> ready;

  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return over || !questions.empty(); });
      if (over) return;
      const Question question = std::move(questions.front());
      questions.pop_front();
      lock.unlock();
      auto addresses = resolve(question.address, question.domain);
      lock.lock();
      if (over) return;
      answers.push_back({question.node, std::move(addresses)});
      answered = true;
      ready();
    }
  }
};

Resolver::Resolver(ResolveFunction resolve, std::function<void()> ready)
    : state_(std::make_shared<State>()) {
  state_->resolve = std::move(resolve);
  state_->ready = std::move(ready);
}

Resolver::~Resolver() {
  const std::lock_guard lock(state_->mutex);
  state_->over = true;
  state_->changed.notify_all();
}

void Resolver::ask(std::uint32_t node, const Address& address, int domain) {
  const std::lock_guard lock(state_->mutex);
  state_->questions.push_back({node, address, domain});
  if (!started_) {
    // It holds the state, not this object.
    std::thread([state = state_] { state->run(); }).detach();
    started_ = true;
  }
  state_->changed.notify_all();
}

std::optional<Resolver::Answer> Resolver::take() {
  if (!state_->answered) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  if (state_->answers.empty()) {
    state_->answered = false;
    return std::nullopt;
  }
  Answer answer = std::move(state_->answers.front());
  state_->answers.pop_front();
  return answer;
}

}  // namespace exdb::tcp
