# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""``python -m exdb.doctor``: what exdb sees of this machine and its MPI. Exit code 0 when a cluster
over MPI can be opened here, 1 when not.

Run it as the job runs: under mpiexec it shows what rank 0 sees, and fails when any rank does.
"""

from __future__ import annotations

import os
import platform
import sys

import exdb

from . import _mpi
from .errors import Error

SCHEMA = "class T { unsigned<4> id; unique hash<id> by_id; };"


def _line(name: str, detail: str, ok: bool | None = None) -> None:
    mark = {None: "  ", True: "ok", False: "NO"}[ok]
    print(f"{mark}  {name:<32} {detail}", flush=True)


def _embedded() -> bool:
    try:
        with (
            exdb.open("doctor", SCHEMA) as db,
            db.connect() as con,
        ):
            with con.startTransaction():
                con.new("T", id=1)
            with con.startTransaction(exdb.MCO_READ_ONLY):
                found = con.find("T", "by_id", 1) is not None
    except Error as error:
        _line("embedded database", str(error), False)
        return False
    _line("embedded database", "works" if found else "lost a row", found)
    return found


def _versions() -> None:
    _line("exdb", f"{exdb.__version__}, in {_mpi.library_path().parent}")
    _line("Python", f"{platform.python_version()}, {sys.executable}")
    _line("host", f"{platform.node()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores")
    for module in ("numpy", "mpi4py"):
        try:
            _line(module, __import__(module).__version__)
        except ImportError:
            _line(module, "is not installed", False)


def _mpi_report() -> bool:
    try:
        mpi = _mpi.mpi4py()
        ours = _mpi.describe()
    except Error as error:
        _line("MPI", str(error), False)
        return False
    results = _mpi.checks(mpi, ours)
    good = all(check.ok or not check.fatal for check in results)
    world = mpi.COMM_WORLD
    if not all(world.allgather(good)):  # every rank's own view; no exdb handle is used yet
        good = False
    if world.rank == 0:
        for check in results:
            _line(check.name, check.detail, check.ok)
    return good


def _hosts() -> bool:
    """Where the ranks are: the first to use an exdb handle."""
    world = _mpi.mpi4py().COMM_WORLD
    try:
        lines, found = exdb.topology(world).lines(), True
    except Error as error:
        lines, found = [("topology", str(error))], False
    if world.rank == 0:
        for name, text in lines:
            _line(name, text, None if found else False)
    return found


def _cluster(name: str, is_shm: bool) -> bool:
    world = _mpi.mpi4py().COMM_WORLD
    try:
        with exdb.open("doctor", SCHEMA, comm=world, is_shm=is_shm) as db:
            text = db.describe()
    except Error as error:
        text, opened = str(error), False
    else:
        opened = True
    if world.rank == 0:
        _line(name, text, opened)
    return opened


def main() -> int:
    """Prints the report; the exit code."""
    first = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0")) == "0"
    good = True
    if first:
        _versions()
        good = _embedded()
    good = _mpi_report() and good
    if good:
        good = _hosts() and _cluster("cluster", False)
        _cluster("cluster, is_shm=True", True)
    elif first:
        for name, text in exdb.topology().lines():
            _line(name, text)
    if first and not good:
        print(f"\n{_mpi.REMEDY}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
