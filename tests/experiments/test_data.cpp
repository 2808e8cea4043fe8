#include <cstdlib>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/data.hpp"
#include "experiments/run_folder.hpp"
#include "features/corpus.hpp"
#include "features/synthesis.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Catch::Contains;
namespace {

/// Two genres of three one-second clips with names of their own in a folder, and an experiment on them.
struct Music {
  test::TemporaryFolder folder;
  Spec spec;
  DataOptions options;
  std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});

  Music() {
    for (const std::string genre : {"blues", "metal"}) {
      fs::create_directories(folder / "music" / genre);
      for (std::size_t clip = 0; clip < 3; ++clip)
        write_au(folder / "music" / genre / fmt::format("song{}.au", clip),
                 synthesise_clip({.seconds = 1}, genre, clip), 22050);
    }
    spec.dataset.name = "mine";
    spec.dataset.path = folder / "music";
    spec.dataset.split.train = spec.dataset.split.validation = spec.dataset.split.test = 1;
    spec.features.frames = 44;
    options.cache = folder / "cache";
  }
  Data load() const { return load_data(spec, *backend, options); }
  std::vector<fs::path> cached() const {
    std::vector<fs::path> stores;
    for (const auto& entry : fs::directory_iterator(options.cache))
      if (entry.path().extension() == ".h5") stores.push_back(entry.path());
    return stores;
  }
};

TEST_CASE("a list of artists warns of what the split does, and changes no result", "[data]") {
  const test::TemporaryFolder folder;
  write_store(folder / "store.h5", test::tiny_store());
  write_whole_text(folder / "artists.txt", "a.00000\tX\na.00009\tX\nb.00000\tY\nb.00003\tY\n");
  Spec spec = parse_spec(parse_yaml(test::tiny_experiment(folder / "store.h5"), "tiny.yaml"));
  const std::string hash = spec_hash(spec);
  const auto backend = make_backend({.device = "cpu"});
  CHECK(load_data(spec, *backend, {}).summary.warnings.empty());
  spec.dataset.split.artists = folder / "artists.txt";
  CHECK(spec_hash(spec) == hash);
  const DatasetSummary summary = load_data(spec, *backend, {}).summary;
  REQUIRE(summary.warnings.size() == 2);
  CHECK_THAT(summary.warnings[0],
             Catch::Contains("Songs of 1 artist lie in training and test, with 1 of 6") && Catch::Contains(": X"));
  CHECK_THAT(summary.warnings[1], Catch::Contains("validation and test") && Catch::Contains(": Y"));
  CHECK_THAT(summary.notes.back(), Catch::Contains("26 clips"));
  CHECK(to_yaml(spec, false).find("artists.txt") != std::string::npos);
  spec.dataset.split.kind = SplitConfig::Kind::random;  // each of the two trials draws its own
  CHECK_THAT(load_data(spec, *backend, {}).summary.notes.back(), Catch::Contains("26 clips"));
  write_whole_text(folder / "artists.txt",
                   "a.00000\tX\na.00001\tX\na.00002\tX\na.00003\tX\na.00004\tX\n"
                   "a.00005\tX\na.00006\tX\na.00007\tX\na.00008\tX\na.00009\tX\n");
  CHECK_THAT(load_data(spec, *backend, {}).summary.warnings.at(0),
             Catch::Contains("In each of 2 trials songs of 1 artist lie in training and test, with 2 of 6 test clips"));
  spec.dataset.split.artists = folder / "none.txt";
  CHECK_THROWS_WITH(load_data(spec, *backend, {}), Catch::Contains("none.txt"));
}

TEST_CASE("a split with a name of its own keeps its list of artists when it is written and read", "[data]") {
  const Spec spec = parse_spec(
      parse_yaml("dataset: {split: {kind: by-index, train: 70, validation: 20, test: 10, artists: /lists/artists.txt}}",
                 "x.yaml"));
  CHECK(spec.dataset.split.name == "paper-420-120-60");
  const Spec again = parse_spec(parse_yaml(to_yaml(spec, false), "x.yaml"));
  CHECK(again.dataset.split.artists == "/lists/artists.txt");
  Spec named = spec;
  named.dataset.split = named_split("paper-420-120-60");
  CHECK(spec_hash(spec) == spec_hash(named));
  CHECK(conflicting_keys(named, spec).empty());
}

TEST_CASE("a folder of music is extracted once, whatever its genres are used for", "[data]") {
  Music music;
  const Data data = music.load();
  CHECK(data.summary.name == "music");
  CHECK(data.summary.genres == std::vector<std::string>{"blues", "metal"});
  CHECK(data.summary.clips == 6);
  CHECK(data.summary.train + data.summary.validation + data.summary.test == 6);
  CHECK(data.store.features.size() == 6 * 44 * 13);
  REQUIRE(music.cached().size() == 1);
  const auto written = fs::last_write_time(music.cached().front());
  music.spec.dataset.genres = {"metal", "blues"};
  const Data turned = music.load();
  CHECK(turned.store.genres == music.spec.dataset.genres);
  CHECK(turned.store.tracks == data.store.tracks);
  CHECK(data.store.labels.front() == 0);    // song0 is blues
  CHECK(turned.store.labels.front() == 1);  // now the second genre
  CHECK(turned.summary.checksum != data.summary.checksum);
  CHECK(fs::last_write_time(music.cached().front()) == written);

  music.spec.features.coefficients = 5;
  CHECK(music.load().store.features.size() == 6 * 44 * 5);
  CHECK(music.cached().size() == 2);
  write_au(music.folder / "music/blues/song0.au", synthesise_clip({.seconds = 1}, "pop", 7),
           22050);  // another song under the old name
  fs::last_write_time(music.folder / "music/blues/song0.au",
                      fs::file_time_type::clock::now() + std::chrono::seconds(2));
  music.load();
  CHECK(music.cached().size() == 3);
}

TEST_CASE("each backend has features of its own in the cache, and the summary says what computed them", "[data]") {
  Music music;
  const std::vector<std::string> targets = backend_targets("cpu");
  for (const std::string& target : {targets.front(), targets.back()}) {
    music.backend = make_backend({.device = "cpu", .target = target});
    const DatasetSummary summary = music.load().summary;
    CHECK(summary.features_by == fmt::format("cpu, {}, {}", target, music.backend->info().libraries));
    CHECK(origin_of_features(summary) == "computed by " + summary.features_by);
  }
  CHECK(music.cached().size() == (targets.size() > 1 ? 2 : 1));
  // in bf16 only the LSTM is computed otherwise
  music.options.cache = music.folder / "another cache";
  for (const char* precision : {"fp32", "bf16"}) {
    music.backend = make_backend({.device = "cpu", .precision = precision});
    CHECK_THAT(music.load().summary.features_by, !Contains("+"));
  }
  CHECK(music.cached().size() == 1);
}

TEST_CASE("of a store from elsewhere the summary says what the store does", "[data]") {
  Music music;
  music.load();
  FeatureStore store = read_store(music.cached().front());
  music.spec.dataset.path = music.folder / "store.h5";
  store.backend = "cuda", store.target = "sm_90", store.libraries = "cuFFT 12000";
  write_store(music.spec.dataset.path, store);
  CHECK(music.load().summary.features_by == "cuda, sm_90, cuFFT 12000");
  store.backend = store.target = store.libraries = "";
  write_store(music.spec.dataset.path, store);
  CHECK(origin_of_features(music.load().summary) == "it is not known what computed them");
}

TEST_CASE("data that differ in what computed their features say so, and what to do", "[data]") {
  Music music;
  DatasetSummary there = music.load().summary, here = there;
  here.checksum = "00000000000000aa";
  CHECK_THAT(differences(there, here), Contains(there.checksum) && Contains(here.checksum) && !Contains("--dataset"));
  here.features_by = "cuda, sm_90, cuFFT 12000";
  CHECK_THAT(differences(there, here),
             Contains(there.features_by) && Contains(here.features_by) && Contains("--dataset"));
}

TEST_CASE("a damaged store in the cache is made again", "[data]") {
  const Music music;
  const std::string checksum = music.load().summary.checksum;
  fs::resize_file(music.cached().front(), 1000);
  CHECK(music.load().summary.checksum == checksum);
  CHECK(fs::file_size(music.cached().front()) > 1000);
}

TEST_CASE("a file that is no audio is named in the notes each time, and refused with --strict", "[data]") {
  Music music;
  write_whole_text(music.folder / "music/metal/song3.wav", "no audio at all");
  for (int time = 0; time < 2; ++time) {
    const Data data = music.load();
    CHECK(data.summary.clips == 6);
    CHECK(data.summary.left_out == 1);
    REQUIRE(!data.summary.notes.empty());
    CHECK_THAT(data.summary.notes.front(), Contains("song3 (cannot read ") && Contains("it holds no audio"));
  }
  music.options.strict = true;
  CHECK_THROWS_WITH(music.load(), Contains("song3"));
  music.spec.dataset.genres = {"blues", "jazz"};
  CHECK_THROWS_WITH(music.load(), Contains("no genre 'jazz'"));
}

TEST_CASE("a file that could not be read for a while is taken in when it can be", "[data]") {
  Music music;
  const fs::path song = music.folder / "music/metal/song3.au";
  write_au(song, synthesise_clip({.seconds = 1}, "metal", 3), 22050);
  const auto modified = fs::last_write_time(song);
  const std::string sound = read_text(song);
  write_whole_text(song, std::string(sound.size(), 'x'));  // as long and as old as before
  fs::last_write_time(song, modified);
  CHECK(music.load().summary.clips == 6);
  write_whole_text(song, sound);
  fs::last_write_time(song, modified);
  const Data data = music.load();
  CHECK(data.summary.clips == 7);
  CHECK(data.store.left_out.empty());
}

TEST_CASE("the checksum of the data covers their features", "[data]") {
  Music music;
  const std::string checksum = music.load().summary.checksum;
  FeatureStore store = read_store(music.cached().front());
  music.spec.dataset.path = music.folder / "store.h5";
  write_store(music.spec.dataset.path, store);
  CHECK(music.load().summary.checksum == checksum);
  store.features[7] += 1;
  write_store(music.spec.dataset.path, store);
  CHECK(music.load().summary.checksum != checksum);
}

TEST_CASE("a track that GTZAN lacks is named once", "[data]") {
  Music music;
  music.spec.dataset.name = "gtzan";
  music.spec.dataset.split.train = 2;
  for (const std::string genre : {"blues", "metal"})
    for (int clip = 0; clip < 3; ++clip)
      fs::rename(music.folder / "music" / genre / fmt::format("song{}.au", clip),
                 music.folder / "music" / genre / fmt::format("{}.{:05}.au", genre, clip + (clip == 2)));
  const Data data = music.load();
  CHECK(data.summary.name == "GTZAN");
  const std::string notes = join(data.summary.notes, "\n");
  CHECK_THAT(notes, Contains("blues: 3 of 100 tracks, without 00002") && !Contains("blues.00002"));

  // of lists only they know which tracks they ask for
  SplitConfig& split = music.spec.dataset.split;
  split.kind = SplitConfig::Kind::lists;
  split.train_list = music.folder / "train.txt", split.test_list = music.folder / "test.txt";
  write_whole_text(split.train_list, "blues.00000.au\nblues.00002.au\nmetal.00000.au\n");
  write_whole_text(split.test_list, "blues.00001.au\nmetal.00001.au\n");
  CHECK_THAT(join(music.load().summary.notes, "\n"), Contains("missing from the split: blues.00002"));
}

TEST_CASE("duplicates in different sets are told", "[data]") {
  Music music;
  fs::copy_file(music.folder / "music/blues/song0.au", music.folder / "music/blues/song2.au",
                fs::copy_options::overwrite_existing);
  CHECK_THAT(join(music.load().summary.warnings, "\n"),
             Contains("1 group of bit-exact duplicates in different sets: ") && Contains("song2"));
}

TEST_CASE("duplicates in different sets are told of every trial of a random split", "[data]") {
  const test::TemporaryFolder folder;
  FeatureStore store = test::tiny_store();
  const auto other_genre = static_cast<std::size_t>(std::ranges::find(store.labels, 1) - store.labels.begin());
  store.checksums[other_genre] = store.checksums[0];  // genres draw apart, so that copies may part
  write_store(folder / "store.h5", store);
  Spec spec = parse_spec(parse_yaml(test::tiny_experiment(folder / "store.h5"), "tiny.yaml"));
  spec.dataset.split.kind = SplitConfig::Kind::random;
  spec.grid.trials = 8;
  const auto split_of = [&](std::uint32_t trial) {
    return make_split(store, spec.dataset.split, spec.seed, trial, false);
  };
  while (!split_of(0).duplicates_across.empty()) ++spec.seed;  // so that the first trial alone would say nothing
  const auto backend = make_backend({.device = "cpu"});
  const std::string warnings = join(load_data(spec, *backend, {}).summary.warnings, "\n");
  std::size_t parted = 0;
  for (std::uint32_t trial = 0; trial < spec.grid.trials; ++trial) {
    const bool apart = !split_of(trial).duplicates_across.empty();
    parted += apart;
    CHECK((warnings.find(fmt::format("In trial {}: 1 group of bit-exact", trial)) != std::string::npos) == apart);
  }
  CHECK(parted > 0);
}

TEST_CASE("synthetic music in a folder is never called GTZAN", "[data]") {
  Music music;
  music.spec.dataset.name = "gtzan";
  CHECK(music.load().summary.name == "music");  // its tracks have other names
  for (const std::string genre : {"blues", "metal"})
    for (int clip = 0; clip < 3; ++clip)
      fs::rename(music.folder / "music" / genre / fmt::format("song{}.au", clip),
                 music.folder / "music" / genre / fmt::format("{}.{:05}.au", genre, clip));
  CHECK(music.load().summary.name == "GTZAN");
  write_whole_text(music.folder / "music/corpus.txt", "My corpus of field recordings\n");
  CHECK(music.load().summary.name == "GTZAN");
  write_whole_text(music.folder / "music/corpus.txt", corpus_recipe({}) + "\nMade by make_corpus; not GTZAN.\n");
  const Data data = music.load();
  CHECK_THAT(data.summary.name, Contains("SYNTHETIC"));
  CHECK_THAT(data.summary.source, Catch::StartsWith("synthetic corpus"));
}

TEST_CASE("GTZAN is found by its variable; without it the error gives three ways out", "[data]") {
  Music music;
  music.spec.dataset.name = "gtzan";
  music.spec.dataset.path.clear();
  ::setenv("GTZAN", (music.folder / "music").c_str(), 1);
  CHECK(music.load().summary.clips == 6);
  ::setenv("GTZAN", "/nowhere", 1);
  CHECK_THROWS_WITH(music.load(),
                    Contains("fetch_gtzan DIR") && Contains("--dataset FOLDER") && Contains("--dataset built-in"));
  ::unsetenv("GTZAN");
}

}  // namespace
}  // namespace genretree
