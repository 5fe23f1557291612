// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_names.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

namespace exdb::tcp {
namespace {

constexpr std::size_t text_bytes_max = 100;

struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
using Names = std::unique_ptr<GENERAL_NAMES, FreeNames>;

Names alternative_names(X509* certificate) {
  ERR_set_mark();  // a broken extension leaves errors that are nobody else's
  Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ERR_pop_to_mark();
  return names;
}

std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string address_text(const ASN1_STRING* string) {
  char text[INET6_ADDRSTRLEN] = "";
  const int length = ASN1_STRING_length(string);
  if (length != 4 && length != 16) return {};
  inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(string), text, sizeof text);
  return text;
}

std::string common_name(X509* certificate) {
  char text[256] = "";
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               text, sizeof text);
  return length < 0 ? std::string() : std::string(text, static_cast<std::size_t>(length));
}

std::vector<std::string> list_names(X509* certificate) {
  std::vector<std::string> found;
  if (const Names names = alternative_names(certificate)) {
    for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type == GEN_DNS) found.push_back(text_of(name->d.dNSName));
      if (name->type == GEN_IPADD) found.push_back(address_text(name->d.iPAddress));
    }
  }
  if (found.empty()) found.push_back(common_name(certificate));
  return found;
}

bool is_bound_to_addresses(X509* certificate) {
  const Names names = alternative_names(certificate);
  if (!names) return false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    if (sk_GENERAL_NAME_value(names.get(), i)->type == GEN_IPADD) return true;
  }
  return false;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string line(text.substr(0, text_bytes_max));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > text_bytes_max ? line + "..." : line;
}

bool certificate_fits(X509* certificate, const std::string& host) {
  const std::string address = host.substr(0, host.find('%'));
  unsigned char binary[16];
  const bool is_address = inet_pton(AF_INET, address.c_str(), binary) == 1 ||
                          inet_pton(AF_INET6, address.c_str(), binary) == 1;
  if (is_address) {
    return !is_bound_to_addresses(certificate) ||
           X509_check_ip_asc(certificate, address.c_str(), 0) == 1;
  }
  // A name may be written with the dot of the root; certificates have none.
  const std::size_t length = host.size() > 1 && host.back() == '.' ? host.size() - 1 : host.size();
  return length != 0 && X509_check_host(certificate, host.data(), length,
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1;
}

std::string name_in(X509* certificate) { return printable(list_names(certificate).front()); }

std::string names_in(X509* certificate) {
  std::string all;
  for (const auto& name : list_names(certificate)) all += (all.empty() ? "" : ", ") + name;
  return printable(all);
}

}  // namespace exdb::tcp
