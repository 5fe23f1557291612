// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the benchmarks share: options, what a series of measurements comes to, clocks. No library of
// benchmarks: they measure across processes, and rounds that all ranks make together.
//
// Threads: plain values.
// Failure: an option that is unknown, or without a value, ends the program with 2 and a line that
//   names all; so on every rank alike.
#pragma once
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace exdb::bench {

using Clock = std::chrono::steady_clock;

inline double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

/// Of this process, all its threads, in user and kernel.
inline double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/// What values come to: their least, the 5th percentile, the median, the 99th percentile. All 0 of
/// none.
struct Summary {
  double least = 0, p5 = 0, median = 0, p99 = 0;
};

inline Summary summary(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&values](std::size_t percent) { return values[values.size() * percent / 100]; };
  return {values.front(), at(5), values[values.size() / 2], at(99)};
}

/// The options of a program, each a name and a value.
class CommandLine {
 public:
  explicit CommandLine(const char* program) : program_(program) {}

  template <class Number>
  CommandLine& number(const char* name, Number& to, Number least = 0) {
    return add(name, "n", [&to, least](const char* value) {
      const char* const end = value + std::strlen(value);
      Number read{};
      const auto [stopped, error] = std::from_chars(value, end, read);
      if (error != std::errc() || stopped != end) return false;
      to = std::max(least, read);
      return true;
    });
  }
  CommandLine& text(const char* name, std::string& to, const char* value = "file") {
    return add(name, value, [&to](const char* given) {
      to = given;
      return true;
    });
  }
  void read(int argc, char** argv) const {
    for (int i = 1; i < argc; i += 2) {
      const auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& one) {
        return std::strcmp(one.name, argv[i]) == 0;
      });
      if (found == options_.end()) refuse("unknown option " + std::string(argv[i]));
      if (i + 1 == argc || !found->take(argv[i + 1]))
        refuse(std::string(argv[i]) + " needs a value (" + found->value + ")");
    }
  }

 private:
  struct Option {
    const char *name, *value;
    std::function<bool(const char*)> take;
  };

  CommandLine& add(const char* name, const char* value, std::function<bool(const char*)> take) {
    options_.push_back({name, value, std::move(take)});
    return *this;
  }
  [[noreturn]] void refuse(const std::string& why) const {
    std::string known;
    for (const auto& one : options_)
      known += (known.empty() ? "" : ", ") + std::string(one.name) + " " + one.value;
    std::fprintf(stderr, "%s: %s; known: %s\n", program_, why.c_str(), known.c_str());
    std::exit(2);
  }

  const char* program_;
  std::vector<Option> options_;
};

}  // namespace exdb::bench
