// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "database/restore_handout.hpp"

namespace exdb {
namespace {

constexpr std::byte one_piece{1}, no_more{2};

}  // namespace

Status Handout::run(const Status& ready, const std::function<Status(const Give&)>& all_of_it,
                    const Take& take) {
  if (auto all = exchange(gather_, ready, {}); !all) return all.status();
  taking_ = {};
  given_up_ = false;
  if (!gives_) {
    if (auto status = receive(take); !status) return status;
  } else {
    auto status = all_of_it([&](Bytes piece) { return give(piece, take); });
    if (!status.ok() && given_up_) return status;
    if (status.ok()) status = taking_;
    if (auto all = exchange(gather_, status, std::vector<std::byte>(1, no_more)); !all)
      return all.status();
  }
  // What failed with the last piece.
  return exchange(gather_, taking_, {}).status();
}

Status Handout::give(Bytes piece, const Take& take) {
  std::vector<std::byte> told(1, one_piece);
  told.insert(told.end(), piece.begin(), piece.end());
  auto all = exchange(gather_, taking_, told);
  given_up_ = !all.ok();
  if (!given_up_) taking_ = take(piece);
  return all.status();
}

Status Handout::receive(const Take& take) {
  while (true) {
    auto all = exchange(gather_, taking_, {});
    if (!all) return all.status();
    const Bytes piece((*all)[giver_]);
    if (piece.empty()) return {ErrorCode::cluster_protocol, "a node gives nothing"};
    if (piece[0] == no_more) return {};
    if (taking_.ok()) taking_ = take(piece.subspan(1));
  }
}

}  // namespace exdb
