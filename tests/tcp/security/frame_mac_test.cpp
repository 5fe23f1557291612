// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The exdb authors
#include "frame_mac.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <random>

namespace exdb::tcp {
namespace {

using Bytes = std::vector<std::byte>;
using Block = std::array<unsigned char, 16>;

std::array<std::byte, 32> key_of(unsigned seed) {
  std::array<std::byte, 32> key{};
  std::mt19937 random(seed);
  for (auto& byte : key) byte = std::byte(random());
  return key;
}

Bytes random_bytes(std::size_t length, unsigned seed = 1) {
  std::mt19937 random(seed);
  Bytes bytes(length);
  for (auto& byte : bytes) byte = std::byte(random());
  return bytes;
}

// --- GMAC by another path: the standard's own words, from single AES blocks and bits ---

Block encrypted(const std::array<std::byte, 32>& key, const Block& block) {
  Block out{};
  int length = 0;
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr,
                     reinterpret_cast<const unsigned char*>(key.data()), nullptr);
  EVP_CIPHER_CTX_set_padding(context, 0);
  EVP_EncryptUpdate(context, out.data(), &length, block.data(), 16);
  EVP_CIPHER_CTX_free(context);
  return out;
}

Block product(const Block& x, Block v) {
  Block z{};
  for (int bit = 0; bit < 128; ++bit) {
    if ((x[bit / 8] >> (7 - bit % 8) & 1) != 0)
      for (int i = 0; i < 16; ++i) z[i] ^= v[i];
    const bool carry = (v[15] & 1) != 0;
    for (int i = 15; i > 0; --i) v[i] = static_cast<unsigned char>(v[i] >> 1 | v[i - 1] << 7);
    v[0] >>= 1;
    if (carry) v[0] ^= 0xe1;
  }
  return z;
}

Mac gmac_by_hand(const std::array<std::byte, 32>& key, std::uint64_t number, Bytes bytes) {
  const std::uint64_t bits = 8 * bytes.size();
  bytes.resize((bytes.size() + 15) / 16 * 16 + 8);  // zeros, then the length in bits, twice 64
  for (int i = 7; i >= 0; --i) bytes.push_back(std::byte(0));
  for (int i = 0; i < 8; ++i) bytes[bytes.size() - 16 + i] = std::byte(bits >> (56 - 8 * i));
  const Block h = encrypted(key, {});
  Block y{};
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    for (int i = 0; i < 16; ++i) y[i] ^= std::to_integer<unsigned char>(bytes[at + i]);
    y = product(y, h);
  }
  Block counter{};
  for (int i = 0; i < 8; ++i) counter[i] = static_cast<unsigned char>(number >> 8 * i);
  counter[15] = 1;
  const Block pad = encrypted(key, counter);
  Mac mac{};
  for (int i = 0; i < 16; ++i) mac[i] = std::byte(y[i] ^ pad[i]);
  return mac;
}

TEST(FrameMac, IsGmacOverHeaderAndPayloadWithTheNumberAsNonce) {
  FrameMac mac(key_of(1));
  std::uint64_t number = 0;
  for (const std::size_t length : {0, 1, 15, 16, 17, 100, 1000}) {
    const Bytes header = random_bytes(32), payload = random_bytes(length, 2);
    Bytes all = header;
    all.insert(all.end(), payload.begin(), payload.end());
    EXPECT_EQ(mac.next(header, payload), gmac_by_hand(key_of(1), ++number, all)) << length;
  }
}

TEST(FrameMac, AcceptsWhatWasSentInItsOrder) {
  FrameMac sender(key_of(1)), receiver(key_of(1));
  for (std::size_t i = 0; i < 300; ++i) {
    const Bytes header = random_bytes(32, 3), payload = random_bytes(i * i, 4);
    EXPECT_TRUE(receiver.check(header, payload, sender.next(header, payload)));
  }
}

TEST(FrameMac, RefusesWhatIsRepeatedLeftOutOrMoved) {
  const Bytes header = random_bytes(32), payload = random_bytes(100);
  {
    FrameMac sender(key_of(1)), receiver(key_of(1));
    const Mac mac = sender.next(header, payload);
    EXPECT_TRUE(receiver.check(header, payload, mac));
    EXPECT_FALSE(receiver.check(header, payload, mac));
  }
  FrameMac sender(key_of(1)), receiver(key_of(1));
  (void)sender.next(header, payload);
  EXPECT_FALSE(receiver.check(header, payload, sender.next(header, payload)));
}

TEST(FrameMac, RefusesAnyChangedBit) {
  const Bytes header = random_bytes(32), payload = random_bytes(70);
  const auto refused = [&](std::size_t part, std::size_t bit) {
    FrameMac sender(key_of(1)), receiver(key_of(1));
    Mac mac = sender.next(header, payload);
    Bytes h = header, p = payload;
    const std::span<std::byte> parts[] = {h, p, mac};
    parts[part][bit / 8] ^= std::byte(1U << bit % 8);
    return !receiver.check(h, p, mac);
  };
  const std::size_t lengths[] = {header.size(), payload.size(), mac_bytes};
  for (std::size_t part = 0; part < 3; ++part)
    for (std::size_t bit = 0; bit < 8 * lengths[part]; ++bit)
      ASSERT_TRUE(refused(part, bit)) << part << " " << bit;
}

TEST(FrameMac, RefusesAnotherKeyAndAnotherLength) {
  const Bytes header = random_bytes(32), payload = random_bytes(100);
  FrameMac sender(key_of(1)), other(key_of(2)), receiver(key_of(1));
  const Mac mac = sender.next(header, payload);
  EXPECT_FALSE(other.check(header, payload, mac));
  EXPECT_FALSE(FrameMac(key_of(1)).check(header, std::span(payload).first(99), mac));
  EXPECT_FALSE(FrameMac(key_of(1)).check(header, payload, std::span(mac).first(15)));
  EXPECT_FALSE(FrameMac(key_of(1)).check(header, payload, {}));
  EXPECT_TRUE(receiver.check(header, payload, mac));
}

}  // namespace
}  // namespace exdb::tcp
