// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Lines on stderr that begin with node and round: the protocol trace of mode_mask bit 1, and
// warnings.
//
// Threads: from any thread; a line is written by one call and is not torn.
#pragma once
#include <cstdio>
#include <string>

#include "base/types.hpp"

namespace exdb {

class Trace {
 public:
  Trace(MemberId self, bool on) : self_(self), on_(on) {}

  [[nodiscard]] bool on() const { return on_; }

  /// One event of the protocol, when the trace is on. `text` is called only then.
  template <class Text>
  void event(Round round, Text text) const {
    if (on_) line(round, text());
  }
  void warn(Round round, const std::string& text) const { line(round, "warning: " + text); }

 private:
  void line(Round round, const std::string& text) const {
    const auto whole = "exdb[node " + std::to_string(self_.value) + " round " +
                       std::to_string(round.value) + "] " + text + "\n";
    std::fputs(whole.c_str(), stderr);
  }

  const MemberId self_;
  const bool on_;
};

}  // namespace exdb
