// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Who knocks and does not belong: scanners, garbage, half a greeting, crowds; and a member that has
// greeted well and then says what no node says.
#include <sys/resource.h>

#include <random>

#include "hello_keys.hpp"
#include "tcp_nodes.hpp"

namespace exdb::tcp {
namespace {

using conformance::frame_of;

/// A client's socket, connected to node 0 or on its way.
Descriptor knock(const Nodes& nodes) {
  auto socket =
      start_connecting(resolve(*parse_address(nodes.params.nodes[0]), AF_INET).value().front(), {});
  EXPECT_TRUE(socket.ok()) << socket.status().text();
  return *std::move(socket);
}

void write(const Descriptor& socket, std::span<const std::byte> bytes) {
  (void)!::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}
void write(const Descriptor& socket, const std::string& text) {
  write(socket, std::as_bytes(std::span(text)));
}

/// Whether the other side has ended it; what it said before is thrown away.
bool ended(const Descriptor& socket) {
  char bytes[4096];
  while (true) {
    const auto got = ::recv(socket.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got == 0) return true;
    if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK;
  }
}

/// Node 0 of two, and nobody else so far.
class Strangers : public testing::Test {
 protected:
  Nodes nodes_{2};
  Polled zero_;
  void start() { zero_.transport = nodes_.make(0); }
  template <class Done>
  void poll(Done done) {
    poll_all({&zero_}, done);
  }
  [[nodiscard]] LinkStatistics links() const { return zero_.transport->link_statistics(); }
  void expect_that_a_member_gets_in() {
    Polled member{nodes_.make(1), {}, {}};
    poll_all({&zero_, &member}, [&] { return member.all_up() && zero_.all_up(); });
    member.transport->close(false);
    poll([&] { return !zero_.all_up(); });
  }
};

TEST_F(Strangers, that_send_garbage_are_let_go_at_once_with_one_line) {
  nodes_.params.connect_timeout_ms = 3'600'000;
  start();
  std::vector<Descriptor> sockets;
  const std::string garbage[] = {"GET / HTTP/1.1\r\n\r\n", "x", std::string(100'000, '\0'),
                                 std::string("exdbHELO") + std::string(128, 'x')};
  for (int i = 0; i < 40; ++i) {
    sockets.push_back(knock(nodes_));
    poll([&] { return true; });
    write(sockets.back(), garbage[i % 4]);
  }
  poll([&] { return std::all_of(sockets.begin(), sockets.end(), ended); });
  EXPECT_EQ(links().refused, 40U);
  EXPECT_EQ(nodes_.lines->with("connection from"), 1U) << nodes_.lines->all();
  expect_that_a_member_gets_in();
}

TEST_F(Strangers, that_send_half_a_greeting_are_let_go_after_the_connect_timeout) {
  nodes_.params.connect_timeout_ms = 50;
  start();
  auto random = secure_random();
  Hello hello({0, 1, 2, 7, {}, {}, {}}, true, 0, *random);
  const auto message = *hello.next();
  std::vector<Descriptor> sockets;
  for (std::size_t bytes = 0; bytes < Hello::message_bytes; bytes += 15) {
    sockets.push_back(knock(nodes_));
    write(sockets.back(), std::span(message).first(bytes));
  }
  const auto count = sockets.size();
  poll([&] { return std::all_of(sockets.begin(), sockets.end(), ended); });
  EXPECT_EQ(links().silent, count);
  EXPECT_EQ(nodes_.lines->with("connection from"), 1U) << nodes_.lines->all();
  nodes_.params.connect_timeout_ms = 5000;
  expect_that_a_member_gets_in();
}

TEST_F(Strangers, that_only_look_whether_a_port_is_open_do_no_harm) {
  start();
  for (int i = 0; i < 1000; ++i) {
    knock(nodes_).reset();
    zero_.poll();
  }
  poll([&] { return links().silent == 1000; });
  EXPECT_EQ(nodes_.lines->with("connection from"), 1U) << nodes_.lines->all();
  expect_that_a_member_gets_in();
}

TEST_F(Strangers, ten_thousand_that_stay_keep_no_member_out_and_cost_what_a_few_cost) {
  nodes_.params.connect_timeout_ms = 3'600'000;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  start();
  const auto count = std::min<std::size_t>(10'000, limit.rlim_max - 1000);
  std::vector<Descriptor> sockets;
  Polled member;
  for (std::size_t i = 0; i < count; ++i) {
    sockets.push_back(knock(nodes_));
    if (i == count / 2) member.transport = nodes_.make(1);
    if (i % 16 == 0) zero_.poll();
    if (member.transport) member.poll();
  }
  poll_all({&zero_, &member}, [&] {
    return member.all_up() && zero_.all_up() && links().crowded_out + Lobby::strangers_max >= count;
  });
  EXPECT_LE(zero_.transport->connection_count(), Lobby::strangers_max + 1);
  EXPECT_LE(nodes_.lines->with("for newer ones"), 3U) << "a line in ten seconds";
  EXPECT_TRUE(zero_.transport->send(1, frame_of(1)).ok());
  poll_all({&zero_, &member}, [&] { return member.got.count == 1; });
}

TEST_F(Strangers, that_take_the_last_descriptors_are_let_go) {
  nodes_.params.connect_timeout_ms = 3'600'000;
  start();
  zero_.poll();
  std::vector<Descriptor> sockets;
  for (int i = 0; i < 100; ++i) sockets.push_back(knock(nodes_));
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const Descriptor next(dup(sockets[0].get()));
  rlimit few = before;
  few.rlim_cur = rlim_t(next.get()) + 10;
  setrlimit(RLIMIT_NOFILE, &few);
  poll([&] { return nodes_.lines->with("no descriptors") == 1; });
  // It does not give up: in time all of them have been accepted and let go.
  poll([&] { return links().crowded_out >= 50; });
  setrlimit(RLIMIT_NOFILE, &before);
  sockets.clear();
  expect_that_a_member_gets_in();
}

/// A member of the test's own, as node 1: it greets well, and then says what it likes.
class Member {
 public:
  Member(const Nodes& nodes, Polled& zero, std::uint64_t incarnation = 7)
      : zero_(zero),
        connection_(1, Stream(knock(nodes), nullptr), hello(nodes, incarnation), random(), true, 0,
                    "") {
    connection_.phase = Connection::Phase::greeting;
    poll_all({&zero}, [&] {
      auto greeting = connection_.greet(64 * 1024);
      // Not connected yet is a failure of writing.
      return greeting && *greeting == Connection::Greeting::done;
    });
  }
  void say(const Header& header, Frame payload = nullptr) {
    connection_.writer.add(header, std::move(payload));
    std::array<iovec, 48> pieces;
    poll_all({&zero_}, [&] {
      const auto count = connection_.writer.pieces(pieces);
      connection_.writer.written(connection_.stream.write(std::span(pieces).first(count)).bytes);
      return connection_.writer.empty();
    });
  }
  void say_bytes(std::span<const std::byte> bytes) { write(connection_.stream.socket(), bytes); }
  void say_link(const Link& link, std::uint64_t taken = 0) {
    auto payload = std::make_shared<std::vector<std::byte>>(sizeof(link));
    std::memcpy(payload->data(), &link, sizeof(link));
    say({link_bytes, Kind::link, 0, taken}, payload);
  }
  [[nodiscard]] bool is_ended() { return ended(connection_.stream.socket()); }

 private:
  Polled& zero_;
  Connection connection_;
  static HelloParams hello(const Nodes& nodes, std::uint64_t incarnation) {
    return {
        nodes.params.cluster_id, 1, nodes.count(), incarnation, nodes.params.schema_hash, {}, {}};
  }
  static Digest random() { return *secure_random(); }
};

TEST_F(Strangers, a_member_that_says_what_no_node_says_is_cut_off_and_nothing_of_it_is_believed) {
  start();
  const auto frame = frame_of(0);
  const Header data{std::uint32_t(frame->size()), Kind::data, 1, 0};
  std::uint64_t incarnation = 10;
  const std::pair<const char*, std::function<void(Member&)>> cases[] = {
      {"data before the link", [&](Member& m) { m.say(data, frame); }},
      {"a link without a name",
       [&](Member& m) {
         m.say_link({0, 0, 1});
       }},
      {"a link that knows our next session",
       [&](Member& m) {
         m.say_link({1, 77, 1});
       }},
      {"a link that has frames we never sent",
       [&](Member& m) {
         m.say_link({1, 0, 1}, 5);
       }},
      {"two links",
       [&](Member& m) {
         m.say_link({1, 0, 1});
         m.say_link({1, 0, 1});
       }},
      {"a gap",
       [&](Member& m) {
         m.say_link({1, 0, 1});
         Header later = data;
         later.number = 3;
         m.say(later, frame);
       }},
      {"taken frames that were never sent",
       [&](Member& m) {
         m.say_link({1, 0, 1});
         m.say({0, Kind::alive, 0, 1});
       }},
      {"a header of no kind",
       [&](Member& m) {
         m.say_link({1, 0, 1});
         m.say_bytes(std::vector<std::byte>(header_bytes, std::byte{9}));
       }},
  };
  for (const auto& [what, act] : cases) {
    SCOPED_TRACE(what);
    const auto refused = links().refused;
    Member member(nodes_, zero_, ++incarnation);
    act(member);
    if (std::string(what) == "a link that knows our next session") {
      // Answered with what we know, as a process may have given its peer up; nothing more.
      for (int i = 0; i < 50; ++i) zero_.poll();
      EXPECT_FALSE(zero_.all_up());
      continue;
    }
    poll([&] { return member.is_ended(); });
    EXPECT_EQ(links().refused, refused + 1) << nodes_.lines->all();
    EXPECT_EQ(zero_.got.count, 0U);
  }
  expect_that_a_member_gets_in();
}

TEST_F(Strangers, a_member_that_repeats_frames_is_heard_once) {
  start();
  Member member(nodes_, zero_);
  member.say_link({1, 0, 1});
  for (const std::uint64_t number : {1, 1, 2, 1, 2, 3}) {
    const auto frame = frame_of(number);
    member.say({std::uint32_t(frame->size()), Kind::data, number, 0}, frame);
  }
  poll([&] { return zero_.got.count == 3; });
  EXPECT_EQ(zero_.got.numbers[1], (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(links().frames_repeated, 3U);
}

TEST_F(Strangers, a_dial_that_was_given_up_does_not_replace_a_later_one) {
  start();
  Member late(nodes_, zero_), early(nodes_, zero_);
  early.say_link({1, 0, 5});
  poll([&] { return zero_.all_up(); });
  late.say_link({1, 0, 4});
  poll([&] { return late.is_ended(); });
  const auto frame = frame_of(1);
  early.say({std::uint32_t(frame->size()), Kind::data, 1, 0}, frame);
  poll([&] { return zero_.got.count == 1; });
  EXPECT_EQ(links().gone, 0U);
  // And a later one does.
  Member later(nodes_, zero_);
  later.say_link({1, 0, 6});
  poll([&] { return early.is_ended(); });
  EXPECT_EQ(links().resumed, 1U);
  EXPECT_EQ(links().gone, 0U);
}

TEST_F(Strangers, random_bytes_after_a_good_greeting_never_do_more_than_end_the_link) {
  start();
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Member member(nodes_, zero_, 100 + seed);
    if (seed % 3 != 0) member.say_link({1, 0, 1});
    std::vector<std::byte> bytes(random() % 3000 + header_bytes);
    for (auto& one : bytes) one = std::byte(random());
    bytes[0] = bytes[1] = bytes[2] = bytes[3] = std::byte{0};
    member.say_bytes(bytes);
    poll([&] { return member.is_ended(); });
  }
  expect_that_a_member_gets_in();
}

}  // namespace
}  // namespace exdb::tcp
