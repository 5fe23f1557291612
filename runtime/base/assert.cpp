// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "base/assert.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace exdb {
namespace {
thread_local std::string context;
std::atomic<void (*)()> end_hook{nullptr};
}  // namespace

void set_assert_context(std::string text) { context = std::move(text); }

void set_assert_hook(void (*hook)()) { end_hook.store(hook); }

void assert_failed(const char* expression, const char* file, int line, const char* what) {
  std::fprintf(stderr, "exdb: assertion failed: %s (%s) at %s:%d%s%s\n", what, expression, file,
               line, context.empty() ? "" : " on ", context.c_str());
  std::fflush(stderr);
  if (auto hook = end_hook.load()) hook();
  std::abort();
}

}  // namespace exdb
