// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Whether a change of a replica failed half-way: rows of one transaction, and not all of them, are
// installed then. Nothing is undone; nobody can see them, as long as nothing more is published.
//
// Invariants
//   I1  Once failed() is true it stays so.
// Threads: any.
#pragma once
#include <atomic>

#include "cluster/round_item.hpp"

namespace exdb {

class HalfWay {
 public:
  /// Around one change: says that it failed, unless it was carried through.
  class Change {
   public:
    explicit Change(HalfWay& of) : of_(of) {}
    ~Change() {
      if (!done_) of_.failed_.store(true);
    }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    void done() { done_ = true; }

   private:
    HalfWay& of_;
    bool done_ = false;
  };

  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_acquire); }

  static constexpr const char* text =
      "an earlier commit failed half-way for want of memory, so nothing more can be committed "
      "here: open the database again, with more memory";

 private:
  std::atomic<bool> failed_{false};
};

}  // namespace exdb
