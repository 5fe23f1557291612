// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What members of a cluster whose nodes come and go say to each other, as bytes: one fixed header,
// then a body for each type. Batches of fixed membership have a frame of their own (frame.hpp).
//
//   at size
//    0  4   magic "EXDV"
//    4  2   version
//    6  1   type
//    7  1   zero
//    8  8   body length in bytes
//   16  8   cluster id
//   24  4   sender
//   28  4   member of the ballot: the installed view for BATCH and ACK, the ballot it is about for
//           all of a view change, the last accepted one for JOIN
//   32  8   counter of it
//   40  8   incarnation of the sender
//   48  4   CRC32C of the 48 bytes before, then of all from byte 56 on
//   52  4   zero
//   56  8   life of the member of the ballot
//
// Invariants
//   M1  decode_view_frame accepts exactly what encode_view_frame makes; nothing is read or allocated
//       on the word of a length that was not checked against the bytes at hand.
//   M2  Every member of a round computes the same checksum for a batch, whether it came in a BATCH
//       or in ROUNDS: it covers view, round, sender, what the header agrees on, and payload, and not
//       the watermarks.
// Threads: pure functions.
// Failure: bytes that are no frame give a Status cluster_protocol that says what is wrong with them.
#pragma once
#include <variant>
#include <vector>

#include "cluster/lineage.hpp"
#include "cluster/round_history.hpp"
#include "cluster/view.hpp"

namespace exdb {

constexpr std::size_t view_header_bytes = 64;
constexpr std::uint16_t view_version = 4;

struct ViewHeader {
  std::uint64_t cluster_id = 0;
  MemberId sender;
  Incarnation incarnation;
  Ballot ballot;
};

/// Asks for a promise to the ballot in the header.
struct Prepare {};

/// Answers a PREPARE. A refusal names what stands against it: a higher ballot, or a view that is
/// well.
struct Promise {
  bool refused = false;
  bool voter = false;  ///< its state counts
  Ballot promised, accepted;
  Ballot installed;                 ///< the newest view that it knows to be installed
  RoundHistory::Chain last, final;  ///< of its complete rounds, of those known to be final
  MemberSet reach;                  ///< whom it hears
  std::vector<Ballot> unconfirmed;  ///< views it accepted before it was a voter
  bool leaves = false;
  bool consents = false;  ///< its quorumCallback lets it write with whom it reaches now
  Lineage lineage;
};

/// The view that the ballot in the header proposes, and the rounds that it begins after.
struct NewView {
  std::vector<Seat> seats;
  RoundHistory::Chain after;
  Ballot source;  ///< accepted by the donor: equal here means that the history is a prefix
  Lineage lineage;
};

struct ViewAck {};
struct Install {};

/// Asks for rounds from the one after `after` on. With a ballot in the header: complete rounds for
/// that view change; without: final ones. `ahead`: of what comes after a state that is on its way;
/// it says nothing of what the asker has, and no state answers it. `parted`: the asker is of a lower
/// lineage, and is given the state when its rounds are not the giver's.
struct Fetch {
  RoundHistory::Chain after;
  bool ahead = false, parted = false;
};

/// Answers FETCH: rounds, and the chain after the last of them.
struct Rounds {
  enum class State : std::uint8_t {
    some = 0,
    not_kept = 1,  ///< from there on nothing is kept (any more, or yet): no rounds
    differs = 2,   ///< the chain is another one there
  };
  State state = State::some;
  RoundHistory::Chain upto;   ///< what is here
  RoundHistory::Chain final;  ///< of the sender
  Lineage lineage;            ///< likewise
  std::vector<CompletedRound> rounds;
};

/// What a node says that is in no installed view, to everybody, again and again.
struct Join {
  bool voter = false, leaves = false, consents = false;
  Ballot promised;
  RoundHistory::Chain final;
  Round last, applied;
  MemberSet reach;
  Lineage lineage;
};

struct Leave {};

/// The view in the header is installed, without the receiver.
struct Evicted {
  Incarnation known;  ///< the newest life of the receiver that is known here
};

/// What a member says when it has no batch to say it with.
struct Ack {
  bool want = false;  ///< send again what came after `recv`
  bool leaves = false;
  Round recv, applied;
  RoundHistory::Chain final;
  MemberSet reach;
  Lineage lineage;
};

/// A member's batch of one round.
struct BatchMessage {
  Round round, recv, applied;
  BatchHeader header;
  Bytes payload;  ///< a view into the frame
};

// Snapshots: the bytes between begin and end are the layer's above.
struct SnapBegin {
  std::uint64_t transfer = 0;
  RoundHistory::Chain upto;
  Ballot view;  ///< in which that round was made
  Csn horizon;
  Lineage lineage;  ///< of the giver
};
struct SnapChunk {
  std::uint64_t transfer = 0, number = 0;
  Bytes bytes;  ///< a view into the frame
};
struct SnapAck {
  std::uint64_t transfer = 0, next = 0;  ///< chunks before `next` are here
};
struct SnapEnd {
  std::uint64_t transfer = 0, chunks = 0, digest = 0;
};

/// In the order of the type numbers, which begin with 1.
using ViewMessage =
    std::variant<Prepare, Promise, NewView, ViewAck, Install, Fetch, Rounds, Join, Leave, Evicted,
                 Ack, BatchMessage, SnapBegin, SnapChunk, SnapAck, SnapEnd>;

struct ViewFrame {
  ViewHeader header;
  ViewMessage message;
};

[[nodiscard]] Frame encode_view_frame(const ViewHeader& header, const ViewMessage& message);
[[nodiscard]] Result<ViewFrame> decode_view_frame(Bytes frame);
/// "PREPARE".
[[nodiscard]] const char* name_of(const ViewMessage& message);

/// M2.
[[nodiscard]] std::uint64_t batch_checksum(Ballot view, Round round, MemberId member,
                                           const BatchHeader& header, Bytes payload);

}  // namespace exdb
