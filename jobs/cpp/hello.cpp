// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Every rank commits a greeting; every rank reads all of them from its own memory. mpiexec -n 3
// ./hello
#include <exdb/exdb.hpp>
#include <exdb/mpi.hpp>
#include <iostream>

int main() {
  exdb::mpi::Environment mpi;
  const auto schema = exdb::Dictionary::parse(R"(
    class Greeting {
      int4 rank;
      string text;
      unique tree<rank> by_rank;
    };
  )")
                          .value();
  const auto& greeting = *schema->find_class("Greeting");
  const auto& by_rank = *schema->find_index(greeting.id, "by_rank");
  const auto text = greeting.field<std::string_view>("text");

  exdb::ClusterParams cluster;
  cluster.transport = exdb::mpi::transport(MPI_COMM_WORLD).value();
  const auto db = exdb::Database::open("hello", schema, {}, std::move(cluster));
  const auto con = db->connect();

  con->start();
  auto mine = con->create(greeting);
  mine.set("rank", db->node_id());
  mine.set(text, "hello from rank " + std::to_string(db->node_id()));
  con->commit().or_throw();

  MPI_Barrier(MPI_COMM_WORLD);
  con->start({.type = exdb::TransactionType::read_only, .fresh = true});
  auto all = con->cursor(greeting, &by_rank);
  for (auto row = all.first(); row; row = all.next()) {
    const auto reader = "rank " + std::to_string(db->node_id()) + " reads: ";
    std::cout << reader + std::string(row->get(text)) + '\n';  // a line at a time
  }
  con->rollback();
  db->close();
}
