// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// How transactions ended, of every origin: what is asked when a commit ended as unknown. It is a
// part of the agreed state, so any node can be asked, and a node that joins is given it.
//
// A window of one byte an entry for each origin, over its newest sequence numbers. A ring whose
// entries say for which lap they hold would need more bytes for the lap, and give a wrong answer
// after it has wrapped; a hash table would need eight.
//
// Invariants
//   O1  The table is a function of the sequence of record() and end() and nothing else: equal on all
//       replicas after the same rounds.
//   O2  find() tells how the transaction with this very number ended, or nothing: numbers may come
//       in any order (priorities), with gaps, or never. Known are those within `remembered` of the
//       highest number of their origin that came; a lower one is forgotten, also when it comes late.
//   O3  Memory, of each life that is kept: 4 KiB for each 4,096 numbers of an origin that came or were
//       passed over within the window, at most 64 KiB an origin; nothing for an origin that has sent
//       nothing.
//   O4  A number that is life_gap or more above the highest begins another life of its origin (what a
//       node that is started again numbers from: CommitRoute::number_from). The window of the life
//       before stays as it was, so that its last transactions can still be asked for; that of the one
//       before goes.
//   O5  Of an origin that has ended every number of its newest life that is not forgotten is known:
//       what has not come never will. It is not in the stream of a table: where there are streams
//       nodes come back, and none ends.
// Threads: find() from any thread; record() through a Writer, which holds the lock of the table.
// Failure: decode() gives a Status for bytes that are no outcomes, and adds nothing.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "exdb/errors.hpp"

namespace exdb {

class OutcomeTable {
 public:
  static constexpr std::uint64_t remembered = 65536;
  /// Higher ones, like 0, name no transaction: what is added to a number below stays a number.
  /// Of numbers that are a nanosecond's quarter each: 67 ms between the last start and this one, less
  /// what was committed meanwhile. Nobody passes over so many in one life.
  static constexpr std::uint64_t life_gap = std::uint64_t{1} << 24;
  static constexpr std::uint64_t sequence_max = std::uint64_t{1} << 62;

  /// Holds the lock while it lives: one for all transactions of a round.
  class Writer {
   public:
    explicit Writer(OutcomeTable& table) : table_(table), lock_(table.mutex_) {}
    /// O(log origins), and O(numbers passed over) when `id` is the highest of its origin so far.
    void record(TxnId id, ErrorCode code) { table_.record(id, code); }

   private:
    OutcomeTable& table_;
    std::lock_guard<std::mutex> lock_;
  };

  /// All that this origin has sent has come, and it will never send again: agreed, as record() is.
  void end(NodeId origin);
  /// ok, conflict, duplicate, snapshot_too_old or, for what no certificate gives, and what will never
  /// come, transaction.
  [[nodiscard]] std::optional<ErrorCode> find(TxnId id) const;
  /// As find(), for who must not decide twice: of a number that is forgotten unknown_outcome, and
  /// nothing only of one that never came.
  [[nodiscard]] std::optional<ErrorCode> decided(TxnId id) const;
  /// Of the entries: O3.
  [[nodiscard]] std::size_t bytes() const;

  /// Has what `other` had, which is empty then.
  void replace(OutcomeTable& other);

  // --- a whole table from and to a stream ---
  [[nodiscard]] std::vector<NodeId> origins() const;
  /// What is known of one origin: runs of equal outcomes. REQUIRES: one of origins().
  void encode(NodeId origin, std::vector<std::byte>& out) const;
  /// Adds an origin. Gives a Status for bytes that encode() did not make, or an origin given twice.
  Status decode(ByteReader& in);

 private:
  static constexpr std::size_t page_entries = 4096;
  struct Window {
    std::uint64_t highest = 0;
    bool ended = false;  ///< O5
    /// The entry of number s is at s % remembered; a page that is not there is unknown throughout.
    std::array<std::unique_ptr<std::array<std::uint8_t, page_entries>>, remembered / page_entries>
        pages;
    std::unique_ptr<Window> former;  ///< of the life before; has none itself

    void begin_life();
    [[nodiscard]] bool covers(std::uint64_t sequence) const {
      return sequence <= highest && sequence >= lowest();
    }
    [[nodiscard]] std::size_t bytes() const;
    void encode(ByteWriter& out) const;
    Status decode(ByteReader& in);
    [[nodiscard]] std::uint8_t get(std::uint64_t sequence) const;
    void set(std::uint64_t sequence, std::uint8_t entry);
    void advance(std::uint64_t to);
    /// The lowest number that is known.
    [[nodiscard]] std::uint64_t lowest() const {
      return highest < remembered ? 1 : highest - remembered + 1;
    }
  };
  void record(TxnId id, ErrorCode code);

  mutable std::mutex mutex_;
  std::map<NodeId, Window> windows_;
};

}  // namespace exdb
