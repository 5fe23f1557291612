// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "test_ca.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>

namespace exdb::tcp {
namespace {

void check(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("test certificate: ") + what);
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  check(extension != nullptr, value.c_str());
  check(X509_add_ext(certificate, extension, -1) == 1, "extension");
  X509_EXTENSION_free(extension);
}

template <class Write>
std::string pem(Write write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_mem()), &BIO_free);
  check(write(out.get()) == 1, "PEM");
  char* text = nullptr;
  const long length = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace

Certified::Certified(const CertificateWish& wish, const Certified* issuer)
    : key_(EVP_EC_gen("P-256"), Free{}), certificate_(X509_new(), Free{}) {
  static long serial = 0;
  X509* const made = certificate_.get();
  X509* const from = issuer != nullptr ? issuer->certificate_.get() : made;
  is_root_ = issuer == nullptr;
  X509_set_version(made, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
  X509_time_adj_ex(X509_getm_notBefore(made), static_cast<int>(wish.from_days), 0, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(made), static_cast<int>(wish.to_days), 0, nullptr);
  X509_set_pubkey(made, key_.get());
  check(X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(wish.common_name.data()),
                                   static_cast<int>(wish.common_name.size()), -1, 0) == 1,
        "name");
  X509_set_issuer_name(made, X509_get_subject_name(from));
  extend(made, from, NID_basic_constraints, wish.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (wish.is_ca) extend(made, from, NID_key_usage, "critical,keyCertSign");
  if (!wish.alternative_names.empty())
    extend(made, from, NID_subject_alt_name, wish.alternative_names);
  if (!wish.key_usage_extended.empty())
    extend(made, from, NID_ext_key_usage, wish.key_usage_extended);
  if (wish.padding_bytes > 0)
    extend(made, from, NID_netscape_comment, std::string(wish.padding_bytes, 'x'));
  check(X509_sign(made, (issuer != nullptr ? issuer->key_ : key_).get(), EVP_sha256()) > 0, "sign");
  if (issuer != nullptr && !issuer->is_root_) {
    above_.push_back(issuer->certificate_pem());
    above_.insert(above_.end(), issuer->above_.begin(), issuer->above_.end());
  }
}

std::string Certified::certificate_pem() const {
  return pem([&](BIO* out) { return PEM_write_bio_X509(out, certificate_.get()); });
}

std::string Certified::chain_pem() const {
  std::string chain = certificate_pem();
  for (const auto& certificate : above_) chain += certificate;
  return chain;
}

std::string Certified::key_pem(const char* password) const {
  return pem([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key_.get(),
                                         password != nullptr ? EVP_aes_128_cbc() : nullptr, nullptr,
                                         0, nullptr, const_cast<char*>(password));
  });
}

std::string Certified::hashed_name() const {
  char name[16];
  std::snprintf(name, sizeof name, "%08lx.0", X509_subject_name_hash(certificate_.get()));
  return name;
}

}  // namespace exdb::tcp
