// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// A folder of a test for who wants to own one.
#pragma once
#include "breakable_folder.hpp"

namespace exdb {

/// The folder of a test outlives the lives of its database.
class LentFolder final : public Folder {
 public:
  explicit LentFolder(Folder& of) : of_(of) {}
  /// `held`: lives as long as this.
  LentFolder(Folder& of, std::shared_ptr<void> held) : of_(of), held_(std::move(held)) {}
  Result<std::unique_ptr<File>> create(const std::string& name) override {
    return of_.create(name);
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override { return of_.open(name); }
  Status rename(const std::string& from, const std::string& to) override {
    return of_.rename(from, to);
  }
  Status remove(const std::string& name) override { return of_.remove(name); }
  Status sync() override { return of_.sync(); }
  Result<std::vector<std::string>> list() override { return of_.list(); }
  [[nodiscard]] std::string path_of(const std::string& name) const override {
    return of_.path_of(name);
  }

 private:
  Folder& of_;
  const std::shared_ptr<void> held_;
};

}  // namespace exdb
