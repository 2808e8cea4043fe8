// figures from the command line: what it writes, what it says, how it exits.
#include "core/io/files.hpp"
#include "features/store.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// A tiny experiment in `folder` on the data set of `dataset_keys`.
std::string experiment(const test::TemporaryFolder& folder, const std::string& dataset_keys) {
  const fs::path file = folder / "tiny.yaml";
  write_whole_text(file, fmt::format("experiment: tiny\ndataset: {{{}}}\nfeatures: {{frames: 40}}\n"
                                     "model: {{layers: [{{lstm: 8}}, {{lstm: 4}}, {{dense: softmax}}]}}\n",
                                     dataset_keys));
  return file.string();
}

test::CommandResult figures(const test::TemporaryFolder& folder, const std::string& arguments) {
  return test::run_command(fmt::format("{} {} --out {} --cache {}", test::program("figures").string(), arguments,
                                       (folder / "out").string(), (folder / "cache").string()));
}

}  // namespace

TEST_CASE("figures draws the built-in corpus, without any split") {
  const test::TemporaryFolder folder;
  const std::string file = experiment(folder, "name: built-in, clips_per_genre: 3, seconds: 1, genres: [pop, jazz]");
  const test::CommandResult result = figures(folder, file);
  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Contains("SYNTHETIC corpus (not GTZAN): 6 clips in 2 genres (pop, jazz)") &&
                                Contains("page: ") && !Contains("left out"));
  for (const char* name : {"figure6.svg", "figure7.svg", "figure8.svg", "figure13.svg", "similarity.svg",
                           "similarity.csv", "scatter.csv", "index.html"})
    CHECK(fs::file_size(folder / "out" / name) > 0);
}

TEST_CASE("a bad file is left out with its reason, and another clip of its genre is shown") {
  const test::TemporaryFolder folder;
  for (const char* genre : {"one", "two"}) {
    fs::create_directories(folder / "audio" / genre);
    fs::copy_file(test::golden("librosa_stereo.wav"), folder / "audio" / genre / "b.wav");
  }
  write_whole_text(folder / "audio" / "one" / "a.wav", "This is no music.");
  const std::string file = experiment(folder, "name: mine, path: audio");
  const test::CommandResult result = figures(folder, file);
  INFO(result.output);
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.output, Contains("left out: one/a") || Contains("left out: a ("));
  CHECK_THAT(result.output, Contains("The similarity of genres is left out: 2 clips of 2 genres are one clip a genre"));
  const std::string page = read_text(folder / "out" / "index.html");
  CHECK_THAT(page, Contains("one/b") && Contains("holds no audio"));
  CHECK(figures(folder, file + " --strict").exit_code == 65);
}

TEST_CASE("of a file with variants the one that is asked for is drawn; without --variant its variants are named") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "two.yaml";
  const std::string one =
      "experiment: two\ndataset: {name: built-in, clips_per_genre: 3, seconds: 1}\n"
      "features: {frames: 40}\nmodel: {layers: [{lstm: 8}, {dense: softmax}]}\n";
  write_whole_text(file, one + "variants: {small: {model.layers: [{lstm: 5}, {dense: softmax}]}, large: {}}\n");
  const test::CommandResult none = figures(folder, file.string());
  CHECK(none.exit_code == 65);
  CHECK_THAT(none.output, Contains("has several experiments. Choose one of them with --variant: small, large"));
  const test::CommandResult other = figures(folder, file.string() + " --variant smal");
  CHECK(other.exit_code == 65);
  CHECK_THAT(other.output, Contains("has no variant 'smal'") && Contains("It has: small, large"));
  const test::CommandResult small = figures(folder, file.string() + " --variant small");
  INFO(small.output);
  CHECK(small.exit_code == 0);
  CHECK_THAT(read_text(folder / "out" / "figure6.svg"), Contains(">LSTM 5<"));

  write_whole_text(file, one);
  const test::CommandResult needless = figures(folder, file.string() + " --variant small");
  CHECK(needless.exit_code == 65);
  CHECK_THAT(needless.output, Contains("has no variants"));
}

TEST_CASE("missing data, a missing file and a missing option are errors that say what to do") {
  const test::TemporaryFolder folder;
  const test::CommandResult no_data = figures(folder, experiment(folder, "name: mine, path: nowhere"));
  CHECK(no_data.exit_code == 65);
  CHECK_THAT(no_data.output, Contains("nowhere does not exist") && Contains("--dataset"));
  const test::CommandResult no_file = figures(folder, (folder / "none.yaml").string());
  CHECK(no_file.exit_code == 65);
  CHECK_THAT(no_file.output, Contains("none.yaml"));
  const test::CommandResult no_out = test::run_command(test::program("figures").string() + " x.yaml");
  CHECK(no_out.exit_code == 65);
  CHECK_THAT(no_out.output, Contains("--out"));
}
