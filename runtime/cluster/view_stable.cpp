// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// ViewMember where nodes are on disk: what it takes from one life to the next, and histories that were
// founded apart.
#include <type_traits>

#include "cluster/view_member.hpp"

namespace exdb {

ViewMemory ViewMember::memory() const {
  ViewMemory memory;
  memory.cluster_id = options_.cluster_id;
  memory.self = options_.self;
  memory.incarnation = options_.incarnation;
  memory.voter = voter_;
  memory.promised = promised_;
  memory.accepted = accepted_;
  memory.history_view = history_view_;
  memory.installed = installed_;
  memory.final_view = final_view_;
  memory.unconfirmed = unconfirmed_;
  memory.lineage = lineage_;
  return memory;
}

void ViewMember::remember() {
  if (!options_.store) return;
  auto now = memory();
  if (remembered_ == now) return;
  options_.store->remember(encode_view_memory(now));
  remembered_ = std::move(now);
}

void ViewMember::recall(const ViewMemory& memory) {
  voter_ = memory.voter;
  lineage_.founded = memory.lineage.founded;
  promised_ = memory.promised;
  if (mutated(ViewMutation::forgets_accepted)) return;
  if (mutated(ViewMutation::forgets_promise)) promised_ = memory.accepted;
  accepted_ = memory.accepted;
  history_view_ = memory.history_view;
  installed_ = memory.installed;
  // Not less than that of the newest applied round: it only says that a later view is there.
  final_view_ = applied_view_ = memory.final_view;
  unconfirmed_ = memory.unconfirmed;
  lineage_ = memory.lineage;
  counter_seen_ = promised_.counter;
}

namespace {

/// What a message says of its sender's history, when it has a state; else null. A view that is
/// proposed may be of long ago: it is looked at when its turn has come.
const Lineage* history_in(const ViewMessage& message) {
  return std::visit(
      [](const auto& body) -> const Lineage* {
        if constexpr (requires { body.seats; })
          return nullptr;
        else if constexpr (std::is_same_v<std::decay_t<decltype(body)>, Ack>)
          return &body.lineage;  // a member's
        else if constexpr (requires {
                             body.voter;
                             body.final;
                             body.lineage;
                           })
          return body.voter || body.final.round > Round{} ? &body.lineage : nullptr;
        else if constexpr (requires {
                             body.final;
                             body.lineage;
                           })
          return body.final.round > Round{} ? &body.lineage : nullptr;
        else if constexpr (requires { body.lineage; })
          return &body.lineage;
        else
          return nullptr;
      },
      message);
}

}  // namespace

bool ViewMember::part_from_fork(MemberId from, const ViewMessage& message) {
  return options_.store && part_from_fork(from, history_in(message));
}

/// W14. Whether that history has nothing to do with this one's.
bool ViewMember::part_from_fork(MemberId from, const Lineage* theirs) {
  const bool own_state = voter_ || final_ > Round{};
  if (!theirs || !own_state) return false;
  const bool apart =
      !theirs->founded.none() && !lineage_.founded.none() && theirs->founded != lineage_.founded;
  if (!apart && theirs->id.none()) return false;
  if (forks_.has(from)) return true;
  forks_.add(from);
  const auto other = "node " + std::to_string(from.value);
  const auto begun = [](Ballot founded) {
    return "by node " + std::to_string(founded.member.value) + ", number " +
           std::to_string(founded.life >> Incarnation::bits_of_lives);
  };
  const auto text =
      apart ? other + " has a state of a history of its own (begun " + begun(theirs->founded) +
                  "; that of this node " + begun(lineage_.founded) +
                  "): nodes with an empty folder have formed a cluster while another one that had "
                  "a state was not there. Each may have acknowledged what the other lacks; remove "
                  "the folders of the nodes whose history is to be given up, and open them again"
            : other + " has gone on without a majority, which nodes on disk do not";
  if (was_seated()) {
    tell(Event::Kind::warning, from, text);
  } else if (!fork_since_) {
    fork_since_ = now_;
    fork_ = {ErrorCode::inconsistent, text};
    if (peers_.of(from).linked) send_status(from);
  }
  return true;
}

void ViewMember::tick_fork() {
  if (!fork_since_ || now_ - *fork_since_ < options_.timing.beat) return;
  fork_since_.reset();
  if (!was_seated()) return fail(fork_);
  tell(Event::Kind::warning, options_.self, fork_.text());
}

/// Before the first round that is final here, so that no state is without a name (Y2).
void ViewMember::join_history(const Lineage& theirs) {
  if (!theirs.founded.none()) lineage_.founded = theirs.founded;
  remember();
}

}  // namespace exdb
