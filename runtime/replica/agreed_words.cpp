// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "replica/agreed_words.hpp"

#include <sstream>

#include "transaction/record.hpp"

namespace exdb {

std::string AgreedWords::written(NodeId node, Round round, const Status& status) {
  auto word = std::string{mark, 'w'} + std::to_string(node.value) + ' ' +
              std::to_string(round.value) + ' ' + std::to_string(int(status.code())) + ' ';
  const auto room = TransactionRecord::name_bytes_max - word.size();
  return word + status.text().substr(0, room);
}

void AgreedWords::said(const std::string& word, Csn seen, Csn now, Round round) {
  if (word == preempt()) {
    const std::lock_guard lock(mutex_);
    preempt_ = now;
  } else if (word == checkpoint()) {
    {
      const std::lock_guard lock(mutex_);
      const bool first = checkpoint_.round == Round{};  // also of a database without any commit
      if (!first && seen <= checkpoint_.csn) return;    // W1
      checkpoint_ = {now, round};
    }
    if (begin_) begin_(round);
  } else if (word.size() > 2 && word[1] == 'w') {
    std::istringstream in(word.substr(2));
    NodeId node;
    Written written;
    int code = 0;
    std::string text;
    in >> node.value >> written.round.value >> code;
    std::getline(in.ignore(), text);
    written.status = {static_cast<ErrorCode>(code), text};
    const std::lock_guard lock(mutex_);
    written_[node] = std::move(written);
  }
}

void AgreedWords::written_here(NodeId node, Round round, const Status& status) {
  const std::lock_guard lock(mutex_);
  written_[node] = {round, status};
}

void AgreedWords::forget() {
  const std::lock_guard lock(mutex_);
  preempt_ = {};
  checkpoint_ = {};
  written_.clear();
}

Csn AgreedWords::preempt_said() const {
  const std::lock_guard lock(mutex_);
  return preempt_;
}

AgreedWords::Checkpoint AgreedWords::newest_checkpoint() const {
  const std::lock_guard lock(mutex_);
  return checkpoint_;
}

std::map<NodeId, AgreedWords::Written> AgreedWords::written_checkpoints() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

std::vector<std::byte> AgreedWords::encode() const {
  std::vector<std::byte> bytes;
  ByteWriter out(bytes);
  const std::lock_guard lock(mutex_);
  out.put(preempt_.value);
  out.put(checkpoint_.csn.value);
  out.put(checkpoint_.round.value);
  for (const auto& [node, written] : written_) {
    out.put(node.value);
    out.put(written.round.value);
    out.put(static_cast<std::int32_t>(written.status.code()));
    out.put_text(written.status.text());
  }
  return bytes;
}

Status AgreedWords::decode(Bytes bytes) {
  ByteReader in(bytes);
  const std::lock_guard lock(mutex_);
  preempt_.value = in.get<std::uint64_t>();
  checkpoint_.csn.value = in.get<std::uint64_t>();
  checkpoint_.round.value = in.get<std::uint64_t>();
  written_.clear();
  while (in.ok() && in.remaining() != 0) {
    const NodeId node{in.get<std::uint32_t>()};
    auto& written = written_[node];
    written.round.value = in.get<std::uint64_t>();
    const auto code = static_cast<ErrorCode>(in.get<std::int32_t>());
    written.status = {code, std::string(in.get_text())};
  }
  return in.ok() ? Status()
                 : Status(ErrorCode::cluster_protocol, "words of a leader that cannot be read");
}

}  // namespace exdb
