// The clips of a data set, before anything is decoded: where each one comes from and what it is called.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "features/audio.hpp"

namespace genretree {

/// One clip. `load(rate)` gives its samples, from a file or from the synthesiser, and throws InputError if it is bad.
struct Clip {
  std::string genre;
  /// Unique in the data set: the file's name without folder and extension, "blues.00042"; "blues/01" where two genres
  /// have a file 01.
  std::string track;
  /// Changes when the clip does: path, size and modification time of a file; the recipe of a synthetic clip.
  std::string identity;
  std::function<Audio(unsigned sample_rate)> load;
};

/// True for names that end in an extension that libsndfile reads (.au, .wav, .flac, .ogg, .mp3, …), in any case.
bool has_audio_extension(const std::filesystem::path& file);

/// All audio files under `folder`, where each subfolder is a genre: any file names, any number of genres, any extension
/// that libsndfile reads; files deeper in a genre's folder count too. Finds the genre folders also inside `genres/`,
/// `genres_original/` or `Data/genres_original/`. Sorted by genre, then track. What is hidden ("._x.wav") is passed
/// over. Passed over with a warning: a subfolder without audio or that cannot be read, a link that leads nowhere, and
/// inside a genre a link to a folder. InputError if there is no audio, or two files of one genre have the same track
/// name.
std::vector<Clip> scan_audio_folder(const std::filesystem::path& folder);

/// Keeps the clips of these genres, in the order of `genres`. InputError that names a genre which the data set lacks
/// and lists those it has.
std::vector<Clip> select_genres(std::vector<Clip> clips, const std::vector<std::string>& genres);

}  // namespace genretree
