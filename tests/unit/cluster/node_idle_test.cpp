// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a node does between events, counted in polls and sleeps.
#include "node_cluster.hpp"

namespace exdb {
namespace {

using namespace std::chrono_literals;

/// An endpoint of a host with processors to spare, whatever this one has: threads may poll on.
class Roomy final : public Transport {
 public:
  explicit Roomy(std::unique_ptr<Transport> inner) : inner_(std::move(inner)) {}
  std::uint32_t self() const override { return inner_->self(); }
  std::uint32_t size() const override { return inner_->size(); }
  std::string describe() const override { return inner_->describe(); }
  Status send(std::uint32_t to, Frame frame) override { return inner_->send(to, frame); }
  Status broadcast(Frame frame) override { return inner_->broadcast(frame); }
  bool has_room(std::uint32_t node) const override { return inner_->has_room(node); }
  std::size_t send_bound_bytes() const override { return inner_->send_bound_bytes(); }
  void remove(std::uint32_t node) override { inner_->remove(node); }
  Status add(std::uint32_t node) override { return inner_->add(node); }
  Status poll(FrameSink& sink, bool& any) override { return inner_->poll(sink, any); }
  void wait(std::chrono::nanoseconds cap) override { inner_->wait(cap); }
  void wake() override { inner_->wake(); }
  bool wakes() const override { return inner_->wakes(); }
  bool crowded() const override { return false; }
  TransportStatistics statistics() const override { return inner_->statistics(); }
  void close(bool collective) override { inner_->close(collective); }

 private:
  const std::unique_ptr<Transport> inner_;
};

// Who polls on keeps the processor from the committer that it has just answered: see drive.cpp.
TEST(NodeIdle, a_listener_whose_long_sleep_one_event_ended_sleeps_again_after_its_answer) {
  LocalNetwork network({.nodes = 2});
  ListConsumer consumers[2];
  std::vector<std::unique_ptr<Node>> nodes;
  Node::Options options;
  options.nodes.resize(2);
  for (std::uint32_t id : {0U, 1U}) {
    nodes.push_back(std::make_unique<Node>(std::make_unique<Roomy>(network.endpoint(id)),
                                           consumers[id], options));
    nodes.back()->start(true);
  }
  constexpr std::uint64_t turns = 20;
  std::uint64_t polls = 0;
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    std::this_thread::sleep_for(5ms);
    const auto before = nodes[1]->transport_statistics();
    auto item = nodes[0]->submit(RoundItem::Kind::transaction, turn, {std::byte{1}}, 0).value();
    ASSERT_EQ(nodes[0]->wait(*item).code, ErrorCode::ok);
    auto after = nodes[1]->transport_statistics();
    for (; after.sleeps == before.sleeps; after = nodes[1]->transport_statistics())
      std::this_thread::sleep_for(1ms);
    polls += after.polls - before.polls;
  }
  EXPECT_LE(polls, turns * 4) << "one finds the frame, and one that there is nothing more";
  std::thread other([&] { EXPECT_TRUE(nodes[1]->stop().ok()); });
  EXPECT_TRUE(nodes[0]->stop().ok());
  other.join();
}

}  // namespace
}  // namespace exdb
