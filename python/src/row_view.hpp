// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The one place that knows where RowView is declared.
#pragma once
#if __has_include("exdb/row.hpp")
#include "exdb/row.hpp"
#else
#include "schema/row.hpp"
#endif
