// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A folder whose files are made and synced only when a test lets them.
#pragma once
#include <condition_variable>
#include <thread>

#include "breakable_folder.hpp"

namespace exdb {

/// Lets who comes go on only when it is told to.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = true;
  int waiting = 0;
  int let_pass = 0;

  void pass() {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [this] { return open || let_pass != 0; });
    if (!open) --let_pass;
    --waiting;
  }
  void set(bool to) {
    const std::lock_guard lock(mutex);
    open = to;
    changed.notify_all();
  }
  /// How many wait here.
  int at_it() {
    const std::lock_guard lock(mutex);
    return waiting;
  }
  void let_one_pass() {
    const std::lock_guard lock(mutex);
    ++let_pass;
    changed.notify_all();
  }
  void wait_for_somebody() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return waiting != 0; });
  }
};

class GatedFile final : public File {
 public:
  GatedFile(std::unique_ptr<File> file, Gate& gate, const bool& discards)
      : file_(std::move(file)), gate_(gate), discards_(discards) {}
  Status write(std::uint64_t offset, Bytes bytes) override {
    return discards_ ? Status() : file_->write(offset, bytes);
  }
  Status sync() override {
    gate_.pass();
    return file_->sync();
  }
  Status preallocate(std::uint64_t bytes) override {
    return discards_ ? Status() : file_->preallocate(bytes);
  }
  Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
    return file_->read(offset, into);
  }
  Result<std::uint64_t> size() override { return file_->size(); }
  void forget_cached() override { file_->forget_cached(); }

 private:
  const std::unique_ptr<File> file_;
  Gate& gate_;
  const bool& discards_;
};

class GatedFolder final : public Folder {
 public:
  BreakableFolder inner;
  Gate gate;  ///< of syncs
  Gate creations;
  bool discards = false;  ///< what is written: a test of bounds need not keep it
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    creations.pass();
    return gated(inner.create(name));
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override {
    return gated(inner.open(name));
  }
  Status rename(const std::string& from, const std::string& to) override {
    return inner.rename(from, to);
  }
  Status remove(const std::string& name) override { return inner.remove(name); }
  Status sync() override { return inner.sync(); }
  Result<std::vector<std::string>> list() override { return inner.list(); }
  [[nodiscard]] std::string path_of(const std::string& name) const override {
    return inner.path_of(name);
  }

 private:
  Result<std::unique_ptr<File>> gated(Result<std::unique_ptr<File>> file) {
    if (!file) return file;
    return std::unique_ptr<File>(std::make_unique<GatedFile>(std::move(*file), gate, discards));
  }
};

/// Whether `done` becomes true, which nothing keeps it from. Only what never does takes long: a second
/// or two of a processor that nobody else wants.
template <class Done>
bool happens_in_the_end(Done&& done) {
  for (int turn = 0; turn < 2'000'000 && !done(); ++turn) std::this_thread::yield();
  return done();
}

/// Whether `done` becomes true though nothing lets it: others get their turns meanwhile. What cannot is
/// never found to; what can, nearly always.
template <class Done>
bool happens_unasked(Done&& done, int turns = 2000) {
  for (int turn = 0; turn < turns && !done(); ++turn) std::this_thread::yield();
  return done();
}

}  // namespace exdb
