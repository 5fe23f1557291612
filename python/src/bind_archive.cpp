// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// The tools of python -m exdb: folders of databases on disk, looked at from outside.
#include <pybind11/stl.h>

#include "bind.hpp"
#include "exdb/archive.hpp"

namespace py = pybind11;

namespace exdb::python {

namespace {

py::dict to_python(const ArchiveFile& file) {
  py::dict all;
  all["name"] = file.name;
  all["kind"] = file.kind;
  all["bytes"] = file.bytes;
  all["used_bytes"] = file.used_bytes;
  all["first_round"] = file.first_round;
  all["last_round"] = file.last_round;
  all["items"] = file.items;
  all["damage"] = file.damage;
  return all;
}

py::dict inspect_archive_(const std::string& path) {
  ArchiveReport report;
  {
    const Released released;
    report = inspect_archive(path);
  }
  py::list files;
  for (const auto& file : report.files) files.append(to_python(file));
  py::dict all;
  all["path"] = report.path;
  all["database"] = report.database;
  all["dictionary"] = report.dictionary;
  all["format"] = report.format;
  all["schema"] = report.schema;
  all["files"] = files;
  all["first_round"] = report.first_round;
  all["last_round"] = report.last_round;
  all["chain"] = report.chain;
  all["held"] = report.held;
  all["closed"] = report.closed;
  all["torn"] = report.torn;
  all["open_by"] = report.open_by;
  return all;
}

const char* name_of(LoggedWrite::Kind kind) {
  switch (kind) {
    case LoggedWrite::Kind::insert:
      return "insert";
    case LoggedWrite::Kind::update:
      return "update";
    case LoggedWrite::Kind::snapshot:
      return "snapshot";
    case LoggedWrite::Kind::drop_snapshot:
      return "drop_snapshot";
    case LoggedWrite::Kind::remove:
      break;
  }
  return "remove";
}

py::dict to_python(const LoggedTransaction& logged) {
  py::list writes;
  for (const auto& write : logged.writes)
    writes.append(py::make_tuple(name_of(write.kind), write.class_name, write.index, write.key,
                                 write.key_before));
  py::dict all;
  all["round"] = logged.round;
  all["member"] = logged.member;
  all["origin"] = logged.id.origin.value;
  all["sequence"] = logged.id.sequence;
  all["committed"] = logged.committed;
  all["csn"] = logged.csn;
  all["why_not"] = logged.why_not;
  all["parts_missing"] = logged.parts_missing;
  all["writes"] = writes;
  return all;
}

// `each` is called by this very thread, whose caller waits here: what it raises is raised there.
std::function<void(const LoggedTransaction&)> teller(const py::object& each) {
  if (each.is_none()) return {};
  return [&each](const LoggedTransaction& logged) {
    const py::gil_scoped_acquire gil;
    each(to_python(logged));
  };
}

py::tuple open_archive_(const std::string& path,
                        const std::shared_ptr<DictionaryHandle>& dictionary,
                        std::optional<std::uint64_t> upto, std::uint64_t from,
                        const std::string& class_name, const std::string& index_name,
                        const py::object& each) {
  require_unforked();
  ArchiveOptions options;
  options.upto = upto;
  options.from = from;
  options.class_name = class_name;
  options.index_name = index_name;
  options.each = teller(each);
  OpenedArchive opened;
  {
    const Released released;
    opened = open_archive(path, dictionary->dictionary(), options);
  }
  py::dict made;
  made["checkpoint_round"] = opened.checkpoint_round;
  made["round"] = opened.round;
  made["rounds"] = opened.rounds;
  made["digests"] = opened.digests;
  made["passed_over"] = opened.passed_over;
  auto engine = std::make_unique<Engine>(std::move(opened.database), nullptr);
  return py::make_tuple(std::make_shared<DatabaseHandle>(
                            DatabaseHandle{dictionary, shared_engine(std::move(engine))}),
                        made);
}

}  // namespace

void bind_archive(py::module_& module) {
  module.def("inspect_archive", inspect_archive_, py::arg("path"));
  module.def(
      "compare_archives",
      [](const std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t>>& ends) {
        const Released released;
        std::vector<ArchiveEnd> given;
        for (const auto& [path, round, chain] : ends) given.push_back({path, round, chain});
        const auto compared = compare_archives(given);
        return std::tuple(compared.furthest, compared.epoch, compared.forks);
      },
      py::arg("ends"));
  module.def("archive_schema", archive_schema, py::arg("path"));
  module.def("archive_holder", archive_holder, py::arg("path"));
  module.def("open_archive", open_archive_, py::arg("path"), py::arg("dictionary"),
             py::arg("upto") = py::none(), py::arg("since") = 1, py::arg("class_name") = "",
             py::arg("index_name") = "", py::arg("each") = py::none());
}

}  // namespace exdb::python
