// Where GTZAN can be had: the list of addresses with their checksums.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace genretree {

struct Address {
  std::string url;
  std::string sha256;       ///< 64 hex digits in lower case; empty: not known, nothing is verified
  std::uint64_t bytes = 0;  ///< 0: not known
};

/// Reads lines "URL SHA256 BYTES" ("-" for an unknown size); # begins a comment. InputError with source:line for any
/// other line.
std::vector<Address> parse_addresses(std::string_view text, const std::string& source);

/// tools/gtzan_addresses.txt, as it was when the program was built.
std::vector<Address> built_in_addresses();

/// The digits in lower case; InputError unless they are 64 hex digits.
std::string checked_sha256(std::string digits);

}  // namespace genretree
