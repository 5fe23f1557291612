# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Connection, Transaction and Cursor: work with a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Union, overload

from . import _core, _lifetime
from ._check import milliseconds, shown
from ._core import Class, Index, Object
from .errors import CursorClosedError, DataError, InvalidHandleError
from .types import MCO_DEFAULT_ISOLATION_LEVEL, MCO_READ_WRITE

if TYPE_CHECKING:
    from .database import Database

ClassRef = Union[str, Class]
IndexRef = Union[str, Index]


class Transaction:
    """What ``startTransaction`` gives: a context manager that commits at its end, and rolls back
    when an exception leaves it (the exception goes on). What a ``with`` of it raises at its end is
    what :meth:`Connection.commit` raises."""

    __slots__ = ("_connection", "_csn")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._csn: int | None = None

    @property
    def csn(self) -> int | None:
        """After the commit its token, for ``at_least``; None before, and after a rollback."""
        return self._csn

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        connection = self._connection
        if kind is None:
            if connection.in_transaction:  # the body may have ended it
                self._csn = connection.commit()
        elif connection.is_open and connection.in_transaction:
            connection.rollback()


class Cursor:
    """A position among the rows of a class.

    ``con.cursor(cls, index)`` goes in the order of the index, ``con.cursor(cls)`` in storage order,
    and ``con.cursor()`` takes class and index from the first ``find`` or ``search``. Ends with its
    transaction. As a context manager it closes at the end of the block.

    It gives the rows that the transaction saw when it was opened, or at its latest ``first``,
    ``last``, ``find`` or ``search``, each once and where it was then: so that
    ``for row in con.cursor(cls, by_value): row.value += 1`` ends. Of these, a row that is changed
    meanwhile comes as it is now, and one that is removed does not come; a row that is made
    meanwhile is for a new cursor, or a ``find``. A step costs O(1), own writes or not.

    No method blocks, is collective or sends anything. All raise CursorClosedError after ``close()``
    and after the end of the transaction.
    """

    __slots__ = ("_connection", "_core", "_where")

    def __init__(self, connection: Connection, cls: ClassRef | None, index: IndexRef | None):
        self._connection = connection
        self._where: tuple[ClassRef, IndexRef | None] | None = None
        self._core: _core.Cursor | None = None
        if cls is not None:
            self._bind(cls, index)

    def _bind(self, cls: ClassRef, index: IndexRef | None) -> _core.Cursor:
        if self._core is None or not self._core.is_open or self._where != (cls, index):
            self._core = self._connection._core.cursor(cls, index)
            self._where = (cls, index)
        return self._core

    def _bound(self) -> _core.Cursor:
        if self._core is None:
            raise CursorClosedError(
                "this cursor has no class yet: search(cls, index, op, key) first, or open it with "
                "con.cursor(cls, index)"
            )
        return self._core

    @overload
    def find(self, key: Any, /) -> Object | None: ...
    @overload
    def find(self, cls: ClassRef, index: IndexRef, key: Any) -> Object | None: ...
    def find(self, *args: Any, **kwargs: Any) -> Object | None:
        """``find(cls, index, key)``: the row with this key (the first of several), or None.

        A key of several parts is a tuple; a tree takes its leading parts, too. ``find(key)`` on a
        cursor that was opened over an index. Costs one look-up; does not block. Raises DataError
        for a key that does not fit, NotFoundError for a class or an index that does not exist.
        """
        values = _arguments("find", ("cls", "index", "key"), 1, args, kwargs)
        core = self._bound() if len(values) == 1 else self._bind(values[0], values[1])
        return core.find(values[-1])

    @overload
    def search(self, op: int, key: Any, /) -> bool: ...
    @overload
    def search(self, cls: ClassRef, index: IndexRef, op: int, key: Any) -> bool: ...
    def search(self, *args: Any, **kwargs: Any) -> bool:
        """``search(cls, index, op, key)``: positions before the first match; False when there is
        none.

        ``next()`` then gives the match itself first and goes on through all that match: upward for
        Equals, GreaterThan, GreaterOrEquals and PrefixMatch, downward from the largest for LessThan
        and LessOrEquals. A tree takes the leading parts of its key; a hash Equals and a whole key.

        Compares by the order of the index: over a part that is ``desc``, GreaterThan gives what
        comes later in the index, which are the smaller values, and LessThan the larger ones.

        op: an :class:`Operation`. Costs one look-up; does not block. Raises DataError for an op
        or a key that does not fit, NotSupportedError for what the kind of index cannot do.
        """
        values = _arguments("search", ("cls", "index", "op", "key"), 2, args, kwargs)
        core = self._bound() if len(values) == 2 else self._bind(values[0], values[1])
        return core.search(values[-2], values[-1])

    def first(self) -> Object | None:
        """Goes to the first row, whatever was searched before; None when there is none. Does not
        block."""
        return self._bound().first()

    def last(self) -> Object | None:
        """Goes to the last row, whatever was searched before; None when there is none. Does not
        block."""
        return self._bound().last()

    def next(self) -> Object | None:
        """The next row, or None at the end. Does not block."""
        return self._bound().next()

    def prev(self) -> Object | None:
        """The row before, or None at the beginning. Does not block."""
        return self._bound().prev()

    def current(self) -> Object | None:
        """The row that the last move gave, or None. Does not block."""
        return self._bound().current()

    def close(self) -> None:
        """Ends the use of this cursor. Does not block; closing twice is fine."""
        if self._core is not None:
            self._core.close()

    def __iter__(self) -> Iterator[Object]:
        """The rows from here on: all of them, or those of the search."""
        return iter(self._bound())

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _arguments(
    name: str, names: tuple[str, ...], short: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any]:
    """Positional and keyword arguments of ``find`` and ``search`` in order; the last ``short`` of
    ``names`` alone are the form of a cursor that has its class."""
    if not kwargs and len(args) in (short, len(names)):
        return list(args)
    wanted = names if len(args) + len(kwargs) == len(names) else names[-short:]
    rest = wanted[len(args) :]
    if len(args) + len(kwargs) != len(wanted) or set(kwargs) != set(rest):
        raise TypeError(f"{name}() takes {', '.join(names)}, or {', '.join(names[-short:])}")
    return [*args, *(kwargs[key] for key in rest)]


class Connection:
    """One transaction at a time; used by one thread at a time. ``db.connect()`` makes it.

    Classes are given by name or as ``dictionary.classes[name]``, indexes by name or as
    ``dictionary.classes[cls].indexes[name]``. Other names, for those who write so:
    ``start_transaction`` and ``delete_all``.

    As a context manager it closes at the end of the block: a transaction that is open then is
    rolled back, whether an exception leaves the block or not. All methods raise InvalidHandleError
    after ``close()``; all that read or write raise TransactionNotActiveError without a transaction.
    """

    __slots__ = ("__weakref__", "_core", "_database")

    def __init__(self, database: Database, core: _core.Connection) -> None:
        self._database = database
        self._core = core

    @property
    def database(self) -> Database:
        """What it is connected to."""
        return self._database

    @property
    def is_open(self) -> bool:
        """Neither it nor its database was closed."""
        return self._core.is_open

    @property
    def in_transaction(self) -> bool:
        """A transaction was started and has not ended."""
        return self._core.in_transaction

    @property
    def snapshot(self) -> int:
        """csn of the state that the open transaction sees. Raises TransactionNotActiveError."""
        return self._core.snapshot

    def startTransaction(
        self,
        type: int = MCO_READ_WRITE,
        priority: int = 0,
        *,
        isolation: int = MCO_DEFAULT_ISOLATION_LEVEL,
        at_least: int | None = None,
        fresh: bool = False,
    ) -> Transaction:
        """Begins a transaction; ``with con.startTransaction(): ...`` also ends it.

        type: MCO_READ_ONLY; MCO_UPDATE (reads until its first write); MCO_READ_WRITE;
            MCO_EXCLUSIVE (commits only if nothing was committed since it began).
        priority: of this node's transactions that leave together, higher ones come first.
        isolation: MCO_READ_COMMITTED, MCO_REPEATABLE_READ (default) or MCO_SERIALIZABLE.
        at_least: a token that ``commit()`` gave on any node: waits until this node has it.
        fresh: waits until this node has every commit that returned anywhere before the call. Over
            MPI it sends no message; where nodes come and go (TCP, resilient) it is a round.

        Not collective. Blocks, without the GIL, for at_least, fresh and MCO_EXCLUSIVE only; Ctrl-C
        ends that. Raises TransactionActiveError when one is open on this connection (and for a
        second MCO_EXCLUSIVE of one thread, which would wait for itself), ClusterTimeoutError when
        what is waited for does not come, DataError for arguments of a wrong kind.
        """
        self._core.start(type, priority, isolation, at_least, fresh)
        return Transaction(self)

    def commit(self) -> int:
        """Ends the transaction; the csn, a token for ``at_least``.

        Blocks for about one exchange, without the GIL; not collective. Raises ConflictError (run
        the transaction again), DuplicateKeyError, NoQuorumError and others when it is certain that
        nothing of it was or will be committed, and OutcomeUnknownError (with ``txid``) when the
        node lost the cluster while it waited.

        Ctrl-C raises CommitInterrupted, a KeyboardInterrupt with ``txid`` and ``outcome``. A commit
        that is about to end by itself ends so first; one that hangs makes this node leave the
        cluster, and may be committed or not (``outcome`` UNKNOWN).
        """
        return self._core.commit()

    def commit_later(self) -> None:
        """Sends the transaction and returns; :meth:`wait` gives its result. At most one a
        connection is on its way. The next transaction may begin at once and may not see it yet.
        Blocks, without the GIL, only when ``conn_pool_factor`` holds it back. Raises
        TransactionActiveError when one is on its way already."""
        self._core.commit_later()

    def wait(self) -> int:
        """The result of :meth:`commit_later`, as :meth:`commit` gives and raises it. Blocks,
        without the GIL. Raises TransactionNotActiveError when nothing is on its way."""
        return self._core.wait()

    def rollback(self) -> None:
        """Ends the transaction and forgets what it wrote. Does not block. Raises
        TransactionNotActiveError."""
        self._core.rollback()

    def new(self, cls: ClassRef, /, **fields: Any) -> Object:
        """A new row with the given fields; the others have their defaults (0, '', None, …).

        When a value is refused there is no new row. Does not block. Raises DataError,
        UnknownFieldError, NotFoundError (no such class), TooLargeError, ReadOnlyError, and
        DuplicateKeyError for a unique key that the snapshot, or another row that this transaction
        made, has already; so does an assignment to a row made here. A key of several parts is
        looked at when all of them have been assigned; remove the row that has it first, to take its
        place. Rows that were there before may swap their keys: those are looked at by the commit,
        which looks at all keys again.
        """
        return self._core.new(cls, fields)

    def insert_many(self, cls: ClassRef, columns: Any) -> int:
        """Makes rows of columns, without a Python object for each; how many.

        columns: a mapping of field names to columns of one length: a dict, a pandas.DataFrame, a
            structured NumPy array. Fields that are not named have their defaults. Of a field of

            - numbers, booleans, dates, times, enumerations (as their numbers): an array of one
              dimension, or what NumPy makes one of; no None or NaT;
            - an array of scalars: an array of two dimensions, a row each; of a vector such a one,
              or a sequence of arrays;
            - text: an array of dtype 'U', or 'S' (UTF-8, without zeros at the end), or a sequence
              of str; bytes: an array of dtype 'S', or a sequence of bytes.

        All rows or none. The transaction sees them at once. Much faster than ``new`` for each: load
        some ten thousand rows a transaction. Cost: the bytes, and a look-up a row and unique key.
        Does not block; without the GIL, so no other thread may write to the arrays meanwhile.

        Raises DataError for a column or a value that does not fit, UnknownFieldError,
        ReadOnlyError, KeyTooLongError and TooLargeError; DuplicateKeyError for a unique key that
        the snapshot shows to be taken, or that two rows of the transaction carry;
        NotSupportedError for a struct, and for an array or a vector of anything but scalars: make
        such rows by ``new``.
        """
        names = getattr(getattr(columns, "dtype", None), "names", None)
        if names:
            return self._core.insert_many(cls, {name: columns[name] for name in names})
        items = getattr(columns, "items", None)
        if items is None:
            raise DataError(f"columns must map names of fields to columns, not {shown(columns)}")
        return self._core.insert_many(cls, dict(items()))

    def remove(self, obj: Object) -> None:
        """Removes the row. Does not block. Raises ReadOnlyError, and InvalidHandleError for a row
        of another connection or one that was removed."""
        self._core.remove(obj)

    def deleteAll(self, cls: ClassRef) -> int:
        """Removes all rows of the class that the transaction sees; how many. Cost: a scan. Does not
        block; without the GIL. Raises ReadOnlyError."""
        return self._core.delete_all(cls)

    def count(
        self, cls: ClassRef, index: IndexRef | None = None, low: Any = None, high: Any = None
    ) -> int:
        """Rows of the class that the transaction sees; with an index, those that :meth:`range`
        would give.

        index, low, high: as for :meth:`range`; without an index all rows are counted.

        Cost: a scan; with an index O(log n + the count), and no row is read. Does not block;
        without the GIL. Raises as :meth:`range`.
        """
        return self._core.count(cls, index, low, high)

    def range(
        self,
        cls: ClassRef,
        index: IndexRef,
        low: Any = None,
        high: Any = None,
        limit: int | None = None,
    ) -> Iterator[Object]:
        """The rows from one key to another, both included, in the order of a tree index: an
        iterator, which gives what a :class:`Cursor` opened now would.

        low, high: keys; a key of several parts is a tuple, and its leading parts stand for all
            keys that begin so: ``range("Flight", "by_day", (2013, 1), (2013, 3))`` are three months
            when the index is on year, month and day. None: no bound on this side. low is the
            smaller one also where the index is ``desc``; the rows come as the index runs.
        limit: at most so many rows; None: all.

        Costs one look-up, and O(1) a row; reads nothing before the first. Does not block. Raises
        NotSupportedError for an index that is no tree, DataError for keys that do not fit,
        NotFoundError for a class or an index that does not exist.
        """
        return self._core.range(cls, index, low, high, limit)

    def find(self, cls: ClassRef, index: IndexRef, key: Any) -> Object | None:
        """The row with this key (the first of several), or None. A key of several parts is a tuple;
        a tree takes its leading parts, too. Costs one look-up; does not block. Raises DataError for
        a key that does not fit, NotFoundError for a class or an index that does not exist."""
        return self._core.find(cls, index, key)

    def find_many(self, cls: ClassRef, index: IndexRef, keys: Iterable[Any]) -> list[Object | None]:
        """:meth:`find` for many keys at once, in their order; faster on large data. Does not block;
        without the GIL. Raises as find."""
        return self._core.find_many(cls, index, keys)

    def cursor(self, cls: ClassRef | None = None, index: IndexRef | None = None) -> Cursor:
        """A :class:`Cursor` of the open transaction, over ``index``, or over all rows of ``cls`` in
        storage order. Does not block. Raises NotFoundError."""
        if cls is None and not self._core.in_transaction:
            self._core.snapshot  # noqa: B018 - raises, as for a cursor with a class
        return Cursor(self, cls, index)

    def listen(self) -> None:
        """Drives this node until the cluster stops, then returns. Blocks, without the GIL, so it
        may have a thread of its own. ``exdb.open`` has such a thread inside. Raises
        NotClusteredError, and what ends a node before its time."""
        with _lifetime.listening():
            self._core.listen()

    def stop(self, timeout: float | None = None) -> None:
        """Says that this node is done, and returns when ALL nodes have said so or are gone.

        Nothing can be committed at this node from then on; reads go on. Blocks, without the GIL.
        Nodes that live are waited for as long as it takes: one may have an hour's work more than
        the others. A warning on stderr names them after 10 s, 20 s, 40 s and so on.

        timeout: seconds after which this gives up and leaves the cluster: ClusterTimeoutError
            names the nodes that have not stopped. (A node that says nothing at all is given up
            after the ``timeout`` of open.)

        Ctrl-C ends it; this node has left the cluster then. Raises NotClusteredError,
        ClusterTimeoutError, ClusterError when nodes end databases in opposite order (or in a
        circle), and TransactionActiveError when a transaction is open on this connection.
        """
        self._core.stop(milliseconds(timeout))

    def close(self) -> None:
        """Rolls back what is open, and gives its place to another connection. Does not block;
        closing twice is fine."""
        self._core.close()

    def statistics(self) -> dict[str, int]:
        """Transactions of this connection: committed, aborted, conflicts, rolled_back, read_only;
        and entries_walked, the rows and index entries that its finds, counts and cursors have
        looked at (a find_many that reads the snapshot alone is not counted). Many more than the
        rows they gave: an index is missing, or the transaction's own writes make its reads dear.
        Does not block."""
        return self._core.statistics()

    start_transaction = startTransaction
    delete_all = deleteAll

    def __enter__(self) -> Connection:
        if not self._core.is_open:
            raise InvalidHandleError("this connection is closed")
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "open" if self._core.is_open else "closed"
        return f"<exdb.Connection to {self._database.name!r}, {state}>"
