// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "exdb/errors.hpp"

namespace exdb {

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::ok:
      return "ok";
    case ErrorCode::not_found:
      return "not found";
    case ErrorCode::cursor_end:
      return "cursor end";
    case ErrorCode::duplicate:
      return "duplicate key";
    case ErrorCode::core:
      return "core";
    case ErrorCode::invalid_handle:
      return "invalid handle";
    case ErrorCode::no_memory:
      return "no memory";
    case ErrorCode::access:
      return "access";
    case ErrorCode::transaction:
      return "transaction";
    case ErrorCode::unsupported:
      return "not supported";
    case ErrorCode::conflict:
      return "conflict";
    case ErrorCode::cursor_closed:
      return "cursor closed";
    case ErrorCode::conversion:
      return "conversion";
    case ErrorCode::disk:
      return "disk";
    case ErrorCode::disk_in_use:
      return "database in use";
    case ErrorCode::disk_full:
      return "disk full";
    case ErrorCode::disk_version:
      return "newer format on disk";
    case ErrorCode::disk_schema:
      return "another schema on disk";
    case ErrorCode::disk_damaged:
      return "damaged on disk";
    case ErrorCode::ddl_field_not_found:
      return "field not found";
    case ErrorCode::cluster:
      return "cluster";
    case ErrorCode::cluster_not_initialized:
      return "not a cluster";
    case ErrorCode::cluster_invalid_parameter:
      return "invalid cluster parameter";
    case ErrorCode::cluster_stopped:
      return "cluster stopped";
    case ErrorCode::cluster_protocol:
      return "cluster protocol";
    case ErrorCode::cluster_no_quorum:
      return "no quorum";
    case ErrorCode::cluster_incompatible:
      return "incompatible nodes";
    case ErrorCode::cluster_sync:
      return "synchronisation failed";
    case ErrorCode::cluster_duplicate_node:
      return "duplicate node";
    case ErrorCode::schema:
      return "schema";
    case ErrorCode::key_too_long:
      return "key too long";
    case ErrorCode::interrupted:
      return "interrupted";
    case ErrorCode::transaction_active:
      return "transaction active";
    case ErrorCode::transaction_not_active:
      return "no transaction";
    case ErrorCode::unknown_outcome:
      return "unknown outcome";
    case ErrorCode::snapshot_too_old:
      return "snapshot too old";
    case ErrorCode::too_large:
      return "too large";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::launcher:
      return "launcher";
    case ErrorCode::inconsistent:
      return "inconsistent replica";
  }
  return "unknown";
}

}  // namespace exdb
