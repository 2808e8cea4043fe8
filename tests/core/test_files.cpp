#include <fstream>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/lock.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("a file appears whole, and replaces the one before") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "file", "first");
  write_whole_text(folder / "file", "second");
  CHECK(read_text(folder / "file") == "second");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a file that could not be finished leaves no trace") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "file", "before");
  const auto half_way = [](const fs::path& temporary) {
    std::ofstream(temporary) << "half";
    fail("the disk is full");
  };
  CHECK_THROWS_WITH(write_whole(folder / "file", half_way), "the disk is full");
  CHECK(read_text(folder / "file") == "before");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a full disk is an error that says so") {
  if (!fs::exists("/dev/full")) SKIP_TEST("no /dev/full here");
  CHECK_THROWS_WITH(append_line("/dev/full", "line"),
                    Catch::Contains("No space left on device") && Catch::Contains("Free some space"));
}

TEST_CASE("lines are appended whole") {
  const test::TemporaryFolder folder;
  append_line(folder / "log", "one");
  append_line(folder / "log", "two");
  CHECK(read_text(folder / "log") == "one\ntwo\n");
}

TEST_CASE("what cannot be read or written is named") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(read_text(folder / "none"), Catch::Contains("none") && Catch::Contains("No such file"));
  CHECK_THROWS_WITH(read_text(folder.path()), Catch::Contains("is a folder, but a file is needed"));
  CHECK_THROWS_AS(read_text(folder / "none"), InputError);
  write_whole_text(folder / "file", "in the way");
  CHECK_THROWS_WITH(make_writable_folder(folder / "file" / "below"), Catch::Contains("cannot create the folder"));
  make_writable_folder(folder / "a" / "b");
  CHECK(fs::is_directory(folder / "a" / "b"));
}

TEST_CASE("a lock is held by one at a time") {
  const test::TemporaryFolder folder;
  {
    const FileLock lock(folder / "lock", "never seen");
    CHECK_THROWS_WITH(FileLock(folder / "lock", "it is in use"), "it is in use");
  }
  CHECK_NOTHROW(FileLock(folder / "lock", "it is in use"));
}
