// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exchange.hpp"

#include <algorithm>
#include <cstring>

#include "calls.hpp"

namespace exdb::mpi {
namespace {
constexpr std::uint64_t nothing = ~std::uint64_t{0};
constexpr std::size_t length_bytes = sizeof(std::uint64_t);
}  // namespace

CollectiveExchange::CollectiveExchange(MPI_Comm communicator, std::uint32_t self,
                                       std::uint32_t size, std::size_t inline_bytes)
    : communicator_(communicator),
      self_(self),
      size_(size),
      inline_bytes_(inline_bytes),
      cell_bytes_(length_bytes + inline_bytes),
      my_cell_(cell_bytes_),
      cells_(cell_bytes_ * size),
      pass_each_(std::max<std::size_t>(1, chunk_bytes_max / size)),
      counts_(size),
      offsets_(size),
      long_(size) {}

std::uint64_t CollectiveExchange::length_of(std::uint32_t rank) const {
  std::uint64_t length = 0;
  std::memcpy(&length, cells_.data() + cell_bytes_ * rank, length_bytes);
  return length;
}

bool CollectiveExchange::is_long(std::uint64_t length) const {
  return length != nothing && length > inline_bytes_;
}

Status CollectiveExchange::broadcast(Frame frame) {
  if (frame) held_.add(frame->size());
  queue_.push_back(std::move(frame));
  return under_way() || delivering_ ? Status() : begin();
}

Status CollectiveExchange::begin() {
  mine_ = std::move(queue_.front());
  queue_.pop_front();
  ++begun_;
  const std::uint64_t length = mine_ ? mine_->size() : nothing;
  std::memcpy(my_cell_.data(), &length, length_bytes);
  if (mine_ && !is_long(length) && length != 0) {
    std::memcpy(my_cell_.data() + length_bytes, mine_->data(), mine_->size());
  }
  gathering_long_ = false;
  return status_of(
      MPI_Iallgather(my_cell_.data(), static_cast<int>(cell_bytes_), MPI_BYTE, cells_.data(),
                     static_cast<int>(cell_bytes_), MPI_BYTE, communicator_, &request_),
      "MPI_Iallgather");
}

Status CollectiveExchange::step() {
  while (under_way()) {
    int done = 0;
    if (Status s =
            status_of(MPI_Test(&request_, &done, MPI_STATUS_IGNORE), "the collective exchange");
        !s) {
      return s;
    }
    if (done == 0) return {};
    request_ = MPI_REQUEST_NULL;
    if (Status s = completed(); !s) return s;
  }
  return {};
}

Status CollectiveExchange::completed() {
  if (gathering_long_) {
    take_pass();
  } else {
    longest_ = 0;
    for (std::uint32_t rank = 0; rank < size_; ++rank) {
      if (is_long(length_of(rank))) longest_ = std::max(longest_, length_of(rank));
    }
    pass_from_ = 0;
  }
  if (pass_from_ < longest_) return begin_pass();
  longest_ = 0;
  if (mine_) {
    --held_.frames;
    held_.bytes -= mine_->size();
  }
  mine_.reset();
  delivering_ = true;
  next_from_ = 0;
  return {};
}

Status CollectiveExchange::begin_pass() {
  gathering_long_ = true;
  int total = 0;
  try {
    for (std::uint32_t rank = 0; rank < size_; ++rank) {
      const std::uint64_t length = is_long(length_of(rank)) ? length_of(rank) : 0;
      if (pass_from_ == 0 && rank != self_) long_[rank].reserve(length);
      counts_[rank] = static_cast<int>(
          length > pass_from_ ? std::min<std::uint64_t>(pass_each_, length - pass_from_) : 0);
      offsets_[rank] = total;
      total += counts_[rank];
    }
    pass_.resize(static_cast<std::size_t>(total));
  } catch (const std::exception&) {
    return Status(ErrorCode::no_memory,
                  "no memory for the long frames of one exchange, the longest of " +
                      std::to_string(longest_) + " bytes");
  }
  const std::byte* from = counts_[self_] != 0 ? mine_->data() + pass_from_ : nullptr;
  return status_of(MPI_Iallgatherv(from, counts_[self_], MPI_BYTE, pass_.data(), counts_.data(),
                                   offsets_.data(), MPI_BYTE, communicator_, &request_),
                   "MPI_Iallgatherv");
}

void CollectiveExchange::take_pass() {
  for (std::uint32_t rank = 0; rank < size_; ++rank) {
    if (rank == self_) continue;
    const std::byte* data = pass_.data() + offsets_[rank];
    long_[rank].insert(long_[rank].end(), data, data + counts_[rank]);
  }
  pass_from_ += pass_each_;
}

Status CollectiveExchange::next(std::optional<Arrival>& arrival) {
  if (!delivering_) return {};
  for (; next_from_ < size_; ++next_from_) {
    const std::uint64_t length = length_of(next_from_);
    if (next_from_ == self_ || length == nothing) continue;
    arrival.emplace();
    arrival->from = next_from_;
    if (is_long(length)) {
      arrival->owned = std::move(long_[next_from_]);
      long_[next_from_].clear();
      arrival->bytes = arrival->owned;
    } else {
      arrival->bytes = std::span(cells_.data() + cell_bytes_ * next_from_ + length_bytes, length);
    }
    ++next_from_;
    return {};
  }
  delivering_ = false;
  pass_.clear();
  return queue_.empty() ? Status() : begin();
}

}  // namespace exdb::mpi
