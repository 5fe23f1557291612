# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Every rule is shown something bad, which it must find, and something good, which it must not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import rules

MPI_DOORS = frozenset({"exdb/mpi.hpp"})
HEADER = "// SPDX-License-Identifier: Apache-2.0\n"


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("runtime/base/x.hpp", '"schema/y.hpp"'),
        ("runtime/schema/x.cpp", '"storage/y.hpp"'),
        ("runtime/storage/x.cpp", '"transaction/y.hpp"'),
        ("runtime/transaction/x.cpp", '"replica/y.hpp"'),
        ("runtime/cluster/x.cpp", '"replica/y.hpp"'),
        ("runtime/cluster/x.cpp", '"storage/y.hpp"'),
        ("runtime/replica/x.cpp", '"database/y.hpp"'),
        ("runtime/storage/x.cpp", '"y.hpp"'),
        ("runtime/cluster/x.cpp", '"exdb/mpi.hpp"'),
        ("runtime/cluster/x.cpp", "<mpi.h>"),
        ("runtime/cluster/x.cpp", "<sys/socket.h>"),
        ("runtime/base/x.cpp", "<openssl/ssl.h>"),
        ("runtime/base/x.cpp", "<pybind11/pybind11.h>"),
        ("runtime/include/exdb/x.hpp", '"storage/y.hpp"'),
        ("runtime/include/exdb/x.hpp", "<mpi.h>"),
        ("mpi/x.cpp", '"storage/y.hpp"'),
        ("mpi/x.cpp", "<netinet/in.h>"),
        ("python/x.cpp", '"cluster/y.hpp"'),
        ("python/x.cpp", "<mpi.h>"),
        ("tests/unit/x_test.cpp", "<pybind11/embed.h>"),
        ("runtime/novel/x.cpp", "<vector>"),
    ],
)
def test_an_arrow_against_the_layers_is_found(path: str, include: str) -> None:
    assert list(rules.layering(path, f"#include {include}\n", MPI_DOORS))


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("runtime/base/x.cpp", '"exdb/errors.hpp"'),
        ("runtime/schema/x.cpp", '"base/y.hpp"'),
        ("runtime/replica/x.cpp", '"cluster/y.hpp"'),
        ("runtime/database/x.cpp", '"replica/y.hpp"'),
        ("runtime/cluster/x.cpp", "<vector>"),
        ("mpi/x.cpp", "<mpi.h>"),
        ("mpi/x.cpp", '"y.hpp"'),
        ("mpi/x.cpp", '"exdb/mpi.hpp"'),
        ("python/x.cpp", "<pybind11/pybind11.h>"),
        ("tcp/x.cpp", "<sys/socket.h>"),
        ("tests/unit/storage/x_test.cpp", '"storage/y.hpp"'),
        ("bench/x.cpp", "<mpi.h>"),
    ],
)
def test_an_arrow_with_the_layers_is_not(path: str, include: str) -> None:
    assert not list(rules.layering(path, f"#include {include}\n", MPI_DOORS))


@pytest.mark.parametrize(
    "line",
    [
        "auto t = std::chrono::system_clock::now();",
        "gettimeofday(&tv, nullptr);",
        "seed(time(nullptr));",
        "x = std::time(0);",
        "clock_gettime(CLOCK_REALTIME, &t);",
    ],
)
def test_a_wall_clock_in_ordered_code_is_found(line: str) -> None:
    assert list(rules.wall_clock("runtime/replica/x.cpp", line))
    assert not list(rules.wall_clock("mpi/x.cpp", line))


@pytest.mark.parametrize(
    "line", ["auto t = std::chrono::steady_clock::now();", "apply_time(0);", "// not system_clock"]
)
def test_other_clocks_and_words_are_not(line: str) -> None:
    assert not list(rules.wall_clock("runtime/replica/x.cpp", line))


def test_a_source_without_licence_is_found() -> None:
    assert list(rules.licence("runtime/base/x.cpp", "int x;\n"))
    assert list(rules.licence("tests/tool", "#!/bin/sh\necho\n"))
    assert not list(rules.licence("runtime/base/x.cpp", HEADER + "int x;\n"))
    assert not list(rules.licence("README.md", "text\n"))


@pytest.mark.parametrize(
    "word", ["TO" + "DO", "FIX" + "ME", "for" + " now", "Not" + " implemented"]
)
def test_a_banned_word_is_found(word: str) -> None:
    assert list(rules.banned_words("runtime/base/x.cpp", f"// {word} later\n"))
    assert not list(rules.banned_words("runtime/base/x.cpp", "// for nowhere\n"))


def test_a_long_file_is_found() -> None:
    assert list(rules.length("runtime/base/x.cpp", "int x;\n" * 1001))
    assert not list(rules.length("runtime/base/x.cpp", "int x;\n" * 1000))


def test_an_allowed_long_file_may_only_become_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rules.LONG_FILES, "mpi/x.cpp", 1200)
    assert list(rules.length("mpi/x.cpp", "\n" * 1201))
    assert list(rules.length("mpi/x.cpp", "\n" * 1100))
    assert not list(rules.length("mpi/x.cpp", "\n" * 1200))


def test_a_header_without_guard_is_found() -> None:
    assert list(rules.include_guard("mpi/x.hpp", HEADER))
    assert not list(rules.include_guard("mpi/x.hpp", HEADER + "#pragma once\n"))


def test_an_unregistered_test_is_found() -> None:
    lists = "tests/unit/storage/CMakeLists.txt"
    found = rules.unregistered_tests
    assert list(found({"tests/unit/storage/x_test.cpp": "", lists: "y_test.cpp"}))
    assert not list(found({"tests/unit/storage/x_test.cpp": "", lists: "x_test.cpp"}))
    assert not list(found({"tests/unit/storage/x_test.cpp": "", lists: "x y)\n${s}_test.cpp"}))
    assert list(found({"tests/unit/storage/x_test.cpp": "", lists: "y z)\n${s}_test.cpp"}))
    assert list(found({"tests/python/test_x.py": ""}))
    assert not list(found({"tests/python/test_x.py": "", "tests/python/CMakeLists.txt": "pytest"}))


def test_two_versions_are_found() -> None:
    cmake = "project(exdb VERSION 0.1.0 DESCRIPTION"
    assert list(rules.versions(cmake, 'version = "0.2.0"\n'))
    assert not list(rules.versions(cmake, 'version = "0.1.0"\n'))


def test_an_entry_of_ctest_without_time_limit_or_label_is_found() -> None:
    def listing(**properties: object) -> dict:
        pairs = [{"name": key, "value": value} for key, value in properties.items()]
        return {"tests": [{"name": "x", "properties": pairs}]}

    assert list(rules.ctest_entries(listing(LABELS=["unit"])))
    assert list(rules.ctest_entries(listing(TIMEOUT=60)))
    assert not list(rules.ctest_entries(listing(TIMEOUT=60, LABELS=["unit"])))


@pytest.mark.parametrize(
    "comment",
    [
        "//   I1  One thing. I2  Another.",
        "//   I1  One thing, told\n//   in two lines.",
        "// Threads: any. Failure: none.",
    ],
)
def test_invariants_run_together_are_found(comment: str) -> None:
    assert list(rules.numbered_comments("runtime/base/x.hpp", comment + "\n#pragma once\n"))


def test_invariants_that_stand_apart_are_not() -> None:
    text = (
        "// As I1 says.\n//   I1  One thing, told\n//       in two lines.\n//   I2  Another.\n"
        "// Threads: any,\n//   see I1.\n// Failure: none.\n#pragma once\n"
    )
    assert not list(rules.numbered_comments("runtime/base/x.hpp", text))
