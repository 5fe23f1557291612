# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The work list: one item per month and origin, drained by all ranks through transactions.

A rank takes an item (OPEN to TAKEN), computes its statistics from the local replica, and writes the
results together with DONE. Two ranks that reach for one item conflict; the later one tries again
and finds the next.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import exdb

from .schema import LATE_MINUTES


@dataclass
class Drained:
    """What one rank did."""

    items: int = 0
    flights: int = 0
    conflicts: int = 0


def fill(con: exdb.Connection, months: list[int], origins: list[str]) -> int:
    """Puts the open items in; called by one rank. Returns how many."""
    con.startTransaction()
    for month in months:
        for origin in origins:
            con.new("WorkItem", month=month, origin=origin, state="OPEN", rank=-1)
    con.commit()
    return len(months) * len(origins)


def drain(con: exdb.Connection, rank: int, progress: Callable[[], None]) -> Drained:
    """Works until no item is open."""
    done = Drained()
    while (item := _take(con, rank, done)) is not None:
        month, origin = item
        _work(con, month, origin, done)
        progress()
    return done


def _take(con: exdb.Connection, rank: int, done: Drained) -> tuple[int, str] | None:
    while True:
        con.startTransaction()
        with con.cursor("WorkItem", "by_state") as cursor:
            item = (
                cursor.next()
                if cursor.search("WorkItem", "by_state", exdb.Operation.Equals, "OPEN")
                else None
            )
            if item is None:
                con.rollback()
                return None
            found = item.month, item.origin
            item.state = "TAKEN"
            item.rank = rank
        try:
            con.commit()
            return found
        except exdb.ConflictError:
            done.conflicts += 1


def _work(con: exdb.Connection, month: int, origin: str, done: Drained) -> None:
    con.startTransaction()
    groups: dict[str, list[tuple[int | None, int | None, int, str | None]]] = {}
    with con.cursor("Flight", "by_month") as cursor:
        cursor.search("Flight", "by_month", exdb.Operation.Equals, (month, origin))
        for flight in cursor:
            groups.setdefault(flight.carrier, []).append(
                (flight.dep_delay, flight.arr_delay, flight.distance, flight.tailnum)
            )
            done.flights += 1
    for carrier, flights in groups.items():
        _write(con, month, origin, carrier, flights)
    item = con.find("WorkItem", "by_item", (month, origin))
    assert item is not None, f"work item {month}/{origin} has vanished"
    item.state = "DONE"
    # Only the rank that took an item writes it and its results: this cannot conflict.
    con.commit()
    done.items += 1


def _write(
    con: exdb.Connection,
    month: int,
    origin: str,
    carrier: str,
    flights: list[tuple[int | None, int | None, int, str | None]],
) -> None:
    departures = [dep for dep, _, _, _ in flights if dep is not None]
    arrivals = np.array([arr for _, arr, _, _ in flights if arr is not None], dtype=np.int64)
    seats = {
        tail: _seats(con, tail) for tail in {tail for _, _, _, tail in flights if tail is not None}
    }
    con.new(
        "Statistic",
        month=month,
        origin=origin,
        carrier=carrier,
        flights=len(flights),
        cancelled=len(flights) - len(departures),
        arrived=len(arrivals),
        dep_delay_sum=sum(departures),
        arr_delay_sum=int(arrivals.sum()),
        arr_delay_squares=int((arrivals * arrivals).sum()),
        arr_delay_max=int(arrivals.max()) if len(arrivals) else 0,
        late=int((arrivals > LATE_MINUTES).sum()),
        # The same division and selection that pandas makes: equal to the last bit.
        arr_delay_mean=int(arrivals.sum()) / len(arrivals) if len(arrivals) else 0.0,
        arr_delay_median=float(np.median(arrivals)) if len(arrivals) else 0.0,
        distance_sum=sum(distance for _, _, distance, _ in flights),
        seats_sum=sum(seats[tail] for _, _, _, tail in flights if tail is not None),
    )


def _seats(con: exdb.Connection, tailnum: str) -> int:
    plane = con.find("Plane", "by_tailnum", tailnum)
    return 0 if plane is None else plane.seats
