// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <cstdio>

#include "exdb/errors.hpp"

int main() {
  try {
    throw exdb::Error(exdb::ErrorCode::conflict, "from an installed exdb");
  } catch (const exdb::Error& error) {
    std::puts(error.what());
  }
  return 0;
}
