# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The table of errors: every number of the engine, its class and its place in the DB-API's tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import exdb
from exdb import _core, errors

ROWS = [
    (10, exdb.NotFoundError, exdb.ProgrammingError),
    (11, exdb.CursorEndError, exdb.ProgrammingError),
    (13, exdb.DuplicateKeyError, exdb.IntegrityError),
    (50, exdb.InternalError, exdb.DatabaseError),
    (51, exdb.InvalidHandleError, exdb.InterfaceError),
    (52, exdb.ResourceError, exdb.OperationalError),
    (53, exdb.ReadOnlyError, exdb.ProgrammingError),
    (54, exdb.TransactionError, exdb.ProgrammingError),
    (57, exdb.NotSupportedError, exdb.DatabaseError),
    (87, exdb.ConflictError, exdb.OperationalError),
    (98, exdb.CursorClosedError, exdb.InterfaceError),
    (99, exdb.DataError, exdb.DatabaseError),
    (100, exdb.DiskError, exdb.OperationalError),
    (102, exdb.DatabaseInUseError, exdb.DiskError),
    (111, exdb.DiskFullError, exdb.DiskError),
    (123, exdb.DiskFormatError, exdb.DiskError),
    (125, exdb.SchemaChangedError, exdb.DiskError),
    (126, exdb.DiskDamagedError, exdb.DiskError),
    (803, exdb.UnknownFieldError, exdb.ProgrammingError),
    (900, exdb.ClusterError, exdb.OperationalError),
    (901, exdb.NotClusteredError, exdb.OperationalError),
    (902, exdb.ClusterParameterError, exdb.OperationalError),
    (903, exdb.ClusterStoppedError, exdb.OperationalError),
    (904, exdb.ClusterProtocolError, exdb.OperationalError),
    (905, exdb.NoQuorumError, exdb.OperationalError),
    (907, exdb.IncompatibleError, exdb.OperationalError),
    (908, exdb.SyncError, exdb.OperationalError),
    (910, exdb.DuplicateNodeError, exdb.OperationalError),
    (1005, exdb.SchemaError, exdb.ProgrammingError),
    (1010, exdb.KeyTooLongError, exdb.DataError),
    (1022, exdb.OperationInterruptedError, exdb.OperationalError),
    (1023, exdb.TransactionActiveError, exdb.ProgrammingError),
    (1024, exdb.TransactionNotActiveError, exdb.ProgrammingError),
    (2000, exdb.OutcomeUnknownError, exdb.OperationalError),
    (2001, exdb.SnapshotTooOldError, exdb.TransactionAbortedError),
    (2002, exdb.TooLargeError, exdb.DataError),
    (2003, exdb.ClusterTimeoutError, TimeoutError),
    (2004, exdb.LauncherError, exdb.InterfaceError),
    (2005, exdb.InconsistentReplicaError, exdb.InternalError),
]


@pytest.mark.parametrize(("code", "kind", "base"), ROWS)
def test_a_number_of_the_engine_is_raised_as_its_class(
    code: int, kind: type[exdb.Error], base: type[Exception]
) -> None:
    with pytest.raises(kind, match="a text") as caught:
        _core.raise_error(code, "a text")
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert isinstance(caught.value, base)
    assert isinstance(caught.value, exdb.Error)
    assert str(caught.value) == "a text"


def test_the_table_has_every_number_of_the_engine() -> None:
    header = Path(__file__).parents[3] / "runtime/include/exdb/errors.hpp"
    numbers = {
        int(number)
        for number in re.findall(r"^  \w+ =\s+(\d+),", header.read_text(encoding="utf-8"), re.M)
    } - {0}
    assert numbers == {code for code, _, _ in ROWS} == set(errors.CLASS_OF_CODE)
    assert all(_core.error_name(code) for code in numbers)


def test_the_tree_is_that_of_the_db_api() -> None:
    for kind in ("InterfaceError", "DatabaseError"):
        assert getattr(exdb, kind).__bases__ == (exdb.Error,)
    for kind in (
        "DataError",
        "OperationalError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
    ):
        assert getattr(exdb, kind).__bases__ == (exdb.DatabaseError,)
    assert issubclass(exdb.Warning, Exception)


def test_an_unknown_outcome_carries_the_transaction() -> None:
    error = errors.make(2000, "lost", exdb.TransactionId(1, 7))
    assert isinstance(error, exdb.OutcomeUnknownError)
    assert error.txid == (1, 7)
    assert exdb.ConflictError("x").txid is None
