# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Finds what a run of the tests has left behind: processes, and files in /dev/shm.

`--before` prints what is there as JSON; `--after FILE` prints what is new, one thing a line, and
exits with 1 when there is something.

Processes are known by the variable EXDB_TESTS_RUN in their environment, never by a name: other
runs on the same machine are not ours to judge. For the same reason a file in /dev/shm counts only
when no living process has it open or mapped. MPICH's own mpich_shm_* do not count: MPICH 5 leaves
one behind whenever a job is aborted (measured with 5.0.2: MPI_Abort in a bare mpi4py script).
"""

import json
import os
import sys
import time
from pathlib import Path

SHM = Path("/dev/shm")
MPICH = "mpich_shm_"
# A launcher that has just returned may still be collecting its children.
GRACE_SECONDS = 10


def processes(mark: str) -> dict[int, str]:
    """Living processes with the mark in their environment, but for this one and its ancestors."""
    family = set()
    pid = os.getpid()
    while pid > 1:
        family.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    wanted = f"EXDB_TESTS_RUN={mark}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in family:
            continue
        try:
            # A zombie has an empty environment, and so does not count: it runs nothing.
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found[int(entry.name)] = command
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found


def segments() -> list[str]:
    try:
        return sorted(str(path) for path in SHM.iterdir() if not path.name.startswith(MPICH))
    except OSError:
        return []


def used(path: str) -> bool:
    """Whether a living process maps the file or has it open."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if path in (entry / "maps").read_text():
                return True
            if any(str(fd.readlink()) == path for fd in (entry / "fd").iterdir()):
                return True
        except OSError:
            continue
    return False


def left(before: list[str], mark: str) -> list[str]:
    new = [path for path in segments() if path not in before and not used(path)]
    lines = [f"still running: {pid} {command}" for pid, command in processes(mark).items()]
    # Between the listing and the search the owner may have removed the file.
    return lines + [f"left in {SHM}: {path}" for path in new if Path(path).exists()]


def main() -> int:
    if sys.argv[1] == "--before":
        print(json.dumps(segments()))
        return 0
    before = json.loads(Path(sys.argv[2]).read_text())
    mark = os.environ["EXDB_TESTS_RUN"]
    deadline = time.monotonic() + GRACE_SECONDS
    while (lines := left(before, mark)) and time.monotonic() < deadline:
        time.sleep(0.5)
    print("".join(line + "\n" for line in lines), end="")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
