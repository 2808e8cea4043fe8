#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/ledger.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Result sample(std::uint32_t epochs = 2, std::uint32_t trial = 0) {
  Result result;
  result.run = fmt::format("e{:03}-t{}", epochs, trial);
  result.epochs = epochs;
  result.trial = trial;
  result.seed = 18446744073709551615u;
  result.spec_hash = "00ff00ff00ff00ff";
  result.commit = "abc";
  result.backend = {"cpu", "a \"quoted\" processor", "AVX2", "interleaved", "fp32", "highway 1.0.3"};
  result.machine = "host";
  result.seconds = 0.1;
  result.train = {1 / 3.0, 0.1 + 0.2};
  result.validation = {nan, nan};
  result.test = {5e-324, 1};
  result.history = {{{2, 0.5}, {nan, nan}, {3, 0.25}}, {result.train, result.validation, result.test}};
  result.confusion = {3, 1, 0, 4};
  result.validation_confusion = {1, 0, 2, 0};
  result.answers = {{"blues.00000", "jazz.00001"}, {0, 1}, {0.1f, 0.9f, 1 / 3.f, 2 / 3.f}};
  return result;
}

TEST_CASE("a result survives its line bit for bit") {
  const Result result = sample();
  const std::string line = to_json_line(result);
  CHECK(line.find('\n') == std::string::npos);
  const std::optional<Result> read = result_from_json_line(line);
  REQUIRE(read);
  CHECK(to_json_line(*read) == line);
  CHECK(read->run == "e002-t0");
  CHECK(read->seed == result.seed);
  CHECK(read->backend.device == result.backend.device);
  CHECK(read->train.loss == 1 / 3.0);
  CHECK(read->train.accuracy == 0.1 + 0.2);
  CHECK(read->test.loss == 5e-324);
  CHECK(std::isnan(read->validation.loss));
  REQUIRE(read->history.size() == 2);
  CHECK(read->history[0].test.accuracy == 0.25);
  CHECK(std::isnan(read->history[1].validation.accuracy));
  CHECK(read->confusion == result.confusion);
  CHECK(read->validation_confusion == result.validation_confusion);
  CHECK(read->answers == result.answers);
  CHECK_THAT(line, Catch::Contains("[0.1,0.9,0.33333334,0.6666667]"));  // no digits that a float does not have
}

TEST_CASE("a line says which epoch was selected; one of an earlier version, the last") {
  Result result = sample();
  result.selected_epoch = 1;
  const std::string line = to_json_line(result), key = "\"selected_epoch\":1,";
  CHECK(result_from_json_line(line)->selected_epoch == 1);
  const std::size_t at = line.find(key);
  REQUIRE(at != std::string::npos);
  CHECK(result_from_json_line(std::string(line).erase(at, key.size()))->selected_epoch == 2);
}

TEST_CASE("every float of an answer survives its line, small ones and neighbours too; what is no number stays so") {
  Result result = sample();
  std::vector<float>& answers = result.answers.probabilities;
  answers = {1e-45f, 1.17549435e-38f, std::nextafter(1.f, 0.f), 0};
  CHECK(result_from_json_line(to_json_line(result))->answers.probabilities == answers);
  float value = 0.7f;
  result.answers = {std::vector<std::string>(500, "t"), std::vector<std::uint32_t>(500, 1), {}};
  for (int i = 0; i < 1000; ++i) answers.push_back(value = std::nextafter(value * 0.93f, 1.f));
  CHECK(result_from_json_line(to_json_line(result))->answers.probabilities == answers);
  answers[3] = std::nanf("");
  CHECK(std::isnan(result_from_json_line(to_json_line(result))->answers.probabilities[3]));
}

TEST_CASE("answers that do not fit their clips or classes are no result") {
  Result result = sample();
  result.answers.genres.pop_back();
  CHECK(!result_from_json_line(to_json_line(result)));
  result = sample();
  result.answers.probabilities.pop_back();
  CHECK(!result_from_json_line(to_json_line(result)));
}

TEST_CASE("a ledger of an older version says so, and is not taken for a damaged one") {
  const test::TemporaryFolder folder;
  const auto path = ledger_path(folder.path(), 0);
  std::string line = to_json_line(sample());
  line = line.substr(0, line.find(",\"answers\"")) + "}\n";
  write_whole_text(path, line);
  CHECK_THROWS_WITH(read_ledger(path, true), Catch::Contains("jsonl:1:") && Catch::Contains("older version") &&
                                                 Catch::Contains("another --out"));
  CHECK(read_text(path) == line);  // a repair leaves it alone
}

TEST_CASE("a track's name may be any bytes: those that are no UTF-8 are replaced") {
  Result result = sample();
  result.node = "strong";
  result.answers = {{"rock/r\xe9", "rock/é"}, {0, 0}, {0.5f, 0.5f, 0.25f, 0.75f}};
  const std::optional<Result> read = result_from_json_line(to_json_line(result));
  REQUIRE(read);
  CHECK(read->answers.tracks == std::vector<std::string>{"rock/r\uFFFD", "rock/é"});
  CHECK(read->answers.probabilities == result.answers.probabilities);
}

TEST_CASE("a last line that was cut anywhere is left out, and removed by a repair") {
  const test::TemporaryFolder folder;
  const auto path = ledger_path(folder.path(), 0);
  const std::string first = to_json_line(sample(2)) + "\n", second = to_json_line(sample(5)) + "\n";
  for (std::size_t kept : {std::size_t{1}, second.size() / 2, second.size() - 1}) {
    write_whole_text(path, first + second.substr(0, kept));
    CHECK(read_ledger(path, false).size() == 1);
    CHECK(read_text(path).size() == first.size() + kept);
    CHECK(read_ledger(path, true).size() == 1);
    CHECK(read_text(path) == first);
    append_line(path, to_json_line(sample(5)));
    CHECK(read_ledger(path, false).size() == 2);
  }
  write_whole_text(path, "");
  CHECK(read_ledger(path, true).empty());
}

TEST_CASE("a bad line before the last is an error with its number") {
  const test::TemporaryFolder folder;
  const auto path = ledger_path(folder.path(), 0);
  write_whole_text(path, to_json_line(sample(2)) + "\n{\"run\": 1}\n" + to_json_line(sample(5)) + "\n");
  CHECK_THROWS_WITH(read_ledger(path, true), Catch::Contains("jsonl:2:"));
}

TEST_CASE("all damaged ledgers of a merge are named") {
  const test::TemporaryFolder folder;
  for (const std::size_t shard : {0, 2, 5})
    write_whole_text(ledger_path(folder.path(), shard), "{\"run\": 1}\n" + to_json_line(sample()) + "\n");
  append_line(ledger_path(folder.path(), 3), to_json_line(sample(5)));
  CHECK_THROWS_WITH(read_results({folder.path()}, true), Catch::Contains("ledger.0.jsonl:1:") &&
                                                             Catch::Contains("ledger.2.jsonl:1:") &&
                                                             Catch::Contains("ledger.5.jsonl:1:"));
}

TEST_CASE("an index knows which results ledgers hold, and reads only what is added to them") {
  const test::TemporaryFolder folder;
  LedgerIndex index(folder / "nothing");
  CHECK(index.cells().empty());
  index = LedgerIndex(folder.path());
  append_line(ledger_path(folder.path(), 0), to_json_line(sample(2)));
  index.update();
  CHECK(index.cells() == std::set<Cell>{{"", 2, 0}});
  REQUIRE(index.origins().size() == 1);
  CHECK(index.origins()[0].run == "e002-t0");
  CHECK(index.origins()[0].computation ==
        Computation{"00ff00ff00ff00ff",
                    "abc",
                    {"cpu", "a \"quoted\" processor", "AVX2", "interleaved", "fp32", "highway 1.0.3"}});

  // a line that is being written counts when it is whole; what was read is not read again
  const std::string line = to_json_line(sample(5)) + "\n";
  std::string text = read_text(ledger_path(folder.path(), 0));
  write_whole_text(ledger_path(folder.path(), 0), text + line.substr(0, line.size() / 2));
  index.update();
  CHECK(index.cells().size() == 1);
  text[5] = '#';
  write_whole_text(ledger_path(folder.path(), 0), text + line);
  index.update();
  CHECK(index.cells() == std::set<Cell>{{"", 2, 0}, {"", 5, 0}});
  CHECK(index.damaged_lines().empty());
  CHECK(LedgerIndex(folder.path()).damaged_lines() ==
        std::vector<std::string>{ledger_path(folder.path(), 0).string() + ":1"});

  // another shard, computed in another way; then one of the ledgers becomes shorter
  Result other = sample(7, 1);
  other.backend.target = "AVX3";
  append_line(ledger_path(folder.path(), 4), to_json_line(other));
  index.update();
  CHECK(index.origins().size() == 2);
  write_whole_text(ledger_path(folder.path(), 0), to_json_line(sample(9)) + "\n");
  index.update();
  CHECK(index.cells() == std::set<Cell>{{"", 7, 1}, {"", 9, 0}});
}

TEST_CASE("an index takes no line for a result whose end is gone, and reads lines that others have written anew") {
  const test::TemporaryFolder folder;
  const fs::path ledger = ledger_path(folder.path(), 0);
  const std::string line = to_json_line(sample(2));
  write_whole_text(ledger, line.substr(0, line.size() - 20) + std::string(20, '\0') + "\n");
  CHECK(LedgerIndex(folder.path()).cells().empty());
  CHECK(LedgerIndex(folder.path()).damaged_lines().size() == 1);
  std::string spaced;
  for (const char sign : line) spaced += sign == ',' ? ", " : std::string(1, sign);
  write_whole_text(ledger, spaced + "\n");
  CHECK(read_ledger(ledger, false).size() == 1);
  CHECK(LedgerIndex(folder.path()).cells() == std::set<Cell>{{"", 2, 0}});
  fs::remove(ledger);
  fs::create_directory(ledger);
  CHECK_THROWS_WITH(LedgerIndex(folder.path()), Catch::Contains("cannot read " + ledger.string()));
}

TEST_CASE("results of all shards and folders come together, sorted") {
  const test::TemporaryFolder a, b;
  append_line(ledger_path(a.path(), 0), to_json_line(sample(5, 1)));
  append_line(ledger_path(a.path(), 10), to_json_line(sample(2, 1)));
  append_line(ledger_path(b.path(), 0), to_json_line(sample(5, 0)));
  append_line(ledger_path(b.path(), 0), to_json_line(sample(5, 1)));  // the same as in a
  write_whole_text(a / "ledger.x.jsonl", "no ledger");
  write_whole_text(a / "ledger.01.jsonl", "no ledger");
  CHECK(ledger_shards(a.path()) == std::vector<std::size_t>{0, 10});
  const std::vector<Result> results = read_results({a.path(), b.path()}, false);
  REQUIRE(results.size() == 3);
  CHECK(results[0].run == "e002-t1");
  CHECK(results[1].run == "e005-t0");
  CHECK(results[2].run == "e005-t1");
}

TEST_CASE("results that do not belong together are refused, each with its reason") {
  const test::TemporaryFolder folder;
  Result other = sample(5);
  append_line(ledger_path(folder.path(), 0), to_json_line(sample(2)));
  SECTION("another experiment") {
    other.spec_hash = "1111111111111111";
    append_line(ledger_path(folder.path(), 1), to_json_line(other));
    CHECK_THROWS_WITH(read_results({folder.path()}, true), Catch::Contains("different experiments"));
  }
  SECTION("a backend that differs in anything") {
    const auto [name, field] =
        backend_info_fields[GENERATE(range(0, static_cast<int>(std::size(backend_info_fields))))];
    other.backend.*field = "another";
    append_line(ledger_path(folder.path(), 1), to_json_line(other));
    CHECK_THROWS_WITH(read_results({folder.path()}, false),
                      Catch::Contains(fmt::format("({}: '{}' and 'another')", name, sample(2).backend.*field)) &&
                          Catch::Contains("--allow-mixed"));
    CHECK(read_results({folder.path()}, true).size() == 2);
  }
  SECTION("another backend and program") {
    other.backend.target = "AVX3";
    other.commit = "def";
    append_line(ledger_path(folder.path(), 1), to_json_line(other));
    CHECK_THROWS_WITH(read_results({folder.path()}, false),
                      Catch::Contains("target: 'AVX2' and 'AVX3'; commit: 'abc' and 'def'"));
    CHECK(read_results({folder.path()}, true).size() == 2);
  }
  SECTION("two values of one cell") {
    other = sample(2);
    other.test.loss = 7;
    append_line(ledger_path(folder.path(), 1), to_json_line(other));
    CHECK_THROWS_WITH(read_results({folder.path()}, false), Catch::Contains("2 epochs, trial 0"));
    CHECK(read_results({folder.path()}, true).size() == 1);
  }
}

}  // namespace
}  // namespace genretree
