// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The identifiers live at the door, because the doors speak of them too.
#pragma once
#include "exdb/types.hpp"
