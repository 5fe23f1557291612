# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What help() shows: everything public has a docstring, and each parameter is in it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import exdb

PACKAGE = Path(exdb.__file__).parent


def public(kind: type) -> Iterator[tuple[str, Any]]:
    """Functions and properties of a class that are ours, by name."""
    for owner in kind.__mro__:
        if not owner.__module__.startswith("exdb"):
            continue
        for name, thing in vars(owner).items():
            told_apart = callable(thing) or inspect.isdatadescriptor(thing)
            slot = inspect.ismemberdescriptor(thing)
            if told_apart and not slot and not name.startswith("_"):
                yield name, thing


def walk() -> Iterator[tuple[str, Any]]:
    for name in exdb.__all__:
        thing = getattr(exdb, name)
        if isinstance(thing, type):
            yield name, thing
            for member, inner in public(thing):
                yield f"{name}.{member}", inner
        elif callable(thing):
            yield name, thing


@pytest.mark.parametrize(("name", "thing"), list(walk()))
def test_everything_public_has_a_docstring(name: str, thing: Any) -> None:
    text = inspect.getdoc(thing)
    assert text, name
    assert len(text) > 10, name
    assert not text.startswith("Alias for"), name


FUNCTIONS = [
    (name, thing)
    for name, thing in walk()
    if inspect.isroutine(thing)
    and name.split(".")[0] not in ("ClusterWindow", "NodeInfo")
    and not name.endswith(".dictionary")
]


@pytest.mark.parametrize(("name", "thing"), FUNCTIONS)
def test_every_function_says_whether_it_blocks(name: str, thing: Any) -> None:
    assert "block" in (inspect.getdoc(thing) or "").lower(), name


@pytest.mark.parametrize("file", ["types.py", "__init__.py"])
def test_every_constant_has_its_words(file: str) -> None:
    body = ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body
    for this, after in zip(body, [*body[1:], None]):
        if isinstance(this, ast.Assign) and isinstance(this.targets[0], ast.Name):
            name = this.targets[0].id
            if name.startswith("__"):
                continue
            assert isinstance(after, ast.Expr), name
            assert isinstance(after.value, ast.Constant), name


def parameters_in(text: str) -> dict[str, str]:
    """The list of parameters of a docstring: `a, b: what` at the margin, its further lines four
    columns in."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        head = re.match(r"((?:\w+(?:\([\w, ]*\))?)(?:, \w+)*): (.*)", line)
        if head:
            names = [part.split("(")[0].strip() for part in re.split(r", (?![^(]*\))", head[1])]
            found.update(dict.fromkeys(names, head[2]))
        elif names and line.startswith("    "):
            for name in names:
                found[name] += " " + line.strip()
        else:
            names = []
    return found


# `cls` and `index` mean the same everywhere: Connection says it.
DESCRIBED = [
    exdb.open,
    exdb.open_database,
    exdb.init_runtime,
    exdb.load_dictionary,
    exdb.Connection.startTransaction,
    exdb.Connection.stop,
    exdb.Connection.range,
    exdb.Connection.count,
    exdb.Database.close,
    exdb.Database.outcome,
    exdb.ClusterParams,
]


@pytest.mark.parametrize("function", DESCRIBED)
def test_each_parameter_is_described(function: Any) -> None:
    text = inspect.getdoc(function) or ""
    described = parameters_in(text)
    for name in inspect.signature(function).parameters:
        if name in ("self", "cls", "index"):
            continue
        assert name in described, (name, sorted(described))
        # A description that another one has swallowed: help() would show "touched. name: …".
        swallowed = [word for word, said in described.items() if f" {name}: " in f" {said}"]
        assert not swallowed, (name, swallowed)


def test_a_parameter_that_is_swallowed_is_found() -> None:
    garbled = "comm: a communicator; not\ntouched. params: else\n    and more"
    assert "params" not in parameters_in(garbled)


def test_the_other_names_are_the_same_functions() -> None:
    assert exdb.Connection.start_transaction is exdb.Connection.startTransaction
    assert exdb.Connection.delete_all is exdb.Connection.deleteAll
    assert exdb.NodeInfo("a:1", 2, 3).node_id == 3


def test_the_module_says_what_it_has_of_the_db_api() -> None:
    assert (exdb.apilevel, exdb.threadsafety, exdb.paramstyle) == ("2.0", 1, "named")
    assert "DB-API" in (exdb.__doc__ or "")
