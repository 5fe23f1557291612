// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// What the schema tests share: a schema with everything in it, and random values for any field.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

#include "schema/key.hpp"

namespace exdb::test {

using Random = std::mt19937_64;

inline std::shared_ptr<const Dictionary> parse(std::string_view text) {
  auto result = Dictionary::parse(text);
  if (!result.ok()) ADD_FAILURE() << result.status().text();
  return std::move(result).value();
}

/// Every type, alone, nullable, as an array and as a vector, in structs two deep.
inline constexpr std::string_view everything = R"(
  declare database everything;
  enum Color { red, green = 5, blue = -3 };
  struct Point { double x; double y; nullable signed<2> label; };
  struct Leg { string name; Point at; optional Point via; vector<uint2> codes; char<3> tag; };
  struct Deep { vector<Leg> legs; optional Leg spare; Color color; string notes[2]; };
  class All {
    int1 i1; int2 i2; int4 i4; int8 i8; uint1 u1; uint2 u2; uint4 u4; uint8 u8;
    float f4; double f8; boolean b; date d; time t; datetime dt; Color color; autoid_t ref;
    char<5> c; binary<4> bin; string s; blob bl;
    nullable int4 ni; nullable double nf; nullable string ns; nullable char<4> nc; nullable blob nb;
    nullable Color ncolor; nullable boolean nbool; nullable time nt;
    int2 ai[3]; double af[2]; string as[2]; char<2> ac[3]; Point ap[2]; Color acolor[2];
    vector<double> vf; vector<int1> vi; vector<boolean> vb; vector<string> vs; vector<char<3>> vc;
    vector<Point> vp; vector<Leg> vl; vector<blob> vbl; vector<Color> vcolor; vector<time> vt;
    Leg leg; optional Leg oleg; Deep deep; optional Deep odeep;
  };)";

template <class T>
T random_integer(Random& random) {
  switch (random() % 4) {
    case 0:
      return T(random() % 5);
    case 1:
      return std::numeric_limits<T>::min();
    case 2:
      return std::numeric_limits<T>::max();
    default:
      return T(random());
  }
}

/// ASCII, two-byte and four-byte characters and zero bytes, at most `bytes_max`; no zero byte last.
inline std::string random_text(Random& random, std::size_t bytes_max) {
  std::string text;
  const std::string pieces[] = {"a", "b", "Z", " ", "ü", "𝄞", std::string(1, '\0')};
  for (auto left = random() % 8; left > 0; --left) {
    const auto& piece = pieces[random() % std::size(pieces)];
    if (text.size() + piece.size() <= bytes_max) text += piece;
  }
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

inline ByteString random_bytes(Random& random, std::size_t size) {
  ByteString bytes(size);
  for (auto& byte : bytes) byte = std::byte(random() % 3 == 0 ? 0 : random());
  return bytes;
}

inline Value random_field_value(const FieldDef& field, Random& random);

/// A single value or an element, as reading would give it back.
inline Value random_one(const FieldDef& field, Random& random) {
  switch (field.type) {
    case FieldType::int8:
      return random_integer<std::int8_t>(random);
    case FieldType::int16:
      return random_integer<std::int16_t>(random);
    case FieldType::int32:
    case FieldType::date:
      return random_integer<std::int32_t>(random);
    case FieldType::int64:
    case FieldType::datetime:
      return random_integer<std::int64_t>(random);
    case FieldType::uint8:
      return random_integer<std::uint8_t>(random);
    case FieldType::uint16:
      return random_integer<std::uint16_t>(random);
    case FieldType::uint32:
      return random_integer<std::uint32_t>(random);
    case FieldType::uint64:
    case FieldType::autoid:
      return random_integer<std::uint64_t>(random);
    case FieldType::time:
      return std::int64_t(random() % 86'400'000'000'000U);
    case FieldType::float32: {
      constexpr float some[] = {
          0.0F, -0.0F, 1.5F, -2.25F, 3.4e38F, -1e-40F, std::numeric_limits<float>::infinity()};
      return some[random() % std::size(some)];
    }
    case FieldType::float64: {
      constexpr double some[] = {0.0,    -0.0,   1e300,
                                 -1e300, 5e-324, -std::numeric_limits<double>::infinity()};
      const auto pick = random() % (2 * std::size(some));
      return pick < std::size(some) ? some[pick] : double(std::int64_t(random())) / 1024;
    }
    case FieldType::boolean:
      return random() % 2 == 0;
    case FieldType::enumeration:
      return field.enumeration->values[random() % field.enumeration->values.size()].first;
    case FieldType::chars:
      return random_text(random, field.length);
    case FieldType::string:
      return random_text(random, 100);
    case FieldType::binary:
      return random_bytes(random, field.length);
    case FieldType::blob:
      return random_bytes(random, random() % 20);
    case FieldType::structure: {
      ValueRecord record;
      for (const auto& inner : field.record->fields)
        record.emplace_back(inner.name, random_field_value(inner, random));
      return record;
    }
  }
  return {};
}

inline Value random_field_value(const FieldDef& field, Random& random) {
  if (field.presence_bit >= 0 && random() % 3 == 0) return {};
  if (field.is_single()) return random_one(field, random);
  ValueList list(field.is_vector ? random() % 4 : field.array_length);
  for (auto& item : list) item = random_one(field, random);
  return list;
}

inline ByteString copy_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

/// The code and text of the Error that `act` throws; ok when it throws none.
template <class Act>
Status error_of(Act act) {
  try {
    act();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

}  // namespace exdb::test
