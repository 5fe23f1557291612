# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""mpiexec -n 4 python quickstart.py"""

from mpi4py import MPI

import exdb

SCHEMA = "class Result { unsigned<4> rank; double value; unique tree<rank> by_rank; };"

comm = MPI.COMM_WORLD
with exdb.open("grid", SCHEMA, comm=comm) as db, db.connect() as con:
    with con.startTransaction():
        con.new("Result", rank=comm.rank, value=comm.rank**0.5)
    comm.Barrier()  # everybody has committed
    with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
        values = [result.value for result in con.cursor("Result", "by_rank")]
    print(f"rank {comm.rank} sees {values}", flush=True)
