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
  CHECK(artists == Artists{{"blues.00000", "John Lee Hooker"},
                           {"blues.00012", "1"},
                           {"blues/blues.00013", "A:B"},
                           {"other song", "Me"}});
}

TEST_CASE("artists: what is no list of artists is refused with its line", "[artists]") {
  CHECK_THROWS_WITH(read("a.00000\tX\nb.00000\n"), Contains("artists.txt:2: 'b.00000'") && Contains(":::"));
  CHECK_THROWS_WITH(read(" ::: X ::: Y\n"), Contains("artists.txt:1:"));
  CHECK_THROWS_WITH(read("a.00000\tX\n./a_00000.wav\tY\n"), Contains("artists.txt:2:") && Contains("'Y'"));
  CHECK_THROWS_WITH(read("# nothing\n"), Contains("names no artist"));
  CHECK_THROWS_AS(read("a.00000 ::: ::: title\n"), InputError);
}

TEST_CASE("artists: a byte-order mark at the start of a list is none of its first track", "[artists]") {
  CHECK(read("\xEF\xBB\xBF"
             "a.00000\tX\n") == Artists{{"a.00000", "X"}});
}

TEST_CASE("artists: tracks of one name in two folders are two tracks", "[artists]") {
  FeatureStore store = test::tiny_store({.genres = 2, .clips_per_genre = 2});
  store.genres = {"pop", "rock"};
  const auto artists_with = [&](const std::vector<std::string>& tracks, const std::string& list) {
    store.tracks = tracks;  // two of pop, two of rock
    return artists_of_clips(store, read(list));
  };
  using List = std::vector<std::string>;
  const List same_names = {"pop/01", "pop/02", "rock/01", "rock/02"};
  CHECK(artists_with(same_names, "rock/01.wav\tX\n./music/pop/02.wav\tY\n") == List{"", "Y", "X", ""});
  CHECK(artists_with(same_names, "rock/01.wav\tX\npop/01.wav\tY\n") == List{"Y", "", "X", ""});
  CHECK(artists_with(same_names, "01.wav\tX\npop/01.wav\tY\n") == List{"Y", "", "", ""});
  // the folder is the genre, or any one where the file name alone says which track it is
  const List own_names = {"01", "02", "03", "04"};
  CHECK(artists_with(own_names, "rock/03.wav\tX\nother/01\tY\n04\tZ\na/02\tV\nb/02\tW") == List{"Y", "", "X", "Z"});
  CHECK(artists_with({"pop/01", "pop/02", "rock/03", "rock/04"}, "03\tX\njazz/01\tY\n") == List{"", "", "X", ""});
}

/// a.00000 … a.00009, b.00000 …; the first two of each genre are test, the next two validation.
struct Divided {
  FeatureStore store = test::tiny_store({.genres = 2});
  Split split = make_split(store, {.name = "x", .train = 6, .validation = 2, .test = 2}, 1, 0, true);

  static ArtistReport report(const FeatureStore& store, const std::vector<Split>& trials, const Artists& artists) {
    const test::TemporaryFolder folder;
    std::string text;
    for (const auto& [track, artist] : artists) text += track + "\t" + artist + "\n";
    write_whole_text(folder / "artists.txt", text);
    return check_artists(store, trials, folder / "artists.txt");
  }
  ArtistReport report(const Artists& artists) const { return report(store, {split}, artists); }
};

TEST_CASE("artists on both sides are a warning with numbers and names, those with the most clips first", "[artists]") {
  const Divided d;
  const Artists artists = {{"a.00000", "Zoe"}, {"a.00001", "Zoe"}, {"b.00000", "Ann"}, {"b.00001", "Bob"},
                           {"a.00002", "Bob"}, {"a.00007", "Zoe"}, {"b.00009", "Ann"}, {"b.00005", "Eve"}};
  const SharedArtists shared = shared_artists(artists_of_clips(d.store, artists), d.split.train, d.split.test);
  CHECK(shared.names == std::vector<std::string>{"Zoe", "Ann"});
  CHECK(shared.clips == 3);
  const ArtistReport report = d.report(artists);
  REQUIRE(report.warnings.size() == 2);
  CHECK_THAT(report.warnings[0],
             Contains("Songs of 2 artists lie in training and test, with 3 of 4 test clips: Zoe, Ann"));
  CHECK_THAT(report.warnings[1], Contains("Songs of 1 artist lie in validation and test, with 1 of 4 test clips: Bob"));
  REQUIRE(report.notes.size() == 1);
  CHECK_THAT(report.notes[0], Contains("12 clips: a.00003, a.00004, a.00005, a.00006, a.00008, …"));
}

TEST_CASE("that no artist is on both sides is said of the clips with known artists only", "[artists]") {
  const Divided d;
  const ArtistReport report = d.report({{"a.00000", "Zoe"}, {"a.00005", "Eve"}});
  CHECK(report.warnings.empty());
  REQUIRE(report.notes.size() == 3);
  CHECK(
      report.notes[0] ==
      "artists: of the 1 of 4 test clips whose artist is known, none shares its artist with training, where that of 1 "
      "of 12 clips is known");
  CHECK_THAT(report.notes[1], Contains("with validation, where that of 0 of 4 clips is known"));
  CHECK_THAT(report.notes[2], Contains("18 clips"));
  const ArtistReport no_test_clip = d.report({{"a.00005", "Eve"}});
  REQUIRE(no_test_clip.notes.size() == 3);
  CHECK_THAT(no_test_clip.notes[0], Contains("no test clip is known, so that nothing says whether training has"));
}

TEST_CASE("a list that knows no clip of the data set is refused", "[artists]") {
  const Divided d;
  const std::string error = test::error_of([&] { d.report({{"c.00000", "Zoe"}, {"c.00001", "Eve"}}); });
  CHECK_THAT(error, Contains("artists.txt knows the artist of none of the data set's 20 clips") &&
                        Contains("such as a.00000") && Contains("leave it out"));
}

TEST_CASE("what the splits of several trials share is said as a range, with the artists of the worst", "[artists]") {
  const FeatureStore store = test::tiny_store({.genres = 1, .clips_per_genre = 6});
  const Artists artists = {{"a.00000", "V"}, {"a.00001", "V"}, {"a.00002", "W"},
                           {"a.00003", "W"}, {"a.00004", "X"}, {"a.00005", "Y"}};
  const Split none = {.train = {0, 1, 4}, .test = {2, 3, 5}}, one = {.train = {0, 2, 3}, .test = {1, 4, 5}},
              two = {.train = {0, 2, 4}, .test = {1, 3, 5}};
  const auto said = [&](const std::vector<Split>& trials) { return Divided::report(store, trials, artists); };
  const ArtistReport each = said({one, two, one});
  REQUIRE(each.warnings.size() == 1);
  CHECK_THAT(each.warnings[0], Contains("In each of 3 trials songs of 1 to 2 artists lie in training and test, with 1 "
                                        "to 2 of 3 test clips: V, W."));
  CHECK_THAT(said({none, one, one}).warnings.at(0),
             Contains("In 2 of 3 trials songs of 1 artist lie in training and test, with 1 of 3 test clips: V."));
  const ArtistReport nowhere = said({none, none});
  CHECK(nowhere.warnings.empty());
  CHECK_THAT(nowhere.notes.at(0), Contains("artists: in each of 2 trials, of the 3 of 3 test clips"));
}

}  // namespace
}  // namespace genretree
