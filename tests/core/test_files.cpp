#include <csignal>
#include <fstream>
#include <future>
#include <sys/resource.h>

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

/// While it lives, no file may grow beyond `bytes`: like a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

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

TEST_CASE("a line for which there is no space leaves the file as it was") {
  const test::TemporaryFolder folder;
  append_line(folder / "log", "one");
  {
    const FileSizeLimit limit(10);  // "one\n" and 6 bytes of the next
    CHECK_THROWS_WITH(append_line(folder / "log", "the second one"), Catch::Contains("File too large"));
  }
  CHECK(read_text(folder / "log") == "one\n");
  append_line(folder / "log", "two");
  CHECK(read_text(folder / "log") == "one\ntwo\n");
}

TEST_CASE("a line is not glued to what a crash left") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "log", "one\ntw");
  append_line(folder / "log", "three");
  CHECK(read_text(folder / "log") == "one\ntw\nthree\n");
}

TEST_CASE("a path that cannot be written is refused before any work") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(check_writable(""), Catch::Contains("is empty"));
  CHECK_THROWS_WITH(check_writable(folder.path()), Catch::Contains("it is a folder. Name a file in it"));
  CHECK_THROWS_WITH(check_writable(folder / "new/"), Catch::Contains("it is a folder"));
  CHECK_THROWS_WITH(check_writable("/dev/null"), Catch::Contains("no ordinary file"));
  CHECK_THROWS_WITH(check_writable("/proc/features.h5"), Catch::Contains("cannot write"));
  CHECK_THROWS_WITH(check_writable(folder / std::string(250, 'x')), Catch::Contains("File name too long"));
  write_whole_text(folder / "file", "before");
  check_writable(folder / "file");
  check_writable(folder / "below" / "file");
  CHECK(read_text(folder / "file") == "before");
  CHECK(fs::is_empty(folder / "below"));
}

TEST_CASE("two threads may write the same file") {
  const test::TemporaryFolder folder;
  const auto write_often = [&] {
    for (int i = 0; i < 50; ++i) write_whole_text(folder / "file", "text");
  };
  std::future<void> other = std::async(std::launch::async, write_often);
  CHECK_NOTHROW(write_often());
  CHECK_NOTHROW(other.get());
  CHECK(read_text(folder / "file") == "text");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a rename that fails says what and why") {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "taken");
  CHECK_THROWS_WITH(write_whole_text(folder / "taken", "text"),
                    Catch::StartsWith("cannot write " + (folder / "taken").string() + ": Is a directory"));
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("temporaries of a killed process are removed, and only those of this file") {
  const test::TemporaryFolder folder;
  for (const char* name :
       {"a.h5.tmp.host.17.0", "a.h5.tmp.host.example.org.4.12", "a.h5", "a.h5.tmp.notes", "b.h5.tmp.host.17.0"})
    write_whole_text(folder / name, "text");
  remove_stale_temporaries(folder / "a.h5");
  CHECK(entries(folder.path()) == 3);
  CHECK(fs::exists(folder / "a.h5"));
  CHECK(fs::exists(folder / "a.h5.tmp.notes"));
  CHECK(fs::exists(folder / "b.h5.tmp.host.17.0"));
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

TEST_CASE("a text file may begin with a byte-order mark, which is none of its content") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "marked",
                   "\xEF\xBB\xBF"
                   "blues.00000.wav\n\xEF\xBB\xBF");
  CHECK(read_text(folder / "marked") == "blues.00000.wav\n\xEF\xBB\xBF");
  write_whole_text(folder / "cut", "\xEF\xBB");
  CHECK(read_text(folder / "cut") == "\xEF\xBB");
}

TEST_CASE("a lock is held by one at a time") {
  const test::TemporaryFolder folder;
  {
    const FileLock lock(folder / "lock", "never seen");
    CHECK_THROWS_WITH(FileLock(folder / "lock", "it is in use"), "it is in use");
  }
  CHECK_NOTHROW(FileLock(folder / "lock", "it is in use"));
  const std::unique_ptr<FileLock> taken = FileLock::try_to_take(folder / "lock");
  CHECK(taken);
  CHECK(!FileLock::try_to_take(folder / "lock"));
}
