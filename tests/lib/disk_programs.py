# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Pieces of the programs that tests of databases on disk run on several ranks."""

# look(db): what all ranks have, after all have come. put_all(db, first): `count` rows from each.
LOOK = """
def look(db):
    comm.Barrier()
    with db.connect() as con, con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
        keys = sorted(row.key for row in con.cursor("Item"))
        digest = db.digest()
    comm.Barrier()
    return {"keys": keys, "digest": digest, "recovered": db.recovered}

def put_all(db, first, count=10):
    with db.connect() as con:
        for key in range(first + rank, first + count * size, size):
            put(con, key, value=key, text="t" * 200)
    comm.Barrier()
"""
