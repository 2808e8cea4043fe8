#include <fstream>
#include <map>

#include "core/io/files.hpp"
#include "features/audio.hpp"
#include "features/clips.hpp"
#include "features/corpus.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

test::CommandResult make_corpus(const std::string& arguments) {
  return test::run_command(test::program("make_corpus").string() + " " + arguments);
}

std::string small = " --clips 2 --seconds 1 --genres blues,pop";

}  // namespace

TEST_CASE("make_corpus writes what the library synthesises, in GTZAN's layout", "[make_corpus]") {
  const test::TemporaryFolder folder;
  const auto result = make_corpus((folder / "corpus").string() + small);
  INFO(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains("4 clips in 2 genres") && Catch::Contains("4 written"));
  CHECK(fs::exists(folder / "corpus/genres/blues/blues.00001.au"));
  const std::vector<Clip> clips = scan_audio_folder(folder / "corpus");
  REQUIRE(clips.size() == 4);
  const std::vector<Clip> expected =
      select_genres(corpus_clips({.clips_per_genre = 2, .seconds = 1}), {"blues", "pop"});
  for (std::size_t i = 0; i < clips.size(); ++i) {
    CHECK(clips[i].track == expected[i].track);
    CHECK(clips[i].load(22050).samples == expected[i].load(22050).samples);
  }
}

TEST_CASE("make_corpus makes the same files with any number of jobs", "[make_corpus]") {
  const test::TemporaryFolder folder;
  REQUIRE(make_corpus((folder / "one").string() + small + " --jobs 1").exit_code == 0);
  REQUIRE(make_corpus((folder / "three").string() + small + " --jobs 3").exit_code == 0);
  CHECK(test::run_command("diff -r " + (folder / "one").string() + " " + (folder / "three").string()).exit_code == 0);
}

TEST_CASE("make_corpus completes its own corpus and leaves any other alone", "[make_corpus]") {
  const test::TemporaryFolder folder;
  const std::string corpus = (folder / "corpus").string();
  REQUIRE(make_corpus(corpus + small).exit_code == 0);
  fs::remove(folder / "corpus/genres/pop/pop.00000.au");
  const auto again = make_corpus(corpus + small);
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.output, Catch::Contains("1 written") && Catch::Contains("3 were there already"));

  const auto other_seed = make_corpus(corpus + small + " --seed 1");
  CHECK(other_seed.exit_code == 65);
  CHECK_THAT(other_seed.output, Catch::Contains("already holds another corpus: synthetic corpus 1, seed 2018, 1 s"));

  fs::create_directories(folder / "music");
  std::ofstream(folder / "music/song.txt") << "x";
  const auto others = make_corpus((folder / "music").string() + small);
  CHECK(others.exit_code == 65);
  CHECK_THAT(others.output, Catch::Contains("not empty"));
}

TEST_CASE("make_corpus stopped by a signal says so", "[make_corpus]") {
  const test::TemporaryFolder folder;
  const std::string corpus = (folder / "corpus").string();
  // Stopped as soon as it begins; all clips would take half a minute.
  const auto stopped = test::run_command(test::program("make_corpus").string() + " " + corpus +
                                         " --clips 300 --seconds 60 --genres pop 2>&1 & until [ -e " + corpus +
                                         "/genres/pop ]; do sleep 0.01; done; kill -INT $!; wait $!");
  INFO(stopped.output);
  CHECK(stopped.exit_code == 75);
  CHECK_THAT(stopped.output, Catch::Contains("stopped by signal 2") && Catch::Contains("go on with the same command") &&
                                 !Catch::Contains("there already"));
  CHECK(!fs::exists(folder / "corpus/genres/pop/pop.00299.au"));
}

TEST_CASE("make_corpus says one clip of one", "[make_corpus]") {
  const test::TemporaryFolder folder;
  REQUIRE(make_corpus((folder / "corpus").string() + " --clips 1 --seconds 1 --genres pop").exit_code == 0);
  CHECK_THAT(read_text(folder / "corpus/corpus.txt"), Catch::Contains(", 1 clip of each genre: pop"));
}

TEST_CASE("make_corpus refuses options that make no sense, and explains itself", "[make_corpus]") {
  const test::TemporaryFolder folder;
  const std::string corpus = (folder / "corpus").string();
  for (const char* wrong :
       {" --seed -1", " --clips -1", " --seconds long", " --genres polka", " --jobs 0", " --colour red"}) {
    const auto result = make_corpus(corpus + wrong);
    INFO(wrong << ": " << result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Catch::Contains("error: ") && Catch::Contains("make_corpus --help"));
  }
  for (const char* wrong : {" --clips 0", " --clips 100001", " --seconds 0", " --seconds 3601", " --seconds nan"}) {
    const auto result = make_corpus(corpus + wrong);
    INFO(wrong << ": " << result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Catch::Contains("built-in corpus") && Catch::Contains("but must"));
  }
  CHECK(!fs::exists(folder / "corpus"));
  CHECK_THAT(make_corpus(corpus + " --genres pop,pop").output, Catch::Contains("names a genre twice"));
  CHECK(make_corpus("").exit_code == 65);
  const auto help = make_corpus("--help");
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Catch::Contains("--seconds"));
}
