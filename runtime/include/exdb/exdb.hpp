// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// All of exdb's C++ API but the MPI transport (exdb/mpi.hpp).
#pragma once
#include "exdb/archive.hpp"
#include "exdb/cluster.hpp"
#include "exdb/cluster_info.hpp"
#include "exdb/columns.hpp"
#include "exdb/connection.hpp"
#include "exdb/database.hpp"
#include "exdb/errors.hpp"
#include "exdb/row.hpp"
#include "exdb/schema.hpp"
#include "exdb/transaction.hpp"
#include "exdb/types.hpp"
#include "exdb/value.hpp"
