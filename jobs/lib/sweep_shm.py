# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Removes what aborted MPICH jobs of this user have left in /dev/shm.

MPICH 5 leaves a /dev/shm/mpich_shm_* behind whenever a job is aborted (measured with 5.0.2:
MPI_Abort in a bare mpi4py script), and it stays until somebody removes it. A file goes when it is
this user's, no living process maps it or has it open, and it is older than AGE_SECONDS, so that a
job that is just starting keeps its own.
"""

import os
import time
from pathlib import Path

SHM = Path("/dev/shm")
AGE_SECONDS = 10


def in_use() -> set[str]:
    """Files in /dev/shm that a living process maps or has open."""
    found: set[str] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            for line in (entry / "maps").read_text().splitlines():
                if (at := line.find(f"{SHM}/")) >= 0:
                    found.add(line[at:].strip())
            found.update(str(fd.readlink()) for fd in (entry / "fd").iterdir())
        except OSError:
            continue  # it has ended meanwhile, or is another user's
    return found


def main() -> None:
    now = time.time()
    stale = []
    for path in SHM.glob("mpich_shm_*"):
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_uid == os.getuid() and now - status.st_mtime > AGE_SECONDS:
            stale.append(path)
    used = in_use() if stale else set()
    for path in stale:
        if str(path) not in used:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
