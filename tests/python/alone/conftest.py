# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""An embedded database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import exdb

SCHEMA = """
declare database everything;
#define NAMES 3

enum Color { red, green = 5, blue };
struct Place { char<3> airport; signed<4> gate; nullable datetime since; double spots[2]; };
struct Leg { char<3> airport; unsigned<2> miles; enum Color color; };

class Row {
    unsigned<4>  id;
    signed<1>    s1;
    signed<2>    s2;
    signed<4>    s4;
    signed<8>    s8;
    unsigned<1>  u1;
    unsigned<2>  u2;
    unsigned<8>  u8;
    float        single;
    double       real;
    boolean      flag;
    char<8>      code;
    string       text;
    binary<4>    four;
    varbinary    blob;
    date         day;
    time         clock;
    datetime     stamp;
    Color        color;
    nullable signed<4> maybe;
    nullable date maybe_day;
    signed<4>    triple[NAMES];
    string       names[2];
    vector<double>      samples;
    vector<unsigned<1>> octets;
    vector<boolean>     flags;
    vector<date>        days;
    vector<datetime>    stamps;
    vector<string>      words;
    Place        origin;
    optional Place target;
    vector<Leg>  legs;

    unique hash<id> by_id;
    tree<s4, text>  by_s4_text;
    tree<color>     by_color;
    tree<origin.airport> by_airport;
};

class Item {
    unsigned<4> key;
    signed<8>   value;
    string      tag;
    unique tree<key> by_key;
    tree<value>      by_value;
    tree<tag>        by_tag;
    nonunique hash<tag> by_tag_hash;
};

class Auto { string text; autoid; };
"""


@pytest.fixture
def db() -> Iterator[exdb.Database]:
    with exdb.open("test", SCHEMA, db_segment_size=1 << 22) as database:
        yield database


@pytest.fixture
def con(db: exdb.Database) -> Iterator[exdb.Connection]:
    with db.connect() as connection:
        yield connection
