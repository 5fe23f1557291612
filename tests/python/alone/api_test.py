# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Every name of the API, on an embedded database."""

from __future__ import annotations

import inspect
import os

import pytest

import exdb


def test_constants_have_the_products_numbers() -> None:
    assert (exdb.MCO_READ_ONLY, exdb.MCO_UPDATE, exdb.MCO_READ_WRITE, exdb.MCO_EXCLUSIVE) == (
        0,
        1,
        2,
        3,
    )
    assert [int(op) for op in exdb.Operation] == [1, 2, 3, 4, 5, 10]
    assert exdb.Operation.PrefixMatch == 10
    assert (exdb.MCO_CLUSTER_MODE_DEBUG_OUTPUT, exdb.MCO_CLUSTER_MODE_EARLY_DATA_SEND) == (1, 2)


def test_arguments_have_the_documents_order() -> None:
    def names(function: object) -> list[str]:
        return list(inspect.signature(function).parameters)  # type: ignore[arg-type]

    assert names(exdb.init_runtime)[:5] == ["is_disk", "tmgr", "is_shm", "is_debug", "cluster"]
    assert names(exdb.load_dictionary) == ["schema", "persistent", "debug"]
    assert names(exdb.open_database)[:7] == [
        "dbname",
        "dictionary",
        "clusterParams",
        "is_disk",
        "db_segment_size",
        "db_max_connections",
        "path",
    ]
    assert names(exdb.ClusterParams) == [
        "nodeId",
        "nwtype",
        "nodes",
        "nwparams",
        "MPICluster",
        "window",
        "conn_pool_factor",
        "sync_msg_objects",
        "sync_msg_size",
        "notifyCallback",
        "quorumCallback",
        "clusterSendBuf",
        "clusterRecvBuf",
        "mode_mask",
    ]
    assert names(exdb.ClusterNodeParams) == ["addr", "qrank"]
    assert names(exdb.ClusterWindow) == ["bsize", "length", "timeout"]
    assert names(exdb.Connection.startTransaction)[1:] == [
        "type",
        "priority",
        "isolation",
        "at_least",
        "fresh",
    ]


def test_defaults_are_those_of_the_document() -> None:
    window = exdb.ClusterWindow()
    assert (window.bsize, window.length, window.timeout) == (0, 0, 1)
    params = exdb.ClusterParams(0, "MPI")
    assert (params.conn_pool_factor, params.sync_msg_objects, params.sync_msg_size) == (50, 100, 0)
    assert (params.clusterSendBuf, params.clusterRecvBuf, params.mode_mask) == (0, 0, 0)
    assert (params.MPICluster, params.window, params.nwparams) == (False, None, None)
    assert exdb.ClusterNodeParams("a:1").qrank == 1


def test_the_long_way_works() -> None:
    exdb.init_runtime(False, "MVCC", False, False, cluster=False)
    dictionary = exdb.load_dictionary("class T { int4 a; unique tree<a> i; };", persistent=False)
    db = exdb.open_database(
        dbname="long", dictionary=dictionary, is_disk=False, db_segment_size=1 << 20
    )
    con = db.connect()
    con.startTransaction(exdb.MCO_READ_WRITE, 0)
    made = con.new("T")
    made.a = 3
    token = con.commit()
    assert isinstance(token, int)
    assert token > 0
    assert db.published == token
    con.startTransaction(exdb.MCO_READ_ONLY, at_least=token, fresh=True)
    found = con.find(dictionary.classes["T"], dictionary.classes["T"].indexes["i"], 3)
    assert found is not None
    assert found.a == 3
    con.rollback()
    con.close()
    con.close()
    db.close()
    db.close()
    assert not db.is_open


def test_a_dictionary_shows_its_classes_and_indexes(db: exdb.Database) -> None:
    dictionary = db.dictionary
    assert dictionary.name == "everything"
    assert list(dictionary.classes) == ["Row", "Item", "Auto"]
    item = dictionary.classes["Item"]
    assert item.name == "Item"
    assert item.fields["tag"] == "string"
    assert item.indexes["by_key"].unique
    assert item.indexes["by_key"].kind == "tree"
    assert dictionary.indexes["by_value"].class_name == "Item"
    assert dictionary.indexes["Row.by_s4_text"].parts == ("s4", "text")
    assert dictionary.enums["Color"]["green"] == 5
    with pytest.raises(exdb.NotFoundError, match=r"no class 'Nope'.*Row, Item, Auto"):
        dictionary.classes["Nope"]
    with pytest.raises(KeyError):
        dictionary.indexes["nope"]
    same = exdb.load_dictionary(dictionary.text)
    assert same.hash == dictionary.hash


def test_definitions_outlive_their_dictionary() -> None:
    index = exdb.load_dictionary("class T { int4 a; tree<a> i; };").classes["T"].indexes["i"]
    assert index.name == "i"


def test_a_transaction_block_commits_or_rolls_back(con: exdb.Connection) -> None:
    with con.startTransaction() as transaction:
        con.new("Item", key=1)
    assert transaction.csn == con.database.published
    with pytest.raises(ZeroDivisionError), con.startTransaction():
        con.new("Item", key=2)
        _ = 1 // 0
    assert not con.in_transaction
    with con.startTransaction(exdb.MCO_READ_ONLY):
        assert con.count("Item") == 1
    with con.startTransaction():
        con.rollback()  # the body may end it itself


def test_new_find_remove_and_delete_all(con: exdb.Connection) -> None:
    item = con.database.dictionary.classes["Item"]
    with con.startTransaction():
        for key in range(5):
            con.new(item, key=key, value=10 * key, tag="t")
        found = con.find("Item", "by_key", 3)
        assert found is not None
        assert found.value == 30
        con.remove(found)
        assert con.find(item, item.indexes["by_key"], 3) is None
        assert not found.valid
        with pytest.raises(exdb.InvalidHandleError, match="removed"):
            _ = found.value
    with con.startTransaction():
        many = con.find_many("Item", "by_key", [4, 3, 0])
        assert [row and row.value for row in many] == [40, None, 0]
        assert con.deleteAll("Item") == 4
        assert con.count("Item") == 0
    with con.startTransaction(exdb.MCO_READ_ONLY):
        assert con.cursor("Item").first() is None


def test_own_writes_are_visible_at_once(con: exdb.Connection) -> None:
    with con.startTransaction():
        row = con.new("Item", key=1, value=5)
        assert con.find("Item", "by_value", 5) == row
        row.value = 6
        assert con.find("Item", "by_value", 5) is None
        again = con.find("Item", "by_value", 6)
        assert again is not None
        assert again.key == 1


def test_a_row_with_a_value_that_does_not_fit_is_not_made(con: exdb.Connection) -> None:
    with con.startTransaction():
        with pytest.raises(exdb.DataError):
            con.new("Item", key=1, value="many")
        with pytest.raises(exdb.UnknownFieldError, match="its fields are: key, value, tag"):
            con.new("Item", nope=1)
        assert con.count("Item") == 0


def test_statistics_count(db: exdb.Database) -> None:
    with db.connect() as con:
        with con.startTransaction():
            con.new("Item", key=1)
        con.startTransaction()
        con.rollback()
        with con.startTransaction(exdb.MCO_READ_ONLY):
            pass
        assert con.statistics() == {
            "committed": 1,
            "aborted": 0,
            "conflicts": 0,
            "rolled_back": 1,
            "read_only": 1,
            "entries_walked": 0,
        }
        all_of_it = db.statistics()
        assert (all_of_it["commits"], all_of_it["rows"], all_of_it["connections"]) == (1, 1, 1)


def test_statistics_count_what_searches_look_at(db: exdb.Database) -> None:
    with db.connect() as con:
        with con.startTransaction():
            for key in range(20):
                con.new("Item", key=key)
        before = con.statistics()["entries_walked"]
        with con.startTransaction(exdb.MCO_READ_ONLY):
            given = len(list(con.cursor("Item")))
        walked = con.statistics()["entries_walked"] - before
        assert given == 20
        assert 20 <= walked <= 22


def test_an_embedded_database_is_node_0_of_1(db: exdb.Database, con: exdb.Connection) -> None:
    assert (db.clustered, db.node_id, db.nodes, db.describe()) == (False, 0, 1, "embedded")
    for call in (con.listen, con.stop, lambda: db.window):
        with pytest.raises(exdb.NotClusteredError, match="without a cluster") as caught:
            call()
        assert caught.value.code == 901
    assert db.progress() is False
    assert db.outcome(exdb.TransactionId(0, 12345)) is exdb.Outcome.UNKNOWN


def test_equal_content_has_an_equal_digest() -> None:
    schema = "class T { int4 a; unique tree<a> i; };"
    digests = set()
    for name in ("one", "two"):
        with exdb.open(name, schema) as db, db.connect() as con:
            empty = db.digest()
            with con.startTransaction():
                con.new("T", a=1)
            assert db.digest() != empty
            digests.add(db.digest())
    assert len(digests) == 1


def test_misuse_is_said_clearly(db: exdb.Database, con: exdb.Connection) -> None:
    with pytest.raises(exdb.TransactionNotActiveError, match="startTransaction"):
        con.new("Item")
    for call in (con.commit, con.rollback, con.cursor, con.wait):
        with pytest.raises(exdb.TransactionNotActiveError):
            call()
    con.startTransaction(exdb.MCO_READ_ONLY)
    with pytest.raises(exdb.TransactionActiveError):
        con.startTransaction()
    with pytest.raises(exdb.ReadOnlyError):
        con.new("Item")
    with pytest.raises(exdb.NotFoundError, match="no class 'Nope'; the classes are: Row, Item"):
        con.new("Nope")
    with pytest.raises(exdb.NotFoundError, match="no index 'nope'; its indexes are: by_key"):
        con.find("Item", "nope", 1)
    with pytest.raises(exdb.DataError, match=r"cls must be the name of a class.*not 3 of type int"):
        con.new(3)  # type: ignore[arg-type]
    with pytest.raises(
        exdb.DataError, match=r"type must be one of MCO_READ_ONLY 0, .* not 7 of type int"
    ):
        con.startTransaction(7)
    other = exdb.load_dictionary("class Item { int4 key; };")
    with pytest.raises(exdb.InvalidHandleError, match="another dictionary"):
        con.count(other.classes["Item"])
    con.rollback()
    with pytest.raises(exdb.DataError, match="txid"):
        db.outcome(3)  # type: ignore[arg-type]


def test_unique_keys_are_kept(con: exdb.Connection) -> None:
    with con.startTransaction():
        con.new("Item", key=1)
        con.new("Item", key=2)
    con.startTransaction()
    con.find("Item", "by_key", 1).key = 2  # as though they were to swap
    with pytest.raises(exdb.DuplicateKeyError, match=r"Item, index by_key, key \(2\)") as caught:
        con.commit()
    assert caught.value.code == 13


def test_a_schema_error_names_line_and_column() -> None:
    with pytest.raises(exdb.SchemaError, match=r"line 2, column \d+: expected"):
        exdb.load_dictionary("class T {\n nonsense a; };")
    with pytest.raises(exdb.SchemaError):
        exdb.open("x", "class {")
    with pytest.raises(TypeError):
        exdb.load_dictionary(b"class T {};")  # type: ignore[arg-type]


def test_a_shared_replica_needs_a_cluster_over_mpi() -> None:
    dictionary = exdb.load_dictionary("class T { int4 a; };")
    for flag in ("is_shm", "shm"):
        with pytest.raises(exdb.NotSupportedError, match=r"comm=MPI\.COMM_WORLD"):
            exdb.open("x", dictionary, **{flag: True})  # type: ignore[arg-type]
    nodes = [exdb.ClusterNodeParams("127.0.0.1:1")]
    with pytest.raises(exdb.NotSupportedError, match="nwtype='MPI'"):
        exdb.open("x", dictionary, clusterParams=exdb.ClusterParams(0, "TCP", nodes), is_shm=True)
    exdb.init_runtime(shm=True)
    try:
        with pytest.raises(exdb.NotSupportedError, match="leave is_shm out"):
            exdb.open_database("x", dictionary)
    finally:
        exdb.init_runtime()


def test_topology_tells_of_this_process() -> None:
    found = exdb.topology()
    assert 1 <= found.units <= found.machine_units
    assert found.units <= len(os.sched_getaffinity(0))
    assert found.hosts == ()
    assert found == exdb.topology()
    for name in ("this process", "listener", "shared segment", "huge pages"):
        assert f"{name}: " in str(found)
    with pytest.raises(AttributeError):
        found.units = 1  # type: ignore[misc]


def test_init_runtime_is_checked(db: exdb.Database) -> None:
    with pytest.raises(exdb.ClusterParameterError, match="mvcc"):
        exdb.init_runtime(tmgr="mursiw", cluster=True)
    with pytest.raises(exdb.ProgrammingError, match="tmgr"):
        exdb.init_runtime(tmgr="none")
    with pytest.raises(exdb.ProgrammingError, match="a database is open"):
        exdb.init_runtime(debug=True, tmgr="exclusive")


@pytest.mark.parametrize(
    "arguments",
    [
        {"db_segment_size": 1},
        {"db_segment_size": "big"},
        {"db_max_connections": 0},
        {"path": 3},
        {"dbname": ""},
        {"dbname": None},
        {"dictionary": "class T { int4 a; };"},
        {"clusterParams": {"nodeId": 1}},
    ],
)
def test_wrong_arguments_of_open_are_named(arguments: dict[str, object]) -> None:
    dictionary = exdb.load_dictionary("class T { int4 a; };")
    with pytest.raises(exdb.Error, match=next(iter(arguments))):
        exdb.open_database(**{"dbname": "x", "dictionary": dictionary, **arguments})  # type: ignore[arg-type]


def test_as_many_connections_as_were_asked_for() -> None:
    with exdb.open("few", "class T { int4 a; };", db_max_connections=2) as db:
        first, _second = db.connect(), db.connect()
        with pytest.raises(exdb.ResourceError, match=r"db_max_connections \(2\)"):
            db.connect()
        first.close()
        db.connect().close()


def test_commit_later_gives_its_result_to_wait(con: exdb.Connection) -> None:
    con.startTransaction()
    con.new("Item", key=1)
    con.commit_later()
    con.startTransaction(exdb.MCO_READ_ONLY)
    con.rollback()
    assert con.wait() == con.database.published
    con.startTransaction()
    con.new("Item")
    con.new("Item")
    con.commit_later()
    with pytest.raises(exdb.DuplicateKeyError):
        con.wait()


def test_a_token_from_the_future_does_not_hang(con: exdb.Connection) -> None:
    with pytest.raises(exdb.ClusterTimeoutError, match="never come"):
        con.startTransaction(at_least=10**9)
