// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// DDL text to definitions: recursive descent, one function a rule of the grammar (README.md), one
// token of look-ahead. Names, types and index parts are checked here, where their position is
// known.
//
// Threads: pure.
// Failure: SchemaError at the first thing that is wrong; the builder is then of no use.
#pragma once
#include <string_view>

#include "schema/dictionary_builder.hpp"

namespace exdb {

void parse_schema(std::string_view ddl_text, DictionaryBuilder& builder);

}  // namespace exdb
