// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Recognises that databases are being closed in opposite order: here a thread waits in stop that
// would have to stop another database, and there it is the other way round; or, over three and more
// databases, in a circle: here X before Y, there Y before Z, there Z before X.
//
// What a member says in notes to those who wait in stop here is whom they wait for through it: the
// database in whose stop its keeper waits, and all that this one has been told there in turn, each
// one hop further (Chandy, Misra and Haas' edge chasing). Who is told of a database that it keeps is
// part of a circle.
//
// Invariants
//   I1  Sure is who has heard the same from a member in three rounds running a hop, while it was so
//       here: a program whose threads close several databases at once is in that state for a moment,
//       and what comes over n hops may be n rounds old.
//
//   I2  All of a circle are told, or none: a database counts as sure in a note when every member on
//       the way to it is, so `both` comes only when all are, and who goes says what it knew to the
//       next one before anything else (closing.hpp, the last word), who then knows the same.
//
//   I3  A note holds each database once, by the shortest way to it, and none further than hops_max.
// Threads: none; the caller has one lock around it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "exdb/errors.hpp"

namespace exdb {

/// Another database of this process: one that the thread that waits here keeps open, or one in
/// whose stop the thread waits that would stop this one.
struct Elsewhere {
  std::uint64_t cluster_id = 0;
  std::string name;
  bool sure = false;  ///< its member has recognised an opposite order, and all on the way to it
  std::uint8_t hops = 1;
};

/// Who closes what before what, for the text of the error.
struct OppositeOrderFound {
  std::uint32_t self;
  std::string name;       ///< of the database that is being closed here
  std::string kept_name;  ///< of the one that is kept open here meanwhile
  std::uint32_t other;    ///< who closes them the other way round
  bool circle = false;    ///< over three databases or more
};
[[nodiscard]] Status opposite_order_error(const OppositeOrderFound& found);

class OppositeOrder {
 public:
  static constexpr std::uint8_t hops_max = 32;

  /// What is recognised by now, and was not before the note.
  struct Heard {
    bool sure = false;      ///< this side; the others are to know
    bool both = false;      ///< and all others
    bool circle = false;    ///< over three databases or more
    std::string kept_name;  ///< of the database that is kept here
  };

  explicit OppositeOrder(std::uint32_t members, int rounds_needed = 3, bool alone = false)
      : sightings_(members), rounds_needed_(rounds_needed), alone_(alone) {}

  /// What the threads that wait in stop here keep, as of now; none: nobody waits, or keeps any.
  void set_kept(std::vector<Elsewhere> kept);
  [[nodiscard]] static std::vector<std::byte> note_of(std::span<const Elsewhere> where);
  /// A note of a member, sent when it was about to post `round`. `waits_here`: somebody waits in
  /// stop here, and for this member. None: it cannot be read.
  std::optional<Heard> hear(MemberId from, Round round, Bytes note, bool waits_here);
  /// What was heard after round `completed` - 1 of members that have not stopped: for notes in other
  /// databases, so one hop further.
  [[nodiscard]] std::vector<Elsewhere> beyond(Round completed,
                                              const std::vector<bool>& stopped) const;
  /// Adds what is one way to `to`: of two to the same database the shorter, sure if either is.
  static void add(std::vector<Elsewhere>& to, Elsewhere where);

 private:
  struct Match {  ///< with a database that is kept here
    std::uint64_t cluster_id = 0;
    int times = 0;
    int needed = 0;
  };
  struct Sighting {
    Round last;
    std::vector<Elsewhere> said;
    std::vector<Match> matches;
  };
  [[nodiscard]] bool sure() const;

  std::vector<Elsewhere> kept_;
  std::vector<Sighting> sightings_;  ///< by member
  const int rounds_needed_;
  const bool alone_;  ///< for the simulator: does not ask whether the other side is sure
};

}  // namespace exdb
