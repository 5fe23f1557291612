# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Wrong MPIs and launchers, programs without mpiexec, the doctor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
from mpi4py import MPI

import exdb
from exdb import _mpi

Good = Callable[..., list[Any]]
LAUNCHER = ("PMI_", "PMIX_", "OMPI_", "SLURM_", "HYDI_", "MPI_LOCAL", "EXDB_TEST")


def alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(LAUNCHER)}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


PROGRAM = """
from mpi4py import MPI
import exdb
try:
    with exdb.open("one", "class T { int4 a; };", comm=MPI.COMM_WORLD) as db, db.connect() as con:
        with con.startTransaction():
            con.new("T", a=1)
        print(db.nodes, db.published)
except exdb.LauncherError as error:
    print(error)
"""


def test_without_mpiexec_it_is_a_cluster_of_one_with_a_note() -> None:
    done = alone("-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 1\n"
    assert len(done.stderr.splitlines()) == 1
    assert "without mpiexec: a cluster of one" in done.stderr


@pytest.mark.parametrize("variable", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_the_launcher_of_another_mpi_is_found_out(variable: str) -> None:
    done = alone("-c", PROGRAM, **{variable: "4"})
    assert f"{variable}=4" in done.stdout, done.stderr
    assert "this world has one rank" in done.stdout


def described(**changes: Any) -> dict[str, Any]:
    same = {
        "communicator_bytes": MPI._sizeof(MPI.Comm),
        "initialized": True,
        "finalized": False,
        "thread_level": 3,
        "thread_level_needed": 3,
        "libraries_loaded": 1,
        "world_size": 1,
        "launcher_size": 0,
        "launcher_variable": "",
        "compiled_for": "MPICH",
        "version": MPI.Get_library_version(),
        "library_path": "/opt/libmpi.so.12",
        "libraries": "/opt/my mpi/libmpi.so.12\n",
    }
    return {**same, **changes}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"communicator_bytes": 2}, "size of a handle"),
        ({"version": "Open MPI v4.1.4, package: Debian"}, "MPI library"),
        ({"version": "Open MPI v4.1.4"}, "compiled for"),
        ({"initialized": False}, "initialised"),
        ({"launcher_size": 4, "launcher_variable": "PMI_SIZE"}, "launcher"),
    ],
)
def test_a_mixture_of_mpis_is_refused_before_a_handle_is_touched(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], name: str
) -> None:
    monkeypatch.setattr(_mpi, "describe", lambda: described(**changes))

    class Untouched(MPI.Comm):
        def py2f(self) -> int:
            raise AssertionError("the handle was touched")

    with pytest.raises(exdb.LauncherError, match=name) as caught:
        _mpi.communicator(Untouched(MPI.COMM_SELF))
    assert caught.value.code == 2004
    if name != "launcher":
        text = str(caught.value)
        assert "/opt/my mpi/libmpi.so.12" in text
        assert "MPI4PY_LIBMPI" in text
        assert "exdb.doctor" in text


def test_all_checks_pass_here() -> None:
    ours = _mpi.describe()
    assert [check.name for check in _mpi.checks(MPI, ours) if not check.ok] == []


def test_a_package_without_the_transport_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_mpi, "library_path", lambda: tmp_path / "libexdb_mpi.so")
    with pytest.raises(exdb.LauncherError, match="without its MPI transport"):
        exdb.open("x", "class T { int4 a; };", comm=MPI.COMM_SELF)


def test_a_thread_level_that_is_too_low(good: Good) -> None:
    told = good(
        2,
        """
        told = [MPI.Query_thread(), failure(lambda: exdb.open("grid", SCHEMA, comm=comm))]
        cluster = params(nwparams={"progress": "cooperative"})
        with exdb.open("grid", SCHEMA, clusterParams=cluster) as db, db.connect() as con:
            put(con, rank) if rank == 0 else None
            request = comm.Ibarrier()
            while not request.Test():
                db.progress()
            told.append(db.published)
        tell(told=told)
        """,
        environment={"MPI4PY_RC_THREAD_LEVEL": "funneled"},
    )
    for one in told:
        level, refused, published = one["told"]
        if level >= MPI.THREAD_MULTIPLE:
            pytest.skip("this MPI gives MPI_THREAD_MULTIPLE always")
        assert refused[:2] == ["LauncherError", 2004]
        assert "cooperative" in refused[2]
        assert "mpi4py.rc.thread_level" in refused[2]
        assert published == 1


def test_an_open_after_mpi_was_finalized_says_so() -> None:
    program = PROGRAM.replace("try:", "MPI.Finalize()\ntry:", 1)
    done = alone("-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("MPI is finalized: MPI.Finalize() was called")


def test_the_doctor_is_content_here() -> None:
    done = alone("-m", "exdb.doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("exdb", "mpi4py", "MPI library", "thread level", "huge pages", "launcher"):
        assert word in done.stdout


def test_the_doctor_under_mpiexec_speaks_once(run: Callable[..., Any]) -> None:
    job = run(2, "from exdb import doctor\nsys.exit(doctor.main())\n")
    assert job.code == 0, job.out + job.err
    assert job.out.count("ok  MPI library") == 1
    assert "2 ranks" in job.out
    assert "ranks 0, 1; rank 0 leads" in job.out
    assert job.out.count("ok  cluster, is_shm=True") == 1


def test_topology_knows_the_hosts_of_all_ranks(good: Good) -> None:
    told = good(
        4,
        """
        seen = exdb.topology(comm)
        tell(hosts=[[host.number, host.nodes, host.leader, host.ranks_on_machine, host.units,
                     host.oversubscribed] for host in seen.hosts], text=str(seen),
             wrong=failure(lambda: exdb.topology(comm, timeout=-1 if rank == 2 else 5)))
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"},
    )
    units = exdb.topology().units
    for one in told:
        assert one["hosts"] == [
            [0, [0, 1], 0, 4, units, units < 4],
            [1, [2, 3], 2, 4, units, units < 4],
        ]
        assert "ranks 2, 3; rank 2 leads" in one["text"]
        assert one["wrong"][0] == "DataError"


def test_the_doctor_fails_where_a_cluster_cannot_be() -> None:
    done = alone("-m", "exdb.doctor", SLURM_STEP_NUM_TASKS="4")
    assert done.returncode == 1
    assert "NO" in done.stdout
    without = alone(
        "-c",
        "import sys; sys.modules['mpi4py'] = None\nfrom exdb import doctor\n"
        "sys.exit(doctor.main())",
    )
    assert without.returncode == 1
    assert "pip install mpi4py" in without.stdout
