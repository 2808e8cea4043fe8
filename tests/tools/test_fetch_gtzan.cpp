// fetch_gtzan against a local server that has byte ranges and faults: nothing here leaves this machine.
#include <chrono>
#include <fstream>
#include <signal.h>
#include <thread>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/random.hpp"
#include "features/audio.hpp"
#include "features/gtzan.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

bool has_python() { return test::run_command("python3 -c 'import http.server, tarfile'").exit_code == 0; }
#define NEED_PYTHON() \
  if (!has_python()) SKIP_TEST("python3 is not here, which plays the server")

std::string read(const fs::path& path) { return read_text(path); }

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// A valid .au file of 1000 samples that no other number gives, and that does not compress.
std::string tiny_au(int number) {
  const auto word = [](std::uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
    return bytes;
  };
  constexpr std::uint32_t bytes = 2000, pcm_16 = 3, rate = 22050, channels = 1;
  std::string file = ".snd" + word(24) + word(bytes) + word(pcm_16) + word(rate) + word(channels);
  Random random({.seed = static_cast<std::uint64_t>(number)});
  while (file.size() < 24 + bytes) file += word(random.next());
  return file;
}

/// What fetch_gtzan returns for a collection of fewer tracks than GTZAN's, which is quicker to test with.
constexpr int not_whole = static_cast<int>(ExitCode::left_out);

/// A folder with an archive as GTZAN's, of the first tracks of each genre, and a server for it.
class Source {
 public:
  Source(const Source&) = delete;
  explicit Source(int tracks = 3) {
    for (std::size_t genre = 0; genre < gtzan_genres().size(); ++genre)
      for (int number = 0; number < tracks; ++number)
        write(folder_ / "genres" / gtzan_genres()[genre] / (numbered_track_name(gtzan_genres()[genre], number) + ".au"),
              tiny_au(static_cast<int>(genre) * gtzan_tracks_per_genre + number + 1));
    write(folder_ / "genres/jazz/jazz.00054.au", "raw samples without a header");
    write(folder_ / "genres/jazz/._jazz.00053.au", "what macOS adds");
    pack("good.tar.gz", "genres");
    const std::string script = GENRETREE_SOURCE "/tests/tools/range_server.py";
    pid_ = std::stoi(test::run_command("python3 " + script + " " + folder_.path().string() + " " +
                                       (folder_ / "port").string() + " " + (folder_ / "log").string() +
                                       " >/dev/null 2>&1 </dev/null & echo $!")
                         .output);
    for (int i = 0; i < 200 && !fs::exists(folder_ / "port"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    REQUIRE(fs::exists(folder_ / "port"));
  }
  ~Source() { kill(pid_, SIGTERM); }

  void pack(const std::string& name, const std::string& content) {
    const auto packed =
        test::run_command("tar -C " + folder_.path().string() + " -czf " + (folder_ / name).string() + " " + content);
    REQUIRE(packed.exit_code == 0);
  }
  fs::path file(const std::string& name) const { return folder_ / name; }
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + read(folder_ / "port") + "/" + path; }
  std::string sha256(const std::string& name) const {
    return test::run_command("sha256sum " + file(name).string()).output.substr(0, 64);
  }
  std::string log() const { return read(folder_ / "log"); }
  void clear_log() { fs::remove(folder_ / "log"); }
  /// --url and --sha256 for a file.
  std::string from(const std::string& mode, const std::string& name) const {
    return " --url " + url(mode + "/" + name) + " --sha256 " + sha256(name);
  }

 private:
  test::TemporaryFolder folder_;
  int pid_ = -1;
};

test::CommandResult fetch(const std::string& arguments) {
  return test::run_command(test::program("fetch_gtzan").string() + " " + arguments);
}

/// One source for most tests: its server takes a moment to start.
Source& small_source() {
  static Source source;
  source.clear_log();
  return source;
}

fs::path part_of(const fs::path& folder, const std::string& sha256) {
  return folder / ("genres." + sha256.substr(0, 8) + ".part");
}

}  // namespace

TEST_CASE("a download is verified, unpacked and checked", "[fetch]") {
  NEED_PYTHON();
  const Source source(gtzan_tracks_per_genre);
  const test::TemporaryFolder folder;
  const std::string target = folder.path().string();
  const auto result = fetch(target + source.from("plain", "good.tar.gz"));
  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains("1000 audio files") && Catch::Contains("99 of 100 tracks") &&
                                Catch::Contains("jazz.00054.au") && Catch::Contains("this GTZAN is whole"));
  CHECK(read(folder / "genres/rock/rock.00099.au") == tiny_au(1000));
  CHECK(!fs::exists(folder / "genres/jazz/._jazz.00053.au"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);  // no archive, nothing half-done

  SECTION("a second run does not touch it") {
    const auto again = fetch(target + source.from("plain", "good.tar.gz"));
    CHECK(again.exit_code == 65);
    CHECK_THAT(again.output, Catch::Contains("is there already"));
  }
  SECTION("--check tells what is missing, damaged and the same") {
    fs::remove(folder / "genres/pop/pop.00003.au");
    write(folder / "genres/rock/rock.00001.au", tiny_au(1));
    write(folder / "genres/blues/blues.00001.au", "");
    const auto check = fetch("--check " + target);
    INFO(check.output);
    CHECK(check.exit_code == 3);
    CHECK_THAT(check.output, Catch::Contains("pop: 99 of 100 tracks, without 00003") &&
                                 Catch::Contains("blues.00000 = rock.00001") &&
                                 Catch::Contains("blues.00001.au: the file is empty") && Catch::Contains("not whole"));
  }
}

TEST_CASE("a folder of the user's own is left alone, whatever its name", "[fetch]") {
  NEED_PYTHON();
  const Source& source = small_source();
  const test::TemporaryFolder folder;
  write(folder / "unpacking/mine.txt", "mine");
  CHECK(fetch(folder.path().string() + source.from("plain", "good.tar.gz")).exit_code == not_whole);
  CHECK(read(folder / "unpacking/mine.txt") == "mine");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 2);  // it and genres
}

TEST_CASE("--check stopped by a signal calls nothing whole", "[fetch]") {
  const test::TemporaryFolder folder;
  // Every track is the same 10 minutes, which takes longer to decode a thousand times than the signal needs to come.
  write_au(folder / "long.au", std::vector<std::int16_t>(600 * 44100), 44100);
  for (const std::string& genre : gtzan_genres()) {
    fs::create_directories(folder / "genres" / genre);
    for (int number = 0; number < gtzan_tracks_per_genre; ++number)
      fs::create_symlink(folder / "long.au", folder / "genres" / genre / (numbered_track_name(genre, number) + ".au"));
  }
  const auto stopped = test::run_command("timeout --foreground --preserve-status -s INT 1 " +
                                         test::program("fetch_gtzan").string() + " --check " + folder.path().string());
  INFO(stopped.output);
  CHECK(stopped.exit_code == 75);
  CHECK_THAT(stopped.output, Catch::Contains("stopped by signal 2") && !Catch::Contains("this GTZAN"));
}

TEST_CASE("the built-in corpus is not taken for GTZAN", "[fetch]") {
  const test::TemporaryFolder folder;
  REQUIRE(test::run_command(test::program("make_corpus").string() + " " + (folder / "corpus").string() +
                            " --clips 1 --seconds 1")
              .exit_code == 0);
  for (const char* checked : {"corpus", "corpus/genres", "corpus/genres/"}) {
    const auto result = fetch("--check " + (folder / checked).string());
    INFO(result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Catch::Contains("is the synthetic corpus") && !Catch::Contains("this GTZAN"));
  }
}

TEST_CASE("a download goes on where it was cut off", "[fetch]") {
  NEED_PYTHON();
  const Source& source = small_source();
  const test::TemporaryFolder folder;
  const std::string archive = read(source.file("good.tar.gz"));
  const fs::path part = part_of(folder.path(), source.sha256("good.tar.gz"));

  SECTION("by an earlier run: only the rest is asked for") {
    write(part, archive.substr(0, 1000));
    const auto result = fetch(folder.path().string() + source.from("plain", "good.tar.gz") + " --keep-archive");
    INFO(result.output);
    CHECK(result.exit_code == not_whole);
    CHECK(source.log() == "/plain/good.tar.gz bytes=1000-\n");
    CHECK(read(folder / "genres.tar.gz") == archive);
  }
  SECTION("after its last byte") {
    write(part, archive);
    CHECK(fetch(folder.path().string() + source.from("plain", "good.tar.gz")).exit_code == not_whole);
  }
  SECTION("at a server without ranges: from the start") {
    write(part, "something else");
    const auto result = fetch(folder.path().string() + source.from("whole", "good.tar.gz"));
    INFO(result.output);
    CHECK(result.exit_code == not_whole);
    CHECK(source.log() == "/whole/good.tar.gz bytes=14-\n/whole/good.tar.gz -\n");
  }
  SECTION("by a server that closes the connection, and then by the next address") {
    const std::string size = std::to_string(archive.size());
    write(folder / "list", source.url("cut/good.tar.gz") + " " + source.sha256("good.tar.gz") + " " + size + "\n" +
                               source.url("plain/good.tar.gz") + " " + source.sha256("good.tar.gz") + " -\n");
    const auto result = fetch((folder / "gtzan").string() + " --addresses " + (folder / "list").string());
    INFO(result.output);
    CHECK(result.exit_code == not_whole);
    const std::size_t half = archive.size() / 2, three_quarters = half + (archive.size() - half) / 2;
    CHECK_THAT(source.log(), Catch::StartsWith("/cut/good.tar.gz -\n/cut/good.tar.gz bytes=" + std::to_string(half) +
                                               "-\n/cut/good.tar.gz bytes=" + std::to_string(three_quarters) + "-\n"));
    CHECK_THAT(source.log(), Catch::Contains("/plain/good.tar.gz bytes="));
  }
  SECTION("by a signal: what came is kept") {
    const auto stopped =
        test::run_command("timeout --foreground --preserve-status -s TERM 1 " + test::program("fetch_gtzan").string() +
                          " " + folder.path().string() + source.from("stall", "good.tar.gz"));
    INFO(stopped.output);
    CHECK(stopped.exit_code == 75);
    CHECK_THAT(stopped.output, Catch::Contains("Run the same command again"));
    CHECK(read(part) == archive.substr(0, archive.size() / 2));
    CHECK(fetch(folder.path().string() + source.from("plain", "good.tar.gz")).exit_code == not_whole);
  }
}

TEST_CASE("what does not work is said, and the next address is tried", "[fetch]") {
  NEED_PYTHON();
  const Source& source = small_source();
  const test::TemporaryFolder folder;
  const std::string target = (folder / "gtzan").string(), good = source.sha256("good.tar.gz");

  SECTION("404") {
    write(folder / "list", "# a comment\n\n" + source.url("absent") + " " + good + " -\n" +
                               source.url("plain/good.tar.gz") + " " + good + " -\n");
    const auto result = fetch(target + " --addresses " + (folder / "list").string());
    INFO(result.output);
    CHECK(result.exit_code == not_whole);
    CHECK_THAT(result.output, Catch::Contains("/absent: the server answers 404"));
  }
  SECTION("no address works") {
    const auto result = fetch(target + " --url " + source.url("absent") + " --sha256 " + good);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.output,
               Catch::Contains("could not be fetched") && Catch::Contains("404") && Catch::Contains("--url"));
    CHECK(fs::is_empty(target));
  }
  SECTION("nobody listens") {
    const auto result = fetch(target + " --url http://127.0.0.1:1/genres.tar.gz --sha256 " + good);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.output, Catch::Contains("could not be fetched") && Catch::Contains("Is the network there?"));
  }
  SECTION("a wrong checksum: the file is kept aside") {
    const std::string wrong(64, '0');
    const auto result = fetch(target + " --url " + source.url("plain/good.tar.gz") + " --sha256 " + wrong);
    INFO(result.output);
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.output,
               Catch::Contains("wrong checksum") && Catch::Contains(good) && Catch::Contains(".part.wrong"));
    CHECK(read(part_of(target, wrong).string() + ".wrong") == read(source.file("good.tar.gz")));
    CHECK(!fs::exists(folder / "gtzan/genres"));
  }
  SECTION("no checksum: a warning that says what it is, and nothing of an earlier run is gone on with") {
    write(folder / "gtzan/genres.unverified.part", "the beginning of another archive");
    const auto result = fetch(target + " --url " + source.url("plain/good.tar.gz"));
    CHECK(result.exit_code == not_whole);
    CHECK_THAT(result.output, Catch::Contains("warning: no checksum") && Catch::Contains(good));
    CHECK(source.log() == "/plain/good.tar.gz -\n");
  }
  SECTION("no checksum: a connection that breaks is gone on with in the same run") {
    const auto result = fetch(target + " --url " + source.url("cut/good.tar.gz"));
    INFO(result.output);
    CHECK_THAT(source.log(), Catch::StartsWith("/cut/good.tar.gz -\n/cut/good.tar.gz bytes="));
  }
  SECTION("no space") {
    // A limit on the size of files stands in for a full disk: both make write() fail.
    const auto result = [&](const std::string& arguments) {
      return test::run_command("sh -c \"trap '' XFSZ; ulimit -f 8; " + test::program("fetch_gtzan").string() + " " +
                               target + arguments + "\"");
    };
    const auto verified = result(source.from("plain", "good.tar.gz"));
    INFO(verified.output);
    CHECK(verified.exit_code == 1);
    CHECK_THAT(verified.output, Catch::Contains("cannot write") && Catch::Contains("File too large") &&
                                    Catch::Contains("Free some space") && Catch::Contains("it goes on from here"));
    const auto unverified = result(" --url " + source.url("plain/good.tar.gz"));
    CHECK(unverified.exit_code == 1);
    CHECK_THAT(unverified.output, Catch::Contains("without a checksum it starts anew"));
  }
}

TEST_CASE("an archive that is damaged or reaches out of its folder is refused, and nothing is left", "[fetch]") {
  NEED_PYTHON();
  Source& source = small_source();
  const test::TemporaryFolder folder;
  const std::string target = (folder / "gtzan").string();
  const auto refused = [&](const std::string& name, const std::string& why) {
    const auto result = fetch(target + source.from("plain", name));
    INFO(result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Catch::Contains(why));
    CHECK(!fs::exists(folder / "gtzan/genres"));
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / "gtzan"))
      CHECK_THAT(entry.path().filename().string(), Catch::EndsWith(".part"));
    CHECK(!fs::exists(folder / "evil.au"));
  };
  const auto pack_as = [&](const std::string& name, const std::string& entry, const std::string& more = "") {
    const std::string script = "import tarfile\nt = tarfile.open('" + source.file(name).string() +
                               "', 'w:gz')\nt.add('" + source.file("genres/blues/blues.00000.au").string() +
                               "', 'genres/blues/blues.00000.au')\n" + "e = tarfile.TarInfo('" + entry + "')\n" + more +
                               "\nt.addfile(e)\nt.close()\n";
    write(source.file("pack.py"), script);
    REQUIRE(test::run_command("python3 " + source.file("pack.py").string()).exit_code == 0);
  };

  SECTION("a path with ..") {
    pack_as("evil.tar.gz", "genres/../../../evil.au");
    refused("evil.tar.gz", "outside the folder");
  }
  SECTION("an absolute path") {
    pack_as("evil.tar.gz", (folder / "evil.au").string());
    refused("evil.tar.gz", "outside the folder");
  }
  SECTION("a symbolic link") {
    pack_as("evil.tar.gz", "genres/out", "e.type = tarfile.SYMTYPE; e.linkname = '" + folder.path().string() + "'");
    refused("evil.tar.gz", "neither a file nor a folder");
  }
  SECTION("a hard link") {
    pack_as("evil.tar.gz", "genres/out.au", "e.type = tarfile.LNKTYPE; e.linkname = '/etc/passwd'");
    refused("evil.tar.gz", "neither a file nor a folder");
  }
  SECTION("half an archive") {
    write(source.file("half.tar.gz"), read(source.file("good.tar.gz")).substr(0, 5000));
    refused("half.tar.gz", "damaged or no archive");
  }
  SECTION("no archive at all") {
    write(source.file("page.html"), "<html>not found</html>");
    refused("page.html", "damaged or no archive");
  }
}

TEST_CASE("fetch_gtzan refuses options that make no sense, and explains itself", "[fetch]") {
  const test::TemporaryFolder folder;
  const std::string target = (folder / "gtzan").string();
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const auto result = fetch(arguments);
    INFO(result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Catch::Contains(why));
    CHECK(!fs::exists(target));
  };
  refused("", "DIR is required");
  refused(target + " --sha256 abc", "--url");
  refused(target + " --url http://127.0.0.1:1/x --sha256 abc", "64 hexadecimal digits");
  refused(target + " --addresses " + (folder / "absent").string(), "absent");
  write(folder / "short", "# list\nhttp://127.0.0.1:1/x\n");
  refused(target + " --addresses " + (folder / "short").string(), "short:2: expected an address");
  write(folder / "size", "http://127.0.0.1:1/x " + std::string(64, 'a') + " many\n");
  refused(target + " --addresses " + (folder / "size").string(), "size:1: the size is 'many'");
  refused("--check " + target, "does not exist");
  CHECK_THAT(fetch("--help").output, Catch::Contains("--addresses") && Catch::Contains("--keep-archive"));
}
