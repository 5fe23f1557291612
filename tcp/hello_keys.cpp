// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "hello_keys.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <memory>
#include <string>

namespace exdb::tcp {
namespace {

template <auto release>
struct Free {
  template <class T>
  void operator()(T* held) const {
    release(held);
  }
};

Status cannot(const char* what) {
  return {ErrorCode::core, std::string("OpenSSL cannot compute ") + what};
}

unsigned char* bytes_of(Digest& digest) { return reinterpret_cast<unsigned char*>(digest.data()); }
const unsigned char* bytes_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

OSSL_PARAM octets(const char* name, std::span<const std::byte> bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()),
                                           bytes.size());
}

OSSL_PARAM digest_name() {
  static char name[] = "SHA256";
  return OSSL_PARAM_construct_utf8_string(OSSL_ALG_PARAM_DIGEST, name, 0);
}

}  // namespace

Result<Digest> hmac_sha256(std::span<const std::byte> key,
                           std::initializer_list<std::span<const std::byte>> parts) {
  const std::unique_ptr<EVP_MAC, Free<EVP_MAC_free>> algorithm(
      EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  const std::unique_ptr<EVP_MAC_CTX, Free<EVP_MAC_CTX_free>> context(
      algorithm ? EVP_MAC_CTX_new(algorithm.get()) : nullptr);
  const OSSL_PARAM params[] = {digest_name(), OSSL_PARAM_construct_end()};
  if (!context || EVP_MAC_init(context.get(), bytes_of(key), key.size(), params) != 1)
    return cannot("HMAC-SHA256");
  for (const auto part : parts) {
    if (EVP_MAC_update(context.get(), bytes_of(part), part.size()) != 1)
      return cannot("HMAC-SHA256");
  }
  Digest digest{};
  std::size_t length = 0;
  if (EVP_MAC_final(context.get(), bytes_of(digest), &length, digest.size()) != 1 ||
      length != digest.size())
    return cannot("HMAC-SHA256");
  return digest;
}

Result<Digest> hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt,
                           std::string_view info) {
  const std::unique_ptr<EVP_KDF, Free<EVP_KDF_free>> algorithm(
      EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, Free<EVP_KDF_CTX_free>> context(
      algorithm ? EVP_KDF_CTX_new(algorithm.get()) : nullptr);
  const OSSL_PARAM params[] = {
      digest_name(), octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, salt),
      octets(OSSL_KDF_PARAM_INFO, std::as_bytes(std::span(info))), OSSL_PARAM_construct_end()};
  Digest key{};
  if (!context || EVP_KDF_derive(context.get(), bytes_of(key), key.size(), params) != 1)
    return cannot("HKDF-SHA256");
  return key;
}

Result<Digest> sha256(std::span<const std::byte> bytes) {
  Digest digest{};
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), bytes_of(digest), &length, EVP_sha256(), nullptr) !=
          1 ||
      length != digest.size())
    return cannot("SHA-256");
  return digest;
}

bool same(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<Digest> secure_random() {
  Digest random{};
  if (RAND_priv_bytes(bytes_of(random), static_cast<int>(random.size())) != 1)
    return cannot("random bytes");
  return random;
}

}  // namespace exdb::tcp
