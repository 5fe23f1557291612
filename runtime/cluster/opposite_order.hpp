// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Recognises that this database and another one are being closed in opposite order: here a thread
// waits in stop that would have to stop the other database, and there it is the other way round.
// What a member says of the thread that would stop this database travels in notes.
//
// Invariants
//   I1  Sure is who has heard the same from a member in three rounds running, while it was so here:
//       a program whose threads close several databases at once is in that state for a moment.
//   I2  Both sides are told, or none: `both` comes only when the other side has said that it is
//       sure, and it goes on saying so until this side has heard it (closing.hpp, the last word).
// Threads: none; the caller has one lock around it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace exdb {

/// Another database of this process: one that the thread that waits here keeps open, or one in
/// whose stop the thread waits that would stop this one.
struct Elsewhere {
  std::uint64_t cluster_id = 0;
  std::string name;
  bool sure = false;  ///< its member has recognised an opposite order
};

class OppositeOrder {
 public:
  /// What is recognised by now, and was not before the note.
  struct Heard {
    bool sure = false;      ///< this side; the other one is to know
    bool both = false;      ///< and the other one
    std::string kept_name;  ///< of the database that is kept here
  };

  explicit OppositeOrder(std::uint32_t members, int rounds_needed = 3, bool alone = false)
      : sightings_(members), rounds_needed_(rounds_needed), alone_(alone) {}

  /// What the threads that wait in stop here keep, as of now; none: nobody waits, or keeps any.
  void set_kept(std::vector<Elsewhere> kept);
  [[nodiscard]] static std::vector<std::byte> note_of(const Elsewhere& where);
  /// A note of a member, sent when it was about to post `round`. `waits_here`: somebody waits in
  /// stop here, and for this member. None: it cannot be read.
  std::optional<Heard> hear(MemberId from, Round round, Bytes note, bool waits_here);

 private:
  struct Sighting {
    std::uint64_t cluster_id = 0;
    Round last;
    int times = 0;
  };
  [[nodiscard]] bool sure() const;

  std::vector<Elsewhere> kept_;
  std::vector<Sighting> sightings_;  ///< by member
  const int rounds_needed_;
  const bool alone_;  ///< for the simulator: does not ask whether the other side is sure
};

}  // namespace exdb
