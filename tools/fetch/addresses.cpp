#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

#include "core/error.hpp"
#include "tools/fetch/addresses.hpp"

namespace genretree {
namespace {

constexpr const char* built_in_text =
#include "gtzan_addresses.inc"  // made by CMake of gtzan_addresses.txt
    ;

std::uint64_t parse_bytes(const std::string& word, const std::string& where) {
  if (word == "-") return 0;
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), bytes);
  if (error != std::errc() || end != word.data() + word.size() || bytes == 0)
    reject("{}: the size is '{}', but must be a number of bytes, or - if it is not known", where, word);
  return bytes;
}

}  // namespace

std::string checked_sha256(std::string digits) {
  std::transform(digits.begin(), digits.end(), digits.begin(), [](unsigned char c) { return std::tolower(c); });
  if (digits.size() != 64 || digits.find_first_not_of("0123456789abcdef") != std::string::npos)
    reject("the SHA-256 '{}' is no checksum: it must have 64 hexadecimal digits, but has {} characters", digits,
           digits.size());
  return digits;
}

std::vector<Address> parse_addresses(std::string_view text, const std::string& source) {
  std::vector<Address> addresses;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string url, sha256, bytes, more;
    if (!(words >> url)) continue;
    const std::string where = fmt::format("{}:{}", source, number);
    if (!(words >> sha256 >> bytes) || words >> more)
      reject("{}: expected an address, its SHA-256 and its size in bytes (or -)", where);
    try {
      addresses.push_back({url, checked_sha256(sha256), parse_bytes(bytes, where)});
    } catch (const InputError& error) {
      reject("{}: {}", where, error.what());
    }
  }
  if (addresses.empty()) reject("{} names no address", source);
  return addresses;
}

std::vector<Address> built_in_addresses() { return parse_addresses(built_in_text, "gtzan_addresses.txt"); }

}  // namespace genretree
