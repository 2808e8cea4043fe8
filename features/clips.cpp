#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <map>
#include <set>
#include <tuple>

#include "core/error.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "features/clips.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// What libsndfile 1.2 reads, by extension.
const std::set<std::string> audio_extensions = {".au",  ".snd", ".wav",  ".flac", ".ogg", ".oga", ".opus",
                                                ".mp3", ".aif", ".aiff", ".aifc", ".caf", ".w64", ".rf64"};

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// What is in a folder but hidden, in any order.
std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); entry != fs::end(entry); entry.increment(error))
    if (!is_hidden(entry->path())) entries.push_back(*entry);
  if (error) warn(fmt::format("{} cannot be read and is passed over: {}", folder.string(), error.message()));
  return entries;
}

/// What an entry is, or what it leads to.
fs::file_type type_of(const fs::directory_entry& entry) {
  std::error_code error;
  const fs::file_type type = entry.status(error).type();
  if (error) warn(fmt::format("{} leads nowhere and is passed over: {}", entry.path().string(), error.message()));
  return type;
}

/// The folder whose subfolders are the genres: GTZAN's archive calls it genres, Kaggle's copy Data/genres_original.
fs::path genres_folder(const fs::path& folder) {
  std::error_code unreadable;  // is no such folder either
  for (const char* inside : {"genres", "genres_original", "Data/genres_original"})
    if (fs::is_directory(folder / inside, unreadable)) return folder / inside;
  return folder;
}

void add_audio_files(const fs::path& folder, std::vector<fs::directory_entry>& files) {
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const fs::file_type type = type_of(entry);
    if (type == fs::file_type::regular && has_audio_extension(entry.path()))
      files.push_back(entry);
    else if (type == fs::file_type::directory && entry.is_symlink())
      warn(fmt::format("{} is a link to a folder and is passed over", entry.path().string()));
    else if (type == fs::file_type::directory)
      add_audio_files(entry.path(), files);
  }
}

Clip make_clip(const fs::directory_entry& file, const std::string& genre, const fs::path& root) {
  Clip clip;
  clip.genre = genre;
  clip.track = file.path().stem().string();
  clip.identity = fmt::format("{} {} bytes, modified {}", fs::relative(file.path(), root).string(), file.file_size(),
                              file.last_write_time().time_since_epoch().count());
  clip.load = [path = file.path()](unsigned sample_rate) { return load_audio(path, sample_rate); };
  return clip;
}

std::vector<Clip> scan_genre(const fs::path& folder, const fs::path& root) {
  const std::string genre = folder.filename().string();
  std::vector<Clip> clips;
  std::vector<fs::directory_entry> files;
  add_audio_files(folder, files);
  std::map<std::string, fs::path> seen;
  for (const fs::directory_entry& entry : files) {
    clips.push_back(make_clip(entry, genre, root));
    const auto [same, is_new] = seen.emplace(clips.back().track, entry.path());
    if (!is_new)
      reject("{} and {} are both the track '{}' of the genre '{}'. Rename or remove one of them",
             std::min(same->second, entry.path()).string(), std::max(same->second, entry.path()).string(), same->first,
             genre);
  }
  return clips;
}

/// Where two genres use the same file name, the genre becomes part of the track's name.
void make_tracks_unique(std::vector<Clip>& clips) {
  std::map<std::string, int> uses;
  for (const Clip& clip : clips) ++uses[clip.track];
  for (Clip& clip : clips)
    if (uses[clip.track] > 1) clip.track = clip.genre + "/" + clip.track;
}

}  // namespace

bool has_audio_extension(const fs::path& file) {
  std::string extension = file.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return audio_extensions.contains(extension);
}

std::vector<Clip> scan_audio_folder(const fs::path& folder) {
  std::error_code error;
  if (const fs::file_type type = fs::status(folder, error).type(); type != fs::file_type::directory)
    reject("{} {}. Name a folder that holds one subfolder of audio files for each genre", folder.string(),
           type == fs::file_type::not_found ? "does not exist"
           : error                          ? "cannot be read: " + error.message()
                                            : "is a file, not a folder");
  const fs::path root = genres_folder(folder);
  std::vector<Clip> clips;
  for (const fs::directory_entry& entry : entries_of(root)) {
    if (type_of(entry) != fs::file_type::directory) continue;
    const std::vector<Clip> genre = scan_genre(entry.path(), root);
    if (genre.empty()) warn(fmt::format("{} holds no audio file and is no genre", entry.path().string()));
    clips.insert(clips.end(), genre.begin(), genre.end());
  }
  if (clips.empty())
    reject("{} holds no audio in subfolders. Expected one subfolder for each genre, with files that end in {}",
           root.string(), join(std::vector<std::string>(audio_extensions.begin(), audio_extensions.end())));
  make_tracks_unique(clips);
  std::sort(clips.begin(), clips.end(),
            [](const Clip& a, const Clip& b) { return std::tie(a.genre, a.track) < std::tie(b.genre, b.track); });
  return clips;
}

std::vector<Clip> select_genres(std::vector<Clip> clips, const std::vector<std::string>& genres) {
  std::map<std::string, std::vector<Clip>> by_genre;
  for (Clip& clip : clips) by_genre[clip.genre].push_back(std::move(clip));
  std::vector<std::string> available;
  for (const auto& [genre, unused] : by_genre) available.push_back(genre);

  std::vector<Clip> selected;
  std::set<std::string> taken;
  for (const std::string& genre : genres) {
    if (!by_genre.contains(genre))
      reject("the data set has no genre '{}'{}; it has {}", genre, did_you_mean(genre, available), join(available));
    if (!taken.insert(genre).second) reject("the genre '{}' is named twice", genre);
    std::move(by_genre[genre].begin(), by_genre[genre].end(), std::back_inserter(selected));
  }
  return selected;
}

}  // namespace genretree
