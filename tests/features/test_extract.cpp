// From clips to a store: the same whatever the number of workers, resumable at any point, without the bad clips.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/random.hpp"
#include "features/corpus.hpp"
#include "features/deltas.hpp"
#include "features/extract.hpp"
#include "kernels/backends.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

/// Small, so that the tests are quick: 20 frames of 3 coefficients at 8 kHz.
FeatureConfig small_config() {
  FeatureConfig config;
  config.coefficients = 3;
  config.frames = 20;
  config.sample_rate = 8000;
  config.n_fft = 256;
  config.hop = 100;
  config.mels = 20;
  return config;
}

/// A clip of noise; `loads` counts how often it is asked for.
Clip noise_clip(const std::string& genre, int number, std::size_t samples, std::atomic<int>* loads = nullptr) {
  Clip clip;
  clip.genre = genre;
  clip.track = genre + "." + std::to_string(number);
  clip.identity = "version 1";
  clip.load = [=](unsigned sample_rate) {
    if (loads) ++*loads;
    const Random random(RandomKey{.seed = samples, .trial = static_cast<std::uint32_t>(number)});
    std::vector<float> noise(samples);
    for (std::size_t i = 0; i < samples; ++i) noise[i] = random.uniform_at(i) - 0.5f;
    return make_audio(noise, 1, sample_rate, sample_rate);
  };
  return clip;
}

Clip bad_clip(const std::string& genre, int number) {
  Clip clip = noise_clip(genre, number, 1);
  clip.load = [](unsigned) -> Audio { reject("cannot read bad.wav: the file is empty"); };
  return clip;
}

std::vector<Clip> some_clips(std::atomic<int>* loads = nullptr) {
  std::vector<Clip> clips;
  for (int i = 0; i < 12; ++i)
    clips.push_back(noise_clip(i < 5 ? "blues" : "jazz", i, static_cast<std::size_t>(1500 + 100 * i), loads));
  return clips;
}

ExtractSummary extract(const std::vector<Clip>& clips, const fs::path& path, ExtractOptions options = {},
                       const FeatureConfig& config = small_config()) {
  return extract_features(clips, config, "test", *make_backend({.device = "cpu"}), path, options);
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("clips become a store in their order, whatever the number of workers") {
  const test::TemporaryFolder folder;
  const ExtractSummary summary = extract(some_clips(), folder / "one.h5");
  CHECK(summary.clips == 12);
  CHECK(summary.bad.empty());
  extract(some_clips(), folder / "three.h5", {.jobs = 3});
  const FeatureStore one = read_store(folder / "one.h5"), three = read_store(folder / "three.h5");
  CHECK(one.genres == std::vector<std::string>{"blues", "jazz"});
  CHECK(one.tracks.front() == "blues.0");
  CHECK(one.tracks.back() == "jazz.11");
  CHECK(one.labels == std::vector<std::int32_t>{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1});
  CHECK(one.lengths == std::vector<std::int32_t>{16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27});
  CHECK(one.config == small_config());
  CHECK(content(folder / "one.h5") == content(folder / "three.h5"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 2);  // no .partial is left
}

TEST_CASE("a long clip is cut, a short one filled with its last frame or with zeros") {
  const test::TemporaryFolder folder;
  FeatureConfig config = small_config();
  extract(some_clips(), folder / "edge.h5", {}, config);
  config.frames = 27;
  extract(some_clips(), folder / "long.h5", {}, config);
  config.pad = FramePadding::zero;
  extract(some_clips(), folder / "zero.h5", {}, config);
  const FeatureStore edge = read_store(folder / "edge.h5"), whole = read_store(folder / "long.h5"),
                     zero = read_store(folder / "zero.h5");
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(edge.view()(0, 15, k) == whole.view()(0, 15, k));
    for (std::size_t t = 16; t < 20; ++t) {
      CHECK(edge.view()(0, t, k) == edge.view()(0, 15, k));  // clip 0 has 16 frames
      CHECK(zero.view()(0, t, k) == 0);
    }
    CHECK(edge.view()(11, 19, k) == whole.view()(11, 19, k));  // clip 11 has 27, and its own maximum
    CHECK(zero.view()(11, 26, k) == whole.view()(11, 26, k));
  }
}

TEST_CASE("means and differences are those of a clip's own frames, before it is cut or filled") {
  const test::TemporaryFolder folder;
  FeatureConfig config = small_config();
  config.frames = 27;
  extract(some_clips(), folder / "plain.h5", {}, config);
  config.frames = 20;
  config.clip_mean = ClipMean::remove, config.deltas = 2;
  extract(some_clips(), folder / "both.h5", {}, config);
  const FeatureStore plain = read_store(folder / "plain.h5"), both = read_store(folder / "both.h5");
  CHECK(both.config == config);
  CHECK(both.lengths == plain.lengths);
  REQUIRE(both.features.size() == 12 * 20 * 9);
  for (std::size_t clip = 0; clip < 12; ++clip) {  // of 16 to 27 frames
    const auto frames = static_cast<std::size_t>(plain.lengths[clip]);
    const auto own = plain.view()[clip].flat().first(frames * 3);
    std::vector<float> expected(own.begin(), own.end());
    remove_mean(expected, 3);
    expected = with_deltas(expected, 3, 2);
    for (std::size_t t = 0; t < 20; ++t) {
      const auto frame = std::span(expected).subspan(std::min(t, frames - 1) * 9, 9);
      CHECK(std::ranges::equal(both.view()[clip][t].flat(), frame));
    }
  }
}

TEST_CASE("a clip too short for differences is left out, and one that is just long enough is not") {
  const test::TemporaryFolder folder;
  FeatureConfig config = small_config();
  config.deltas = 1;
  const ExtractSummary summary =
      extract({noise_clip("rock", 1, 799), noise_clip("rock", 2, 800)}, folder / "features.h5", {}, config);
  CHECK(summary.clips == 1);
  REQUIRE(summary.bad.size() == 1);
  CHECK(summary.bad[0].reason == "rock.1 has 8 frames, but differences over time need 9. Use deltas 0, or remove it");
}

TEST_CASE("bad clips are left out with their reason, and only they") {
  const test::TemporaryFolder folder;
  std::vector<Clip> clips = some_clips();
  clips.insert(clips.begin() + 3, bad_clip("blues", 77));
  clips.push_back(bad_clip("rock", 78));
  const ExtractSummary summary = extract(clips, folder / "features.h5", {.jobs = 2});
  CHECK(summary.clips == 12);
  REQUIRE(summary.bad.size() == 2);
  CHECK(summary.bad[0].track == "blues.77");
  CHECK(summary.bad[0].reason == "cannot read bad.wav: the file is empty");
  CHECK(summary.bad[1].track == "rock.78");
  extract(some_clips(), folder / "without.h5");
  const FeatureStore store = read_store(folder / "features.h5"), without = read_store(folder / "without.h5");
  CHECK(store.tracks == without.tracks);
  CHECK(store.features == without.features);
  REQUIRE(store.left_out.size() == 2);
  CHECK(store.left_out[1].genre == "rock");
  CHECK(store.left_out[1].reason == "cannot read bad.wav: the file is empty");
}

TEST_CASE("a store says what it was made from and what computed it") {
  const test::TemporaryFolder folder;
  extract(some_clips(), folder / "features.h5");
  const FeatureStore store = read_store(folder / "features.h5");
  const BackendInfo info = make_backend({.device = "cpu"})->info();
  CHECK(store.identity == identity_of(some_clips()));
  CHECK(store.backend == "cpu");
  CHECK(store.target == info.target);
  CHECK(store.libraries == info.libraries);
}

TEST_CASE("a store is current until a clip is added, changed or gone, or one left out can be used") {
  const test::TemporaryFolder folder;
  const std::unique_ptr<Backend> backend = make_backend({.device = "cpu"});
  std::vector<Clip> clips = some_clips();
  clips.push_back(bad_clip("rock", 78));
  clips.push_back(noise_clip("rock", 79, 100));  // too short to be mirrored
  FeatureConfig config = small_config();
  config.compat = Compat::librosa_0_6;
  extract(clips, folder / "features.h5", {}, config);
  const FeatureStore store = read_store(folder / "features.h5");
  REQUIRE(store.left_out.size() == 2);
  CHECK(is_current(store, clips, *backend));

  std::vector<Clip> changed = clips;
  changed[3].identity = "version 2";
  CHECK_FALSE(is_current(store, changed, *backend));
  changed = clips;
  changed.pop_back();
  CHECK_FALSE(is_current(store, changed, *backend));
  changed = clips;
  changed.push_back(noise_clip("rock", 80, 2000));
  CHECK_FALSE(is_current(store, changed, *backend));
  changed = clips;
  changed[12].load = clips[11].load;  // it can be read again
  CHECK_FALSE(is_current(store, changed, *backend));
}

TEST_CASE("only a folder with make_corpus's own corpus.txt is a synthetic corpus") {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "genres");
  const std::string path = fs::canonical(folder.path()).string();
  CHECK(source_of_folder(folder.path()) == path);
  std::ofstream(folder / "corpus.txt") << "My corpus of field recordings\n";
  CHECK(source_of_folder(folder.path()) == path);
  std::ofstream(folder / "corpus.txt") << corpus_recipe({}) << "\nnot GTZAN\n";
  CHECK(source_of_folder(folder.path()) == corpus_recipe({}) + ", read from " + path);
  CHECK(is_synthetic(source_of_folder(folder / "genres")));
}

TEST_CASE("what a killed extraction left of the store is cleared away") {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "features.h5.tmp.elsewhere.17") << "half a store";
  extract(some_clips(), folder / "features.h5");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("strict: the first bad clip ends it, and no store appears") {
  const test::TemporaryFolder folder;
  std::vector<Clip> clips = some_clips();
  clips.insert(clips.begin() + 3, bad_clip("blues", 77));
  CHECK_THROWS_AS(extract(clips, folder / "features.h5", {.strict = true}), InputError);
  CHECK_FALSE(fs::exists(folder / "features.h5"));
}

TEST_CASE("nothing but bad clips is an error") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(extract({bad_clip("rock", 1)}, folder / "features.h5"),
                    "no clip of 1 can be used; the first: cannot read bad.wav: the file is empty");
  CHECK_FALSE(fs::exists(folder / "features.h5"));
}

TEST_CASE("a clip too short to be mirrored is bad only where clips are mirrored") {
  const test::TemporaryFolder folder;
  const std::vector<Clip> clips = {noise_clip("rock", 1, 128), noise_clip("rock", 2, 129)};
  CHECK(extract(clips, folder / "zero.h5").clips == 2);
  FeatureConfig config = small_config();
  config.compat = Compat::librosa_0_6;
  const ExtractSummary summary = extract(clips, folder / "mirrored.h5", {}, config);
  CHECK(summary.clips == 1);
  REQUIRE(summary.bad.size() == 1);
  CHECK(summary.bad[0].reason ==
        "rock.1 has 128 samples at 8000 Hz, but compat librosa-0.6 mirrors the ends of a clip and needs more than "
        "128. Use compat librosa-1.0, or remove it");
}

TEST_CASE("bit-exact duplicates are named") {
  const test::TemporaryFolder folder;
  std::vector<Clip> clips = some_clips();
  Clip copy = clips[2];
  copy.genre = "jazz", copy.track = "jazz.copy";
  clips.push_back(copy);
  CHECK(extract(clips, folder / "features.h5").duplicates ==
        std::vector<std::pair<std::string, std::string>>{{"blues.2", "jazz.copy"}});
}

TEST_CASE("an extraction that was cut off goes on where it was") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "features.h5", partial = folder / "features.h5.partial";
  extract(some_clips(), folder / "expected.h5");

  std::atomic<int> loads{0};
  std::vector<Clip> clips = some_clips(&loads);
  const auto sound_load = clips[7].load;
  clips[7].load = [](unsigned) -> Audio { fail("the disk is gone"); };
  CHECK_THROWS_WITH(extract(clips, path), "the disk is gone");
  CHECK(loads == 7);
  CHECK_FALSE(fs::exists(path));
  REQUIRE(fs::exists(partial));
  clips[7].load = sound_load;
  loads = 0;

  SECTION("what is finished is not done again") {
    const ExtractSummary summary = extract(clips, path, {.jobs = 2});
    CHECK(summary.resumed == 7);
    CHECK(loads == 5);
  }
  SECTION("a last record that was cut off is done again") {
    fs::resize_file(partial, fs::file_size(partial) - 5);
    CHECK(extract(clips, path).resumed == 6);
    CHECK(loads == 6);
  }
  SECTION("a damaged record and what follows are done again") {
    std::fstream file(partial, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(partial)) -
               400);  // in the last but one: a record has about 300 bytes
    file.put('\x7f').put('\x01').put('\x02');
    file.close();
    CHECK(extract(clips, path).resumed == 5);
  }
  SECTION("a clip that has changed since is done again") {
    clips[2].identity = "version 2";
    CHECK(extract(clips, path).resumed == 6);
  }
  SECTION("a journal that was made with other parameters is not used") {
    FeatureConfig other = small_config();
    other.hop = 101;
    CHECK(extract(clips, folder / "features.h5", {}, other).resumed == 0);
    CHECK(extract(clips, path).resumed == 0);
  }
  SECTION("a file that is no journal is not used") {
    std::ofstream(partial) << "no journal";
    CHECK(extract(clips, path).resumed == 0);
  }
  FeatureStore expected = read_store(folder / "expected.h5");
  expected.identity = identity_of(clips);
  write_store(folder / "expected.h5", expected);
  CHECK(content(path) == content(folder / "expected.h5"));
  CHECK_FALSE(fs::exists(partial));
}

TEST_CASE("a signal ends it with everything finished kept") {
  const test::TemporaryFolder folder;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // a signal cannot be taken back, so it comes to a process of its own
    stop_on_signals();
    std::vector<Clip> clips = some_clips();
    const auto load = clips[4].load;
    clips[4].load = [load](unsigned rate) {
      std::raise(SIGINT);
      return load(rate);
    };
    try {
      extract(clips, folder / "features.h5");
    } catch (const Interrupted& stopped) {
      _exit(std::string(stopped.what()).starts_with("5 of 12 clips are finished and kept in ") ? 75 : 2);
    } catch (...) {
    }
    _exit(1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 75);
  CHECK_FALSE(fs::exists(folder / "features.h5"));
  CHECK(extract(some_clips(), folder / "features.h5").resumed == 5);
}

TEST_CASE("a folder that cannot be written to is named before any work is done") {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "file") << "in the way";
  std::atomic<int> loads{0};
  CHECK_THROWS_AS(extract(some_clips(&loads), folder / "file" / "features.h5"), Error);
  CHECK(loads == 0);
}
