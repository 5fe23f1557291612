// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Question: a subset of TPC-C, New-Order and Payment in turn: how many a second, and what part of the
// commits conflicts, by how many ranks share a warehouse.
// Goal: none. Non-goal: TPC-C's other three transactions, its think times, its figures (tpmC).
// As TPC-C says: 10 districts a warehouse, NURand for customers and items, 5 to 15 lines an order, 1 %
// of the lines from another warehouse, 15 % of the payments by a customer of another one, 1 % of the
// orders rolled back for an item that does not exist. Sizes are options.
// Check, on every rank, TPC-C's consistency conditions that these two can break: W_YTD = sum(D_YTD);
// D_NEXT_O_ID - 1 = max(O_ID) = number of orders; sum(O_OL_CNT) = number of lines; stock taken = sum
// of the lines' quantities; payments of customers = history = growth of W_YTD; and the orders are as
// many as commits succeeded.
// Use: mpiexec -n 2 tpcc_bench [--warehouses n] [--items n] [--customers n] [--transactions n]
//        [--json file]; --warehouses 0 (the default): one a rank; --transactions of each rank.
#include <map>
#include <random>

#include "common/ranks.hpp"
#include "common/report.hpp"

namespace exdb::bench {
namespace {

constexpr const char* schema_text = R"(
  class Warehouse { int8 w; int8 ytd; char<10> name; unique hash<w> key; };
  class District { int8 w; int8 d; int8 ytd; int8 next_o; unique hash<w, d> key; };
  class Customer { int8 w; int8 d; int8 c; int8 balance; int8 paid; int8 payments; char<200> data;
                   unique hash<w, d, c> key; };
  class Item { int8 i; int8 price; char<24> name; unique hash<i> key; };
  class Stock { int8 w; int8 i; int8 quantity; int8 taken; int8 orders; char<50> data;
                unique hash<w, i> key; };
  class Orders { int8 w; int8 d; int8 o; int8 c; int8 lines; unique tree<w, d, o> key; };
  class NewOrder { int8 w; int8 d; int8 o; unique tree<w, d, o> key; };
  class OrderLine { int8 w; int8 d; int8 o; int8 number; int8 i; int8 supply_w; int8 quantity;
                    int8 amount; char<24> info; unique tree<w, d, o, number> key; };
  class History { int8 w; int8 d; int8 c; int8 amount; list; };
)";
constexpr int districts = 10;
constexpr std::int64_t first_ytd = 3'000'000;  // of a district, in cents

struct Options {
  int warehouses = 0, items = 10'000, customers = 300, transactions = 5'000;
  std::string json;
};

/// Every class by its name, its only index, and its fields by name: all are int8 that matter.
class Tables {
 public:
  explicit Tables(std::shared_ptr<const Dictionary> schema) : schema_(std::move(schema)) {}
  [[nodiscard]] const ClassDef& type(const char* name) const { return *schema_->find_class(name); }
  Object at(Connection& con, const char* name, std::initializer_list<std::int64_t> key) const {
    const std::vector<Value> wanted(key.begin(), key.end());
    return con.find(schema_->index_of(type(name).indexes.front()), wanted).value();
  }
  static std::int64_t get(const Object& row, const char* field) { return row.get(field).as_int(); }
  static void add(Object& row, const char* field, std::int64_t what) {
    row.set(field, get(row, field) + what);
  }
  Object create(Connection& con, const char* name,
                std::initializer_list<std::pair<const char*, std::int64_t>> fields) const {
    auto made = con.create(type(name));
    for (const auto& [field, value] : fields) made.set(field, value);
    return made;
  }
  template <class Each>
  void each(Connection& con, const char* name, Each&& visit) const {
    auto cursor = con.cursor(type(name));
    while (const auto row = cursor.next()) visit(*row);
  }

 private:
  std::shared_ptr<const Dictionary> schema_;
};

struct Line {
  std::int64_t item, supply_w, quantity;
};

class Tpcc {
 public:
  Tpcc(const Options& options, const Ranks& ranks)
      : options_(options),
        ranks_(ranks),
        schema_(Dictionary::parse(schema_text).value()),
        tables_(schema_),
        db_(open(schema_)),
        con_(db_->connect()),
        warehouses_(options.warehouses > 0 ? options.warehouses : ranks.count),
        home_(ranks.rank % warehouses_),
        random_(7 + static_cast<std::uint64_t>(ranks.rank)) {}

  void run() {
    for (int w = ranks_.rank; w < warehouses_; w += ranks_.count) fill(w);
    if (ranks_.first()) fill_items();
    settle(*db_);
    const auto start = Clock::now();
    for (int i = 0; i < options_.transactions; ++i) i % 2 == 0 ? order() : pay();
    const double seconds = microseconds_since(start) / 1e6;
    settle(*db_);
    tell(seconds);
    con_->close();
    db_->close();
  }

 private:
  std::int64_t uniform(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random_);
  }
  /// TPC-C's NURand over 0 … count - 1.
  std::int64_t uneven(std::int64_t a, std::int64_t count) {
    return ((uniform(0, a) | uniform(0, count - 1)) + 42) % count;
  }
  std::int64_t another_warehouse() {
    if (warehouses_ == 1) return home_;
    return (home_ + uniform(1, warehouses_ - 1)) % warehouses_;
  }

  void fill(std::int64_t w) {
    con_->start();
    tables_.create(*con_, "Warehouse", {{"w", w}, {"ytd", first_ytd * districts}});
    for (int d = 0; d < districts; ++d) {
      tables_.create(*con_, "District", {{"w", w}, {"d", d}, {"ytd", first_ytd}, {"next_o", 1}});
      for (int c = 0; c < options_.customers; ++c)
        tables_.create(*con_, "Customer", {{"w", w}, {"d", d}, {"c", c}});
    }
    con_->commit().or_throw();
    in_thousands([&](int i) {
      tables_.create(*con_, "Stock", {{"w", w}, {"i", i}, {"quantity", 50}});
    });
  }
  void fill_items() {
    in_thousands([&](int i) {
      tables_.create(*con_, "Item", {{"i", i}, {"price", 100 + i % 9900}});
    });
  }
  template <class Make>
  void in_thousands(Make make) {
    for (int i = 0; i < options_.items;) {
      con_->start();
      for (int most = std::min(options_.items, i + 1000); i < most; ++i) make(i);
      con_->commit().or_throw();
    }
  }

  /// Until it succeeds. `work()`: false = roll back.
  template <class Work>
  bool transaction(std::vector<double>& times, Work work) {
    const auto start = Clock::now();
    for (;;) {
      con_->start();
      if (!work()) {
        con_->rollback();
        return false;
      }
      const auto result = con_->commit();
      if (result.committed()) break;
      if (result.code != ErrorCode::conflict && result.code != ErrorCode::duplicate)
        result.or_throw();
      ++conflicts_;
    }
    times.push_back(microseconds_since(start));
    return true;
  }

  void order() {
    const auto d = uniform(0, districts - 1), c = uneven(1023, options_.customers);
    std::vector<Line> lines(static_cast<std::size_t>(uniform(5, 15)));
    for (auto& line : lines) {
      line.item = uneven(8191, options_.items);
      line.supply_w = uniform(1, 100) == 1 ? another_warehouse() : home_;
      line.quantity = uniform(1, 10);
    }
    const bool unknown_item = uniform(1, 100) == 1;
    orders_ += transaction(order_us_, [&] { return place(d, c, lines, unknown_item); }) ? 1 : 0;
  }
  bool place(std::int64_t d, std::int64_t c, const std::vector<Line>& lines, bool unknown_item) {
    auto district = tables_.at(*con_, "District", {home_, d});
    const auto o = Tables::get(district, "next_o");
    Tables::add(district, "next_o", 1);
    (void)tables_.at(*con_, "Customer", {home_, d, c});
    tables_.create(
        *con_, "Orders",
        {{"w", home_}, {"d", d}, {"o", o}, {"c", c}, {"lines", std::int64_t(lines.size())}});
    tables_.create(*con_, "NewOrder", {{"w", home_}, {"d", d}, {"o", o}});
    std::int64_t number = 0;
    for (const auto& line : lines) {
      const auto price = Tables::get(tables_.at(*con_, "Item", {line.item}), "price");
      auto stock = tables_.at(*con_, "Stock", {line.supply_w, line.item});
      const auto there = Tables::get(stock, "quantity");
      Tables::add(stock, "quantity",
                  there >= line.quantity + 10 ? -line.quantity : 91 - line.quantity);
      Tables::add(stock, "taken", line.quantity);
      Tables::add(stock, "orders", 1);
      tables_.create(*con_, "OrderLine",
                     {{"w", home_},
                      {"d", d},
                      {"o", o},
                      {"number", number++},
                      {"i", line.item},
                      {"supply_w", line.supply_w},
                      {"quantity", line.quantity},
                      {"amount", price * line.quantity}});
    }
    return !unknown_item;
  }
  void pay() {
    const auto d = uniform(0, districts - 1), c = uneven(1023, options_.customers);
    const auto customer_w = uniform(1, 100) <= 15 ? another_warehouse() : home_;
    const auto amount = uniform(100, 500'000);
    transaction(pay_us_, [&] {
      for (auto row :
           {tables_.at(*con_, "Warehouse", {home_}), tables_.at(*con_, "District", {home_, d})})
        Tables::add(row, "ytd", amount);
      auto customer = tables_.at(*con_, "Customer", {customer_w, d, c});
      Tables::add(customer, "balance", -amount);
      Tables::add(customer, "paid", amount);
      Tables::add(customer, "payments", 1);
      tables_.create(*con_, "History", {{"w", customer_w}, {"d", d}, {"c", c}, {"amount", amount}});
      return true;
    });
    ++payments_;
  }

  void check() {
    using Place = std::pair<std::int64_t, std::int64_t>;
    std::map<std::int64_t, std::int64_t> warehouse_ytd, district_ytd;
    std::map<Place, std::int64_t> next, last, count, waiting;
    std::int64_t lines = 0, told_lines = 0, sold = 0, taken = 0, paid = 0, history = 0, growth = 0;
    std::uint64_t orders = 0, payments = 0;
    const auto get = Tables::get;
    const auto place = [&](const Object& row) { return Place(get(row, "w"), get(row, "d")); };
    con_->start();
    tables_.each(*con_, "Warehouse", [&](const Object& row) {
      warehouse_ytd[get(row, "w")] = get(row, "ytd");
      growth += get(row, "ytd") - first_ytd * districts;
    });
    tables_.each(*con_, "District", [&](const Object& row) {
      district_ytd[get(row, "w")] += get(row, "ytd");
      next[place(row)] = get(row, "next_o");
    });
    tables_.each(*con_, "Orders", [&](const Object& row) {
      ++orders;
      ++count[place(row)];
      last[place(row)] = std::max(last[place(row)], get(row, "o"));
      told_lines += get(row, "lines");
    });
    tables_.each(*con_, "NewOrder", [&](const Object& row) { ++waiting[place(row)]; });
    tables_.each(*con_, "OrderLine", [&](const Object& row) {
      ++lines;
      sold += get(row, "quantity");
    });
    tables_.each(*con_, "Stock", [&](const Object& row) { taken += get(row, "taken"); });
    tables_.each(*con_, "Customer", [&](const Object& row) { paid += get(row, "paid"); });
    tables_.each(*con_, "History", [&](const Object& row) {
      ++payments;
      history += get(row, "amount");
    });
    con_->rollback();
    require(warehouse_ytd.size() == static_cast<std::size_t>(warehouses_) &&
                warehouse_ytd == district_ytd,
            "W_YTD is not the sum of D_YTD");
    bool dense = true;
    for (const auto& [where, number] : next)
      dense &= number - 1 == last[where] && last[where] == count[where] &&
               count[where] == waiting[where];
    require(dense, "D_NEXT_O_ID - 1, max(O_ID) and the number of orders differ");
    require(lines == told_lines, "the sum of O_OL_CNT is not the number of lines");
    require(taken == sold, "stock that was taken and lines that were sold differ");
    require(paid == history && paid == growth, "payments, history and W_YTD differ");
    require(orders == sum(orders_) && payments == sum(payments_),
            "there are not as many orders or payments as were committed");
    require_equal_replicas(*db_);
  }
  void tell(double seconds) {
    check();
    const auto orders = sum(orders_), payments = sum(payments_), conflicts = sum(conflicts_);
    if (ranks_.first())
      std::printf("TPC-C New-Order and Payment, %d ranks, %d warehouses\n", ranks_.count,
                  static_cast<int>(warehouses_));
    Report("tpcc", ranks_.first())
        .number("ranks", ranks_.count)
        .number("processors", ranks_.processors)
        .number("warehouses", double(warehouses_))
        .number("transactions_per_s", double(orders + payments) / largest(seconds),
                "transactions/s of all ranks")
        .number("conflict_percent", 100 * double(conflicts) / double(conflicts + orders + payments),
                "percent of commits that conflicted")
        .summary("order_us", summary(order_us_), "New-Order until it is in, us")
        .summary("payment_us", summary(pay_us_), "Payment until it is in, us")
        .write(options_.json);
  }

  const Options& options_;
  const Ranks& ranks_;
  std::shared_ptr<const Dictionary> schema_;
  const Tables tables_;
  std::unique_ptr<Database> db_;
  std::unique_ptr<Connection> con_;
  const std::int64_t warehouses_, home_;
  std::mt19937_64 random_;
  std::uint64_t orders_ = 0, payments_ = 0, conflicts_ = 0;
  std::vector<double> order_us_, pay_us_;
};

}  // namespace
}  // namespace exdb::bench

int main(int argc, char** argv) {
  using namespace exdb::bench;
  Options options;
  CommandLine("tpcc_bench")
      .number("--warehouses", options.warehouses)
      .number("--items", options.items, 1)
      .number("--customers", options.customers, 1)
      .number("--transactions", options.transactions, 1)
      .text("--json", options.json)
      .read(argc, argv);
  return on_ranks("tpcc_bench", [&](const Ranks& ranks) { Tpcc(options, ranks).run(); });
}
