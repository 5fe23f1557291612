// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Random writes by path to a row and to a plain tree of Values; both must always read the same, and
// the bytes must be those of a new row with the same values, whatever the way that led there.
#include "support.hpp"

namespace exdb {
namespace {

/// Changes `model` (the value of `field`, or of one of its elements) somewhere and gives the path
/// of what was changed, as it goes on behind the field's own path, with the new value.
struct Change {
  std::string path;
  Value value;
};

Change change_one(const FieldDef& field, Value& model, bool element, test::Random& random);

Change change_field_within(const RecordDef& record, Value& model, test::Random& random) {
  auto fields = model.as_record();
  const auto pick = random() % fields.size();
  auto change = change_one(record.fields[pick], fields[pick].second, false, random);
  change.path = "." + record.fields[pick].name + change.path;
  model = fields;
  return change;
}

Change change_one(const FieldDef& field, Value& model, bool element, test::Random& random) {
  const bool list = !element && !field.is_single();
  if (list && !model.as_list().empty() && random() % 2 == 0) {
    auto items = model.as_list();
    const auto pick = random() % items.size();
    auto change = change_one(field, items[pick], true, random);
    change.path = "[" + std::to_string(pick) + "]" + change.path;
    model = items;
    return change;
  }
  if (!list && field.type == FieldType::structure && !model.is_null() && random() % 4 != 0)
    return change_field_within(*field.record, model, random);
  model = element ? test::random_one(field, random) : test::random_field_value(field, random);
  return {"", model};
}

TEST(RowModel, reads_like_a_tree_of_values_after_any_writes) {
  const auto d = test::parse(test::everything);
  const auto& all = *d->find_class("All");
  for (unsigned seed = 0; seed < 40; ++seed) {
    test::Random random(seed);
    RowBuilder row(all);
    Value model = row.view().values();
    for (int step = 0; step < 250; ++step) {
      const auto change = change_field_within(all.record, model, random);
      row.set(std::string_view(change.path).substr(1), change.value);
      if (random() % 10 == 0) (void)row.finish();
      if (random() % 20 == 0) row.reset(all, test::copy_of(row.finish()));
      ASSERT_EQ(Value(row.view().values()), model) << "seed " << seed << " after " << change.path;
    }
    RowBuilder fresh(all);
    auto fields = model.as_record();
    std::shuffle(fields.begin(), fields.end(), random);
    for (const auto& [name, value] : fields) fresh.set(name, value);
    ASSERT_EQ(test::copy_of(row.finish()), test::copy_of(fresh.finish())) << "seed " << seed;
    ASSERT_TRUE(validate_row(*d, all.id, row.finish()).ok());
  }
}

TEST(RowModel, keeps_the_row_when_writes_are_refused_in_between) {
  const auto d = test::parse(test::everything);
  const auto& all = *d->find_class("All");
  test::Random random(99);
  RowBuilder row(all);
  Value model = row.view().values();
  const Value poison(ValueList{ValueRecord{{"nothing of this name", 1}}});
  for (int step = 0; step < 3'000; ++step) {
    auto tried = model;
    const auto change = change_field_within(all.record, tried, random);
    const auto path = change.path.substr(1);
    if (random() % 2 == 0) {
      row.set(path, change.value);
      model = tried;
    } else {
      ASSERT_FALSE(test::error_of([&] { row.set(path, poison); }).ok()) << path;
    }
    ASSERT_EQ(Value(row.view().values()), model) << path;
  }
}

}  // namespace
}  // namespace exdb
