// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: how fast do big transactions reach all replicas, loaded by one rank, and by all at once?
// Goal: replicated bytes >= 60 % of bare MPI's bandwidth: MPI_Bcast of as many bytes where one rank
// loads, MPI_Allgatherv where all do, in pieces of one transaction's bytes. 1 M rows/s by one rank.
// Rows are loaded by columns; and one by one, by one rank, for comparison; and by columns again when
// all were removed: then the memory that they go to was used before.
// The floor copies what it has received, into the same memory each time, and once into fresh memory,
// as a load into a database that grows has to.
// Check: every rank has all rows, the sum of their keys, and the same digest.
// Use: mpiexec -n 2 bulk_bench [--rows n] [--row-bytes n] [--batch n] [--json file]; --rows of each
// rank that loads, --batch rows a transaction.
#include "common/ranks.hpp"
#include "common/report.hpp"

namespace exdb::bench {
namespace {

struct Options {
  int rows = 100'000, row_bytes = 64, batch = 10'000;
  std::string json;
};

struct Loaded {
  double rows_per_s = 0, bytes_per_s = 0;
};

class Bulk {
 public:
  Bulk(const Options& options, const Ranks& ranks)
      : options_(options),
        ranks_(ranks),
        schema_(Dictionary::parse("class Row { int8 id; char<" +
                                  std::to_string(options.row_bytes - 8) +
                                  "> text; unique hash<id> by_id; };")
                    .value()),
        text_(static_cast<std::size_t>(options.row_bytes - 8), 'x') {}

  void run() {
    const auto single = load(1, &Bulk::one_by_one);
    const auto one = load(1, &Bulk::by_columns), all = load(ranks_.count, &Bulk::by_columns);
    const auto again = load(1, &Bulk::by_columns, true);
    const double bcast = bare_bcast(false), gather = bare_allgatherv();
    const double fresh = bare_bcast(true);
    if (ranks_.first())
      std::printf("%d ranks, %d rows of %d bytes a rank, %d a transaction\n", ranks_.count,
                  options_.rows, options_.row_bytes, options_.batch);
    Report("bulk", ranks_.first())
        .number("ranks", ranks_.count)
        .number("processors", ranks_.processors)
        .number("rows", options_.rows)
        .number("row_bytes", options_.row_bytes)
        .number("one_by_one_rows_per_s", single.rows_per_s, "rows/s, one rank loads one by one")
        .number("one_rows_per_s", one.rows_per_s, "rows/s, one rank loads by columns")
        .number("one_mb_per_s", one.bytes_per_s / 1e6, "  MB/s that each other rank got")
        .number("again_mb_per_s", again.bytes_per_s / 1e6, "  the same into memory used before")
        .number("bcast_mb_per_s", bcast / 1e6, "  bare MPI_Bcast, MB/s")
        .number("bcast_fresh_mb_per_s", fresh / 1e6, "  bare MPI_Bcast into fresh memory, MB/s")
        .number("all_rows_per_s", all.rows_per_s, "rows/s, all ranks load by columns")
        .number("all_mb_per_s", all.bytes_per_s / 1e6, "  MB/s that each rank got from others")
        .number("allgatherv_mb_per_s", gather / 1e6, "  bare MPI_Allgatherv, MB/s")
        .write(options_.json);
  }

 private:
  /// By the first `loaders` ranks, each its own rows; until all have all of them. Bytes are those of
  /// rows, without what a message has beside them.
  Loaded load(int loaders, void (Bulk::*write)(Connection&, int, int), bool again = false) {
    const auto db = open(schema_);
    const auto con = db->connect();
    const auto& type = schema_->classes()[0];
    double seconds = 0;
    for (int times = again ? 2 : 1; times > 0; --times) {
      if (ranks_.first()) remove_all(*con);
      settle(*db);
      barrier();
      const auto start = Clock::now();
      for (int i = 0; ranks_.rank < loaders && i < options_.rows; i += options_.batch) {
        con->start();
        (this->*write)(*con, i, std::min(options_.rows, i + options_.batch));
        con->commit().or_throw();
      }
      settle(*db);
      seconds = largest(microseconds_since(start) / 1e6);
    }
    check(*con, loaders);
    require_equal_replicas(*db);
    con->close();
    db->close();
    const double rows = double(loaders) * options_.rows / seconds;
    const double from_others = loaders == 1 ? 1 : double(loaders - 1) / loaders;
    return {rows, rows * from_others * double(type.record.size)};
  }
  void remove_all(Connection& con) {
    con.start();
    (void)con.delete_all(schema_->classes()[0]);
    con.commit().or_throw();
  }
  void one_by_one(Connection& con, int from, int to) {
    const auto& type = schema_->classes()[0];
    const auto id = type.field<std::int64_t>("id");
    const auto text = type.field<std::string_view>("text");
    for (auto i = from; i < to; ++i) {
      auto row = con.create(type);
      row.set(id, std::int64_t{ranks_.rank} * options_.rows + i);
      row.set(text, std::string_view(text_));
    }
  }
  /// The columns are made anew for each transaction, as a program's would be.
  void by_columns(Connection& con, int from, int to) {
    const auto& type = schema_->classes()[0];
    const auto rows = std::size_t(to - from);
    ids_.resize(rows);
    texts_.clear();
    for (std::size_t i = 0; i < rows; ++i) {
      ids_[i] = std::int64_t{ranks_.rank} * options_.rows + from + std::int64_t(i);
      texts_ += text_;
    }
    const Column columns[] = {
        {type.find_field("id"), std::as_bytes(std::span(ids_)), sizeof(std::int64_t), {}},
        {type.find_field("text"), std::as_bytes(std::span(texts_)), text_.size(), {}}};
    con.insert_many(type, rows, columns);
  }
  void check(Connection& con, int loaders) {
    const auto& type = schema_->classes()[0];
    const auto id = type.field<std::int64_t>("id");
    std::uint64_t rows = 0, keys = 0;
    con.start();
    auto cursor = con.cursor(type);
    for (; const auto row = cursor.next(); ++rows) keys += std::uint64_t(row->get(id));
    con.rollback();
    const auto wanted = std::uint64_t(loaders) * std::uint64_t(options_.rows);
    require(rows == wanted && keys == wanted * (wanted - 1) / 2, "rows are missing");
  }

  [[nodiscard]] std::size_t piece_bytes() const {
    return std::size_t(std::min(options_.batch, options_.rows)) * std::size_t(options_.row_bytes);
  }
  [[nodiscard]] int pieces() const {
    return std::max(1, options_.rows / std::min(options_.batch, options_.rows));
  }
  /// Bytes a second that each of the others gets.
  template <class Exchange>
  double measure(double bytes_a_piece, Exchange exchange) {
    exchange();
    barrier();
    const auto start = Clock::now();
    for (int i = 0; i < pieces(); ++i) exchange();
    barrier();
    return bytes_a_piece * pieces() / largest(microseconds_since(start) / 1e6);
  }
  /// Blocking calls spin, for milliseconds where ranks share a processor.
  void finish(MPI_Request& request) const {
    for (int done = 0; done == 0;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done == 0 && ranks_.crowded) sched_yield();
    }
  }
  double bare_bcast(bool fresh) {
    std::vector<std::byte> piece(piece_bytes());
    const auto bytes = fresh ? piece.size() * std::size_t(pieces() + 1) : piece.size();
    // Without touching it.
    const std::unique_ptr<std::byte[]> kept(new std::byte[bytes]);
    std::size_t at = 0;
    return measure(double(piece.size()), [&] {
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Ibcast(piece.data(), int(piece.size()), MPI_BYTE, 0, MPI_COMM_WORLD, &request);
      finish(request);
      // Every rank has a replica, the sender too.
      if (fresh || !ranks_.first()) std::copy(piece.begin(), piece.end(), kept.get() + at);
      if (fresh) at += piece.size();
    });
  }
  double bare_allgatherv() {
    const auto ranks = std::size_t(ranks_.count);
    std::vector<std::byte> mine(piece_bytes()), all(piece_bytes() * ranks), kept(all.size());
    std::vector<int> counts(ranks, int(mine.size())), at(ranks);
    for (std::size_t i = 0; i < ranks; ++i) at[i] = int(i * mine.size());
    return measure(double(mine.size() * (ranks - 1)), [&] {
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Iallgatherv(mine.data(), int(mine.size()), MPI_BYTE, all.data(), counts.data(), at.data(),
                      MPI_BYTE, MPI_COMM_WORLD, &request);
      finish(request);
      std::copy(all.begin(), all.end(), kept.begin());
    });
  }

  const Options& options_;
  const Ranks& ranks_;
  std::shared_ptr<const Dictionary> schema_;
  const std::string text_;
  std::vector<std::int64_t> ids_;
  std::string texts_;
};

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  using namespace exdb::bench;
  Options options;
  CommandLine("bulk_bench")
      .number("--rows", options.rows, 1)
      .number("--row-bytes", options.row_bytes, 16)
      .number("--batch", options.batch, 1)
      .text("--json", options.json)
      .read(argc, argv);
  return on_ranks("bulk_bench", [&](const Ranks& ranks) { Bulk(options, ranks).run(); });
}
