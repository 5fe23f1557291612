// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
//
// Certificates made while a test runs: CAs, intermediate CAs and nodes, as PEM files in a folder.
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

namespace exdb::tcp {

struct CertificateWish {
  std::string common_name = "node";
  std::string alternative_names{};   ///< as OpenSSL writes them: "DNS:node1,IP:10.0.0.1"
  std::string key_usage_extended{};  ///< "serverAuth,clientAuth"; empty: no such extension
  long from_days = -1, to_days = 30;
  bool is_ca = false;
  std::size_t padding_bytes = 0;  ///< a comment that makes it longer
};

/// A certificate with its key and those that it was issued by.
class Certified {
 public:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  /// Signed by itself.
  explicit Certified(const CertificateWish& wish) : Certified(wish, nullptr) {}
  [[nodiscard]] Certified issue(const CertificateWish& wish) const { return {wish, this}; }

  [[nodiscard]] std::string certificate_pem() const;
  /// Its own certificate and the intermediate CAs above it, without the root.
  [[nodiscard]] std::string chain_pem() const;
  [[nodiscard]] std::string key_pem(const char* password = nullptr) const;
  /// The name under which ca_path is searched.
  [[nodiscard]] std::string hashed_name() const;

 private:
  Certified(const CertificateWish& wish, const Certified* issuer);

  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
  std::vector<std::string> above_;  ///< PEM of the intermediate CAs
  bool is_root_ = false;
};

}  // namespace exdb::tcp
