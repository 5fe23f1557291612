# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What rows and kept views take: bytes beside a row, places beside a view."""

from __future__ import annotations

from typing import Any

import pytest

import exdb

OWN_BYTES = 40
ROW = "class R { signed<8> id; signed<8> a; double b; double c; double d; INDEXES };"
VIEWED = "class V { int4 id; vector<double> data; };"


@pytest.mark.parametrize(
    ("indexes", "beside"),
    # What they are is in "Where the bytes of a row go" in runtime/storage/README.md; a hash takes
    # 27 to 53 by how full its table is.
    [("", 32), ("unique hash<id> by_id;", 80), ("tree<id> by_id;", 64)],
)
def test_what_a_row_of_40_bytes_takes(indexes: str, beside: int) -> None:
    rows, batch = 50_000, 1_000
    with exdb.open("m", ROW.replace("INDEXES", indexes)) as db, db.connect() as con:
        before = db.statistics()["memory_used_bytes"]
        for start in range(0, rows, batch):
            with con.startTransaction():
                for i in range(start, start + batch):
                    con.new("R", id=i, a=i)
        taken = (db.statistics()["memory_used_bytes"] - before) / rows
    print(f"{taken - OWN_BYTES:.1f} bytes beside a row of {OWN_BYTES}: {indexes or 'no index'}")
    assert OWN_BYTES <= taken <= OWN_BYTES + beside


def kept_views(con: exdb.Connection) -> list[Any]:
    with con.startTransaction(exdb.MCO_READ_ONLY):
        return [row.data for row in con.cursor("V")]


def test_ten_thousand_kept_views_of_one_state_take_one_place() -> None:
    """A database of one connection has 260 places for snapshots."""
    with exdb.open("kept", VIEWED, db_max_connections=1) as db, db.connect() as con:
        with con.startTransaction():
            for i in range(10):
                con.new("V", id=i, data=[i])
        kept = [view for _ in range(1_000) for view in kept_views(con)]
        with con.startTransaction():
            for row in con.cursor("V"):
                row.data = [0, 0]
        assert len(kept) == 10_000
        assert [view.tolist() for view in kept] == [[i % 10] for i in range(10_000)]
        with con.startTransaction(isolation=exdb.MCO_READ_COMMITTED):
            assert con.count("V") == 10


def test_as_many_states_can_be_kept_as_are_promised() -> None:
    """4 a connection and 256 more, of which the open transaction takes one."""
    assert "4 a connection" in (exdb.__doc__ or "")
    with exdb.open("kept", VIEWED, db_max_connections=1) as db, db.connect() as con:
        kept: list[Any] = []

        def keep_a_state() -> None:
            with con.startTransaction():
                con.deleteAll("V")
                con.new("V", data=[len(kept)])
            kept.append(kept_views(con))

        with pytest.raises(exdb.ResourceError, match="db_max_connections"):
            for _ in range(300):
                keep_a_state()
        assert 255 <= len(kept) <= 260
        del kept[100:]
        assert [view[0][0] for view in kept] == list(range(100))
        keep_a_state()
