// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "secret_file.hpp"
#include "tls_errors.hpp"

namespace exdb::tcp {
namespace {

constexpr std::size_t key_file_bytes_max = 1 << 20;
// AES-128 first: as safe here, and a third faster.
constexpr const char* suites_default =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* ciphers_default = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

Status refusal(const std::string& key, const std::string& why) {
  return {ErrorCode::cluster_invalid_parameter, "ssl_params: " + key + " " + why};
}

/// Says what the system says of a file that cannot be opened, else nothing.
Status check_readable(const std::string& key, const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return refusal(key, path + " is a folder");
  errno = 0;
  if (std::ifstream(path)) return {};
  return refusal(
      key, path + " cannot be read: " + std::system_category().message(errno != 0 ? errno : EIO));
}

int no_password(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Status use_certificate(SSL_CTX* context, const TlsParams& params) {
  const auto& path = params.cert_file_pem;
  if (path.empty())
    return refusal("cert_file_pem",
                   "is missing: TLS needs a certificate of this node and its key (pkey_file_pem)");
  if (const Status status = check_readable("cert_file_pem", path); !status.ok()) return status;
  if (SSL_CTX_use_certificate_chain_file(context, path.c_str()) != 1)
    return refusal("cert_file_pem",
                   path + " holds no certificate in PEM that can be used: " + openssl_reason());
  return {};
}

Status use_key(SSL_CTX* context, const TlsParams& params) {
  const bool own_file = !params.pkey_file_pem.empty();
  const auto& path = own_file ? params.pkey_file_pem : params.cert_file_pem;
  const std::string name = own_file ? "pkey_file_pem" : "cert_file_pem";
  const std::string hint = own_file ? "" : " (without pkey_file_pem the key is looked for there)";
  auto content = read_secret_file("ssl_params: " + name, path, key_file_bytes_max);
  if (!content.ok()) {
    const Status why = content.status();
    return {why.code(), why.text() + hint};
  }
  const std::unique_ptr<BIO, FreeBio> memory(
      BIO_new_mem_buf(content->data(), static_cast<int>(content->size())));
  bool locked = false;
  const std::unique_ptr<EVP_PKEY, FreeKey> key(
      memory ? PEM_read_bio_PrivateKey(memory.get(), nullptr, no_password, &locked) : nullptr);
  wipe(*content);
  if (locked)
    return refusal(name, path +
                             " has a password, which nobody is here to give: write the key "
                             "without one (openssl pkey -in " +
                             path + " -out FILE), mode 0600");
  if (!key) return refusal(name, path + " holds no private key in PEM: " + openssl_reason() + hint);
  // Compares with the certificate, which is there already.
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return refusal(
        name, path + " is not the key of the certificate in cert_file_pem " + params.cert_file_pem);
  }
  return {};
}

/// Whether a file of this name is one that OpenSSL looks for: "0a1b2c3d.0".
bool is_hashed_name(const std::string& name) {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return name.size() >= 10 && name[8] == '.' &&
         std::all_of(name.begin(), name.begin() + 8, is_hex) &&
         name.find_first_not_of("0123456789", 9) == std::string::npos;
}

Status use_authorities(SSL_CTX* context, const TlsParams& params) {
  if (!params.verifies()) return {};
  if (params.ca_file.empty() && params.ca_path.empty())
    return refusal("ca_file",
                   "is missing, and ca_path too: with which CA are peers to be verified? "
                   "(verify_mode 0 verifies nobody)");
  if (!params.ca_file.empty()) {
    if (const Status status = check_readable("ca_file", params.ca_file); !status.ok())
      return status;
    if (SSL_CTX_load_verify_file(context, params.ca_file.c_str()) != 1)
      return refusal("ca_file",
                     params.ca_file + " holds no certificate in PEM: " + openssl_reason());
  }
  if (params.ca_path.empty()) return {};
  std::error_code error;
  std::filesystem::directory_iterator entry(params.ca_path, error);
  if (error) return refusal("ca_path", params.ca_path + " cannot be read: " + error.message());
  const bool any = std::any_of(
      entry, {}, [](const auto& file) { return is_hashed_name(file.path().filename().string()); });
  if (!any)
    return refusal("ca_path", params.ca_path +
                                  " holds no CA under the name that OpenSSL looks for: "
                                  "openssl rehash " +
                                  params.ca_path);
  if (SSL_CTX_load_verify_dir(context, params.ca_path.c_str()) != 1)
    return refusal("ca_path", params.ca_path + " cannot be used: " + openssl_reason());
  return {};
}

/// What cipher_list names, by version of TLS.
struct Ciphers {
  std::string suites, older;
};

Ciphers split(const std::string& list) {
  Ciphers ciphers;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find_first_of(":, ", at), list.size());
    const std::string name = list.substr(at, end - at);
    std::string& part = name.rfind("TLS_", 0) == 0 ? ciphers.suites : ciphers.older;
    if (!name.empty()) part += (part.empty() ? "" : ":") + name;
    at = end + 1;
  }
  return ciphers;
}

Status use_ciphers(SSL_CTX* context, const std::string& list) {
  auto ciphers = split(list);
  if (ciphers.suites.empty() && ciphers.older.empty()) ciphers = {suites_default, ciphers_default};
  const int least = ciphers.older.empty() ? TLS1_3_VERSION : TLS1_2_VERSION;
  const int most = ciphers.suites.empty() ? TLS1_2_VERSION : TLS1_3_VERSION;
  if (SSL_CTX_set_min_proto_version(context, least) != 1 ||
      SSL_CTX_set_max_proto_version(context, most) != 1)
    return {ErrorCode::core, "OpenSSL has no TLS 1.2 or 1.3: " + openssl_reason()};
  if (!ciphers.suites.empty() && SSL_CTX_set_ciphersuites(context, ciphers.suites.c_str()) != 1) {
    ERR_clear_error();
    return refusal("cipher_list", "names a suite of TLS 1.3 that this OpenSSL does not have, in " +
                                      ciphers.suites);
  }
  if (!ciphers.older.empty() &&
      SSL_CTX_set_cipher_list(context, (ciphers.older + ":!ADH:!AECDH:!NULL").c_str()) != 1) {
    ERR_clear_error();
    return refusal("cipher_list",
                   "names no cipher of TLS 1.2 that this OpenSSL has and that "
                   "authenticates and encrypts: " +
                       ciphers.older);
  }
  return {};
}

void switch_off_and_limit(SSL_CTX* context, const TlsParams& params) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_SINGLE_ECDH_USE);
  if (params.max_cert_list > 0) SSL_CTX_set_max_cert_list(context, params.max_cert_list);
  SSL_CTX_set_verify(context, params.verify_mode, nullptr);
  SSL_CTX_set_verify_depth(context, params.verify_depth);
}

}  // namespace

Result<TlsContext> make_tls_context(const TlsParams& params) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_method()));
  if (!context) return Status(ErrorCode::core, "OpenSSL cannot start TLS: " + openssl_reason());
  switch_off_and_limit(context.get(), params);
  for (const Status& status :
       {use_ciphers(context.get(), params.cipher_list), use_certificate(context.get(), params)}) {
    if (!status.ok()) return status;
  }
  if (const Status status = use_key(context.get(), params); !status.ok()) return status;
  if (const Status status = use_authorities(context.get(), params); !status.ok()) return status;
  return context;
}

}  // namespace exdb::tcp
