#include "features/gtzan.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Names = std::vector<std::string>;

namespace {

/// GTZAN as it should be: every track with a checksum of its own and 1293 frames.
FeatureStore whole_gtzan(const Names& genres) {
  FeatureStore store;
  store.genres = genres;
  for (std::size_t genre = 0; genre < genres.size(); ++genre) {
    for (int number = 0; number < gtzan_tracks_per_genre; ++number) {
      store.tracks.push_back(numbered_track_name(genres[genre], number));
      store.labels.push_back(static_cast<std::int32_t>(genre));
      store.lengths.push_back(1293);
      store.checksums.push_back(1000 * genre + static_cast<std::size_t>(number) + 1);
    }
  }
  return store;
}

std::size_t index_of(const FeatureStore& store, const std::string& track) {
  return static_cast<std::size_t>(std::find(store.tracks.begin(), store.tracks.end(), track) - store.tracks.begin());
}

void remove_track(FeatureStore& store, const std::string& track) {
  const auto i = static_cast<std::ptrdiff_t>(index_of(store, track));
  store.tracks.erase(store.tracks.begin() + i);
  store.labels.erase(store.labels.begin() + i);
  store.lengths.erase(store.lengths.begin() + i);
  store.checksums.erase(store.checksums.begin() + i);
}

void make_equal(FeatureStore& store, const std::string& a, const std::string& b) {
  store.checksums[index_of(store, a)] = store.checksums[index_of(store, b)];
}

}  // namespace

TEST_CASE("the names that lists and folders use for a track come to one", "[gtzan]") {
  for (const char* listed :
       {"./blues_00012.wav", "blues/blues.00012.wav", "blues.00012.au", "blues.00012", "genres/blues/blues.00012.WAV"})
    CHECK(track_name(listed) == "blues.00012");
  CHECK(track_name("folk/my_song.mp3") == "my_song");
  CHECK(track_name("Op. 21") == "Op. 21");
}

TEST_CASE("a track's number is read only from a dot and five digits", "[gtzan]") {
  REQUIRE(numbered_track("hiphop.00031"));
  CHECK(numbered_track("hiphop.00031")->genre == "hiphop");
  CHECK(numbered_track("hiphop.00031")->number == 31);
  for (const char* other : {"hiphop", ".00031", "hiphop.0031", "hiphop_00031", "hiphop.0003x", ""})
    CHECK(!numbered_track(other));
}

TEST_CASE("a whole GTZAN without its known faults needs no note", "[gtzan]") {
  CHECK(check_data_set(whole_gtzan({"blues", "jazz", "metal"}), true) ==
        Names{"jazz.00054 is here; it cannot be decoded in most copies"});
  CHECK(check_data_set(whole_gtzan({"blues", "metal"}), true).empty());
}

TEST_CASE("missing tracks are named, the corrupt one with its reason", "[gtzan]") {
  FeatureStore store = whole_gtzan({"jazz", "pop"});
  remove_track(store, "jazz.00054");
  for (const char* track : {"pop.00003", "pop.00007", "pop.00008", "pop.00009"}) remove_track(store, track);
  CHECK(check_data_set(store, true) ==
        Names{"jazz: 99 of 100 tracks, without 00054, which cannot be decoded in most copies",
              "pop: 96 of 100 tracks, without 00003, 00007–00009"});
  CHECK(check_data_set(store, false).empty());
}

TEST_CASE("known and unknown duplicates are told apart", "[gtzan]") {
  FeatureStore store = whole_gtzan({"metal", "rock"});
  make_equal(store, "metal.00034", "metal.00094");
  make_equal(store, "metal.00058", "rock.00016");
  make_equal(store, "rock.00001", "rock.00002");
  CHECK(check_data_set(store, true) ==
        Names{"2 exact duplicates known in GTZAN: metal.00034 = metal.00094, metal.00058 = rock.00016",
              "1 exact duplicate not known in GTZAN: rock.00001 = rock.00002"});
  CHECK(check_data_set(store, false) ==
        Names{"3 exact duplicates: metal.00034 = metal.00094, metal.00058 = rock.00016, rock.00001 = rock.00002"});
}

TEST_CASE("tracks that are too short or too long for GTZAN are named", "[gtzan]") {
  FeatureStore store = whole_gtzan({"disco"});
  store.lengths = std::vector<std::int32_t>(100, 1290);  // GTZAN's shortest
  store.lengths[1] = 1320;                               // its longest
  CHECK(check_data_set(store, true).empty());
  store.lengths[2] = 646;  // cut off after 15 s
  CHECK(check_data_set(store, true) == Names{"1 track not as long as GTZAN's, 29.9 to 30.7 s: disco.00002 (15.0 s)"});
}

TEST_CASE("GTZAN is recognised by its names", "[gtzan]") {
  FeatureStore store = whole_gtzan({"blues", "rock"});
  CHECK(has_gtzan_names(store));
  store.tracks[0] = "blues.00100";
  CHECK(!has_gtzan_names(store));
  store.tracks[0] = "folk.00001";
  CHECK(!has_gtzan_names(store));
}
