#include <fcntl.h>
#include <sys/file.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

TEST_CASE("arrays and attributes of every type are read back") {
  const test::TemporaryFolder folder;
  Hdf5File file = Hdf5File::create(folder / "a.h5");
  const std::vector<float> floats = {1, 2.5f, -3, 4, 5, 6};
  file.write<float>("/deep/er/floats", floats, {2, 3});
  file.write("/doubles", std::vector<double>{1e-300});
  file.write("/integers", std::vector<std::int32_t>{-1, 2});
  file.write("/large", std::vector<std::uint64_t>{0xffffffffffffffff});
  file.write("/texts", std::vector<std::string>{"blues", "", "Händel"});
  file.write("/none", std::vector<float>{});
  file.set_attribute<std::int64_t>("/", "number", 1ll << 40);
  file.set_attribute<std::string>("/deep", "text", "hello");
  file.close();

  const Hdf5File read = Hdf5File::open(folder / "a.h5");
  CHECK(read.read<float>("/deep/er/floats").shape == std::vector<std::size_t>{2, 3});
  CHECK(read.read<float>("/deep/er/floats").values == floats);
  CHECK(read.read<double>("/deep/er/floats").values[1] == 2.5);  // numbers are converted
  CHECK(read.read<double>("/doubles").values == std::vector<double>{1e-300});
  CHECK(read.read<std::int32_t>("/integers").values == std::vector<std::int32_t>{-1, 2});
  CHECK(read.read<std::uint64_t>("/large").values[0] == 0xffffffffffffffff);
  CHECK(read.read<std::string>("/texts").values == std::vector<std::string>{"blues", "", "Händel"});
  CHECK(read.read<float>("/none").values.empty());
  CHECK(read.attribute<std::int64_t>("/", "number") == 1ll << 40);
  CHECK(read.attribute<std::string>("/deep", "text") == "hello");
  CHECK(read.members("/") == std::vector<std::string>{"deep", "doubles", "integers", "large", "none", "texts"});
  CHECK(read.is_group("/deep"));
  CHECK_FALSE(read.is_group("/doubles"));
  CHECK(read.contains("/deep/er/floats"));
  CHECK_FALSE(read.contains("/no/such/path"));
  CHECK_FALSE(read.has_attribute("/no", "text"));
}

TEST_CASE("a group is seen as a file of its own, and named in full in errors") {
  const test::TemporaryFolder folder;
  Hdf5File file = Hdf5File::create(folder / "groups.h5");
  Hdf5File group = file.group("/a/b");
  group.write("/c/values", std::vector<float>{1, 2});
  group.set_attribute("/", "name", std::string("b"));
  group.set_attribute("/c", "count", std::int64_t{2});
  file.close();
  const Hdf5File read = Hdf5File::open(folder / "groups.h5");
  CHECK(read.read<float>("/a/b/c/values").values == std::vector<float>{1, 2});
  const Hdf5File inner = read.group("/a").group("/b");
  CHECK(inner.read<float>("/c/values").values == std::vector<float>{1, 2});
  CHECK(inner.attribute<std::string>("/", "name") == "b");
  CHECK(inner.attribute<std::int64_t>("/c", "count") == 2);
  CHECK(inner.members("/") == std::vector<std::string>{"c"});
  CHECK(inner.contains("/c/values"));
  CHECK_FALSE(inner.contains("/a"));
  CHECK(inner.is_group("/"));
  CHECK_FALSE(read.group("/x").contains("/"));
  CHECK_THROWS_WITH(inner.read<float>("/none"), Catch::Contains("has no data set '/a/b/none'"));
}

TEST_CASE("what is missing or of another type is named") {
  const test::TemporaryFolder folder;
  Hdf5File file = Hdf5File::create(folder / "a.h5");
  file.write("/texts", std::vector<std::string>{"blues"});
  CHECK_THROWS_WITH(file.read<float>("/texts"),
                    Catch::Contains("'/texts'") && Catch::Contains("holds text, but numbers is needed"));
  CHECK_THROWS_WITH(file.read<float>("/floats"), Catch::Contains("has no data set '/floats'"));
  CHECK_THROWS_WITH(file.attribute<float>("/", "rate"), Catch::Contains("has no attribute 'rate'"));
  CHECK_THROWS_WITH(file.write<float>("/short", std::vector<float>(5), {2, 3}),
                    Catch::Contains("its shape has 6 values, but 5 are given"));
}

TEST_CASE("a file that is missing, foreign or cut off is no HDF5 file") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(Hdf5File::open(folder / "none.h5"), Catch::Contains("does not exist"));
  Hdf5File file = Hdf5File::create(folder / "a.h5");
  file.write("/numbers", std::vector<double>(1000, 1.0));
  file.close();
  fs::resize_file(folder / "a.h5", 3000);
  CHECK_THROWS_WITH(Hdf5File::open(folder / "a.h5"),
                    Catch::Contains("truncated file") && !Catch::Contains("HDF5_USE_FILE_LOCKING"));
  CHECK_THROWS_AS(Hdf5File::open(test::golden("librosa_plain.au")), InputError);
}

TEST_CASE("a new file on a full disk is an error, and the program ends well") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full here");
  Hdf5File file = Hdf5File::create("/dev/full");
  file.write("/numbers", std::vector<double>(1000, 1.0));
  CHECK_THROWS_WITH(file.close(), Catch::Contains("No space left on device") && Catch::Contains("Free some space"));
}

TEST_CASE("a file that another program has locked says how to go on without locks") {
  const test::TemporaryFolder folder;
  Hdf5File file = Hdf5File::create(folder / "a.h5");
  file.close();
  const Descriptor other(folder / "a.h5", O_RDWR);
  REQUIRE(::flock(other, LOCK_EX) == 0);
  CHECK_THROWS_WITH(Hdf5File::open(folder / "a.h5"), Catch::Contains("HDF5_USE_FILE_LOCKING=FALSE"));
}

TEST_CASE("a data set in chunks that claims absurd extents is refused before memory is taken for it") {
  const auto extents_of = [](std::uint64_t rows) {  // as a file has them: the present ones and the largest ones
    std::string bytes;
    for (const std::uint64_t extent : {rows, std::uint64_t{1}, rows, std::uint64_t{1}})
      for (int byte = 0; byte < 8; ++byte) bytes += static_cast<char>(extent >> (8 * byte) & 0xff);
    return bytes;
  };
  const test::TemporaryFolder folder;
  std::string file = read_text(test::golden("librosa_features.h5"));
  const std::string chunked = "/cases/8khz/centroid";
  CHECK(Hdf5File::open(test::golden("librosa_features.h5")).read<double>(chunked).values.size() == 22);
  std::size_t patched = 0;
  const std::string before = extents_of(22), absurd = extents_of(std::uint64_t{1} << 34);
  for (std::size_t at = file.find(before); at != std::string::npos; at = file.find(before, at), ++patched)
    file.replace(at, before.size(), absurd);
  REQUIRE(patched > 0);
  write_whole_text(folder / "absurd.h5", file);
  CHECK_THROWS_WITH(Hdf5File::open(folder / "absurd.h5").read<double>(chunked),
                    Catch::Contains("says that it has more values than it stores"));
}
