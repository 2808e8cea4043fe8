// extract_features from the command line: what it says and how it exits.
#include "core/io/files.hpp"
#include "features/store.hpp"
#include "tests/support/support.hpp"
#include "tests/support/timeline.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

/// Two genres with the project's own audio files; `bad` adds a file that is none.
fs::path audio_folder(const test::TemporaryFolder& folder, bool bad) {
  const fs::path audio = folder / "audio";
  fs::create_directories(audio / "one");
  fs::create_directories(audio / "two");
  fs::copy_file(test::golden("librosa_plain.au"), audio / "one" / "a.au");
  fs::copy_file(test::golden("librosa_stereo.wav"), audio / "one" / "b.wav");
  fs::copy_file(test::golden("librosa_8khz.flac"), audio / "two" / "c.flac");
  if (bad) write_whole_text(audio / "two" / "text.wav", "This is no music.");
  return audio;
}

test::CommandResult extract(const std::string& arguments) {
  return test::run_command(test::program("extract_features").string() + " " + arguments);
}

}  // namespace

TEST_CASE("extract_features makes a store, and does nothing where it is there already") {
  const test::TemporaryFolder folder;
  const std::string audio = audio_folder(folder, false).string(), store = (folder / "features.h5").string();
  const std::string command = audio + " -o " + store + " --set frames=30 --set coefficients=[1,12]";
  const test::CommandResult first = extract(command);
  INFO(first.output);
  CHECK(first.exit_code == 0);
  CHECK_THAT(first.output, Catch::Contains("3 clips in") && Catch::Contains("MFCC 1 to 12") &&
                               Catch::Contains("computed by ") && Catch::Contains("30 frames; window 2048"));
  const FeatureStore made = read_store(store);
  CHECK(made.tracks == std::vector<std::string>{"a", "b", "c"});
  CHECK(made.view().shape == std::array<std::size_t, 3>{3, 30, 12});

  const test::CommandResult again = extract(command);
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.output, Catch::Contains("is there already, with 3 clips, the same audio and the same parameters") &&
                               Catch::Contains("nothing to do"));

  const test::CommandResult other = extract(audio + " -o " + store + " --set frames=31 --set coefficients=[1,12]");
  CHECK(other.exit_code == 65);
  CHECK_THAT(other.output,
             Catch::Contains("with other parameters: frames is 30 there and 31 here. Choose another name"));

  CHECK(extract(audio + " -o " + store + " --force --set features.frames=31").exit_code == 0);
  CHECK(read_store(store).config.frames == 31);

  const test::CommandResult wider = extract(audio + " -o " + store + " --force --set kind=spectral33 --set frames=9");
  INFO(wider.output);
  CHECK_THAT(wider.output, Catch::Contains("13 MFCC, spectral centroid, 12 chroma, 7 spectral contrasts, 9 frames"));
  CHECK(read_store(store).view().shape == std::array<std::size_t, 3>{3, 9, 33});
}

TEST_CASE("extract_features --trace: the timeline of every clip") {
  const test::TemporaryFolder folder;
  const fs::path trace = folder / "trace.json";
  const std::string command = audio_folder(folder, true).string() + " -o " + (folder / "features.h5").string();
  const test::CommandResult result = extract(command + " --jobs 1 --trace " + trace.string());
  INFO(result.output);
  CHECK(result.exit_code == 3);
  const test::Timeline timeline = test::read_timeline(trace);
  CHECK(timeline.lanes == std::vector<std::string>{"worker 0"});
  CHECK(timeline.phases() == std::set<std::string>{"a", "b", "c", "text", "decoding", "features"});
  CHECK(timeline.crossing().empty());
  CHECK(extract(command + " --force --trace " + folder.path().string()).exit_code == 65);
}

TEST_CASE("a bad file is named and left out; --strict stops at it") {
  const test::TemporaryFolder folder;
  const std::string audio = audio_folder(folder, true).string(), store = (folder / "features.h5").string();
  const test::CommandResult strict = extract(audio + " --strict -o " + store);
  CHECK(strict.exit_code == 65);
  CHECK_THAT(strict.output, Catch::Contains("text.wav: it holds no audio"));
  CHECK_FALSE(fs::exists(store));

  const test::CommandResult result = extract(audio + " -o " + store);
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.output, Catch::Contains("left out: text: cannot read") && Catch::Contains("1 bad file left out"));
  CHECK(read_store(store).clips() == 3);

  const test::CommandResult again = extract(audio + " -o " + store);
  CHECK(again.exit_code == 3);
  CHECK_THAT(again.output, Catch::Contains("left out: text: cannot read") && Catch::Contains("nothing to do"));
  const test::CommandResult strict_again = extract(audio + " --strict -o " + store);
  CHECK(strict_again.exit_code == 65);
  CHECK_THAT(strict_again.output, Catch::Contains("lacks 1 bad file: cannot read"));

  fs::copy_file(test::golden("librosa_stereo.wav"), audio + "/two/text.wav", fs::copy_options::overwrite_existing);
  const test::CommandResult mended = extract(audio + " -o " + store);
  CHECK(mended.exit_code == 0);
  CHECK_THAT(mended.output, Catch::Contains("the audio has changed since: it is made again"));
  CHECK(read_store(store).clips() == 4);
}

TEST_CASE("a folder that has changed since makes the store anew") {
  const test::TemporaryFolder folder;
  const std::string audio = audio_folder(folder, false).string(), store = (folder / "features.h5").string();
  CHECK(extract(audio + " -o " + store).exit_code == 0);
  fs::copy_file(test::golden("librosa_plain.au"), audio + "/two/d.au");
  const test::CommandResult more = extract(audio + " -o " + store);
  CHECK(more.exit_code == 0);
  CHECK_THAT(more.output, Catch::Contains("the audio has changed since: it is made again"));
  CHECK(read_store(store).clips() == 4);
  fs::remove(audio + "/one/a.au");
  CHECK(extract(audio + " -o " + store).exit_code == 0);
  CHECK(read_store(store).tracks == std::vector<std::string>{"b", "c", "d"});
}

TEST_CASE("a synthetic corpus stays known as one when its store travels") {
  const test::TemporaryFolder folder;
  const std::string audio = audio_folder(folder, false).string(), store = (folder / "features.h5").string();
  write_whole_text(audio + "/corpus.txt", "synthetic corpus 1, seed 2018, 30 s\nMade by make_corpus; not GTZAN.\n");
  CHECK(extract(audio + " -o " + store).exit_code == 0);
  CHECK_THAT(read_store(store).source, Catch::StartsWith("synthetic corpus 1, seed 2018, 30 s, read from "));
}

TEST_CASE("a damaged store is refused, and --force makes it again") {
  const test::TemporaryFolder folder;
  const std::string audio = audio_folder(folder, false).string(), store = (folder / "features.h5").string();
  write_whole_text(store, "no store");
  const test::CommandResult refused = extract(audio + " -o " + store);
  CHECK(refused.exit_code == 65);
  CHECK_THAT(refused.output, Catch::Contains("is no feature store, or was cut off") && Catch::Contains("--force"));
  CHECK(extract(audio + " -o " + store + " --force").exit_code == 0);
}

TEST_CASE("wrong options are named") {
  const test::TemporaryFolder folder;
  const std::string audio = audio_folder(folder, false).string(), out = " -o " + (folder / "features.h5").string();
  const auto check = [&](const std::string& arguments, const std::string& message) {
    const test::CommandResult result = extract(arguments);
    INFO(arguments << ": " << result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Catch::Contains(message));
  };
  check(audio + out + " --set hops=1", "(did you mean 'hop'?)");
  check(audio + out + " --set n_fft=1000", "must be a power of two");
  check(audio + out + " --set frames", "write it as key=value");
  check(audio + out + " --backend cpus", "(did you mean 'cpu'?)");
  check((folder / "none").string() + out, "does not exist");
  check(audio, "--out is required");
  check(audio + " -o ''", "the name of the file to write is empty");
  check(audio + " -o " + folder.path().string(), "it is a folder. Name a file in it");
  const test::CommandResult no_place = extract(audio + " -o /proc/features.h5");
  CHECK(no_place.exit_code == 1);
  CHECK_THAT(no_place.output, Catch::Contains("cannot write /proc/features.h5"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);  // the audio alone
}
