// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_params.hpp"

#include <limits>

namespace exdb::tcp {
namespace {

Status refusal(const std::string& key, const std::string& why) {
  return {ErrorCode::cluster_invalid_parameter, "ssl_params: " + key + " " + why};
}

/// Where the value of a key goes: a text, or a number in a range.
struct Field {
  std::string TlsParams::*text = nullptr;
  std::int64_t TlsParams::*wide = nullptr;
  int TlsParams::*number = nullptr;
  std::int64_t least = 0, most = 0;
};

const std::map<std::string, Field>& fields() {
  static const std::map<std::string, Field> all{
      {"ca_file", {.text = &TlsParams::ca_file}},
      {"ca_path", {.text = &TlsParams::ca_path}},
      {"cert_file_pem", {.text = &TlsParams::cert_file_pem}},
      {"cipher_list", {.text = &TlsParams::cipher_list}},
      {"max_cert_list",
       {.wide = &TlsParams::max_cert_list, .least = 0, .most = std::int64_t{1} << 30}},
      {"pkey_file_pem", {.text = &TlsParams::pkey_file_pem}},
      {"verify_depth", {.number = &TlsParams::verify_depth, .least = 0, .most = 100}},
      {"verify_mode", {.number = &TlsParams::verify_mode, .least = 0, .most = 7}},
  };
  return all;
}

Status unknown(const std::string& key) {
  std::string names;
  for (const auto& [name, field] : fields()) names += (names.empty() ? "" : ", ") + name;
  return refusal(key, "is unknown; there are " + names);
}

Status put_text(TlsParams& params, const std::string& key, const Field& field,
                const std::string& text) {
  if (field.text == nullptr) return refusal(key, "must be a number");
  // OpenSSL would see another name than the user wrote.
  if (text.find('\0') != std::string::npos) return refusal(key, "holds a zero byte");
  params.*field.text = text;
  return {};
}

Status put_number(TlsParams& params, const std::string& key, const Field& field,
                  std::int64_t number) {
  if (field.text != nullptr) return refusal(key, "must be a string");
  if (number < field.least || number > field.most)
    return refusal(key, "is " + std::to_string(number) + ", and must be " +
                            std::to_string(field.least) + " to " + std::to_string(field.most));
  if (field.wide != nullptr) {
    params.*field.wide = number;
  } else {
    params.*field.number = static_cast<int>(number);
  }
  return {};
}

}  // namespace

Result<TlsParams> parse_tls_params(const std::map<std::string, TlsValue>& values) {
  TlsParams params;
  for (const auto& [key, value] : values) {
    const auto field = fields().find(key);
    if (field == fields().end()) return unknown(key);
    const auto* text = std::get_if<std::string>(&value);
    const Status status = text != nullptr
                              ? put_text(params, key, field->second, *text)
                              : put_number(params, key, field->second, std::get<0>(value));
    if (!status.ok()) return status;
  }
  // OpenSSL passes such a mode over, and the user would think that peers are verified.
  if (params.verify_mode != 0 && !params.verifies())
    return refusal("verify_mode", "is " + std::to_string(params.verify_mode) +
                                      ": 2 and 4 mean something only together with 1 (3 is usual)");
  return params;
}

}  // namespace exdb::tcp
