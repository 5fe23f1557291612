// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Two sessions and a wire that loses what is on it at every cut, against the plain rule: what was
// pushed comes out once, in order, as long as nobody has given the other up.
#include "session.hpp"

#include <gtest/gtest.h>

#include <random>

namespace exdb::tcp {
namespace {

Frame frame_of(std::uint32_t number) {
  auto bytes = std::make_shared<std::vector<std::byte>>(4 + number % 7);
  std::memcpy(bytes->data(), &number, 4);
  return bytes;
}

std::uint32_t number_of(const Frame& frame) {
  std::uint32_t number = 0;
  std::memcpy(&number, frame->data(), 4);
  return number;
}

struct Side {
  struct OnWire {
    std::uint64_t number, taken;
    Frame frame;  ///< null: only what was taken
  };
  Session session;
  std::deque<OnWire> out;
  std::vector<std::uint32_t> got;  ///< of this session
  std::uint32_t pushed = 0;        ///< in this session
  std::uint64_t attempts = 0;
  bool open = false;  ///< on this connection

  void push() { session.push(frame_of(pushed++)); }
  void put_on_wire() {
    if (session.has_unsent()) {
      auto [number, frame] = session.next_unsent();
      out.push_back({number, session.taken(), frame});
    } else {
      out.push_back({0, session.taken(), nullptr});
    }
    session.told();
  }
  void take_from(Side& other) {
    if (other.out.empty()) return;
    const OnWire one = other.out.front();
    other.out.pop_front();
    ASSERT_TRUE(session.peer_has_taken(one.taken).ok());
    if (!one.frame) return;
    switch (session.arrived(one.number, one.frame->size())) {
      case Session::Arrival::fresh:
        got.push_back(number_of(one.frame));
        break;
      case Session::Arrival::duplicate:
        break;
      case Session::Arrival::gap:
        FAIL() << "a frame is missing before " << one.number;
    }
  }
  void give_up() {
    session.renew();
    got.clear();
    pushed = 0;
  }
};

/// What links.cpp does with the first messages of a connection. `reaches`: how many of them get
/// through before the connection is cut again.
void connect(Side& dialler, Side& acceptor, int reaches) {
  for (Side* side : {&dialler, &acceptor}) {
    side->out.clear();
    side->open = false;
  }
  const Link first = dialler.session.link(++dialler.attempts);
  const auto first_taken = dialler.session.taken();
  if (reaches < 1) return;
  if (!acceptor.session.fits(first) && acceptor.session.begun()) acceptor.give_up();
  const Link answer = acceptor.session.link(0);
  const auto answer_taken = acceptor.session.taken();
  if (acceptor.session.fits(first)) {
    ASSERT_TRUE(acceptor.session.resume(first, first_taken).ok());
    acceptor.open = true;
  }
  if (reaches < 2) return;
  if (!dialler.session.fits(answer)) {
    ASSERT_TRUE(dialler.session.begun());
    dialler.give_up();
    ASSERT_TRUE(dialler.session.fits(answer));
    ASSERT_TRUE(dialler.session.resume(answer, answer_taken).ok());
    dialler.open = true;
    const Link third = dialler.session.link(dialler.attempts);
    if (reaches < 3) return;
    ASSERT_TRUE(acceptor.session.fits(third));
    ASSERT_TRUE(acceptor.session.resume(third, dialler.session.taken()).ok());
    acceptor.open = true;
    return;
  }
  ASSERT_TRUE(dialler.session.resume(answer, answer_taken).ok());
  dialler.open = true;
}

void expect_prefix(const Side& from, const Side& to) {
  ASSERT_LE(to.got.size(), from.pushed);
  for (std::uint32_t i = 0; i < to.got.size(); ++i) ASSERT_EQ(to.got[i], i);
}

TEST(Session, what_was_pushed_comes_once_and_in_order_over_random_cuts) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Side a, b;
    connect(a, b, 3);
    for (int step = 0; step < 400; ++step) {
      Side& one = random() % 2 == 0 ? a : b;
      Side& other = &one == &a ? b : a;
      switch (random() % 8) {
        case 0:
        case 1:
          if (one.session.begun()) one.push();
          break;
        case 2:
        case 3:
          if (one.open) one.put_on_wire();
          break;
        case 7:
          if (random() % 4 == 0) connect(a, b, int(random() % 4));
          break;
        default:
          if (one.open) one.take_from(other);
      }
      expect_prefix(a, b);
      expect_prefix(b, a);
      if (HasFatalFailure()) return;
    }
    connect(a, b, 3);
    while (a.session.has_unsent() || b.session.has_unsent() || !a.out.empty() || !b.out.empty()) {
      for (Side* side : {&a, &b})
        if (side->session.has_unsent()) side->put_on_wire();
      a.take_from(b);
      b.take_from(a);
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(a.got.size(), b.pushed);
    EXPECT_EQ(b.got.size(), a.pushed);
  }
}

TEST(Session, both_begin_anew_when_one_has_given_the_other_up) {
  for (const bool dialler_gives_up : {true, false}) {
    for (int reaches = 1; reaches <= 3; ++reaches) {
      Side a, b;
      connect(a, b, 3);
      a.push();
      b.push();
      (dialler_gives_up ? a : b).give_up();
      // However many of the first messages get through, the next connection settles it.
      connect(a, b, reaches);
      connect(a, b, 3);
      EXPECT_TRUE(a.session.begun() && b.session.begun());
      EXPECT_FALSE(a.session.has_unsent() || b.session.has_unsent())
          << "what was sent in the old session is gone on both sides";
      a.push();
      a.put_on_wire();
      b.take_from(a);
      EXPECT_EQ(b.got, std::vector<std::uint32_t>{0});
    }
  }
}

TEST(Session, keeps_what_the_peer_has_not_taken_and_nothing_else) {
  Side a, b;
  connect(a, b, 3);
  for (int i = 0; i < 10; ++i) a.push();
  EXPECT_EQ(a.session.under_way().frames, 10U);
  ASSERT_TRUE(a.session.peer_has_taken(7).ok());
  EXPECT_EQ(a.session.under_way().frames, 3U);
  std::size_t bytes = 0;
  for (std::uint32_t number = 7; number < 10; ++number) bytes += frame_of(number)->size();
  EXPECT_EQ(a.session.under_way().bytes, bytes);
}

TEST(Session, refuses_what_a_peer_cannot_have_taken) {
  Side a, b;
  connect(a, b, 3);
  for (int i = 0; i < 3; ++i) a.push();
  EXPECT_FALSE(a.session.peer_has_taken(4).ok()) << "more than was sent";
  ASSERT_TRUE(a.session.peer_has_taken(2).ok());
  EXPECT_FALSE(a.session.peer_has_taken(1).ok()) << "less than before";
  EXPECT_FALSE(a.session.peer_has_taken(~0ULL).ok());
  EXPECT_EQ(a.session.under_way().frames, 1U);
  EXPECT_FALSE(a.session.resume({0, 0, 0}, 2).ok()) << "a session without a name";
}

}  // namespace
}  // namespace exdb::tcp
