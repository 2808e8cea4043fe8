// What every test may use: skips that are counted, comparisons, golden files, temporary folders.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <span>
#include <string>

#include "core/error.hpp"

namespace genretree::test {

/// Prints "SKIPPED: reason" and counts the running test case as skipped, not passed. Use SKIP_TEST, which also returns.
void skip(const std::string& reason);
#define SKIP_TEST(reason)          \
  do {                             \
    genretree::test::skip(reason); \
    return;                        \
  } while (false)

/// tests/golden/NAME, which must be there: it is part of the project.
std::filesystem::path golden(const std::string& name);
/// ../shared/NAME if it is there (music and fixtures that are not part of the project), else an empty path: SKIP_TEST
/// then.
std::filesystem::path shared(const std::string& name);
/// Path of one of our programs, built beside the tests.
std::filesystem::path program(const std::string& name);

/// What the InputError says that `call` throws, or "no error".
template <class Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

/// max |a - b|
template <class A, class B>
double max_difference(std::span<const A> a, std::span<const B> b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = difference > worst || difference != difference ? difference : worst;  // a NaN stays
  }
  return worst;
}

/// max |a - b| / max |b|, the measure of parity for a whole tensor.
template <class A, class B>
double relative_difference(std::span<const A> a, std::span<const B> b) {
  double largest = 0;
  for (const B& value : b) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return max_difference(a, b) / (largest > 0 ? largest : 1);
}

/// A new empty folder, removed with all in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// What a command line printed (standard output and error together) and its exit code.
struct CommandResult {
  int exit_code;
  std::string output;
};
CommandResult run_command(const std::string& command_line);

}  // namespace genretree::test
