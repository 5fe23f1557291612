# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The package itself: no MPI needed, typed, stubs that are right."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import exdb

PACKAGE = Path(exdb.__file__).parent


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_embedded_use_touches_neither_mpi_nor_openssl() -> None:
    done = python(
        "import sys; sys.modules['mpi4py'] = None\n"
        "import exdb\n"
        "with exdb.open('x', 'class T { int4 a; };') as db, db.connect() as con:\n"
        "    with con.startTransaction():\n"
        "        con.new('T', a=1)\n"
        "maps = open('/proc/self/maps').read()\n"
        "assert 'libmpi' not in maps and 'libexdb_mpi' not in maps\n"
        "assert 'libssl' not in maps and 'libexdb_tcp' not in maps\n"
    )
    assert done.returncode == 0, done.stderr


def test_a_cluster_without_mpi4py_is_refused_clearly() -> None:
    done = python(
        "import sys; sys.modules['mpi4py'] = None\n"
        "import exdb\n"
        "try:\n"
        "    exdb.open('x', 'class T { int4 a; };', clusterParams=exdb.ClusterParams(0, 'MPI'))\n"
        "except exdb.LauncherError as error:\n"
        "    print(error)\n"
    )
    assert "pip install mpi4py" in done.stdout, done.stderr


def test_every_public_name_is_there_and_documented() -> None:
    for name in exdb.__all__:
        thing = getattr(exdb, name)
        if (
            isinstance(thing, type)
            and thing.__module__.startswith("exdb.")
            and name
            not in (
                "Class",
                "Index",
                "Object",
                "Struct",
            )
        ):
            assert thing.__doc__, name
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
def test_the_stub_of_the_module_is_right() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy.stubtest",
            "exdb._core",
            "--ignore-missing-stub",
            "--allowlist",
            str(Path(__file__).with_name("stubtest_allowlist.txt")),
            "--ignore-unused-allowlist",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
def test_mypy_strict_is_content_with_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(PACKAGE)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
