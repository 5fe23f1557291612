// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "frame_mac.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace exdb::tcp {
namespace {

const unsigned char* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

struct FrameMac::Context {
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  ~Context() { EVP_CIPHER_CTX_free(cipher); }
};

FrameMac::FrameMac(const std::array<std::byte, 32>& key) : context_(std::make_unique<Context>()) {
  if (context_->cipher != nullptr &&
      EVP_EncryptInit_ex(context_->cipher, EVP_aes_256_gcm(), nullptr, raw(key), nullptr) != 1) {
    EVP_CIPHER_CTX_free(context_->cipher);
    context_->cipher = nullptr;
  }
}

FrameMac::~FrameMac() = default;

bool FrameMac::compute(std::span<const std::byte> header, std::span<const std::byte> payload,
                       Mac& mac) {
  EVP_CIPHER_CTX* const cipher = context_->cipher;
  if (cipher == nullptr) return false;
  std::array<std::byte, 12> nonce{};
  ++count_;
  std::memcpy(nonce.data(), &count_, sizeof(count_));
  int length = 0;
  unsigned char none[16];
  // A length is an int here; frame_bytes_max is below.
  return EVP_EncryptInit_ex(cipher, nullptr, nullptr, nullptr, raw(nonce)) == 1 &&
         EVP_EncryptUpdate(cipher, nullptr, &length, raw(header), int(header.size())) == 1 &&
         (payload.empty() ||
          EVP_EncryptUpdate(cipher, nullptr, &length, raw(payload), int(payload.size())) == 1) &&
         EVP_EncryptFinal_ex(cipher, none, &length) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, mac_bytes, mac.data()) == 1;
}

Mac FrameMac::next(std::span<const std::byte> header, std::span<const std::byte> payload) {
  Mac mac{};
  if (!compute(header, payload, mac)) return {};
  return mac;
}

bool FrameMac::check(std::span<const std::byte> header, std::span<const std::byte> payload,
                     std::span<const std::byte> mac) {
  Mac expected{};
  return compute(header, payload, expected) && mac.size() == mac_bytes &&
         CRYPTO_memcmp(expected.data(), mac.data(), mac_bytes) == 0;
}

}  // namespace exdb::tcp
