#include <fcntl.h>
#include <fstream>
#include <unistd.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "features/clips.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

void touch(const fs::path& path, const std::string& content = "x") {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << content;
}

std::vector<std::string> tracks_of(const std::vector<Clip>& clips) {
  std::vector<std::string> tracks;
  for (const Clip& clip : clips) tracks.push_back(clip.track);
  return tracks;
}

using Names = std::vector<std::string>;

/// Root without its rights, to whom nothing would be closed; anyone else stays who he is.
struct AsNobody {
  AsNobody() { REQUIRE((user != 0 || seteuid(65534) == 0)); }
  ~AsNobody() { (void)!seteuid(user); }
  const uid_t user = geteuid();
};

/// What is written to standard error meanwhile; what the action throws is let out at the end.
template <class Action>
std::string errors_during(const Action& action) {
  const test::TemporaryFolder folder;
  const int file = open((folder / "errors").c_str(), O_WRONLY | O_CREAT, 0600), before = dup(STDERR_FILENO);
  dup2(file, STDERR_FILENO);
  std::exception_ptr thrown;
  try {
    action();
  } catch (...) {
    thrown = std::current_exception();
  }
  std::fflush(stderr);
  dup2(before, STDERR_FILENO);
  close(before), close(file);
  if (thrown) std::rethrow_exception(thrown);
  return read_text(folder / "errors");
}

}  // namespace

TEST_CASE("genre folders are found in every layout that people have", "[clips]") {
  const std::string layout = GENERATE("", "genres", "genres_original", "Data/genres_original");
  const test::TemporaryFolder folder;
  touch(folder.path() / layout / "rock" / "rock.00000.wav");
  touch(folder.path() / layout / "blues" / "blues.00001.au");
  touch(folder.path() / layout / "blues" / "blues.00000.FLAC");
  touch(folder.path() / "features_30_sec.csv");
  INFO("layout '" << layout << "'");
  const std::vector<Clip> clips = scan_audio_folder(folder.path());
  CHECK(tracks_of(clips) == Names{"blues.00000", "blues.00001", "rock.00000"});
  CHECK(clips[0].genre == "blues");
  CHECK(clips[2].genre == "rock");
}

TEST_CASE("what is no audio, and what macOS leaves behind, is passed over", "[clips]") {
  const test::TemporaryFolder folder;
  touch(folder / "jazz/jazz.00000.wav");
  touch(folder / "jazz/._jazz.00000.wav");
  touch(folder / "jazz/notes.txt");
  touch(folder / "jazz/jazz.00054.wav.corrupt");
  touch(folder / ".hidden/a.wav");
  touch(folder / "images/jazz.png");
  CHECK(tracks_of(scan_audio_folder(folder.path())) == Names{"jazz.00000"});
}

TEST_CASE("links that lead nowhere or in a circle are named, and the rest is read", "[clips]") {
  const test::TemporaryFolder folder;
  touch(folder / "jazz/jazz.00000.wav");
  touch(folder / "album/song.wav");
  fs::create_symlink(folder / "jazz/jazz.00000.wav", folder / "jazz/linked.wav");
  fs::create_symlink("absent.wav", folder / "jazz/broken.wav");
  fs::create_symlink("circle.wav", folder / "jazz/circle.wav");
  fs::create_directory_symlink("genres", folder / "genres");
  fs::create_directory_symlink(folder / "album", folder / "jazz/album");
  Names tracks;
  const std::string warnings = errors_during([&] { tracks = tracks_of(scan_audio_folder(folder.path())); });
  CHECK(tracks == Names{"song", "jazz.00000", "linked"});
  CHECK_THAT(warnings, Catch::Contains("jazz/broken.wav leads nowhere"));
  CHECK_THAT(warnings, Catch::Contains("jazz/circle.wav leads nowhere"));
  CHECK_THAT(warnings, Catch::Contains("genres leads nowhere"));
  CHECK_THAT(warnings, Catch::Contains("jazz/album is a link to a folder"));
  CHECK(std::count(warnings.begin(), warnings.end(), '\n') == 4);
}

TEST_CASE("a subfolder that cannot be read is named, and the rest is read", "[clips]") {
  const test::TemporaryFolder folder;
  touch(folder / "jazz/jazz.00000.wav");
  touch(folder / "jazz/closed/jazz.00001.wav");
  for (const fs::path& open : {folder.path(), folder / "jazz"}) fs::permissions(open, fs::perms(0755));
  fs::permissions(folder / "jazz/closed", fs::perms::none);
  Names tracks;
  const std::string warnings = errors_during([&] {
    const AsNobody nobody;
    tracks = tracks_of(scan_audio_folder(folder.path()));
  });
  fs::permissions(folder / "jazz/closed", fs::perms::owner_all);
  CHECK(tracks == Names{"jazz.00000"});
  CHECK_THAT(warnings, Catch::Contains("jazz/closed cannot be read and is passed over: Permission denied"));
}

TEST_CASE("files deeper in a genre's folder count, and equal names in two genres are told apart", "[clips]") {
  const test::TemporaryFolder folder;
  touch(folder / "folk/album/01.mp3");
  touch(folder / "folk/02.mp3");
  touch(folder / "soul/01.mp3");
  CHECK(tracks_of(scan_audio_folder(folder.path())) == Names{"02", "folk/01", "soul/01"});
}

TEST_CASE("a clip's identity changes with its size or time, and not with the place of the data set", "[clips]") {
  const test::TemporaryFolder folder;
  touch(folder / "a/pop/pop.00000.wav", "four");
  fs::copy(folder / "a", folder / "b", fs::copy_options::recursive);
  fs::last_write_time(folder / "b/pop/pop.00000.wav", fs::last_write_time(folder / "a/pop/pop.00000.wav"));
  const auto identity = [&](const char* name) { return scan_audio_folder(folder / name).at(0).identity; };
  CHECK(identity("a") == identity("b"));

  fs::last_write_time(folder / "b/pop/pop.00000.wav",
                      fs::last_write_time(folder / "a/pop/pop.00000.wav") + std::chrono::seconds(1));
  CHECK(identity("a") != identity("b"));
  touch(folder / "b/pop/pop.00000.wav", "longer");
  fs::last_write_time(folder / "b/pop/pop.00000.wav", fs::last_write_time(folder / "a/pop/pop.00000.wav"));
  CHECK(identity("a") != identity("b"));
}

TEST_CASE("a folder that cannot be a data set is refused with the reason", "[clips]") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(scan_audio_folder(folder / "absent"), Catch::Contains("does not exist"));
  touch(folder / "file.wav");
  CHECK_THROWS_WITH(scan_audio_folder(folder / "file.wav"), Catch::Contains("not a folder"));
  CHECK_THROWS_WITH(scan_audio_folder(folder.path()), Catch::Contains("one subfolder for each genre"));
  touch(folder / "blues/same.wav");
  touch(folder / "blues/same.au");
  CHECK_THROWS_AS(scan_audio_folder(folder.path()), InputError);
  CHECK_THROWS_WITH(scan_audio_folder(folder.path()), Catch::Contains("same.au") && Catch::Contains("same.wav"));
}

TEST_CASE("genres are selected in the order asked for", "[clips]") {
  const std::vector<Clip> clips = {
      {"blues", "blues.00000"}, {"jazz", "jazz.00000"}, {"jazz", "jazz.00001"}, {"rock", "rock.00000"}};
  CHECK(tracks_of(select_genres(clips, {"rock", "jazz"})) == Names{"rock.00000", "jazz.00000", "jazz.00001"});
  CHECK_THROWS_WITH(select_genres(clips, {"jaz"}),
                    Catch::Contains("did you mean 'jazz'") && Catch::Contains("blues, jazz, rock"));
  CHECK_THROWS_WITH(select_genres(clips, {"jazz", "jazz"}), Catch::Contains("twice"));
}
