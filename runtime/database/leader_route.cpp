// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/leader_route.hpp"

#include "database/named_files.hpp"

namespace exdb {

std::vector<std::byte> LeaderRoute::answer(Replica& replica, std::uint32_t question, Bytes bytes) {
  std::vector<std::byte> made;
  if (question == static_cast<std::uint32_t>(HostQuestion::words)) return replica.words().encode();
  if (question == static_cast<std::uint32_t>(HostQuestion::names)) {
    encode_names(replica.names().all(), made);
    return made;
  }
  ByteWriter out(made);
  if (question == static_cast<std::uint32_t>(HostQuestion::outcome)) {
    ByteReader in(bytes);
    TxnId id;
    id.origin.value = in.get<std::uint32_t>();
    id.sequence = in.get<std::uint64_t>();
    const auto code = in.ok() ? replica.outcome(id) : std::nullopt;
    out.put(static_cast<std::int32_t>(code.value_or(ErrorCode::not_found)));
  } else {
    const auto counts = replica.counters().now();
    for (const auto count : {counts.committed, counts.aborted, counts.rows_written,
                             counts.fragments, counts.remote_committed, counts.remote_aborted})
      out.put(count);
  }
  return made;
}

Result<std::vector<NamedSnapshot>> LeaderRoute::names() const {
  auto answer = follower_.ask(HostQuestion::names, {});
  if (!answer.ok()) return answer.status();
  return decode_names(*answer);
}

Status LeaderRoute::words(AgreedWords& words) const {
  auto answer = follower_.ask(HostQuestion::words, {});
  return answer.ok() ? words.decode(*answer) : answer.status();
}

std::optional<ErrorCode> LeaderRoute::outcome(TxnId id) const {
  std::vector<std::byte> question;
  ByteWriter out(question);
  out.put(id.origin.value);
  out.put(id.sequence);
  auto answer = follower_.ask(HostQuestion::outcome, question);
  if (!answer.ok()) return follower_.remembered(id);
  ByteReader in(*answer);
  const auto code = static_cast<ErrorCode>(in.get<std::int32_t>());
  return !in.ok() || code == ErrorCode::not_found ? std::nullopt : std::optional(code);
}

AppliedCounts LeaderRoute::applied() const {
  AppliedCounts counts;
  auto answer = follower_.ask(HostQuestion::applied, {});
  if (!answer.ok()) return counts;
  ByteReader in(*answer);
  for (auto* count : {&counts.committed, &counts.aborted, &counts.rows_written, &counts.fragments,
                      &counts.remote_committed, &counts.remote_aborted})
    *count = in.get<std::uint64_t>();
  return counts;
}

Status LeaderRoute::at_least(Csn csn) {
  return follower_.wait_applied([this, csn] { return published() >= csn; },
                                "csn " + std::to_string(csn.value), true, open_);
}

ItemOutcome LeaderRoute::commit_local(Outgoing& out) {
  take_local_turn();
  std::mutex nobodys;  // rounds are applied elsewhere
  return replica_.local()->commit(out.local, out.shared, nobodys);
}

void LeaderRoute::committed(PendingItem& item, ItemOutcome& outcome) {
  if (auto status = replica_.local()->committed(item.sequence); !status.ok())
    outcome = {status.code(), {}, status.text()};
}

}  // namespace exdb
