// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include <pybind11/pybind11.h>

#include "bind.hpp"
#include "cluster.hpp"
#include "errors.hpp"
#include "object.hpp"
#include "temporal.hpp"

PYBIND11_MODULE(_core, module) {
  using namespace exdb::python;
  module.doc() = "The engine of exdb. Private: use the package exdb.";
  import_datetime();
  bind_errors(module);
  bind_dictionary(module);
  make_object_types(module);
  bind_cluster(module);
  bind_cursor(module);
  bind_connection(module);
  bind_database(module);
  bind_topology(module);
  bind_archive(module);
}
