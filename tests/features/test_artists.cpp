// Lists of artists in both formats, and what is said of splits that have artists on both sides.
#include "core/error.hpp"
#include "core/io/files.hpp"
#include "features/artists.hpp"
#include "tests/support/support.hpp"
#include "tests/support/tiny_store.hpp"

namespace genretree {
namespace {

using Catch::Contains;

Artists read(const std::string& text) {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "artists.txt", text);
  return read_artists(folder / "artists.txt");
}

TEST_CASE("artists: both formats, line ends of both kinds, comments, tracks under any of their names", "[artists]") {
  const Artists artists = read(
      "## an index\r\n"
      "\r\n"
      "blues.00000.wav ::: John Lee Hooker ::: One Bourbon, One Scotch\r\n"
      "disco.00084.wav ::: :::\r\n"
      "./blues_00012.wav\t1\n"
      "blues/blues.00013.wav\tA:B \r\n"
      "blues.00000.au ::: John Lee Hooker ::: the same again\n"
      "other song\tMe");
  CHECK(
      artists ==
      Artists{{"blues.00000", "John Lee Hooker"}, {"blues.00012", "1"}, {"blues.00013", "A:B"}, {"other song", "Me"}});
}

TEST_CASE("artists: what is no list of artists is refused with its line", "[artists]") {
  CHECK_THROWS_WITH(read("a.00000\tX\nb.00000\n"), Contains("artists.txt:2: 'b.00000'") && Contains(":::"));
  CHECK_THROWS_WITH(read(" ::: X ::: Y\n"), Contains("artists.txt:1:"));
  CHECK_THROWS_WITH(read("a.00000\tX\n./a_00000.wav\tY\n"), Contains("artists.txt:2:") && Contains("'Y'"));
  CHECK_THROWS_WITH(read("# nothing\n"), Contains("names no artist"));
  CHECK_THROWS_AS(read("a.00000 ::: ::: title\n"), InputError);
}

/// a.00000 … a.00009, b.00000 …; the first two of each genre are test, the next two validation.
struct Divided {
  FeatureStore store = test::tiny_store({.genres = 2});
  Split split = make_split(store, {.name = "x", .train = 6, .validation = 2, .test = 2}, 1, 0, true);
};

TEST_CASE("artists on both sides are a warning with numbers and names, those with the most clips first", "[artists]") {
  const Divided d;
  const Artists artists = {{"a.00000", "Zoe"}, {"a.00001", "Zoe"}, {"b.00000", "Ann"}, {"b.00001", "Bob"},
                           {"a.00002", "Bob"}, {"a.00007", "Zoe"}, {"b.00009", "Ann"}, {"b.00005", "Eve"}};
  const SharedArtists shared = shared_artists(d.store, artists, d.split.train, d.split.test);
  CHECK(shared.names == std::vector<std::string>{"Zoe", "Ann"});
  CHECK(shared.clips == 3);
  const ArtistReport report = check_artists(d.store, d.split, artists);
  REQUIRE(report.warnings.size() == 2);
  CHECK_THAT(report.warnings[0],
             Contains("Songs of 2 artists lie in training and test, with 3 of 4 test clips: Zoe, Ann"));
  CHECK_THAT(report.warnings[1], Contains("Songs of 1 artist lie in validation and test, with 1 of 4 test clips: Bob"));
  REQUIRE(report.notes.size() == 1);
  CHECK_THAT(report.notes[0], Contains("12 clips: a.00003, a.00004, a.00005, a.00006, a.00008, …"));
}

TEST_CASE("no artist on both sides is said too; clips without a known artist are not one artist", "[artists]") {
  const Divided d;
  Artists artists = {{"a.00000", "Zoe"}, {"a.00005", "Eve"}};
  const ArtistReport report = check_artists(d.store, d.split, artists);
  CHECK(report.warnings.empty());
  REQUIRE(report.notes.size() == 3);
  CHECK_THAT(report.notes[0], Contains("no artist is on both sides, training and test"));
  CHECK_THAT(report.notes[1], Contains("validation and test"));
  CHECK_THAT(report.notes[2], Contains("18 clips"));
}

}  // namespace
}  // namespace genretree
