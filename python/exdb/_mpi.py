# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The MPI side: is everything of one MPI, before a handle is touched?

A module compiled with one MPI in a process that has loaded another gives worlds of size 1 without
an error, or a crash. So :func:`communicator` asks both sides first (size of a handle, version text,
initialised or not) and passes a handle only when they agree. ``python -m exdb.doctor`` prints the
same. mpi4py is imported here and nowhere else, and before our library, which then binds to the MPI
that mpi4py has chosen.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _core
from .errors import ClusterParameterError, LauncherError

REMEDY = (
    "Make both use one MPI: pip install --no-cache-dir --no-binary=mpi4py,exdb mpi4py exdb with "
    "MPICC set to its compiler, or load the module of the MPI exdb was built with, or point "
    "MPI4PY_LIBMPI at its library. python -m exdb.doctor shows both."
)

log = logging.getLogger("exdb")


@dataclass(frozen=True)
class Check:
    """One line of the doctor."""

    name: str
    ok: bool
    detail: str
    fatal: bool = True


@dataclass(frozen=True)
class Communicator:
    """A communicator that passed the checks. Keeps the mpi4py object alive."""

    comm: Any
    handle: int
    rank: int
    size: int
    serialized: bool  # any thread may call MPI, one at a time


def library_path() -> Path:
    return Path(__file__).with_name("libexdb_mpi.so")


def mpi4py() -> Any:
    try:
        return importlib.import_module("mpi4py.MPI")
    except ImportError as error:
        raise LauncherError(
            f"a cluster over MPI needs mpi4py (pip install mpi4py), which is not there: {error}"
        ) from error


def describe() -> dict[str, Any]:
    """What libexdb_mpi.so sees. Precondition: mpi4py.MPI was imported."""
    path = library_path()
    if not path.exists():
        raise LauncherError(
            f"exdb was installed without its MPI transport ({path.name} is not in {path.parent}): "
            "install it where MPI is found: MPICC=mpicc pip install --no-binary=exdb exdb"
        )
    _core.load_mpi_library(str(path))
    return _core.describe_mpi()


def _clean(version: str) -> str:
    return version.rstrip("\0 \n")


def _first_line(version: str) -> str:
    lines = _clean(version).splitlines()
    return lines[0] if lines else "unknown"


def _vendor_fits(compiled_for: str, version: str) -> bool:
    if compiled_for == "Open MPI":
        return "Open MPI" in version
    return compiled_for != "MPICH" or "Open MPI" not in version


def checks(mpi: Any, ours: dict[str, Any]) -> list[Check]:
    """Do mpi4py and libexdb_mpi.so see the same MPI? Touches no communicator."""
    their_bytes = mpi._sizeof(mpi.Comm)
    theirs, version = _clean(mpi.Get_library_version()), _clean(ours["version"])
    libraries = ours["libraries"].splitlines()
    level = ours["thread_level"]
    wrong_launcher = ours["world_size"] == 1 and ours["launcher_size"] > 1
    return [
        Check(
            "size of a handle",
            their_bytes == ours["communicator_bytes"],
            f"mpi4py {their_bytes} bytes, exdb {ours['communicator_bytes']} bytes",
        ),
        Check(
            "MPI library",
            theirs == version,
            f"mpi4py: {_first_line(theirs)}; exdb: {_first_line(version)} ({ours['library_path']})",
        ),
        Check(
            "compiled for",
            _vendor_fits(ours["compiled_for"], version),
            f"exdb was compiled for {ours['compiled_for']} and runs with {_first_line(version)}",
        ),
        Check(
            "initialised",
            mpi.Is_initialized() == ours["initialized"] and not mpi.Is_finalized(),
            f"mpi4py says {mpi.Is_initialized()}, exdb says {ours['initialized']}"
            + (", and MPI is finalized" if mpi.Is_finalized() else ""),
        ),
        Check(
            "one MPI library in the process",
            len(libraries) <= 1,
            ", ".join(libraries) or "none",
            fatal=False,
        ),
        Check(
            "thread level",
            level >= ours["thread_level_needed"],
            f"{level}, needed {ours['thread_level_needed']} (MPI_THREAD_MULTIPLE)"
            + (
                ""
                if level >= ours["thread_level_needed"]
                else ": let mpi4py initialise MPI, or use nwparams={'progress': 'cooperative'}"
            ),
            fatal=False,
        ),
        Check(
            "launcher",
            not wrong_launcher,
            f"{ours['launcher_variable']}={ours['launcher_size']}, but this world has one rank: "
            "the launcher is of another MPI than this program. Use the mpiexec that belongs to "
            f"{_first_line(version)}, or srun with the --mpi= that it was built for"
            if wrong_launcher
            else f"{ours['world_size']} rank(s)",
        ),
    ]


def _require_one_mpi(mpi: Any, ours: dict[str, Any]) -> None:
    failed = [check for check in checks(mpi, ours) if check.fatal and not check.ok]
    if not failed:
        return
    text = "; ".join(f"{check.name}: {check.detail}" for check in failed)
    if [check.name for check in failed] != ["launcher"]:
        text += f"\nMPI libraries in this process: {ours['libraries'].splitlines()}\n{REMEDY}"
    raise LauncherError(f"wrong MPI: {text}")


def communicator(comm: Any | None) -> Communicator:
    """``comm`` (None: COMM_WORLD) after all checks. Local: no rank waits for another here."""
    mpi = mpi4py()
    ours = describe()
    if not mpi.Is_initialized():
        raise LauncherError("MPI is not initialised: call mpi4py.MPI.Init_thread() first")
    if mpi.Is_finalized():
        raise LauncherError(
            "MPI is finalized: MPI.Finalize() was called, and nothing can be opened after it; open "
            "first, and let mpi4py finalize MPI when the program ends"
        )
    _require_one_mpi(mpi, ours)
    world = comm is None
    comm = mpi.COMM_WORLD if comm is None else comm
    if not isinstance(comm, mpi.Comm):
        raise ClusterParameterError(
            f"comm must be an mpi4py communicator (as MPI.COMM_WORLD), not {type(comm).__name__}"
        )
    if comm == mpi.COMM_NULL:
        raise ClusterParameterError("comm is COMM_NULL: this rank is not in the communicator")
    if comm.Is_inter():
        raise ClusterParameterError("comm is an intercommunicator: exdb needs an intracommunicator")
    if (world or comm == mpi.COMM_WORLD) and comm.size == 1 and ours["launcher_size"] == 0:
        log.warning("exdb: started without mpiexec: a cluster of one (mpiexec -n 4 python ...)")
    return Communicator(
        comm, comm.py2f(), comm.rank, comm.size, ours["thread_level"] >= mpi.THREAD_SERIALIZED
    )
