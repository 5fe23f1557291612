// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Keys 0 … n-1 of which the i-th most wanted comes in proportion to 1 / i^theta, as YCSB draws them.
// theta 0: all alike; 0.99: YCSB's own. Which key is how wanted is shuffled, the same on all ranks,
// so that hot rows do not lie side by side.
//
// By the standard library's table (O(log n) a draw), not by the approximation of Gray et al. that
// YCSB has: that one needs theta < 1.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace exdb::bench {

class Zipfian {
 public:
  Zipfian(std::size_t keys, double theta) : order_(keys) {
    std::vector<double> weights(keys);
    for (std::size_t i = 0; i < keys; ++i) weights[i] = std::pow(double(i + 1), -theta);
    total_ = std::accumulate(weights.begin(), weights.end(), 0.0);
    draw_ = std::discrete_distribution<std::size_t>(weights.begin(), weights.end());
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    std::ranges::shuffle(order_, std::mt19937_64(1));
  }
  template <class Random>
  std::int64_t operator()(Random& random) {
    return order_[draw_(random)];
  }
  [[nodiscard]] std::int64_t hottest() const { return order_.front(); }
  /// Of all draws, how many are of the hottest key.
  [[nodiscard]] double hottest_share() const { return 1 / total_; }

  /// Draws `count` keys with a fixed seed, and throws when the hottest did not come within five
  /// standard deviations of what the sum of the weights says.
  void require_proportions(std::size_t count) {
    std::mt19937_64 random(2);
    std::size_t seen = 0;
    for (std::size_t i = 0; i < count; ++i) seen += (*this)(random) == hottest() ? 1 : 0;
    const double share = hottest_share(), n = double(count);
    if (std::abs(double(seen) - share * n) > 5 * std::sqrt(n * share * (1 - share)) + 1)
      throw std::runtime_error("the hottest key came " + std::to_string(seen) + " times of " +
                               std::to_string(count));
  }

 private:
  std::vector<std::int64_t> order_;
  std::discrete_distribution<std::size_t> draw_;
  double total_ = 1;
};

}  // namespace exdb::bench
