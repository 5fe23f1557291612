// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A crash at every step of a life over a folder, and for each of them several ways in which a device
// can come out of it.
#pragma once
#include <gtest/gtest.h>

#include "breakable_folder.hpp"

namespace exdb {

/// In how many of the `ways` of each step (the first loses all that was not synced, the second none of
/// it) `wrong(folder, life)` says what is wrong; with `tell` each is a failure of the test.
/// `live(folder)` goes on until the crash. O(steps^2 * ways).
template <class Live, class Wrong>
std::size_t crash_at_every_step(std::uint64_t steps, unsigned ways, bool syncs_do_nothing,
                                bool tell, Live&& live, Wrong&& wrong) {
  using Survives = BreakableFolder::Survives;
  std::size_t found_wrong = 0;
  for (std::uint64_t at = 1; at <= steps; ++at) {
    BreakableFolder folder;
    folder.crash_at = at;
    folder.syncs_do_nothing = syncs_do_nothing;
    const auto life = live(folder);
    for (unsigned way = 0; way < ways; ++way) {
      const auto how = way == 0   ? Survives::nothing
                       : way == 1 ? Survives::everything
                                  : Survives::some;
      const auto after = folder.after_crash(how, unsigned(at) * ways + way);
      const std::string what = wrong(*after, life);
      if (what.empty()) continue;
      ++found_wrong;
      if (tell) ADD_FAILURE() << "crash at step " << at << ", way " << way << ": " << what;
    }
  }
  return found_wrong;
}

}  // namespace exdb
