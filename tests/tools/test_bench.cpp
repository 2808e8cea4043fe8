#include <nlohmann/json.hpp>

#include "core/io/files.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

using Catch::Contains;
using Json = nlohmann::json;

test::CommandResult bench(const std::string& options) {
  return test::run_command(test::program("bench").string() + " " + options);
}

TEST_CASE("bench: what it cannot do is said before anything is measured") {
  CHECK(bench("--help").exit_code == 0);
  const test::CommandResult unknown = bench("--speed 1");
  CHECK(unknown.exit_code == 65);
  CHECK_THAT(unknown.output, Contains("error: ") && Contains("--speed"));
  CHECK(bench("--target abacus").exit_code == 65);
  CHECK(bench("--cores 0").exit_code == 65);
  CHECK(bench("--only '('").exit_code == 65);
  CHECK_THAT(bench("--only abacus").output, Contains("'abacus'") && Contains("fma_peak/1core"));

  const test::TemporaryFolder folder;
  const test::CommandResult nowhere = bench("--only train_step --json " + (folder / "none/records.json").string());
  CHECK(nowhere.exit_code != 0);
  CHECK_THAT(nowhere.output, Contains("none/records.json") && !Contains("train_step"));
}

TEST_CASE("bench: --list has the names that other programs rely on, and measures nothing") {
  const std::string names = bench("--list --cores 2").output;
  for (const std::string name :
       {"fma_peak/1core", "memory/triad/2cores", "train_step/paper/fp32/1core", "train_step/short/fp32/1core",
        "epoch/paper/fp32/1core", "scaling/units/512/fp32/1core", "scaling/runs/4/fp32/2cores",
        "grid/paper/independent/fp32/2cores", "grid/paper/snapshots/fp32/2cores", "mfcc/features/1core",
        "mfcc/decode+features/1core", "mfcc/extract/2cores"})
    CHECK_THAT(names, Contains(name + "\n"));
  CHECK_THAT(names, !Contains("median"));
  CHECK_THAT(bench("--list --cores 1").output, !Contains("2cores"));
}

TEST_CASE("bench: --json is an array of records, the machine first") {
  const test::TemporaryFolder folder;
  const std::string file = (folder / "records.json").string();
  const test::CommandResult result = bench("--only '^pieces/(adam|dense_and_loss)' --json " + file);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("pieces/adam/fp32/1core"));
  const Json records = Json::parse(read_text(file));
  REQUIRE(records.size() == 3);
  CHECK(records[0].at("name") == "machine/cores");
  for (const char* fact : {"processor", "target", "libraries", "commit", "time"})
    CHECK(!records[0].at(fact).get<std::string>().empty());
  CHECK(records[2].at("name") == "pieces/adam/fp32/1core");
  for (const Json& record : records) {
    CHECK(!record.at("unit").get<std::string>().empty());
    CHECK(record.at("repetitions") > 0);
    CHECK(record.at("min") > 0);
    CHECK(record.at("min") <= record.at("value"));
    CHECK(record.at("value") <= record.at("max"));
  }
}

TEST_CASE("bench_peers: what it does not know is refused before anything is set up") {
  const std::string program = std::string(GENRETREE_SOURCE) + "/tools/bench_peers";
  const test::CommandResult unknown = test::run_command(program + " abacus");
  CHECK(unknown.exit_code == 65);
  CHECK_THAT(unknown.output, Contains("'abacus'"));
  CHECK(test::run_command(program + " --out").exit_code == 65);
}

TEST_CASE("bench_peers: the page shows medians with ranges, what is left of a step's time, and ratios") {
  const auto record = [](const std::string& name, double value) {
    return Json{{"name", name},     {"value", value},   {"unit", "s"},
                {"repetitions", 3}, {"min", value / 2}, {"max", 2 * value}};
  };
  Json machine = record("machine/cores", 2);
  for (const char* fact : {"processor", "target", "libraries", "commit", "time"})
    machine[fact] = "its " + std::string(fact);
  machine["load"] = 0.25;
  Json records{machine, record("train_step/paper/fp32/1core", 0.5)};
  records[1]["share_of_peak"] = 0.25;
  for (const char* piece : {"forward_product", "forward_cell", "backward_cell", "transposed_product", "weight_gradient",
                            "dense_and_loss", "adam"})
    records.push_back(record("pieces/" + std::string(piece) + "/fp32/1core", 0.0625));
  Json peer = record("", 2);
  peer.update(
      {{"task", "train_step/paper"}, {"peer", "Abacus 1.0"}, {"precision", "fp32"}, {"ours", 0.5}, {"ratio", 4}});

  const test::TemporaryFolder folder;
  write_whole_text(folder / "bench.json", records.dump());
  write_whole_text(folder / "peers.json", Json{peer}.dump());
  const test::CommandResult page =
      test::run_command("python3 " + std::string(GENRETREE_SOURCE) + "/tools/peers/page.py " + folder.path().string());
  REQUIRE(page.exit_code == 0);
  const std::string text = read_text(folder / "README.md");
  CHECK_THAT(text, Contains("its commit") && Contains("its processor") && Contains("before 0.2"));
  CHECK_THAT(text, Contains("| train_step/paper/fp32/1core | 0.5 (0.25 … 1) | 25 % |"));
  CHECK_THAT(text, Contains("| Adam | 62.5 (31.2 … 125) | 12.5 % |"));
  CHECK_THAT(text, Contains("| 62.5 | 12.5 % |"));  // 500 ms less seven pieces of 62.5 ms
  CHECK_THAT(text, Contains("| Abacus 1.0 | 2 (1 … 4) | 0.5 (fp32) | s | **4.00** |"));
}

}  // namespace
}  // namespace genretree
