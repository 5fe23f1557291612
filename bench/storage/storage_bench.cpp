// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what do a point read by key and an applied update cost, beside the floor (a private
//   flat hash map without versions) and the rival (LMDB)?
// A point read is the time until its row is there: the next read waits for it, as a program does
//   that looks at what it read. (All that is read is 0, so its sum with the key is the key.) It
//   looks at the row's second word, or at its last one. Reads side by side may overlap in the
//   processor.
// Goal (design.md, section 11): a point read <= 1.5 x the private map's and >= 6 x faster than
//   LMDB's; updates applied in rounds of 256 >= 8 x LMDB's. Rows of 64 bytes, one 64-bit key, keys
//   in random order.
// Not a goal: many threads, big values, cost of a commit.
// Read beside the goal: two steps / private is what any index apart from its rows must pay on the
//   machine, where a step is a wait for memory. A machine whose caches hold the index pays less.
//   exdb was given its rows in the order of their keys, as ids from a counter come: then it needs
//   one wait, for it looks where the row must lie. exdb-any was given them in no order, and needs
//   two. The private maps do not care.
// Fair: all check the key; all lie in huge pages (LMDB's in /dev/shm has none); hashes are of one
//   word (SplitMix64) in the maps, XXH3 of the key's bytes in exdb.
// Check: afterwards every store gives each of some keys its own row.
// Usage: storage_bench [--rows N] [--batches N] [--json FILE]
//          [--only exdb|exdb-any|private|two-step|lmdb]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "common/bench.hpp"
#include "rivals.hpp"
#include "schema/key.hpp"
#include "schema/row.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

#ifndef EXDB_BENCH_COMMIT
#define EXDB_BENCH_COMMIT ""
#endif

namespace exdb::bench {
namespace {

constexpr std::size_t round_rows = 256;
constexpr std::size_t batch_reads = 1024;

struct Options {
  std::uint64_t rows = 20'000;
  std::size_t batches = 2'000;
  std::string json, only;
};

/// Nanoseconds an operation, over batches.
struct Figure {
  std::string who, what;
  double median = 0, p99 = 0, p5 = 0;  ///< p5: what the machine gives when nobody disturbs
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    std::mt19937_64 random(7);
    keys_.resize(std::max<std::size_t>(options.batches * batch_reads, 1 << 16));
    for (auto& key : keys_) key = 1 + random() % options.rows;
  }

  void run() {
    if (wanted("private")) run_map<PrivateMap>("private");
    if (wanted("two-step")) run_map<TwoStepMap>("two-step");
    if (wanted("exdb")) run_exdb("exdb", false);
    if (wanted("exdb-any")) run_exdb("exdb-any", true);
    if (wanted("lmdb")) run_lmdb();
    print();
    if (!options_.json.empty()) write_json();
  }

 private:
  bool wanted(std::string_view who) const { return options_.only.empty() || options_.only == who; }

  /// `work(keys, stamp)`; the stamp differs from batch to batch.
  template <class Work>
  void measure(const char* who, const char* what, std::size_t batch, Work&& work) {
    std::vector<double> times;
    std::size_t at = 0;
    const auto warm_up = options_.batches / 10;
    for (std::size_t i = 0; i < options_.batches + warm_up; ++i) {
      if (at + batch > keys_.size()) at = 0;
      const auto start = Clock::now();
      work(std::span(keys_).subspan(at, batch), i + 1);
      const std::chrono::duration<double, std::nano> took = Clock::now() - start;
      if (i >= warm_up) times.push_back(took.count() / double(batch));
      at += batch;
    }
    add(who, what, std::move(times));
  }
  void add(const char* who, const char* what, std::vector<double> times) {
    const auto all = summary(std::move(times));
    figures_.push_back({who, what, all.median, all.p99, all.p5});
  }

  RowBytes row_of(std::uint64_t key, std::uint64_t stamp) const {
    RowBytes row{};
    std::memcpy(row.data() + key_offset, &key, sizeof key);
    std::memcpy(row.data() + stamp_offset, &stamp, sizeof stamp);
    return row;
  }
  static std::uint64_t word_in(const std::byte* row, std::size_t offset) {
    std::uint64_t word;
    std::memcpy(&word, row + offset, sizeof word);
    return word;
  }
  static std::uint64_t stamp_in(const std::byte* row) { return word_in(row, stamp_offset); }

  /// Each read waits for the one before, of which it needs the word at `offset`, a 0.
  template <class Row>
  void measure_reads(const char* who, const char* what, std::size_t offset, Row&& row) {
    measure(who, what, batch_reads, [&](auto keys, std::uint64_t) {
      std::uint64_t last = 0;
      for (const auto key : keys) last = word_in(row(key + last), offset);
      sum_ += last;
    });
  }

  /// Each of some keys gives its own row, also after updates.
  template <class Row>
  void require_rows(const char* who, Row&& row) const {
    for (const auto key : std::span(keys_).first(batch_reads))
      if (word_in(row(key), key_offset) != key)
        throw std::runtime_error(std::string(who) + " gives the row of another key");
  }

  template <class Map>
  void run_map(const char* who);
  void run_exdb(const char* who, bool shuffled);
  void run_lmdb();
  [[nodiscard]] const Figure* find(std::string_view who, std::string_view what) const;
  void print() const;
  void write_json() const;

  // The layout of the class below, asserted in run_exdb().
  static constexpr std::size_t key_offset = 0, stamp_offset = 8, last_offset = row_bytes - 8;
  Options options_;
  std::vector<std::uint64_t> keys_;
  std::vector<Figure> figures_;
  std::uint64_t sum_ = 0;  // of what was read, so that reads are not optimised away
};

template <class Map>
void Bench::run_map(const char* who) {
  Map map(options_.rows);
  for (std::uint64_t key = 1; key <= options_.rows; ++key) map.at(key) = row_of(key, 0);
  const auto row = [&](std::uint64_t key) { return map.at(key).data(); };
  measure_reads(who, "point read", stamp_offset, row);
  measure_reads(who, "point read, last word", last_offset, row);
  measure(who, "point reads side by side", batch_reads, [&](auto keys, std::uint64_t) {
    for (const auto key : keys) sum_ += stamp_in(row(key));
  });
  measure(who, "update", round_rows, [&](auto keys, std::uint64_t stamp) {
    for (const auto key : keys) map.at(key) = row_of(key, stamp);
  });
  require_rows(who, row);
}

void Bench::run_lmdb() {
  LmdbStore store(options_.rows);
  for (std::uint64_t key = 1; key <= options_.rows;) {
    store.begin();
    for (int i = 0; i < 10'000 && key <= options_.rows; ++i, ++key) store.put(key, row_of(key, 0));
    store.commit();
  }
  store.begin_reading();
  const auto row = [&](std::uint64_t key) { return store.get(key); };
  measure_reads("lmdb", "point read", stamp_offset, row);
  measure("lmdb", "point reads side by side", batch_reads, [&](auto keys, std::uint64_t) {
    for (const auto key : keys) sum_ += stamp_in(store.get(key));
  });
  store.end_reading();
  measure("lmdb", "update", round_rows, [&](auto keys, std::uint64_t stamp) {
    store.begin();
    for (const auto key : keys) store.put(key, row_of(key, stamp));
    store.commit();
  });
  store.begin_reading();
  require_rows("lmdb", row);
  store.end_reading();
}

std::array<std::byte, 8> key_bytes(std::uint64_t key) {
  return std::bit_cast<std::array<std::byte, 8>>(__builtin_bswap64(key ^ std::uint64_t{1} << 63));
}

void Bench::run_exdb(const char* who, bool shuffled) {
  const auto dictionary = Dictionary::parse(
                              "declare database bench; class Row { signed<8> id; "
                              "unsigned<8> stamp; binary<48> rest; "
                              "unique hash<id> by_id; };")
                              .value();
  const auto& type = dictionary->classes().front();
  const auto index = type.indexes.front();
  if (type.record.size != row_bytes || type.locate("id").offset != key_offset ||
      type.locate("stamp").offset != stamp_offset)
    throw std::runtime_error("the row is laid out otherwise than this benchmark thinks");
  const auto storage = Storage::create(dictionary, {}).value();
  Csn csn;
  std::vector<SlotId> slots(options_.rows + 1);
  std::vector<std::uint64_t> order(options_.rows);
  std::iota(order.begin(), order.end(), 1);
  if (shuffled) std::ranges::shuffle(order, std::mt19937_64(9));
  std::vector<double> loads;
  for (std::size_t at = 0; at < order.size(); at += round_rows) {
    const auto some = std::span(order).subspan(at, std::min(round_rows, order.size() - at));
    const auto start = std::chrono::steady_clock::now();
    for (const auto key : some)
      slots[key] = storage->insert(type.id, row_of(key, 0), csn = csn.next());
    storage->publish();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    loads.push_back(took.count() / double(some.size()));
  }
  add(who, "insert", loads);

  auto snapshot = storage->pin().value();
  const auto row = [&](std::uint64_t key) {
    return snapshot.row(type.id, snapshot.find(index, key_bytes(key)))->data();
  };
  measure_reads(who, "point read", stamp_offset, row);
  measure_reads(who, "point read, last word", last_offset, row);
  measure(who, "point reads side by side", batch_reads, [&](auto keys, std::uint64_t) {
    for (const auto key : keys) sum_ += stamp_in(row(key));
  });
  measure(who, "point read, find_many", batch_reads, [&](auto keys, std::uint64_t) {
    std::array<std::array<std::byte, 8>, 64> bytes;
    std::array<Bytes, 64> views;
    std::array<SlotId, 64> found;
    for (std::size_t at = 0; at < keys.size(); at += 64) {
      for (std::size_t i = 0; i < 64; ++i) views[i] = bytes[i] = key_bytes(keys[at + i]);
      snapshot.find_many(index, views, found);
      for (const auto slot : found) sum_ += stamp_in(snapshot.row(type.id, slot)->data());
    }
  });
  snapshot = {};
  measure(who, "pin and unpin", batch_reads, [&](auto keys, std::uint64_t) {
    for (std::size_t i = 0; i < keys.size(); ++i) sum_ += storage->pin().value().csn().value;
  });
  measure(who, "update", round_rows, [&](auto keys, std::uint64_t stamp) {
    for (const auto key : keys)
      storage->update(type.id, slots[key], row_of(key, stamp), csn = csn.next());
    storage->publish();
  });
  measure(who, "update, fetched ahead", round_rows, [&](auto keys, std::uint64_t stamp) {
    for (std::size_t at = 0; at < keys.size(); at += 16) {
      for (std::size_t i = 0; i < 16; ++i) storage->fetch_slot(type.id, slots[keys[at + i]]);
      for (std::size_t i = 0; i < 16; ++i) storage->fetch_row(type.id, slots[keys[at + i]]);
      for (std::size_t i = 0; i < 16; ++i)
        storage->update(type.id, slots[keys[at + i]], row_of(keys[at + i], stamp),
                        csn = csn.next());
    }
    storage->publish();
  });
  // Random updates leave about half of the rows outside their slots' inline cells (slots.hpp).
  snapshot = storage->pin().value();
  measure_reads(who, "point read, after updates", last_offset, row);
  require_rows(who, row);
  if (storage->statistics().rows != options_.rows) throw std::runtime_error("rows are missing");
}

const Figure* Bench::find(std::string_view who, std::string_view what) const {
  for (const auto& figure : figures_)
    if (figure.who == who && figure.what == what) return &figure;
  return nullptr;
}

void Bench::print() const {
  std::printf("%llu rows of %zu bytes, commit %s, g++ %s (checksum %llx)\n",
              static_cast<unsigned long long>(options_.rows), row_bytes, EXDB_BENCH_COMMIT,
              __VERSION__, static_cast<unsigned long long>(sum_));
  std::printf("%-10s %-26s %10s %10s %10s %12s\n", "", "", "p5 ns", "median ns", "p99 ns",
              "per second");
  for (const auto& figure : figures_)
    std::printf("%-10s %-26s %10.1f %10.1f %10.1f %12.0f\n", figure.who.c_str(),
                figure.what.c_str(), figure.p5, figure.median, figure.p99, 1e9 / figure.median);
  const auto ratio = [&](const char* text, const char* whose, const char* what, bool slower,
                         const char* who = "exdb") {
    const auto *ours = find(who, what), *theirs = find(whose, what);
    if (ours == nullptr || theirs == nullptr) return;
    std::printf("%-48s %.2f\n", text,
                slower ? ours->median / theirs->median : theirs->median / ours->median);
  };
  ratio("point read: time / private map's (goal <= 1.5)", "private", "point read", true);
  ratio("point read, keys in no order: / private map's", "private", "point read", true, "exdb-any");
  ratio("point read: two steps / private map's", "private", "point read", true, "two-step");
  ratio("point read: LMDB's time / ours (goal >= 6)", "lmdb", "point read", false);
  ratio("point read, last word: time / private map's", "private", "point read, last word", true);
  ratio("update: LMDB's time / ours (goal >= 8)", "lmdb", "update", false);
  ratio("update: time / private map's", "private", "update", true);
}

void Bench::write_json() const {
  std::ofstream out(options_.json);
  out << "{\"bench\": \"storage\", \"commit\": \"" EXDB_BENCH_COMMIT "\", \"compiler\": \"g++ "
      << __VERSION__ << "\", \"rows\": " << options_.rows << ", \"row_bytes\": " << row_bytes
      << ", \"figures\": [";
  for (std::size_t i = 0; i < figures_.size(); ++i)
    out << (i == 0 ? "\n" : ",\n") << "  {\"who\": \"" << figures_[i].who << "\", \"what\": \""
        << figures_[i].what << "\", \"median_ns\": " << figures_[i].median
        << ", \"p5_ns\": " << figures_[i].p5 << ", \"p99_ns\": " << figures_[i].p99 << "}";
  out << "\n]}\n";
}

Options parse(int argc, char** argv) {
  Options options;
  CommandLine("storage_bench")
      .number("--rows", options.rows, std::uint64_t{1})
      .number("--batches", options.batches, std::size_t{1})
      .text("--json", options.json)
      .text("--only", options.only, "exdb|exdb-any|private|two-step|lmdb")
      .read(argc, argv);
  return options;
}

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  try {
    exdb::bench::Bench(exdb::bench::parse(argc, argv)).run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "storage_bench: %s\n", error.what());
    return 1;
  }
}
