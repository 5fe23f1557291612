// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_handout.hpp"

#include "base/bytes.hpp"

namespace exdb {
namespace {

constexpr std::byte some_pieces{1}, no_more{2};
constexpr std::size_t together_bytes = std::size_t{1} << 20;

}  // namespace

Status Handout::run(const Status& ready, const std::function<Status(const Give&)>& all_of_it,
                    const Take& take) {
  if (auto all = exchange(gather_, ready, {}); !all) return all.status();
  taking_ = {};
  pieces_.clear();
  given_up_ = false;
  if (!gives_) {
    if (auto status = receive(take); !status) return status;
  } else {
    auto status = all_of_it([&](Bytes piece) { return give(piece, take); });
    if (status.ok()) status = flush(take);
    if (!status.ok() && given_up_) return status;
    if (status.ok()) status = taking_;
    if (auto all = exchange(gather_, status, std::vector<std::byte>(1, no_more)); !all)
      return all.status();
  }
  // What failed with the last piece.
  return exchange(gather_, taking_, {}).status();
}

Status Handout::give(Bytes piece, const Take& take) {
  if (!pieces_.empty() && pieces_.size() + piece.size() > together_bytes)
    if (auto status = flush(take); !status) return status;
  if (pieces_.empty()) pieces_.push_back(some_pieces);
  ByteWriter out(pieces_);
  out.put(std::uint64_t(piece.size()));
  out.put_raw(piece);
  return {};
}

Status Handout::flush(const Take& take) {
  if (pieces_.empty()) return {};
  auto all = exchange(gather_, taking_, pieces_);
  given_up_ = !all.ok();
  if (!given_up_) take_all(Bytes(pieces_).subspan(1), take);
  pieces_.clear();
  return all.status();
}

void Handout::take_all(Bytes pieces, const Take& take) {
  ByteReader in(pieces);
  while (taking_.ok() && in.remaining() != 0) {
    const auto bytes = in.get<std::uint64_t>();
    if (!in.ok() || bytes > in.remaining())
      taking_ = {ErrorCode::cluster_protocol, "a node gives what cannot be read"};
    else
      taking_ = take(in.get_raw(std::size_t(bytes)));
  }
}

Status Handout::receive(const Take& take) {
  while (true) {
    auto all = exchange(gather_, taking_, {});
    if (!all) return all.status();
    const Bytes pieces((*all)[giver_]);
    if (pieces.empty()) return {ErrorCode::cluster_protocol, "a node gives nothing"};
    if (pieces[0] == no_more) return {};
    take_all(pieces.subspan(1), take);
  }
}

}  // namespace exdb
