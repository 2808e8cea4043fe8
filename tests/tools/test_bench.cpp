#include "tests/support/support.hpp"

namespace genretree {
namespace {

test::CommandResult bench(const std::string& options) {
  return test::run_command(test::program("bench").string() + " " + options);
}

TEST_CASE("bench: what it cannot do is said before anything is measured") {
  CHECK(bench("--help").exit_code == 0);
  const test::CommandResult unknown = bench("--speed 1");
  CHECK(unknown.exit_code == 65);
  CHECK_THAT(unknown.output, Catch::Contains("error: ") && Catch::Contains("--speed"));
  CHECK(bench("--target abacus").exit_code == 65);
  CHECK(bench("--only '('").exit_code == 65);
  CHECK_THAT(bench("--only abacus").output, Catch::Contains("'abacus'") && Catch::Contains("fma_peak/1core"));

  const test::TemporaryFolder folder;
  const test::CommandResult nowhere = bench("--only train_step --json " + (folder / "none/records.json").string());
  CHECK(nowhere.exit_code != 0);
  CHECK_THAT(nowhere.output, Catch::Contains("none/records.json") && !Catch::Contains("train_step"));
}

}  // namespace
}  // namespace genretree
