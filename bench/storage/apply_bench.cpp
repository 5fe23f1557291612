// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: what does it cost to apply a row, in rounds of 256, by the number and kind of the indexes
// that its class has: an insert, an update that changes no key, one that changes every key?
// Goal: an update that changes no key costs the same with any number of indexes (design.md, section
// 4: it touches one slot and no index). Floor: a private flat hash map, updated.
// Check: afterwards each index finds each of some rows by its key, and no row by the key it had
// before.
// Use: apply_bench [--rows n] [--rounds n] [--json file]
#include <bit>
#include <random>

#include "common/report.hpp"
#include "private_maps.hpp"
#include "schema/row.hpp"
#include "storage/snapshot.hpp"
#include "storage/storage.hpp"

namespace exdb::bench {
namespace {

constexpr std::size_t round_rows = 256;
constexpr int indexes_max = 4;

struct Options {
  std::uint64_t rows = 100'000;
  std::size_t rounds = 400;
  std::string json;
};

struct Subject {
  std::string key;  ///< in the report
  const char* kind;
  int indexes;
};

class Apply {
 public:
  Apply(const Options& options, const Subject& subject)
      : options_(options),
        subject_(subject),
        dictionary_(Dictionary::parse(text_of(subject)).value()),
        type_(dictionary_->classes().front()),
        storage_(Storage::create(dictionary_, {}).value()) {}

  void run(Report& report) {
    std::vector<double> times;
    for (std::uint64_t id = 0; id < options_.rows;) {
      const auto start = Clock::now();
      const auto from = id;
      for (; id < std::min(options_.rows, from + round_rows); ++id)
        slots_.push_back(storage_->insert(type_.id, row_of(id, 0, 0), csn_ = csn_.next()));
      storage_->publish();
      times.push_back(1000 * microseconds_since(start) / double(id - from));
    }
    tell(report, "insert", std::move(times));
    tell(report, "update", updates(false));
    tell(report, "change_keys", updates(true));
    check();
  }

 private:
  static std::string text_of(const Subject& subject) {
    std::string text = "class R { int8 id; int8 stamp; int8 k0; int8 k1; int8 k2; int8 k3;";
    for (int i = 0; i < subject.indexes; ++i)
      text += std::string(" unique ") + subject.kind + "<k" + std::to_string(i) + "> by_" +
              std::to_string(i) + ";";
    return text + (subject.indexes == 0 ? " list; };" : " };");
  }
  [[nodiscard]] std::int64_t key(std::uint64_t id, std::int64_t turn, int i) const {
    return std::int64_t(id) + turn * std::int64_t(options_.rows) + (std::int64_t{i} << 40);
  }
  std::vector<std::byte> row_of(std::uint64_t id, std::int64_t stamp, std::int64_t turn) const {
    const std::int64_t words[] = {std::int64_t(id), stamp,
                                  key(id, turn, 0), key(id, turn, 1),
                                  key(id, turn, 2), key(id, turn, 3)};
    if (type_.record.size != sizeof words)
      throw std::runtime_error("the row is laid out otherwise than this benchmark thinks");
    std::vector<std::byte> row(sizeof words);
    std::memcpy(row.data(), words, sizeof words);
    return row;
  }
  std::vector<double> updates(bool change_keys) {
    turns_.resize(options_.rows);
    std::vector<double> times;
    for (std::size_t round = 0; round < options_.rounds; ++round) {
      std::vector<std::vector<std::byte>> rows;
      std::vector<SlotId> slots;
      for (std::size_t i = 0; i < round_rows; ++i) {
        const auto id = random_() % options_.rows;
        if (change_keys) ++turns_[id];
        rows.push_back(row_of(id, std::int64_t(round), turns_[id]));
        slots.push_back(slots_[id]);
      }
      const auto start = Clock::now();
      for (std::size_t i = 0; i < round_rows; ++i)
        storage_->update(type_.id, slots[i], rows[i], csn_ = csn_.next());
      storage_->publish();
      times.push_back(1000 * microseconds_since(start) / round_rows);
    }
    return times;
  }
  static std::array<std::byte, 8> key_bytes(std::int64_t value) {
    return std::bit_cast<std::array<std::byte, 8>>(
        __builtin_bswap64(std::uint64_t(value) ^ std::uint64_t{1} << 63));
  }
  void check() {
    const auto snapshot = storage_->pin().value();
    for (int i = 0; i < subject_.indexes; ++i) {
      const auto index = type_.indexes[std::size_t(i)];
      for (int look = 0; look < 1000; ++look) {
        const auto id = random_() % options_.rows;
        const bool now = snapshot.find(index, key_bytes(key(id, turns_[id], i))) == slots_[id];
        const bool before =
            turns_[id] > 0 &&
            snapshot.find(index, key_bytes(key(id, turns_[id] - 1, i))) != SlotId::none();
        if (!now || before) throw std::runtime_error(subject_.key + ": an index finds wrongly");
      }
    }
    if (storage_->statistics().rows != options_.rows) throw std::runtime_error("rows are missing");
  }
  void tell(Report& report, const char* what, std::vector<double> times) {
    const auto text = std::to_string(subject_.indexes) + " " + subject_.kind + ": " + what;
    report.summary(std::string(what) + "_" + subject_.key + "_ns", summary(std::move(times)),
                   text.c_str());
  }

  const Options& options_;
  const Subject subject_;
  std::shared_ptr<const Dictionary> dictionary_;
  const ClassDef& type_;
  std::unique_ptr<Storage> storage_;
  Csn csn_;
  std::vector<SlotId> slots_;
  std::vector<std::int64_t> turns_;
  std::mt19937_64 random_{5};
};

void floor(const Options& options, Report& report) {
  PrivateMap map(options.rows);
  for (std::uint64_t key = 1; key <= options.rows; ++key) map.at(key) = {};
  std::mt19937_64 random(5);
  std::vector<double> times;
  for (std::size_t round = 0; round < options.rounds; ++round) {
    std::array<std::uint64_t, round_rows> keys;
    for (auto& key : keys) key = 1 + random() % options.rows;
    RowBytes row{};
    row[0] = std::byte(round);
    const auto start = Clock::now();
    for (const auto key : keys) map.at(key) = row;
    times.push_back(1000 * microseconds_since(start) / round_rows);
  }
  report.summary("update_private_ns", summary(std::move(times)), "private flat hash map: update");
}

void run(const Options& options) {
  std::printf("%llu rows, rounds of %zu, ns a row\n", static_cast<unsigned long long>(options.rows),
              round_rows);
  Report report("apply", true);
  report.number("rows", double(options.rows));
  floor(options, report);
  for (const char* kind : {"hash", "tree"})
    for (const int indexes : {0, 1, 2, indexes_max})
      if (indexes > 0 || std::string_view(kind) == "hash")
        Apply(options, {kind + std::to_string(indexes), kind, indexes}).run(report);
  report.write(options.json);
}

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  try {
    exdb::bench::Options options;
    exdb::bench::CommandLine("apply_bench")
        .number("--rows", options.rows, std::uint64_t{exdb::bench::round_rows})
        .number("--rounds", options.rounds, std::size_t{1})
        .text("--json", options.json)
        .read(argc, argv);
    exdb::bench::run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "apply_bench: %s\n", error.what());
    return 1;
  }
}
