// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "connection.hpp"

#include <algorithm>

#include "secret_file.hpp"

namespace exdb::tcp {
namespace {

/// Whether a hello may begin so: a web browser or a scanner need not send all of one to be known.
bool may_be_hello(std::span<const std::byte> begun) {
  static const auto magic =
      HelloMessage::make(HelloMessage::Type::hello, 0, {}, Refusal::none).magic;
  const auto known = std::as_bytes(std::span(magic));
  const auto count = std::min(known.size(), begun.size());
  return std::equal(begun.begin(), begun.begin() + std::ptrdiff_t(count), known.begin());
}

}  // namespace

Connection::~Connection() { wipe(params_.secret); }

void Connection::start_hello() {
  if (stream.channel() != nullptr) params_.binding = stream.channel()->binding();
  hello.emplace(params_, dialled, node, random_);
}

/// What is there for the peer (a refusal) is written as far as it goes at once.
Status Connection::fail(Status status, Event event) {
  why = event;
  (void)write_hello();
  stream.end_writing();
  return status;
}

Status Connection::refuse(Refusal reason) { return fail(hello->refuse(reason), Event::refused); }

/// True when nothing is left to write.
Result<bool> Connection::write_hello() {
  if (hello)
    while (auto message = hello->next())
      said_.insert(said_.end(), message->begin(), message->end());
  while (unwritten()) {
    const iovec piece{said_.data(), said_.size()};
    const auto moved = stream.write({&piece, said_.empty() ? 0U : 1U});
    if (!moved.status) return moved.status;
    said_.erase(said_.begin(), said_.begin() + std::ptrdiff_t(moved.bytes));
    if (moved.blocked) return false;
  }
  return true;
}

/// True when something was read.
Result<bool> Connection::read_hello() {
  const auto there = heard_.size();
  heard_.resize(Hello::message_bytes);
  auto moved = stream.read(std::span(heard_).subspan(there));
  heard_.resize(there + moved.bytes);
  if (!moved.status) {
    const bool unanswered = dialled && heard_.empty() && stream.channel() == nullptr;
    if (unanswered && hello && hello->peer() == any_node)
      moved.status = {moved.status.code(),
                      moved.status.text() + " before a word (is TLS on there, by ssl_params?)"};
    return fail(std::move(moved.status), moved.refused ? Event::refused : Event::silent);
  }
  if (!may_be_hello(heard_))
    return fail({ErrorCode::cluster_protocol, "what arrived is no greeting of an exdb node"},
                Event::refused);
  if (heard_.size() == Hello::message_bytes) {
    // The end of TLS's handshake may have come with it.
    if (!hello) start_hello();
    if (Status s = hello->received(heard_); !s) return fail(std::move(s), Event::refused);
    heard_.clear();
  }
  return !moved.blocked;
}

Result<Connection::Greeting> Connection::greet(std::size_t buffer_bytes) {
  while (true) {
    if (!hello && stream.established()) start_hello();
    if (hello && hello->done() && !dialled && !std::exchange(met_, true)) return Greeting::met;
    auto all_said = write_hello();
    if (!all_said) return all_said.status();
    if (hello && hello->done()) {
      if (!*all_said) return Greeting::waiting;
      break;
    }
    auto some = read_hello();
    if (!some) return some.status();
    if (!*some) return Greeting::waiting;
  }
  reader.emplace(buffer_bytes);
  // TLS has MACs of its own.
  if (!params_.secret.empty() && stream.channel() == nullptr) {
    reader->expect_mac(std::make_unique<FrameMac>(hello->key(false)));
    writer.put_mac(std::make_unique<FrameMac>(hello->key(true)));
  }
  return Greeting::done;
}

}  // namespace exdb::tcp
