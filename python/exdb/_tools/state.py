# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The state that files hold, as a database that can only be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import _core
from ..database import Database
from ..dictionary import Dictionary
from ..types import MCO_READ_ONLY


def load(
    path: Path,
    schema: str | None = None,
    upto: int | None = None,
    since: int = 1,
    class_name: str = "",
    index_name: str = "",
    each: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[Database, dict[str, Any]]:
    """As ``open_archive`` of the engine. Memory: the database's."""
    dictionary = Dictionary(schema if schema is not None else schema_of(path))
    core, made = _core.open_archive(
        str(path), dictionary._core, upto, since, class_name, index_name, each
    )
    return Database(core, dictionary), made


def schema_of(path: Path) -> str:
    return _core.archive_schema(str(path))


def rows(db: Database) -> dict[str, int]:
    """Rows of each class. Cost: a scan."""
    with db.connect() as con:
        con.startTransaction(MCO_READ_ONLY)
        return {name: con.count(name) for name in db.dictionary.classes}
