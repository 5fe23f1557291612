// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "poller.hpp"

#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace exdb::tcp {
namespace {

epoll_event event_of(std::uint64_t id, bool in, bool out) {
  epoll_event event{};
  event.events = (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U);
  event.data.u64 = id;
  return event;
}

}  // namespace

Status Poller::open() {
  epoll_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  event_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !event_)
    return {ErrorCode::cluster, std::string("the system gives no descriptor for polling: ") +
                                    std::strerror(errno) + " (raise `ulimit -n`)"};
  return add(event_, wake_id, true, false);
}

Status Poller::add(const Descriptor& descriptor, std::uint64_t id, bool in, bool out) {
  epoll_event event = event_of(id, in, out);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor.get(), &event) == 0) return {};
  return {ErrorCode::cluster, std::string("a socket cannot be polled: ") + std::strerror(errno)};
}

void Poller::change(const Descriptor& descriptor, std::uint64_t id, bool in, bool out) {
  epoll_event event = event_of(id, in, out);
  // Cannot fail for a descriptor that was added, whatever its state.
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor.get(), &event);
}

void Poller::remove(const Descriptor& descriptor) {
  (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor.get(), nullptr);
}

std::span<const epoll_event> Poller::ready(std::span<epoll_event> events) const {
  const int count = epoll_wait(epoll_.get(), events.data(), int(events.size()), 0);
  return events.first(std::size_t(std::max(count, 0)));
}

void Poller::sleep(std::chrono::nanoseconds cap) {
  if (woken_.exchange(false)) return;
  std::array<epoll_event, 4> events{};
  int count = 0;
  sleeping_ = true;
  if (!woken_ && !awake_ && cap.count() > 0) {
    const timespec limit{cap.count() / 1'000'000'000, cap.count() % 1'000'000'000};
    count = epoll_pwait2(epoll_.get(), events.data(), int(events.size()), &limit, nullptr);
    // Kernels before 5.11 and some sandboxes lack it; there milliseconds must do, rounded up so
    // that short naps remain naps.
    if (count < 0 && errno == ENOSYS)
      count = epoll_wait(epoll_.get(), events.data(), int(events.size()),
                         int(std::min<std::int64_t>((cap.count() + 999'999) / 1'000'000, 60'000)));
  }
  sleeping_ = false;
  bool rung = woken_;
  for (int i = 0; i < count; ++i) rung |= events[std::size_t(i)].data.u64 == wake_id;
  if (!rung) return;
  // Read first, then the flag: a wake() in between is answered by this return.
  std::uint64_t rings = 0;
  (void)!::read(event_.get(), &rings, sizeof(rings));
  woken_ = false;
}

void Poller::ring() {
  const std::uint64_t one = 1;
  (void)!::write(event_.get(), &one, sizeof(one));
}

void Poller::wake() {
  if (!woken_.exchange(true) && sleeping_) ring();
}

void Poller::stay_awake() {
  awake_ = true;
  ring();
}

}  // namespace exdb::tcp
