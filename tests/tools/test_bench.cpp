#include <nlohmann/json.hpp>

#include "core/io/files.hpp"
#include "core/limits.hpp"
#include "kernels/backends.hpp"
#include "tests/support/support.hpp"
#include "tools/bench/grid.hpp"
#include "tools/bench/training.hpp"

namespace genretree {
namespace {

using Catch::Contains;
using Json = nlohmann::ordered_json;

test::CommandResult bench(const std::string& options) {
  return test::run_command(test::program("bench").string() + " " + options);
}

/// Python in the folder of the peers' scripts.
test::CommandResult python(const std::string& arguments) {
  const std::string folder = std::string(GENRETREE_SOURCE) + "/tools/peers";
  return test::run_command("cd " + folder + " && PYTHONDONTWRITEBYTECODE=1 python3 " + arguments);
}

/// As bench writes them.
Json made_up_record(const std::string& name, double value) {
  return {{"name", name}, {"value", value}, {"unit", "s"}, {"repetitions", 3}, {"min", value / 2}, {"max", 2 * value}};
}
Json made_up_machine() {
  Json machine = made_up_record("machine/cores", 2);
  for (const char* fact : {"processor", "libraries", "commit", "time"}) machine[fact] = "its " + std::string(fact);
  machine["precisions"] = {{"fp32", {{"target", "avx0"}, {"algorithm", "by hand"}}},
                           {"bf16", {{"target", "avx0+unit"}, {"algorithm", "by foot"}}}};
  machine["load"] = 0.25;
  return machine;
}

TEST_CASE("bench: what it cannot do is said before anything is measured") {
  CHECK(bench("--help").exit_code == 0);
  const test::CommandResult unknown = bench("--speed 1");
  CHECK(unknown.exit_code == 65);
  CHECK_THAT(unknown.output, Contains("error: ") && Contains("--speed"));
  CHECK(bench("--target abacus").exit_code == 65);
  CHECK(bench("--target abacus+amx_bf16").exit_code == 65);
  CHECK(bench("--cores 0").exit_code == 65);
  CHECK(bench(fmt::format("--list --cores {}", available_cores() + 1)).exit_code == 65);
  CHECK(bench("--update --only fma_peak").exit_code == 65);  // of which file?
  CHECK(bench("--only '('").exit_code == 65);
  CHECK_THAT(bench("--only abacus").output, Contains("'abacus'") && Contains("fma_peak/1core"));

  const test::TemporaryFolder folder;
  const test::CommandResult nowhere = bench("--only train_step --json " + (folder / "none/records.json").string());
  CHECK(nowhere.exit_code != 0);
  CHECK_THAT(nowhere.output, Contains("none/records.json") && !Contains("train_step"));
}

TEST_CASE("bench: --list has the names that other programs rely on, and measures nothing") {
  const std::string names = bench("--list --cores 1").output;
  for (const std::string name :
       {"fma_peak/1core", "memory/triad/1core", "train_step/paper/fp32/1core", "train_step/short/fp32/1core",
        "epoch/paper/bf16/1core", "speedup/paper/bf16/1core", "pieces/whole_step/fp32/1core",
        "scaling/units/512/fp32/1core", "grid/paper/independent/fp32/1core", "grid/paper/snapshots/bf16/1core",
        "mfcc/features/1core", "mfcc/decode+features/1core", "mfcc/extract/1core", "features33/1core"})
    CHECK_THAT(names, Contains(name + "\n"));
  CHECK_THAT(names, !Contains("median") && !Contains("cores"));
  if (available_cores() < 2) return;
  CHECK_THAT(bench("--list --cores 2").output, Contains("scaling/runs/4/fp32/2cores\n") &&
                                                   Contains("grid/paper/independent/fp32/2cores\n") &&
                                                   Contains("mfcc/extract/2cores\n"));
}

TEST_CASE("bench: every target of bf16 is accepted, and fp32 takes the instruction set without its unit") {
  for (const std::string& target : backend_targets("cpu", "bf16"))
    CHECK(bench("--list --target " + target).exit_code == 0);
}

TEST_CASE("bench: operations of the paper's step, by hand") {
  // 2 · 4 · rows · (128 · (13 + 128) + 32 · (128 + 32)) forward and for the weights; without 13 · 128 for the operands
  const bench::Operations operations(bench::paper_shape);
  const double rows = 35 * 1293.0;
  CHECK(operations.forward == Approx(8 * rows * 23168));
  CHECK(operations.transposed == Approx(8 * rows * 21504));
  CHECK(operations.step() == Approx(24.56e9).epsilon(1e-3));
}

TEST_CASE("bench: the paper's grid has 3,140 epochs, 1,600 of them in the longest runs") {
  for (const auto& [mode, epochs] : {std::pair{"independent", 3140}, {"snapshots", 1600}}) {
    const Spec spec = bench::paper_spec("made-up.h5", mode);
    CHECK(bench::hours_of(spec, 3600, 1) == Approx(epochs));
    CHECK(bench::hours_of(spec, 1800, 1) == Approx(epochs / 2.0));
    CHECK(bench::hours_of(spec, 3600, 2) >= epochs / 2.0);
    CHECK(bench::hours_of(spec, 3600, 2) <= epochs / 2.0 + 400);
  }
}

TEST_CASE("bench: --json is an array of records, the machine first; --update keeps what is not measured anew") {
  const test::TemporaryFolder folder;
  const std::string file = (folder / "records.json").string();
  REQUIRE(bench("--only '^memory/L2_read' --json " + file).exit_code == 0);
  Json records = Json::parse(read_text(file));
  REQUIRE(records.size() == 2);
  CHECK(records[0].at("name") == "machine/cores");
  for (const char* fact : {"processor", "libraries", "commit", "time"})
    CHECK(!records[0].at(fact).get<std::string>().empty());
  for (const char* precision : {"fp32", "bf16"})
    CHECK(records[0].at("precisions").at(precision).at("target") == backend_targets("cpu", precision).front());
  CHECK(records[1].at("name") == "memory/L2_read/1core");
  CHECK(records[1].at("unit") == "GB/s");
  CHECK(records[1].at("repetitions") == 5);

  records[0]["time"] = "then", records[1]["value"] = 12345;
  write_whole_text(file, records.dump());
  const test::CommandResult second = bench("--only '^fma_peak/1core' --update --json " + file);
  REQUIRE(second.exit_code == 0);
  CHECK_THAT(second.output, Contains("fma_peak/1core") && Contains("bf16 on " + backend_targets("cpu", "bf16")[0]));
  const Json together = Json::parse(read_text(file));
  REQUIRE(together.size() == 3);
  CHECK(together[0].at("time") == "then");
  CHECK(!together[0].at("until").get<std::string>().empty());
  CHECK(together[1].at("name") == "fma_peak/1core");  // in the order of --list
  CHECK(together[2].at("value") == 12345);

  records[0]["commit"] = "another";
  write_whole_text(file, records.dump());
  const test::CommandResult other = bench("--only '^fma_peak/1core' --update --json " + file);
  CHECK(other.exit_code == 65);
  CHECK_THAT(other.output, Contains("commit") && Contains("another"));
  write_whole_text(file, "{}");
  CHECK(bench("--only '^fma_peak/1core' --update --json " + file).exit_code == 65);
}

TEST_CASE("bench_peers: what it does not know is refused before anything is set up") {
  const std::string program = std::string(GENRETREE_SOURCE) + "/tools/bench_peers";
  const test::CommandResult unknown = test::run_command(program + " abacus");
  CHECK(unknown.exit_code == 65);
  CHECK_THAT(unknown.output, Contains("'abacus'"));
  CHECK(test::run_command(program + " --out").exit_code == 65);
  const test::CommandResult help = test::run_command(program + " --help");
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Contains("--peers-only") && !Contains("set -euo"));
}

TEST_CASE("bench_peers: a ratio above 1 says that ours is faster, in seconds and in clips per second") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "check.py", R"(
from compare import compare, merge
def ours(value, **more):
    machine = {"processor": "p", "commit": "c", "time": "t"}
    return [machine, {"value": value, "min": value - 1, "max": value + 1, **more}]
def peer(unit, *values):
    return {"peer": "Abacus 1.0", "unit": unit, "values": list(values)}
before, after = ours(2, share_of_peak=0.5), ours(4, share_of_peak=0.7)
step = compare("train_step/paper", "torch", peer("s", 8, 16, 12), before, after)
print(step["ratio"], step["value"], step["min"], step["max"], step["ours"], step["ours_min"], step["ours_max"])
print(round(step["ours_share_of_peak"], 6), round(step["share_of_peak"], 6), step["commit"], step["time"])
mfcc = compare("mfcc/features", "librosa", peer("clips/s", 50) | {"largest_difference": 0.001}, ours(300), ours(200))
print(mfcc["ratio"], "share_of_peak" in mfcc, mfcc["largest_difference"])
merged = merge([mfcc, step | {"value": 99}], [step])
print([(r["program"], r["value"]) for r in merged])
)");
  const test::CommandResult result = test::run_command("cd " + std::string(GENRETREE_SOURCE) +
                                                       "/tools/peers && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. " +
                                                       "python3 " + (folder / "check.py").string());
  CHECK(result.output == "4.0 12 8 16 3 1 5\n0.6 0.15 c t\n5.0 False 0.001\n[('torch', 12), ('librosa', 50)]\n");
}

TEST_CASE("bench_peers: without any peer the records of before stay, or there are none") {
  const test::TemporaryFolder folder;
  const std::string nowhere = " --programs /nowhere --environments /nowhere --json " + (folder / "peers.json").string();
  CHECK(python("compare.py" + nowhere).exit_code == 0);
  CHECK(Json::parse(read_text(folder / "peers.json")) == Json::array());
}

TEST_CASE("bench_peers: the page shows medians with ranges, where a step's time goes, bf16 beside fp32, and ratios") {
  Json records{made_up_machine(),
               made_up_record("train_step/paper/fp32/1core", 0.5),
               made_up_record("train_step/paper/bf16/1core", 0.25),
               made_up_record("speedup/paper/bf16/1core", 2),
               made_up_record("grid/paper/independent/bf16/2cores", 8),
               made_up_record("scaling/units/64/bf16/1core", 0.125)};
  records[1]["share_of_peak"] = 0.25;
  for (const char* piece : {"forward_product", "forward_cell", "backward_cell", "transposed_product", "weight_gradient",
                            "dense_and_loss", "adam", "rest"})
    records.push_back(made_up_record("pieces/" + std::string(piece) + "/fp32/1core", 0.0625));
  records.push_back(made_up_record("pieces/whole_step/fp32/1core", 0.5));
  Json peer = made_up_record("", 2);
  peer.update({{"task", "train_step/paper"},
               {"program", "abacus"},
               {"peer", "Abacus 1.0"},
               {"ours", 0.5},
               {"ours_min", 0.25},
               {"ours_max", 0.75},
               {"ratio", 4},
               {"largest_difference", 0.0001},
               {"processor", "an old one"},
               {"commit", "an older one"},
               {"time", "then"}});

  const test::TemporaryFolder folder;
  write_whole_text(folder / "bench.json", records.dump());
  write_whole_text(folder / "peers.json", Json{peer}.dump());
  REQUIRE(python("page.py " + folder.path().string()).exit_code == 0);
  const std::string text = read_text(folder / "README.md");
  CHECK_THAT(text, Contains("its commit") && Contains("its processor") && Contains("before: 0.2"));
  CHECK_THAT(text, Contains("fp32 on avx0, by hand; bf16 on avx0+unit, by foot"));
  CHECK_THAT(text, Contains("| train_step/paper/fp32/1core | 0.5 (0.25 … 1) | 25 % |"));
  CHECK_THAT(text, Contains("| train_step/paper/bf16/1core | 0.25 (0.125 … 0.5) |  |"));
  CHECK_THAT(text, Contains("bf16 takes the paper's step 2 (1 … 4) times as fast"));
  CHECK_THAT(text, Contains("| Adam | 62.5 | 12.5 % |") && Contains("| the step | 500 | 100.0 % |"));
  CHECK_THAT(text, Contains("| grid/paper/independent/bf16/2cores | 8 (4 … 16) |"));
  CHECK_THAT(text, Contains("| 64 | bf16 | 1 core | 0.125 (0.0625 … 0.25) |"));
  CHECK_THAT(text, Contains("| Abacus 1.0 | 2 (1 … 4) | 0.5 (0.25 … 0.75) | s | **4.00** |  | 0.0001 dB |"));
  CHECK_THAT(text, Contains("Measured on then, commit an older one: an old one."));
}

TEST_CASE("bench_peers: a page is made of what there is, and what cannot be read is one line") {
  const test::TemporaryFolder folder;
  const std::string page = "page.py " + folder.path().string();
  const auto refused = [&] {
    const test::CommandResult result = python(page);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.output, Contains("error: ") && Contains("bench.json") && !Contains("Traceback"));
  };
  refused();  // there is no bench.json
  for (const char* text : {"", "[", "[]", "{}", "[1]", "null", "[{\"name\": \"machine/cores\"}]"}) {
    write_whole_text(folder / "bench.json", text);
    refused();
  }
  Json machine = made_up_machine();
  machine["load"] = nullptr;  // the system does not say
  write_whole_text(folder / "bench.json", Json{machine, made_up_record("pieces/adam/fp32/1core", 1)}.dump());
  REQUIRE(python(page).exit_code == 0);
  const std::string text = read_text(folder / "README.md");
  CHECK_THAT(text, Contains("before: unknown"));
  for (const char* section : {"## Others", "## Training", "## Where", "## How time", "## MFCC"})
    CHECK_THAT(text, !Contains(section));
}

}  // namespace
}  // namespace genretree
