// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The round protocol, without any I/O: frames and posted batches go in, frames and completed rounds
// come out. The same code runs over MPI, TCP and a simulated network. It knows nothing of what a
// batch holds.
//
// A round is complete when the batches of all its members are there. A node posts one batch a
// round, and the next only after the round is complete (so a batch for round r also says: I have
// all of round r-1). A batch that arrives is the doorbell: whoever gets one for a round it has not
// posted yet posts its own, empty or not. Where a broadcast is a collective call, a DOORBELL frame
// does the asking.
//
// Invariants
//   I1  A completed round holds exactly one batch of each of its members, and is the same on all of
//       them.
//   I2  Rounds complete in order, without gaps.
//   I3  posted() - completed() is 0 or 1, and nobody completes a round that this node has not
//       posted: so a node that waits until completed() == posted() has every round that any node
//       completed before (`fresh` reads rest on this).
//   I4  A member whose batch in round r says leave is no member from r+1 on, everywhere. The
//       protocol has ended after the round in which every member says stop (or leave).
//   I5  Frames of a foreign cluster, of an old round or of a node that has left change nothing.
//   I6  By I3 a batch that arrives is of round completed+1 or completed+2, the latter only from a
//       member whose batch of completed+1 is here, and only when this node has posted completed+1.
//       Any other newer batch is a protocol error.
// Threads: none; the caller has one lock around it.
// Failure: a frame that cannot be decoded, or that breaks the rules, gives a Status
//   cluster_protocol; the node stops.
#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "cluster/completed_round.hpp"

namespace exdb {

class RoundProtocol {
 public:
  /// Rules that the simulator takes out, one at a time, to show that it would notice. None in
  /// production.
  enum class Mutation : std::uint8_t {
    none,
    completes_without_one,  ///< does not wait for the last batch
    posts_ahead,            ///< posts round r+1 before r is complete
    keeps_leavers,          ///< a node that said leave stays a member
    ends_with_first_stop,   ///< one stop ends the protocol
    takes_old_rounds,       ///< a batch of an old round counts for the round under way
    takes_foreign_frames,   ///< the cluster id is not looked at
    own_order,              ///< orders a round beginning with itself
    forgets_early_batches,  ///< drops batches of round completed+2
    forgets_early_bells,    ///< drops doorbells of round completed+2
  };

  struct Options {
    MemberId self;
    std::uint32_t nodes = 1;
    std::uint64_t cluster_id = 0;  ///< agreed at open; frames of another one are dropped
    bool broadcast_is_collective = false;
    Mutation mutation = Mutation::none;
    std::vector<bool> members = {};  ///< who takes part; none said = all
    Round completed = {};            ///< what came before: the first round here is the next
  };
  /// A frame to hand to the transport: to one node, or to all.
  struct Output {
    std::optional<MemberId> to;  ///< none = broadcast
    Frame frame;
  };

  /// Something that a member told this one, while the sender was about to post `round`.
  struct Note {
    MemberId from;
    Round round;
    std::vector<std::byte> bytes;
  };

  /// What the disk of a member has, as it says.
  struct Kept {
    MemberId from;
    Round upto;
  };

  explicit RoundProtocol(const Options& options);

  // --- inputs ---
  Status on_frame(MemberId from, Bytes frame);
  /// The same; a batch lies in the frame until its round is let go.
  Status on_whole_frame(MemberId from, const Frame& frame);
  /// The same for a batch that came in another frame than this protocol's.
  Status on_batch(MemberId from, Round round, Batch batch);
  /// Takes this node's batch of the next round; the caller sends it. REQUIRES: may_post().
  void place(Batch own);
  /// `head_room`: so many bytes come before the payload, 0 or those of a frame's header, which is then
  /// written there. REQUIRES: may_post().
  void post(const BatchHeader& header, std::vector<std::byte> payload, std::size_t head_room = 0);
  /// Asks the others to take part in the next round; nothing to do where an arriving batch does it.
  /// REQUIRES: may_post().
  void ring();
  /// Sends a note to one member. It travels beside the rounds and may get lost when one of the two
  /// leaves.
  void tell(MemberId member, Bytes note);
  /// Tells all members that the disk here has all rounds up to this one. Beside the rounds, too.
  void tell_kept(Round round);
  /// Takes out a member that all nodes know to be unfit since the round taken last (its digest
  /// differs). To be called at the same round everywhere; the others then go on with the next round
  /// at once. REQUIRES: may_post() or self expelled.
  void expel(MemberId node);

  // --- state ---
  [[nodiscard]] bool may_post()
      const;  ///< the round before is complete and taken, and this node is a member
  [[nodiscard]] bool asked() const;  ///< somebody waits for this node's batch of the next round
  [[nodiscard]] Round posted() const;
  [[nodiscard]] Round completed() const;
  [[nodiscard]] bool ended() const;
  [[nodiscard]] bool member(MemberId node) const;
  /// The batch of the round under way of this member is here and says leave: nothing more will come
  /// from it.
  [[nodiscard]] bool leaving(MemberId node) const;
  /// Members whose batch of the round under way is missing here.
  [[nodiscard]] std::vector<MemberId> missing() const;

  // --- outputs ---
  [[nodiscard]] bool has_outputs() const { return !outputs_.empty(); }
  std::vector<Output> take_outputs();
  /// The same, into a vector that keeps its memory. REQUIRES: it is empty.
  void take_outputs(std::vector<Output>& into) { outputs_.swap(into); }
  std::vector<Note> take_notes() { return std::exchange(notes_, {}); }
  [[nodiscard]] bool has_kept() const { return !kept_.empty(); }
  std::vector<Kept> take_kept() { return std::exchange(kept_, {}); }
  /// The next completed round, once.
  std::optional<CompletedRound> take_round();

  // --- memory ---
  /// Takes a round that nobody needs any more, for its memory.
  void reuse(CompletedRound&& round);
  /// An empty payload, with room if there is some.
  std::vector<std::byte> room();

 private:
  using Batches = std::vector<std::optional<Batch>>;

  Status take(MemberId from, Bytes bytes, const Frame& whole);
  Status take_doorbell(const DecodedFrame& frame);
  void send_each(FrameType type, Round round);
  void complete_if_all_there();
  void after_completion();
  [[nodiscard]] bool alone() const;
  [[nodiscard]] std::size_t missing_count() const;
  [[nodiscard]] bool mutated(Mutation mutation) const { return options_.mutation == mutation; }

  Options options_;
  std::vector<bool> members_;
  Round posted_, completed_;
  bool ended_ = false;
  bool rung_ = false, rung_next_ = false;  ///< asked for round completed+1, completed+2
  Batches current_, next_;                 ///< of rounds completed+1 and completed+2, by node
  std::vector<Output> outputs_;
  std::vector<Note> notes_;
  std::vector<Kept> kept_;
  std::optional<CompletedRound> ready_;
  std::vector<Batch> spare_batches_;                    ///< empty
  std::vector<std::vector<std::byte>> spare_payloads_;  ///< empty each; at most two a node
};

}  // namespace exdb
