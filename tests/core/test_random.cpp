#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("Philox4x32-10 gives the known answers of its authors") {
  // Random123's kat_vectors: counter, key, result
  CHECK(philox({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, ~0ull) == PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
        PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a number is a function of key and index, not of what was drawn before") {
  const RandomKey key{.seed = 7, .trial = 3, .use = RandomUse::dropout};
  Random random(key);
  std::vector<std::uint32_t> drawn(9);
  for (std::uint32_t& word : drawn) word = random.next();
  const Random again(key);
  for (std::size_t i = drawn.size(); i-- > 0;) CHECK(again.word(i) == drawn[i]);
}

TEST_CASE("keys that differ in any part give other numbers") {
  const RandomKey base{.seed = 1, .point = 1, .trial = 1, .node = 1, .epoch = 1, .batch = 1, .use = RandomUse::shuffle};
  std::vector<RandomKey> keys(8, base);
  keys[1].seed = 2, keys[2].point = 2, keys[3].trial = 2, keys[4].node = 2, keys[5].epoch = 2, keys[6].batch = 2;
  keys[7].use = RandomUse::dropout;
  std::set<std::uint32_t> first_words;
  for (const RandomKey& key : keys) first_words.insert(Random(key).word(0));
  CHECK(first_words.size() == keys.size());
  CHECK_THROWS_AS(Random(RandomKey{.epoch = 1u << 28}), InputError);  // would run into the use's bits
}

TEST_CASE("uniform, normal and bounded numbers have the right range and moments") {
  Random random(RandomKey{.seed = 2018});
  constexpr int n = 100'000;
  double sum = 0, squares = 0;
  std::vector<int> counts(7);
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform(-1, 3), z = random.normal();
    REQUIRE((u >= -1 && u < 3));
    sum += z, squares += z * z;
    ++counts.at(random.below(7));
  }
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));  // five standard errors
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(2.0 / n));
  for (const int count : counts) CHECK(std::abs(count - n / 7.0) < 5 * std::sqrt(n / 7.0));
  CHECK(Random(RandomKey{}).uniform_at(3) < 1);
  CHECK(random.below(1) == 0);
  CHECK_THROWS_AS(random.below(0), InputError);
}

TEST_CASE("shuffling permutes, and every order of three comes up equally often") {
  Random random(RandomKey{.seed = 5, .use = RandomUse::shuffle});
  std::vector<int> many(50);
  std::iota(many.begin(), many.end(), 0);
  std::vector<int> shuffled = many;
  random.shuffle(std::span(shuffled));
  CHECK(shuffled != many);
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == many);

  std::vector<int> counts(27);
  for (int i = 0; i < 6000; ++i) {
    std::vector<int> three = {0, 1, 2};
    random.shuffle(std::span(three));
    ++counts[static_cast<std::size_t>(three[0] * 9 + three[1] * 3 + three[2])];
  }
  for (const int code : {5, 7, 11, 15, 19, 21})
    CHECK(std::abs(counts[static_cast<std::size_t>(code)] - 1000) < 5 * std::sqrt(1000));
}
