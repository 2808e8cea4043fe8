#include <fstream>
#include <map>
#include <set>

#include "core/error.hpp"
#include "features/gtzan.hpp"
#include "features/split.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;
using Names = std::vector<std::string>;

namespace {

void add_track(FeatureStore& store, std::size_t genre, const std::string& track) {
  store.tracks.push_back(track);
  store.labels.push_back(static_cast<std::int32_t>(genre));
  store.checksums.push_back(1000 + store.checksums.size());
}

/// Gives two tracks the same samples.
void make_equal(FeatureStore& store, const std::string& a, const std::string& b) {
  const auto index = [&](const std::string& track) {
    return static_cast<std::size_t>(std::find(store.tracks.begin(), store.tracks.end(), track) - store.tracks.begin());
  };
  store.checksums.at(index(a)) = store.checksums.at(index(b));
}

/// `tracks` numbered tracks of each genre but for those in `without`.
FeatureStore data_set(const Names& genres, int tracks, const std::set<std::string>& without = {}) {
  FeatureStore store;
  store.genres = genres;
  for (std::size_t genre = 0; genre < genres.size(); ++genre)
    for (int number = 0; number < tracks; ++number)
      if (const std::string track = numbered_track_name(genres[genre], number); !without.contains(track))
        add_track(store, genre, track);
  return store;
}

Names tracks_of(const FeatureStore& store, const std::vector<std::uint32_t>& clips) {
  Names tracks;
  for (const std::uint32_t clip : clips) tracks.push_back(store.tracks[clip]);
  return tracks;
}

/// Which set each track is in; fails if one is in two, or twice in one.
std::map<std::string, std::string> sets_of(const FeatureStore& store, const Split& split) {
  std::map<std::string, std::string> sets;
  for (const auto& [name, clips] :
       {std::pair("train", &split.train), {"validation", &split.validation}, {"test", &split.test}}) {
    CHECK(std::is_sorted(clips->begin(), clips->end()));
    for (const std::string& track : tracks_of(store, *clips)) CHECK(sets.emplace(track, name).second);
  }
  return sets;
}

SplitConfig lists(const fs::path& train, const fs::path& validation, const fs::path& test) {
  SplitConfig config;
  config.kind = SplitConfig::Kind::lists;
  config.name = "lists";
  config.train_list = train, config.validation_list = validation, config.test_list = test;
  return config;
}

fs::path written(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

bool same(const Split& a, const Split& b) {
  return a.train == b.train && a.validation == b.validation && a.test == b.test;
}

}  // namespace

TEST_CASE("paper-420-120-60 takes tracks by number: 10 test, 20 validation, 70 training", "[split]") {
  const FeatureStore store = data_set(paper_genres(), 100);
  const Split split = make_split(store, named_split("paper-420-120-60"), 1, 0, true);
  CHECK(split.train.size() == 420);
  CHECK(split.validation.size() == 120);
  CHECK(split.test.size() == 60);
  CHECK(split.missing.empty());
  const auto sets = sets_of(store, split);
  CHECK(sets.at("jazz.00000") == "test");
  CHECK(sets.at("jazz.00009") == "test");
  CHECK(sets.at("jazz.00010") == "validation");
  CHECK(sets.at("jazz.00029") == "validation");
  CHECK(sets.at("jazz.00030") == "train");
  CHECK(sets.at("reggae.00099") == "train");
  CHECK(same(split, make_split(store, named_split("paper-420-120-60"), 2, 3, true)));  // neither seed nor trial matters
}

TEST_CASE("a missing track is named and shifts no other", "[split]") {
  const FeatureStore whole = data_set({"blues", "jazz"}, 100),
                     lacking = data_set({"blues", "jazz"}, 100, {"jazz.00004", "jazz.00054"});
  const Split split = make_split(lacking, named_split("paper-420-120-60"), 1, 0, false);
  CHECK(split.missing == Names{"jazz.00004", "jazz.00054"});
  CHECK(split.test.size() == 19);
  CHECK(split.train.size() == 139);
  const auto expected = sets_of(whole, make_split(whole, named_split("paper-420-120-60"), 1, 0, false));
  for (const auto& [track, set] : sets_of(lacking, split)) CHECK(expected.at(track) == set);
  CHECK_THROWS_AS(make_split(lacking, named_split("paper-420-120-60"), 1, 0, true), InputError);
  CHECK_THROWS_WITH(make_split(lacking, named_split("paper-420-120-60"), 1, 0, true),
                    Catch::Contains("2 tracks") && Catch::Contains("jazz.00054"));
}

TEST_CASE("tracks without numbers are taken in alphabetical order", "[split]") {
  FeatureStore store;
  store.genres = {"folk", "soul"};
  for (const char* track : {"e", "b", "d", "a", "c"})
    add_track(store, 0, std::string("folk-") + track), add_track(store, 1, track);
  SplitConfig config;
  config.test = 1, config.validation = 1, config.train = 0;
  const Split split = make_split(store, config, 1, 0, true);
  CHECK(tracks_of(store, split.test) == Names{"folk-a", "a"});
  CHECK(tracks_of(store, split.validation) == Names{"folk-b", "b"});
  CHECK(split.train.size() == 6);

  config.train = 4;  // one more than there are
  CHECK(make_split(store, config, 1, 0, false).missing == Names{"folk: 5 of 6 tracks", "soul: 5 of 6 tracks"});
}

TEST_CASE("a genre that is too small for the split is an error that says what is needed and there", "[split]") {
  const FeatureStore store = data_set({"blues", "pop"}, 15);
  const SplitConfig by_index = named_split("paper-420-120-60"), random = named_split("random-420-120-60");
  for (const SplitConfig& config : {by_index, random}) {
    CHECK_THROWS_AS(make_split(store, config, 1, 0, false), InputError);
    CHECK_THROWS_WITH(make_split(store, config, 1, 0, false), Catch::Contains("'blues' has no training clip") &&
                                                                  Catch::Contains("training 70") &&
                                                                  Catch::Contains("15 tracks"));
  }
}

TEST_CASE("random-420-120-60 draws anew for each trial and seed, and always the same", "[split]") {
  const FeatureStore store = data_set(paper_genres(), 100);
  const SplitConfig config = named_split("random-420-120-60");
  const Split first = make_split(store, config, 7, 0, true);
  CHECK(first.train.size() == 420);
  CHECK(first.validation.size() == 120);
  CHECK(first.test.size() == 60);
  std::map<std::int32_t, int> test_of_genre;
  for (const std::uint32_t clip : first.test) ++test_of_genre[store.labels[clip]];
  for (const auto& [genre, count] : test_of_genre) CHECK(count == 10);
  CHECK(sets_of(store, first).size() == 600);

  CHECK(same(first, make_split(store, config, 7, 0, true)));
  CHECK(!same(first, make_split(store, config, 7, 1, true)));
  CHECK(!same(first, make_split(store, config, 8, 0, true)));
}

TEST_CASE("over many trials every track is drawn for testing about equally often", "[split]") {
  const FeatureStore store = data_set({"blues", "rock"}, 20);
  SplitConfig config = named_split("random-420-120-60");
  config.test = 5, config.validation = 5, config.train = 10;
  std::vector<int> tested(store.clips());
  constexpr int trials = 400;
  for (std::uint32_t trial = 0; trial < trials; ++trial)
    for (const std::uint32_t clip : make_split(store, config, 1, trial, true).test) ++tested[clip];
  for (const int count : tested)
    CHECK(std::abs(count - trials / 4) < 45);  // 5 standard deviations of a binomial, sqrt(400 · 1/4 · 3/4) = 8.7
}

TEST_CASE("where a track is drawn to does not depend on the other genres, and hardly on missing tracks", "[split]") {
  const SplitConfig config = named_split("random-420-120-60");
  const FeatureStore whole = data_set({"blues", "jazz", "rock"}, 100);
  const auto sets = sets_of(whole, make_split(whole, config, 3, 0, false));
  const FeatureStore others = data_set({"rock", "disco", "blues"}, 100);
  for (const auto& [track, set] : sets_of(others, make_split(others, config, 3, 0, false)))
    if (!track.starts_with("disco")) CHECK(sets.at(track) == set);

  const FeatureStore lacking = data_set({"blues", "jazz", "rock"}, 100, {"jazz.00054"});
  const Split split = make_split(lacking, config, 3, 0, false);
  CHECK(split.missing == Names{"jazz.00054"});
  CHECK(split.train.size() == 209);  // training makes up for it
  CHECK(split.test.size() == 30);
  int moved = 0;
  for (const auto& [track, set] : sets_of(lacking, split)) moved += sets.at(track) != set;
  CHECK(moved <= 2);  // at most one over each of the two bounds
}

TEST_CASE("tracks with the same samples that lie in different sets are named", "[split]") {
  FeatureStore store = data_set({"metal", "rock"}, 100);
  const SplitConfig config = named_split("paper-420-120-60");
  CHECK(make_split(store, config, 1, 0, true).duplicates_across.empty());
  make_equal(store, "metal.00034", "metal.00009");  // train, test
  make_equal(store, "rock.00016", "metal.00058");   // validation, train
  make_equal(store, "metal.00040", "metal.00061");  // both train
  CHECK(make_split(store, config, 1, 0, true).duplicates_across ==
        Names{"metal.00009 (test) = metal.00034 (train)", "metal.00058 (train) = rock.00016 (validation)"});
}

TEST_CASE("tracks of a genre with the same samples are drawn into one set, and the sets keep their sizes", "[split]") {
  FeatureStore store = data_set({"blues", "metal"}, 100);
  const SplitConfig config = named_split("random-420-120-60");
  const Split without = make_split(store, config, 5, 0, true);
  for (int number = 0; number < 40; number += 2)
    make_equal(store, numbered_track_name("metal", number), numbered_track_name("metal", number + 1));
  make_equal(store, "metal.00002", "metal.00000");
  make_equal(store, "metal.00003", "metal.00000");  // four of a kind
  std::set<std::string> sets_of_first;
  for (std::uint32_t trial = 0; trial < 50; ++trial) {
    const Split split = make_split(store, config, 5, trial, true);
    CHECK(split.duplicates_across.empty());
    CHECK(split.train.size() == 140);
    CHECK(split.validation.size() == 40);
    CHECK(split.test.size() == 20);
    const auto sets = sets_of(store, split);
    CHECK(sets.at("metal.00000") == sets.at("metal.00003"));
    CHECK(sets.at("metal.00004") == sets.at("metal.00005"));
    sets_of_first.insert(sets.at("metal.00000"));
  }
  CHECK(sets_of_first.size() == 3);
  const auto before = sets_of(store, without), after = sets_of(store, make_split(store, config, 5, 0, true));
  for (const auto& [track, set] : after)
    if (track.starts_with("blues")) CHECK(before.at(track) == set);  // a genre without duplicates is drawn as ever
}

TEST_CASE("fractions divide a genre of any size without a rest", "[split]") {
  FeatureStore store = data_set({"blues", "rock"}, 33);
  SplitConfig config = named_split("random-420-120-60");
  config.fractions = true, config.train = 0.7, config.validation = 0.2, config.test = 0.1;
  const Split split = make_split(store, config, 1, 0, true);
  CHECK(split.test.size() == 2 * 3);  // ends at 3.3, 9.9 and 33
  CHECK(split.validation.size() == 2 * 7);
  CHECK(split.train.size() == 2 * 23);
}

TEST_CASE("sizes that make no sense are refused", "[split]") {
  const FeatureStore store = data_set({"blues", "rock"}, 20);
  SplitConfig config = named_split("random-420-120-60");
  const auto message = [&](double train, double validation, double test, bool fractions) {
    config.train = train, config.validation = validation, config.test = test, config.fractions = fractions;
    try {
      make_split(store, config, 1, 0, false);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK_THAT(message(10, 0, 2.5, false), Catch::Contains("test: 2.5") && Catch::Contains("whole number"));
  CHECK_THAT(message(10, -1, 2, false), Catch::Contains("validation: -1"));
  CHECK_THAT(message(10, 1, 0, false), Catch::Contains("every genre needs test tracks"));
  CHECK_THAT(message(0.7, 0.3, 0.2, true), Catch::Contains("sum to 1.2"));
  CHECK_THAT(message(70, 20, 10, true), Catch::Contains("between 0 and 1"));
  CHECK_THROWS_WITH(make_split(data_set({"blues"}, 20), config, 1, 0, false),
                    Catch::Contains("1 genre (blues)") && Catch::Contains("at least two"));
  CHECK_THROWS_WITH(named_split("paper-420-120-6"),
                    Catch::Contains("did you mean 'paper-420-120-60'") && Catch::Contains("random-420-120-60"));
}

TEST_CASE("lists name tracks in the forms that people use", "[split]") {
  const test::TemporaryFolder folder;
  FeatureStore store = data_set({"blues", "rock"}, 4);
  const SplitConfig config =
      lists(written(folder / "train.txt",
                    "# filtered\nblues/blues.00000.wav\r\nblues/blues.00001.wav\r\nrock/rock.00000.wav\r\n"),
            written(folder / "valid.txt", "./blues_00002.wav\tblues\n\n./rock_00001.wav\trock\n"),
            written(folder / "test.txt", "blues.00003\nrock_00003.au"));
  const Split split = make_split(store, config, 1, 0, true);
  CHECK(tracks_of(store, split.train) == Names{"blues.00000", "blues.00001", "rock.00000"});
  CHECK(tracks_of(store, split.validation) == Names{"blues.00002", "rock.00001"});
  CHECK(tracks_of(store, split.test) == Names{"blues.00003", "rock.00003"});
  CHECK(split.missing.empty());
}

TEST_CASE("lists find tracks that are told apart by their genre, and names with any characters", "[split]") {
  const test::TemporaryFolder folder;
  FeatureStore store;
  store.genres = {"folk", "soul"};
  add_track(store, 0, "folk/01"), add_track(store, 1, "soul/01"), add_track(store, 0, "Op. 21 no_00002"),
      add_track(store, 1, "a b.c");
  const SplitConfig config = lists(written(folder / "train.txt", "folk/01.mp3\nsoul/a b.c\n"), {},
                                   written(folder / "test.txt", "./01.wav\tsoul\nfolk/Op. 21 no_00002.flac\n"));
  const Split split = make_split(store, config, 1, 0, true);
  CHECK(tracks_of(store, split.train) == Names{"folk/01", "a b.c"});
  CHECK(tracks_of(store, split.test) == Names{"soul/01", "Op. 21 no_00002"});
}

TEST_CASE("listed tracks that are missing are named; genres that were not chosen are passed over", "[split]") {
  const test::TemporaryFolder folder;
  FeatureStore store = data_set({"blues", "jazz"}, 3, {"jazz.00002"});
  const SplitConfig config = lists(
      written(folder / "train.txt",
              "blues/blues.00000.wav\njazz/jazz.00000.wav\njazz/jazz.00002.wav\nrock/rock.00000.wav\n"),
      {},
      written(folder / "test.txt", "./blues_00001.wav\n./jazz_00001.wav\n./rock_00007.wav\n./pop_00001.wav\tpop\n"));
  const Split split = make_split(store, config, 1, 0, false);
  CHECK(split.missing == Names{"jazz.00002"});
  CHECK(split.train.size() == 2);
  CHECK(split.test.size() == 2);
  CHECK_THROWS_WITH(make_split(store, config, 1, 0, true),
                    Catch::Contains("1 track ") && Catch::Contains("jazz.00002"));
}

TEST_CASE("a track that is listed twice is an error with both places", "[split]") {
  const test::TemporaryFolder folder;
  const FeatureStore store = data_set({"blues", "rock"}, 3);
  const fs::path train = written(folder / "train.txt", "blues/blues.00000.wav\nrock/rock.00000.wav\n");
  const fs::path test = written(folder / "test.txt", "./rock_00001.wav\n./blues_00000.wav\n");
  CHECK_THROWS_WITH(make_split(store, lists(train, {}, test), 1, 0, false),
                    Catch::Contains("blues.00000") && Catch::Contains("train.txt:1 ") && Catch::Contains("test.txt:2"));
  CHECK_THROWS_WITH(make_split(store, lists(train, {}, folder / "absent.txt"), 1, 0, false),
                    Catch::Contains("absent.txt"));
  CHECK_THROWS_WITH(make_split(store, lists(train, {}, written(folder / "empty.txt", "\n")), 1, 0, false),
                    Catch::Contains("names no track"));
  CHECK_THROWS_WITH(make_split(store, lists(train, {}, {}), 1, 0, false), Catch::Contains("list of test tracks"));
}

TEST_CASE("the published filtered lists of GTZAN give their published sizes", "[split]") {
  const fs::path published = test::shared("data/splits");
  if (published.empty()) SKIP_TEST("the published lists are not here");
  const FeatureStore store = data_set(gtzan_genres(), 100);
  const fs::path sturm = published / "boblsturm-GTZAN";
  const Split filtered =
      make_split(store, lists(sturm / "train_filtered.txt", sturm / "valid_filtered.txt", sturm / "test_filtered.txt"),
                 1, 0, true);
  CHECK(filtered.train.size() == 443);
  CHECK(filtered.validation.size() == 197);
  CHECK(filtered.test.size() == 290);
  sets_of(store, filtered);

  const fs::path foleiss = published / "julianofoleiss";
  const Split fold = make_split(store, lists(foleiss / "f1_train.txt", {}, foleiss / "f1_test.txt"), 1, 0, true);
  CHECK(fold.train.size() == 633);
  CHECK(fold.test.size() == 315);
  sets_of(store, fold);
}
