# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The rules of style that no common tool knows. Each is a function of a path and a text, so that a
test can show it a bad one; `lint` feeds them the repository.

A rule yields (line, message) pairs; line 0 means the file as a whole. Paths are relative to the
root, with slashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

Finding = tuple[int, str]

# What a layer of the runtime may include beside itself and the doors: runtime/README.md's table.
MAY_INCLUDE: dict[str, tuple[str, ...]] = {
    "base": (),
    "schema": ("base",),
    "storage": ("base", "schema"),
    "transaction": ("base", "schema", "storage"),
    "cluster": ("base",),
    "replica": ("base", "schema", "storage", "transaction", "cluster"),
    "database": (
        "base",
        "schema",
        "storage",
        "transaction",
        "cluster",
        "durability",
        "host",
        "replica",
    ),
    "durability": ("base", "cluster"),
    "topology": ("base",),
    "host": ("base", "cluster"),
}
LAYERS = tuple(MAY_INCLUDE)
# Everything may be included from here.
EVERYTHING = ("tests", "bench")
# Headers from outside that only some folders may include.
GUARDED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"mpi\.h$", "MPI", ("mpi", "jobs", *EVERYTHING)),
    (
        r"(sys/socket|sys/un|netdb|arpa/inet)\.h$|netinet/|openssl/",
        "sockets or OpenSSL",
        ("tcp", *EVERYTHING),
    ),
    (r"pybind11/|Python\.h$", "Python", ("python",)),
)
# Ordered code must compute the same on every node, so it may not ask what time it is.
ORDERED = ("storage", "transaction", "replica", "cluster")
WALL_CLOCK = re.compile(
    r"system_clock|gettimeofday|CLOCK_REALTIME|\blocaltime|\bgmtime"
    r"|\bstd::time\s*\(|(?<![\w.>:])time\s*\(\s*(?:NULL|nullptr|0|&)"
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Split, so that this file keeps the rule it states.
BANNED = re.compile(
    r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b|\bfor" r" now\b|\bnot" r" implemented\b", re.I
)
SPDX = "SPDX-License-Identifier: Apache-2.0"

LINES_MAX = 1000
# Files that are longer, with the length they may have. A number here may only become smaller.
LONG_FILES: dict[str, int] = {}

CPP = (".cpp", ".hpp", ".h", ".c")
SOURCES = (*CPP, ".py", ".pyi", ".sh", ".cmake")


def is_cpp(path: str) -> bool:
    return path.endswith(CPP)


def is_source(path: str, text: str) -> bool:
    return (
        path.endswith(SOURCES) or PurePosixPath(path).name == "CMakeLists.txt" or text[:2] == "#!"
    )


def layer_of(path: str) -> str:
    """`base` … inside the runtime, `doors` for its include folder, else the top folder."""
    parts = PurePosixPath(path).parts
    if parts[0] != "runtime":
        return parts[0]
    return "doors" if len(parts) > 1 and parts[1] == "include" else parts[1]


def includes(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1], match[2]


def forbidden_include(layer: str, target: str, mpi_doors: frozenset[str]) -> str:
    """Why `layer` may not include `target` (a quoted include), or nothing."""
    first = target.split("/")[0] if "/" in target else ""
    if target in mpi_doors:
        outside = layer in LAYERS or layer in ("doors", "tcp")
        return "a door of mpi/" if outside else ""
    if first == "exdb" or layer in EVERYTHING or layer == "jobs":
        return ""
    if layer in LAYERS:
        if first == layer or first in MAY_INCLUDE[layer]:
            return ""
        return "written from runtime/, as in schema/x.hpp" if not first else "not below this layer"
    if first in LAYERS:
        return "inside the runtime; use its doors, exdb/*"
    return "a door includes only doors" if layer == "doors" else ""


def layering(path: str, text: str, mpi_doors: frozenset[str] = frozenset()) -> Iterator[Finding]:
    """Arrows between folders go one way; the outside world enters by one folder each."""
    if not is_cpp(path):
        return
    layer = layer_of(path)
    if path.startswith("runtime/") and layer not in (*LAYERS, "doors"):
        yield 0, f"{layer} is no layer that tests/style/rules.py knows"
        return
    for number, kind, target in includes(text):
        for pattern, what, folders in GUARDED:
            if re.match(pattern, target) and path.split("/")[0] not in folders:
                yield number, f"<{target}>: {what} only in {', '.join(folders)}"
        if kind == '"' and (reason := forbidden_include(layer, target, mpi_doors)):
            yield number, f'{layer} may not include "{target}": {reason}'


def without_comment(line: str) -> str:
    return line.split("//")[0]


def wall_clock(path: str, text: str) -> Iterator[Finding]:
    if not (is_cpp(path) and path.startswith("runtime/") and layer_of(path) in ORDERED):
        return
    for number, line in enumerate(text.splitlines(), 1):
        if match := WALL_CLOCK.search(without_comment(line)):
            yield number, f"wall clock in ordered code: {match[0]}"


def licence(path: str, text: str) -> Iterator[Finding]:
    if is_source(path, text) and text.strip() and SPDX not in "\n".join(text.splitlines()[:3]):
        yield 0, f"the first lines lack '{SPDX}'"


def banned_words(path: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := BANNED.search(line):
            yield number, f"'{match[0]}': finish it, or open an issue"


def length(path: str, text: str) -> Iterator[Finding]:
    if not is_source(path, text):
        return
    lines, limit = text.count("\n"), LONG_FILES.get(path, LINES_MAX)
    if lines > limit:
        yield 0, f"{lines} lines (at most {limit}): split it"
    elif path in LONG_FILES and lines < limit:
        yield 0, f"{lines} lines: lower its number in LONG_FILES from {limit}"


def include_guard(path: str, text: str) -> Iterator[Finding]:
    if path.endswith((".hpp", ".h")) and "#pragma once" not in text:
        yield 0, "a header needs #pragma once"


# "I3  text": how a header numbers its invariants.
NUMBERED = re.compile(r"(?<!\S)[A-Z]\d{1,2}  (?=\S)")
SECTION = re.compile(r"(?<=[.;)] )(?:Threads|Failure|Processes|Cost): ")


def numbered_comments(path: str, text: str) -> Iterator[Finding]:
    """Each numbered invariant and each section begins a line, and the lines of an invariant after
    its first are indented below its text: formatters run such lists together."""
    if not is_cpp(path):
        return
    within = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("//"):
            break
        comment = line[2:]
        marks = list(NUMBERED.finditer(comment))
        if any(comment[: mark.start()].strip() for mark in marks):
            yield number, "a numbered invariant begins a line of its own"
        if SECTION.search(comment):
            yield number, "a section (Threads, Failure, ...) begins a line of its own"
        if marks:
            within = True
        elif within and comment.startswith("   ") and not comment.startswith("       "):
            yield number, "a numbered invariant goes on below its text"
        elif not comment.startswith("   "):
            within = False


EACH_FILE = (wall_clock, licence, banned_words, length, include_guard, numbered_comments)


def unregistered_tests(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Tests that no CMakeLists.txt names, and so nobody runs: (path, message) pairs.

    A file of C++ must be named in its folder's CMakeLists.txt or one above, or the x of x_test.cpp
    be a word there (in a loop). One of pytest may also be run by its folder, for which that file
    has to call pytest.
    """
    for path in files:
        name = PurePosixPath(path).name
        is_pytest = name.endswith("_test.py") or (name.startswith("test_") and name.endswith(".py"))
        if not path.startswith("tests/") or not (name.endswith("_test.cpp") or is_pytest):
            continue
        lists = [
            files.get(f"{parent}/CMakeLists.txt", "") for parent in PurePosixPath(path).parents
        ]
        subject = re.compile(rf"\b{re.escape(name.removesuffix('_test.cpp'))}\b")
        named = any(name in text for text in lists)
        looped = name.endswith(".cpp") and "_test.cpp" in lists[0] and subject.search(lists[0])
        if not (named or looped or (is_pytest and "pytest" in lists[0])):
            yield path, "no CMakeLists.txt names this test"


def versions(cmake: str, pyproject: str) -> Iterator[str]:
    """The version stands in two files, since each is read by a tool that knows no other."""
    here = re.search(r"project\(exdb VERSION ([\d.]+)", cmake)
    there = re.search(r'^version = "([^"]+)"', pyproject, re.MULTILINE)
    if not here or not there or here[1] != there[1]:
        yield (
            f"version {here and here[1]} in CMakeLists.txt, {there and there[1]} in pyproject.toml"
        )


def ctest_entries(listing: dict) -> Iterator[str]:
    """What `ctest --show-only=json-v1` says of every test: a time limit, a label, processors."""
    for test in listing["tests"]:
        properties = {item["name"]: item["value"] for item in test.get("properties", ())}
        for wanted in ("TIMEOUT", "LABELS"):
            if not properties.get(wanted):
                yield f"{test['name']}: has no {wanted}"
        if "mpi" in properties.get("LABELS", ()) and properties.get("PROCESSORS", 1) < 1:
            yield f"{test['name']}: has no PROCESSORS"
