// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What a benchmark has found: a table on stdout as it goes, and one flat JSON object in a file,
// which bench/run reads.
//
// Threads: plain values, of one thread.
// Failure: a file that cannot be written throws.
#pragma once
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include "common/bench.hpp"

namespace exdb::bench {

class Report {
 public:
  /// `speaks`: false on all ranks but one.
  Report(const char* benchmark, bool speaks) : speaks_(speaks) {
    body_.precision(12);
    body_ << "{\"benchmark\": \"" << benchmark << "\"";
  }
  /// `key`: "commits_per_s"; without a text it is not in the table.
  Report& number(const std::string& key, double value, const char* text = nullptr) {
    body_ << ", \"" << key << "\": " << value;
    if (speaks_ && text != nullptr) std::printf("%-52s %12.2f\n", text, value);
    return *this;
  }
  Report& text(const std::string& key, const std::string& value) {
    body_ << ", \"" << key << "\": \"" << value << "\"";
    return *this;
  }
  /// Median and p99, as `key`_median and `key`_p99.
  Report& summary(const std::string& key, const Summary& found, const char* text) {
    body_ << ", \"" << key << "_median\": " << found.median << ", \"" << key
          << "_p99\": " << found.p99;
    if (speaks_) std::printf("%-52s %12.2f  p99 %10.2f\n", text, found.median, found.p99);
    return *this;
  }
  void write(const std::string& path) const {
    if (!speaks_ || path.empty()) return;
    std::ofstream file(path);
    file << body_.str() << "}\n";
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
  }

 private:
  const bool speaks_;
  std::ostringstream body_;
};

}  // namespace exdb::bench
