// The report, from results made by hand: the tables' exact text, what stands in the pages, and grids that are not
// whole.
#include <cmath>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "experiments/paper.hpp"
#include "experiments/report.hpp"
#include "experiments/summary.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

const double none = std::nan("");

Spec two_by_two() {
  Spec spec =
      parse_spec(parse_yaml("dataset: {genres: [jazz, rock]}\ngrid: {epochs: [5, 200], trials: 2}", "small.yaml"));
  return spec;
}

DatasetSummary gtzan() {
  return {"GTZAN", "/data/gtzan", {"jazz", "rock"}, 20, 14, 4, 2, "00000000000000aa", {"jazz.00054 is missing"}, 3};
}

/// A result whose numbers are easily told apart and averaged by hand: trial 1 is above trial 0 by 0.1 in each accuracy
/// and by 0.5 in each loss.
Result result_of(std::uint32_t epochs, std::uint32_t trial) {
  const double up = trial, late = epochs == 200 ? 0.25 : 0;
  Result result;
  result.run = fmt::format("e{:03}-t{}", epochs, trial);
  result.epochs = epochs;
  result.trial = trial;
  result.spec_hash = "0123456789abcdef";
  result.commit = "c0ffee";
  result.backend = {"cpu", "a processor", "AVX2", "interleaved", "fp32", "a library 1.0"};
  result.machine = "a machine";
  result.seconds = 30;
  result.train = {0.5 + 0.5 * up, 0.6 + late + 0.1 * up};
  result.validation = {1.5 + 0.5 * up, 0.4 + late + 0.1 * up};
  result.test = {2.5 + 0.5 * up, 0.3 + late + 0.1 * up};
  for (std::uint32_t epoch = 1; epoch <= epochs; ++epoch) result.history.push_back(scores_of(result));
  result.confusion = {3, 1, 0, 4};
  return result;
}

std::vector<Result> all_four() { return {result_of(5, 0), result_of(5, 1), result_of(200, 0), result_of(200, 1)}; }

struct Report {
  test::TemporaryFolder folder;
  Report(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results) {
    write_report(folder.path(), spec, dataset, results);
  }
  std::string operator[](const std::string& file) const { return read_text(folder / file); }
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

TEST_CASE("mean and sample standard deviation, worked by hand", "[report]") {
  CHECK(spread_of({1, 2, 6}).mean == 3);
  CHECK(spread_of({1, 2, 6}).sd == Approx(std::sqrt(7.0)));  // (4 + 1 + 9) / 2
  CHECK(spread_of({4}).mean == 4);
  CHECK(std::isnan(spread_of({4}).sd));
  CHECK(std::isnan(spread_of({}).mean));
  CHECK(std::isnan(spread_of({1, none, 3}).mean));  // a trial that diverged is not passed over
  CHECK(std::isnan(spread_of({1, none, 3}).sd));
}

TEST_CASE("figure9.csv has a line for each cell, whatever the order of the results", "[report]") {
  std::vector<Result> results = all_four();
  std::swap(results[0], results[3]);
  std::swap(results[1], results[2]);
  CHECK(Report(two_by_two(), gtzan(), results)["figure9.csv"] ==
        "epochs,trial,validation_accuracy,validation_loss,test_accuracy,test_loss,train_accuracy,train_loss\n"
        "5,0,0.4,1.5,0.3,2.5,0.6,0.5\n"
        "5,1,0.5,2,0.4,3,0.7,1\n"
        "200,0,0.65,1.5,0.55,2.5,0.85,0.5\n"
        "200,1,0.75,2,0.65,3,0.95,1\n");
}

TEST_CASE("figure10.csv has means, standard deviations and the paper's values", "[report]") {
  std::istringstream lines(Report(two_by_two(), gtzan(), all_four())["figure10.csv"]);
  std::string heading, first, second, rest;
  REQUIRE(std::getline(lines, heading));
  REQUIRE(std::getline(lines, first));
  REQUIRE(std::getline(lines, second));
  CHECK_FALSE(std::getline(lines, rest));
  CHECK(
      heading ==
      "epochs,trials,validation_accuracy_mean,validation_accuracy_sd,validation_loss_mean,validation_loss_sd,"
      "test_accuracy_mean,test_accuracy_sd,test_loss_mean,test_loss_sd,train_accuracy_mean,train_accuracy_sd,"
      "train_loss_mean,train_loss_sd,test_accuracy_low,test_accuracy_high,paper_test_loss");  // of the paper only what is known

  const auto cells = [](const std::string& line) {
    std::vector<std::string> list;
    std::istringstream stream(line + ",");
    for (std::string cell; std::getline(stream, cell, ',');) list.push_back(cell);
    return list;
  };
  const std::vector<std::string> five = cells(first), two_hundred = cells(second);
  REQUIRE(five.size() == 17);
  CHECK((five[0] == "5" && five[1] == "2"));
  CHECK(std::stod(five[2]) == Approx(0.45));
  CHECK(std::stod(five[3]) == Approx(0.1 / std::sqrt(2)));  // two values, 0.1 apart
  CHECK(std::stod(five[8]) == 2.75);
  CHECK(std::stod(five[9]) == Approx(0.5 / std::sqrt(2)));
  CHECK(five[16].empty());  // not known
  REQUIRE(two_hundred.size() == 17);
  CHECK(two_hundred[16] == "1.8864");
}

TEST_CASE("the pages show every cell, the paper beside ours, and where the paper disagrees with itself", "[report]") {
  const Report report(two_by_two(), gtzan(), all_four());
  for (const char* file : {"report.html", "report.md"}) {
    const std::string page = report[file];
    INFO(file);
    for (const char* cell : {"45.0 ± 7.1", "70.0 ± 7.1", "1.750 ± 0.354", "35.0 ± 7.1", "2.750 ± 0.354", "65.0 ± 7.1"})
      CHECK_THAT(page, Catch::Contains(cell));  // Figure 10
    for (const char* cell :
         {"40.0", "50.0", "65.0", "75.0", "30.0", "55.0", "1.500", "2.000", "2.500", "3.000", "0.500"})
      CHECK_THAT(page, Catch::Contains(cell));  // Figure 9
    CHECK_THAT(page,
               Catch::Contains("1.8864¹") && Catch::Contains("Fig. 9: 1.9014") && Catch::Contains(paper_footnote()));
    CHECK_THAT(page, Catch::Contains("s beside ours"));
    CHECK_THAT(page, Catch::Contains("knows only one cell: the mean test loss at 200 epochs, 1.8864"));
    for (const char* fact : {"GTZAN, 20 clips of 2 genres",
                             "gtzan",
                             "paper-420-120-60: 14 training, 4 validation, "
                             "2 test clips of 20",
                             "2018",
                             "1293 frames",
                             "compat: librosa-1.0",
                             "pad: edge",
                             "LSTM 128 → LSTM 32 → dense softmax 2",
                             "preset paper",
                             "sigmoid gates, dropout 0",
                             "adam, learning rate 0.001",
                             "batch 35",
                             "independent",
                             "a processor",
                             "AVX2",
                             "interleaved",
                             "fp32",
                             "a library 1.0",
                             "a machine",
                             "c0ffee",
                             "2 min 00 s",
                             "0123456789abcdef",
                             "jazz.00054 is missing"}) {
      INFO(fact);
      CHECK_THAT(page, Catch::Contains(fact));
    }
    CHECK_THAT(page, Catch::Contains("93,378"));  // 4·128·(13+128+1) + 4·32·(128+32+1) + 32·2 + 2
    CHECK_THAT(page, !Catch::Contains("/data"));  // a place on one machine
    CHECK_THAT(page, !Catch::Contains("cells of the grid are finished") && !Catch::Contains("nan"));
  }
}

TEST_CASE("the page needs nothing but itself", "[report]") {
  const std::string page = Report(two_by_two(), gtzan(), all_four())["report.html"];
  CHECK(count(page, "<svg") == 4);
  CHECK(count(page, "<?xml") == 0);
  for (const char* outside : {"<script", "<link", "src=", "@import", "url(", "href='h", "href=\"h"})
    CHECK_THAT(page, !Catch::Contains(outside));
  CHECK_THAT(page, Catch::Contains("prefers-color-scheme: dark") && Catch::Contains("@media print"));
  for (const char* tag : {"table", "tr", "thead", "tbody", "figure", "div", "h2", "h3", "p", "svg", "span"}) {
    INFO(tag);
    CHECK(count(page, fmt::format("<{} ", tag)) + count(page, fmt::format("<{}>", tag)) +
              count(page, fmt::format("<{}\n", tag)) ==
          count(page, fmt::format("</{}>", tag)));
  }
}

TEST_CASE("confusion matrices are summed over trials, with the recall of each genre", "[report]") {
  const std::string page = Report(two_by_two(), gtzan(), all_four())["report.md"];
  // jazz: 3 of 4 twice; rock: 4 of 4 twice; the longest point is the best by validation here
  CHECK_THAT(page, Catch::Contains("| jazz | 6 | 2 | 75.0 |\n| rock | 0 | 8 | 100.0 |"));
  CHECK(count(page, "recall %") == 1);
  CHECK_THAT(page, Catch::Contains("200 epochs (the longest training, and the best by validation accuracy), 2 trials"));

  std::vector<Result> results = all_four();
  for (Result& result : results)
    if (result.epochs == 5) result.validation.accuracy = 0.9;
  const std::string other = Report(two_by_two(), gtzan(), results)["report.md"];
  CHECK(count(other, "recall %") == 2);
  CHECK_THAT(other, Catch::Contains("5 epochs (the best by validation accuracy), 2 trials"));
}

TEST_CASE("synthetic data are named in the first line and never as GTZAN's", "[report]") {
  DatasetSummary dataset = gtzan();
  dataset.name = "SYNTHETIC corpus (not GTZAN)";
  dataset.source = "synthetic corpus 1, seed 2018, 6 s, read from /data/made";
  const Report report(two_by_two(), dataset, all_four());
  CHECK_THAT(report["report.md"], Catch::StartsWith("# small\n\n**SYNTHETIC corpus (not GTZAN): these figures say "
                                                    "nothing about GTZAN, real music or the paper. Split "));
  for (const char* file : {"report.md", "report.html"}) {
    CHECK_THAT(report[file],
               Catch::Contains("The paper's values are for GTZAN, which is other data than these") ||
                   Catch::Contains("The paper&#39;s values are for GTZAN, which is other data than these"));
    CHECK_THAT(report[file], !Catch::Contains("Data: GTZAN"));
    CHECK_THAT(report[file], !Catch::Contains("beside ours") && !Catch::Contains("1.8864"));
  }
  CHECK_THAT(report["figure10.csv"], !Catch::Contains("paper") && !Catch::Contains("1.8864"));
  CHECK_THAT(tables_as_text(two_by_two(), dataset, all_four()), !Catch::Contains("paper"));
}

TEST_CASE("a grid without a known value of the paper has no column for it, but a sentence", "[report]") {
  Spec spec = two_by_two();
  spec.grid.epochs = {5};
  const Report report(spec, gtzan(), all_four());
  for (const char* file : {"report.md", "report.html"}) {
    CHECK_THAT(report[file], !Catch::Contains("beside ours") && !Catch::Contains("(paper:") &&
                                 !Catch::Contains("class=\"paper\"") && !Catch::Contains("disagrees with itself"));
    CHECK_THAT(report[file], Catch::Contains("this version of the program knows only one cell"));
  }
  CHECK_THAT(report["figure10.csv"], !Catch::Contains("paper"));
  CHECK_THAT(tables_as_text(spec, gtzan(), all_four()), !Catch::Contains("paper"));
}

TEST_CASE("a training that diverged is shown as such, in its cell and in its point's mean", "[report]") {
  std::vector<Result> results = all_four();
  results[1].train.loss = results[1].validation.loss = results[1].test.loss = none;  // 5 epochs, trial 1
  for (EpochScores& scores : results[1].history) scores = scores_of(results[1]);
  const Report report(two_by_two(), gtzan(), results);
  CHECK_THAT(report["figure9.csv"], Catch::Contains("\n5,1,0.5,nan,0.4,nan,0.7,nan\n"));
  CHECK_THAT(report["figure10.csv"], Catch::Contains("\n5,2,0.45,0.07") && Catch::Contains(",nan,nan,"));
  CHECK_THAT(report["report.md"], Catch::Contains("| 5 | 2 | 45.0 ± 7.1 | diverged | 35.0 ± 7.1 | diverged |"));
  CHECK_THAT(report["report.md"], Catch::Contains("| 5 | 1 | 50.0 | diverged | 40.0 | diverged | 70.0 | diverged |"));
  CHECK_THAT(report["report.md"], Catch::Contains("| 5 | 0 | 40.0 | 1.500 |"));
  for (const char* file : {"report.md", "report.html"})
    CHECK_THAT(report[file], Catch::Contains("1 training diverged: e005-t1."));
}

/// Both trials of both points judge the same ten clips, jazz and rock in turn; the first seven are right.
std::vector<Result> with_answers() {
  std::vector<Result> results = all_four();
  for (Result& result : results)
    for (std::uint32_t clip = 0; clip < 10; ++clip) {
      result.answers.tracks.push_back(fmt::format("track {}", clip));
      result.answers.genres.push_back(clip % 2);
      const float jazz = (clip % 2 == 0) == (clip < 7) ? 0.75f : 0.25f;
      result.answers.probabilities.insert(result.answers.probabilities.end(), {jazz, 1 - jazz});
    }
  return results;
}

TEST_CASE("each test accuracy stands beside its interval, which is explained once", "[report]") {
  const std::vector<GridPoint> points = summarise(two_by_two(), with_answers());
  const std::vector<TrackCount> counts = track_counts(two_by_two(), points[0].trials);
  REQUIRE(counts.size() == 10);  // tracks, not answers
  CHECK(counts[6] == TrackCount{"track 6", 2, 2});
  CHECK(counts[7] == TrackCount{"track 7", 0, 2});
  const auto [low, high] = points[0].test_interval;
  CHECK(low == Approx(0.4));  // binomial of 10 with 0.7: 4 and 9 right
  CHECK(high == Approx(0.9).margin(0.11));

  const Report report(two_by_two(), gtzan(), with_answers());
  const std::string shown = shown_percent(points[0].test_interval);
  CHECK_THAT(shown, Catch::StartsWith("[40.0, ") && Catch::EndsWith("0]"));
  CHECK_THAT(report["report.md"], Catch::Contains(" \\[40.0, "));
  CHECK_THAT(report["report.html"], Catch::Contains(shown));
  for (const char* file : {"report.html", "report.md"})
    CHECK(count(report[file], "95 % bootstrap interval of the accuracy over all trials (10000 resamples") == 1);
  CHECK_THAT(report["figure10.csv"], Catch::Contains(",test_accuracy_low,test_accuracy_high,paper_") &&
                                         Catch::Contains(fmt::format(",{},{},", low, high)));
  const std::string text = tables_as_text(two_by_two(), gtzan(), with_answers());
  CHECK_THAT(text, Catch::Contains("  95 %  ") && Catch::Contains(shown));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    CHECK(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }) <= 100);
}

TEST_CASE("the split is named in the first line, and artists on both sides are a warning", "[report]") {
  Spec spec = two_by_two();
  DatasetSummary dataset = gtzan();
  dataset.warnings = {"Songs of 3 artists lie in training and test, with 7 of 9 test clips: A, B, C."};
  for (const auto& [split, name] : {std::pair(SplitConfig(), "paper-420-120-60 (by index)"),
                                    {named_split("random-420-120-60"), "random-420-120-60 (drawn for each trial)"},
                                    {SplitConfig{.kind = SplitConfig::Kind::lists,
                                    .name = "lists train.txt, test.txt",
                                    .train_list = "/lists/train.txt",
                                    .validation_list = {},
                                    .test_list = "/lists/test.txt"},
                                     "lists train.txt, test.txt"}}) {
    spec.dataset.split = split;
    const Report report(spec, dataset, all_four());
    for (const char* file : {"report.html", "report.md"}) {
      const std::string page = report[file];
      CHECK_THAT(page, Catch::Contains(fmt::format("; split {}.", name)) &&
                           Catch::Contains("Songs of 3 artists lie in training and test"));
      CHECK(page.find("Data: GTZAN") < page.find("Songs of 3"));
    }
    dataset.name = "SYNTHETIC corpus (not GTZAN)", dataset.source = "synthetic corpus 1";
    CHECK_THAT(Report(spec, dataset, all_four())["report.md"], Catch::Contains(fmt::format("Split {}.", name)));
    dataset.name = gtzan().name, dataset.source = gtzan().source;
  }
  CHECK(dataset_summary_from_json(to_json(dataset)).warnings == dataset.warnings);
}

TEST_CASE("the paper's values beside a part of GTZAN are a warning", "[report]") {
  std::vector<Result> results = with_answers();
  const auto warned = [&](const DatasetSummary& dataset) {
    return Report(two_by_two(), dataset, results)["report.md"];
  };
  CHECK_THAT(warned(gtzan()),
             Catch::Contains("**20 of GTZAN's 200 tracks: not the paper's data") && !Catch::Contains("clips a genre"));
  for (Result& result : results) result.answers.genres.assign(10, 1), result.answers.genres[0] = 0;
  CHECK_THAT(warned(gtzan()), Catch::Contains("The test set has 1 to 9 clips a genre."));
  DatasetSummary whole = gtzan();
  whole.clips = 200;
  CHECK_THAT(warned(whole), !Catch::Contains("not the paper's data"));
  DatasetSummary other = gtzan();
  other.name = "music";
  CHECK_THAT(warned(other), !Catch::Contains("of GTZAN's"));
}

TEST_CASE("a single grid point is neither the longest nor the best", "[report]") {
  Spec spec = two_by_two();
  spec.grid.epochs = {200};
  const std::string page = Report(spec, gtzan(), {result_of(200, 0), result_of(200, 1)})["report.md"];
  CHECK_THAT(page, Catch::Contains("### 200 epochs, 2 trials") && !Catch::Contains("longest training"));
}

TEST_CASE("a partial grid says how much of it is there", "[report]") {
  const Report report(two_by_two(), gtzan(), {result_of(200, 1), result_of(5, 0), result_of(5, 1)});
  for (const char* file : {"report.html", "report.md"})
    CHECK_THAT(report[file], Catch::Contains("3 of 4 cells of the grid are finished"));
  CHECK(count(report["figure9.csv"], "\n") == 4);
  CHECK_THAT(report["figure10.csv"],
             Catch::Contains("\n200,1,0.75,,2,,0.65,,3,,0.95,,1,,,,1.8864\n"));  // no sd of one

  const Report first_point(two_by_two(), gtzan(), {result_of(5, 0)});
  CHECK(count(first_point["figure10.csv"], "\n") == 2);
  CHECK_THAT(first_point["report.md"], !Catch::Contains("Fig. 9"));  // no footnote without its cell
  CHECK_THROWS_WITH(Report(two_by_two(), gtzan(), {}),
                    "there is nothing to report: no result of the grid of 'small' is finished");
}

TEST_CASE("results beyond the grid of the experiment are left out", "[report]") {
  std::vector<Result> results = all_four();
  results.push_back(result_of(7, 0));
  results.push_back(result_of(5, 2));
  CHECK(Report(two_by_two(), gtzan(), results)["figure9.csv"] ==
        Report(two_by_two(), gtzan(), all_four())["figure9.csv"]);
}

TEST_CASE("without a validation set its columns are empty", "[report]") {
  std::vector<Result> results = all_four();
  for (Result& result : results) {
    result.validation = {none, none};
    for (EpochScores& scores : result.history) scores.validation = {none, none};
  }
  const Report report(two_by_two(), gtzan(), results);
  CHECK_THAT(report["figure9.csv"], Catch::Contains("\n5,0,,,0.3,2.5,0.6,0.5\n"));
  for (const char* file : {"report.html", "report.md", "figure10.csv"})
    CHECK_THAT(report[file], !Catch::Contains("nan"));
  CHECK_THAT(report["figure11.svg"], !Catch::Contains(">validation<"));
  CHECK_THAT(report["report.md"], Catch::Contains("200 epochs (the longest training)"));
}

TEST_CASE("a training of one epoch has no curves, one that diverged still has a report", "[report]") {
  Spec spec = two_by_two();
  spec.grid.epochs = {1};
  Result result = result_of(1, 0);
  result.train.loss = result.test.loss = INFINITY;
  const Report report(spec, gtzan(), {result});
  CHECK(count(report["report.html"], "<svg") == 2);
  CHECK_FALSE(std::filesystem::exists(report.folder / "curves_loss.svg"));
}

TEST_CASE("names with special characters stay text", "[report]") {
  DatasetSummary dataset = gtzan();
  dataset.genres = {"<b>R&B</b>", "a|b \"c\""};
  dataset.notes = {"<script>alert('x')</script>"};
  const Report report(two_by_two(), dataset, all_four());
  const std::string html = report["report.html"], markdown = report["report.md"];
  CHECK_THAT(html, Catch::Contains("&lt;b&gt;R&amp;B&lt;/b&gt;") && Catch::Contains("a|b &quot;c&quot;"));
  CHECK_THAT(html, !Catch::Contains("<b>") && !Catch::Contains("<script"));
  CHECK_THAT(markdown, Catch::Contains("| a\\|b \"c\" |") && !Catch::Contains("<script"));
}

TEST_CASE("snapshots of one training count its time once", "[report]") {
  std::vector<Result> results = all_four();
  for (Result& result : results) {
    result.run = fmt::format("s200-t{}", result.trial);
    result.seconds = result.epochs == 200 ? 100 : 10;
  }
  CHECK_THAT(Report(two_by_two(), gtzan(), results)["report.md"], Catch::Contains("3 min 20 s, summed over all runs"));
}

TEST_CASE("the tables fit a terminal of 100 columns", "[report]") {
  const std::string text = tables_as_text(two_by_two(), gtzan(), all_four());
  CHECK_THAT(text, Catch::Contains("     5      0        40.0  1.500        30.0  2.500        60.0  0.500\n"));
  CHECK_THAT(text, Catch::Contains("   200       2  70.0 ± 7.1  1.750 ± 0.354  60.0 ± 7.1  2.750 ± 0.354  90.0 ± 7.1  "
                                   "0.750 ± 0.354\n"));
  CHECK_THAT(text, Catch::Contains("         paper                                               1.8864¹\n"));
  CHECK_THAT(text, Catch::Contains("1.8864¹  Fig. 9: 1.9014\n") && Catch::EndsWith(short_interval_note() + "\n"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto width = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
    CHECK(width <= 100);
  }
}

TEST_CASE("cells of the tables never run together, however large their values", "[report]") {
  std::vector<Result> results = all_four();
  results[0].test.loss = 12208.668;
  results[1].train.loss = 86798.6;
  const std::string text = tables_as_text(two_by_two(), gtzan(), results);
  CHECK_THAT(text, Catch::Contains("  6105.834 ± 8630.711  65.0 ± 7.1  43399.550 ± 61375.5"));
}

TEST_CASE("the summary of the data survives its file, and a damaged file is named", "[report]") {
  DatasetSummary before = gtzan();
  before.features_by = "cpu, avx3, a library 1.0";
  const DatasetSummary after = dataset_summary_from_json(to_json(before));
  CHECK(to_json(after) == to_json(before));
  CHECK(after.genres == before.genres);
  CHECK(after.checksum == before.checksum);
  CHECK(after.left_out == 3);
  CHECK(after.features_by == before.features_by);
  CHECK_THROWS_WITH(dataset_summary_from_json("{\"name\": \"GT", "run/dataset.json"),
                    Catch::StartsWith("run/dataset.json") && Catch::Contains("Delete it"));
  CHECK_THROWS_AS(dataset_summary_from_json("{}"), InputError);
}

TEST_CASE("the paper's grid has a row for each of its points and none beside", "[report]") {
  for (const std::uint32_t epochs : {5u, 10u, 20u, 50u, 100u, 200u, 400u}) CHECK(paper_figure10(epochs) != nullptr);
  CHECK(paper_figure10(7) == nullptr);
  CHECK(paper_figure10(200)->test_loss == 1.8864);
  std::size_t known = 0;
  for (const std::uint32_t epochs : {5u, 10u, 20u, 50u, 100u, 200u, 400u})
    for (const double value : paper_figure10(epochs)->values()) known += std::isnan(value) ? 0 : 1;
  CHECK(known == 1);  // as paper_gaps_note says
}

}  // namespace
}  // namespace genretree
