# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""./jobs/run as a user meets it: scripts and programs of his own, from a folder of his own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = str(ROOT / "jobs" / "run")
SECONDS = 60

HELLO = """
import sys
from mpi4py import MPI
world = MPI.COMM_WORLD
for line in world.gather(f"{world.rank} of {world.size} {sys.argv[1:]}") or ():
    print(line)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space in its name, as home directories have."""
    path = tmp_path / "my jobs"
    path.mkdir()
    return path


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUN, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def program(folder: Path, text: str, name: str = "program") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_script_runs_on_the_ranks_asked_for(folder: Path) -> None:
    (folder / "hello.py").write_text(HELLO)
    done = run("-n", "2", "hello.py", "a b", "-n", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0 of 2 ['a b', '-n']", "1 of 2 ['a b', '-n']"]


def test_messages_of_ours_are_not_in_the_output(folder: Path) -> None:
    (folder / "quiet.py").write_text("")
    done = run("-n", "1", "quiet.py", cwd=folder)
    assert done.stdout == ""
    assert "quiet.py on 1 ranks" in done.stderr


def test_a_script_names_its_own_number_of_ranks(folder: Path) -> None:
    (folder / "three.py").write_text("# exdb-ranks: 3\n" + HELLO)
    assert "2 of 3 []" in run("three.py", cwd=folder).stdout


def test_slurm_s_number_of_tasks_is_the_default(folder: Path) -> None:
    program(folder, "#!/bin/sh\necho $PMI_SIZE\n")
    done = run("./program", cwd=folder, SLURM_NTASKS="3")
    assert done.stdout.split() == ["3"] * 3


def test_a_folder_with_a_main_is_a_script(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__main__.py").write_text(HELLO)
    assert "0 of 1 []" in run("-n1", "package", cwd=folder).stdout


def test_a_program_runs_with_its_arguments(folder: Path) -> None:
    program(folder, '#!/bin/sh\necho "rank $PMI_RANK: $1"\n', "a program")
    done = run("-n", "2", "a program", "x y", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0: x y", "rank 1: x y"]


def test_python_in_the_first_line_makes_a_python_script(folder: Path) -> None:
    program(folder, "#!/usr/bin/env python3\n" + HELLO)
    assert "1 of 2 []" in run("-n", "2", "./program", cwd=folder).stdout


@pytest.mark.parametrize("code", [0, 1, 7])
def test_the_exit_code_is_the_job_s(folder: Path, code: int) -> None:
    program(folder, f"#!/bin/sh\nexit {code}\n")
    (folder / "script.py").write_text(f"import sys; sys.exit({code})\n")
    assert run("-n", "2", "./program", cwd=folder).returncode == code
    assert run("-n", "2", "script.py", cwd=folder).returncode == code


def test_an_exception_on_one_rank_ends_the_job(folder: Path) -> None:
    (folder / "raises.py").write_text(
        "from mpi4py import MPI\n"
        "if MPI.COMM_WORLD.rank == 1: raise RuntimeError('one rank only')\n"
        "MPI.COMM_WORLD.Barrier()\n"
    )
    done = run("-n", "2", "raises.py", cwd=folder)
    assert done.returncode != 0
    assert "one rank only" in done.stderr


def test_an_interrupt_ends_the_job_and_its_ranks(folder: Path) -> None:
    program(folder, "#!/bin/sh\necho $$ >> pids\nexec sleep 50\n")
    job = subprocess.Popen([RUN, "-n", "2", "./program"], cwd=folder, stderr=subprocess.DEVNULL)
    pids = folder / "pids"
    deadline = time.monotonic() + SECONDS
    while not pids.exists() or len(pids.read_text().split()) < 2:
        assert time.monotonic() < deadline, "the ranks did not start"
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(SECONDS) != 0
    while any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split()):
        assert time.monotonic() < deadline, "a rank is still there"
        time.sleep(0.05)


def test_an_unknown_name_lists_the_jobs(folder: Path) -> None:
    done = run("no_such_job", cwd=folder)
    assert done.returncode == 2
    assert "'no_such_job'" in done.stderr
    for name in run("--list", cwd=folder).stdout.split():
        assert name in done.stderr


def test_a_file_that_cannot_be_run_is_refused(folder: Path) -> None:
    (folder / "data.txt").write_text("numbers\n")
    done = run("data.txt", cwd=folder)
    assert done.returncode == 2
    assert "neither a Python script nor an executable" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ranks", "2"], "no option '--ranks'"),
        (["-n"], "needs a number"),
        (["-n", "0", "x"], "not a number of ranks"),
        (["-n", "two", "x"], "not a number of ranks"),
        (["-n", "-1", "x"], "not a number of ranks"),
        ([], "Usage:"),
    ],
)
def test_a_wrong_command_line_is_refused(folder: Path, arguments: list[str], words: str) -> None:
    done = run(*arguments, cwd=folder)
    assert done.returncode == 2
    assert words in done.stderr


def test_help_is_printed(folder: Path) -> None:
    done = run("--help", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage:")


def test_an_mpi_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "hello.py").write_text(HELLO)
    done = run("hello.py", cwd=folder, MPICC="/no/such/mpicc")
    assert done.returncode == 1
    assert "/no/such/mpicc" in done.stderr


def test_a_link_to_the_script_works(folder: Path) -> None:
    (folder / "run").symlink_to(RUN)
    (folder / "hello.py").write_text(HELLO)
    done = subprocess.run(
        ["./run", "-n", "1", "hello.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "0 of 1 []" in done.stdout, done.stderr


def test_a_folder_of_somebody_else_is_not_cleared(folder: Path) -> None:
    """EXDB_VENV at a folder that is no environment of ours must be refused, its files kept."""
    precious = folder / "data"
    precious.mkdir()
    (precious / "results.csv").write_text("1,2,3\n")
    (folder / "hello.py").write_text(HELLO)
    done = run("hello.py", cwd=folder, EXDB_VENV=str(precious), EXDB_BUILD=str(folder / "build"))
    assert done.returncode == 1
    assert "EXDB_VENV" in done.stderr
    assert (precious / "results.csv").read_text() == "1,2,3\n"


def as_nobody(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        **options,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nothing_is_written_when_nothing_is_missing(folder: Path) -> None:
    """Another user, who may write nowhere in the repository, can run a job once it is set up."""
    try:
        allowed = as_nobody([sys.executable, "-c", "import sys; open(sys.argv[1])", RUN])
    except PermissionError:
        pytest.skip("other users may not run this Python")
    if allowed.returncode != 0:
        pytest.skip("other users may not read the repository")
    script = Path(tempfile.mkdtemp()) / "hello.py"
    script.parent.chmod(0o755)
    script.write_text(HELLO)
    try:
        done = as_nobody(
            [RUN, "-n", "2", str(script)], cwd="/", env={**os.environ, "HOME": "/nonexistent"}
        )
    finally:
        shutil.rmtree(script.parent)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 []" in done.stdout


def test_who_may_not_write_is_told_what_to_set(folder: Path) -> None:
    (folder / "hello.py").write_text(HELLO)
    done = run("hello.py", cwd=folder, EXDB_VENV=str(folder / "venv"), EXDB_BUILD="/proc/build")
    assert done.returncode == 1
    assert "EXDB_BUILD" in done.stderr
