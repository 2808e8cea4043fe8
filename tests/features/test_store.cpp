// The feature store: what is written is read back, and a file that is not one whole store is refused with its reason.
#include <fstream>

#include "core/error.hpp"
#include "core/io/hdf5.hpp"
#include "features/store.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

/// Five clips of three genres, two frames of three coefficients each: clip c has 10 c + 0 … 5.
FeatureStore small_store() {
  FeatureStore store;
  store.config.frames = 2;
  store.config.first_coefficient = 1;
  store.config.coefficients = 3;
  store.source = "music";
  store.genres = {"blues", "jazz", "rock"};
  store.tracks = {"blues.00000", "blues.00001", "jazz.00000", "rock.00000", "rock.00001"};
  store.labels = {0, 0, 1, 2, 2};
  store.lengths = {2, 1, 5, 2, 2};
  store.identity = "0123456789abcdef";
  store.backend = "cpu";
  store.target = "AVX2";
  store.libraries = "Highway 1.0.3";
  store.left_out = {{"jazz", "jazz.00054", "cut off"}, {"rock", "rock.00007", "empty"}};
  store.checksums = {1, 0xffffffffffffffff, 3, 4, 5};
  for (int clip = 0; clip < 5; ++clip)
    for (int i = 0; i < 6; ++i) store.features.push_back(static_cast<float>(10 * clip + i));
  return store;
}

/// A store with one part of it made by hand.
fs::path altered_store(const test::TemporaryFolder& folder, const std::string& part) {
  const fs::path path = folder / (part + ".h5");
  const FeatureStore store = small_store();
  Hdf5File file = Hdf5File::create(path);
  file.write<float>("/features", store.features, {5, 2, 3});
  file.write("/labels", part == "label" ? std::vector<std::int32_t>{0, 0, 1, 2, 3} : store.labels);
  file.write("/genres", store.genres);
  file.write("/tracks", store.tracks);
  file.write("/lengths", part == "lengths" ? std::vector<std::int32_t>{2, 1, 5} : store.lengths);
  if (part != "checksums") file.write("/checksums", store.checksums);
  file.set_attribute<std::int32_t>("/", "format", part == "format" ? 2 : 1);
  FeatureConfig config = store.config;
  if (part == "frames") config.frames = 3;
  file.set_attribute<std::string>("/", "parameters", part == "parameters" ? R"({"kind":"chroma"})" : to_json(config));
  if (part != "complete") file.set_attribute<std::int32_t>("/", "complete", 1);
  file.close();
  return path;
}

}  // namespace

TEST_CASE("a store is read back as it was written") {
  const test::TemporaryFolder folder;
  const FeatureStore store = small_store();
  write_store(folder / "features.h5", store);
  const FeatureStore read = read_store(folder / "features.h5");
  CHECK(read.config == store.config);
  CHECK(read.source == "music");
  CHECK(read.identity == "0123456789abcdef");
  CHECK(read.backend == "cpu");
  CHECK(read.target == "AVX2");
  CHECK(read.libraries == "Highway 1.0.3");
  REQUIRE(read.left_out.size() == 2);
  CHECK(read.left_out[1].genre == "rock");
  CHECK(read.left_out[1].track == "rock.00007");
  CHECK(read.left_out[1].reason == "empty");
  CHECK(read.genres == store.genres);
  CHECK(read.tracks == store.tracks);
  CHECK(read.labels == store.labels);
  CHECK(read.lengths == store.lengths);
  CHECK(read.checksums == store.checksums);
  CHECK(read.features == store.features);
  CHECK(read.view()(2, 1, 0) == 23);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);  // nothing else is left in the folder
}

TEST_CASE("the file has the names, types and shapes that other programs rely on") {
  const test::TemporaryFolder folder;
  write_store(folder / "features.h5", small_store());
  const Hdf5File file = Hdf5File::open(folder / "features.h5");
  CHECK(file.members("/") ==
        std::vector<std::string>{"checksums", "features", "genres", "labels", "left_out", "lengths", "tracks"});
  CHECK(file.read<float>("/features").shape == std::vector<std::size_t>{5, 2, 3});
  CHECK(file.attribute<std::int32_t>("/", "format") == 1);
  CHECK(file.attribute<std::int32_t>("/", "complete") == 1);
  CHECK(file.attribute<std::string>("/", "parameters") == to_json(small_store().config));
}

TEST_CASE("what is no whole store is refused, with the reason and what to do") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(read_store(folder / "none.h5"),
                    Catch::Contains("there is no feature store") && Catch::Contains("Make it with"));
  CHECK_THROWS_WITH(read_store(folder.path()), Catch::Contains("is a folder"));

  std::ofstream(folder / "text.h5") << "no HDF5";
  CHECK_THROWS_WITH(read_store(folder / "text.h5"),
                    Catch::Contains("is no feature store, or was cut off") && Catch::Contains("Make it again"));

  write_store(folder / "whole.h5", small_store());
  fs::copy_file(folder / "whole.h5", folder / "cut.h5");
  for (const std::uintmax_t size :
       {fs::file_size(folder / "whole.h5") - 1, fs::file_size(folder / "whole.h5") / 2, std::uintmax_t{100}}) {
    fs::resize_file(folder / "cut.h5", size);
    CHECK_THROWS_AS(read_store(folder / "cut.h5"), InputError);
  }

  Hdf5File::create(folder / "foreign.h5").close();
  CHECK_THROWS_WITH(read_store(folder / "foreign.h5"), Catch::Contains("is an HDF5 file, but no feature store"));
  CHECK_NOTHROW(read_store(altered_store(folder, "nothing")));  // what is altered below is what is found
  CHECK_THROWS_WITH(read_store(altered_store(folder, "format")),
                    Catch::Contains("of format 2, but this program reads format 1"));
  CHECK_THROWS_WITH(read_store(altered_store(folder, "complete")), Catch::Contains("is not complete"));
  CHECK_THROWS_WITH(read_store(altered_store(folder, "parameters")),
                    Catch::Contains("has parameters that this program does not know"));
  CHECK_THROWS_WITH(read_store(altered_store(folder, "frames")),
                    Catch::Contains("shape [5, 2, 3], but [5, 3, 3] is expected"));
  CHECK_THROWS_WITH(read_store(altered_store(folder, "lengths")), Catch::Contains("shape [3], but [5] is expected"));
  CHECK_THROWS_WITH(read_store(altered_store(folder, "label")), Catch::Contains("holds 3, but there are 3 genres"));
  CHECK_THROWS_WITH(read_store(altered_store(folder, "checksums")), Catch::Contains("has no data set '/checksums'"));
}

TEST_CASE("a store that cannot be written leaves what was there before, and nothing else") {
  const test::TemporaryFolder folder;
  write_store(folder / "features.h5", small_store());
  FeatureStore wrong = small_store();
  wrong.features.clear();  // less than the shape promises
  CHECK_THROWS_AS(write_store(folder / "features.h5", wrong), Error);
  CHECK(read_store(folder / "features.h5").features == small_store().features);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
  CHECK_THROWS_AS(write_store(folder / "missing" / "features.h5", small_store()), Error);
}

TEST_CASE("genres are selected in the order that is asked for, with new labels") {
  const FeatureStore part = select_genres(small_store(), {"rock", "blues"});
  CHECK(part.genres == std::vector<std::string>{"rock", "blues"});
  CHECK(part.tracks == std::vector<std::string>{"blues.00000", "blues.00001", "rock.00000", "rock.00001"});
  CHECK(part.labels == std::vector<std::int32_t>{1, 1, 0, 0});
  CHECK(part.lengths == std::vector<std::int32_t>{2, 1, 2, 2});
  CHECK(part.checksums == std::vector<std::uint64_t>{1, 0xffffffffffffffff, 4, 5});
  CHECK(part.view()(2, 0, 1) == 31);
  CHECK(part.features.size() == 4 * 6);
  CHECK(part.backend == "cpu");
  REQUIRE(part.left_out.size() == 1);
  CHECK(part.left_out[0].track == "rock.00007");
}

TEST_CASE("a genre that the store lacks, or that is named twice, is an error") {
  CHECK_THROWS_WITH(
      select_genres(small_store(), {"rock", "jaz"}),
      "the feature store has no clip of the genre 'jaz' (did you mean 'jazz'?); it has blues, jazz, rock");
  CHECK_THROWS_WITH(select_genres(small_store(), {"rock", "rock"}), "the genre 'rock' is named twice");
}
