#include <algorithm>
#include <fmt/ranges.h>
#include <map>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "core/text.hpp"
#include "features/store.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr std::int32_t format_version = 1;
constexpr const char* make_again = "Make it again with extract_features";

/// Texts that are attributes of the root.
struct TextAttribute {
  const char* name;
  std::string FeatureStore::*member;
};
constexpr TextAttribute text_attributes[] = {{"source", &FeatureStore::source},
                                             {"identity", &FeatureStore::identity},
                                             {"backend", &FeatureStore::backend},
                                             {"target", &FeatureStore::target},
                                             {"libraries", &FeatureStore::libraries}};

Hdf5File open_store(const fs::path& path) {
  if (!fs::exists(path)) reject("there is no feature store {}. Make it with extract_features", path.string());
  if (fs::is_directory(path)) reject("{} is a folder, but a feature store is a file", path.string());
  try {
    return Hdf5File::open(path);
  } catch (const InputError& error) {
    reject("{} is no feature store, or was cut off ({}). {}", path.string(), error.what(), make_again);
  }
}

void check_header(const Hdf5File& file) {
  const std::string path = file.path().string();
  if (!file.has_attribute("/", "format") || !file.has_attribute("/", "parameters"))
    reject("{} is an HDF5 file, but no feature store: it lacks the attributes 'format' and 'parameters'. {}", path,
           make_again);
  if (const auto format = file.attribute<std::int32_t>("/", "format"); format != format_version)
    reject("{} is a feature store of format {}, but this program reads format {}. {}", path, format, format_version,
           make_again);
  if (!file.has_attribute("/", "complete") || file.attribute<std::int32_t>("/", "complete") != 1)
    reject("{} is not complete: whatever wrote it did not finish. {}", path, make_again);
}

template <class T>
void check_shape(const fs::path& path, const char* name, const Hdf5Array<T>& array,
                 const std::vector<std::size_t>& expected) {
  if (array.shape != expected)
    reject("'{}' in {} has the shape [{}], but [{}] is expected. {}", name, path.string(), fmt::join(array.shape, ", "),
           fmt::join(expected, ", "), make_again);
}

void write_left_out(Hdf5File& file, const std::vector<BadClip>& left_out) {
  std::vector<std::string> genres, tracks, reasons;
  for (const BadClip& clip : left_out) {
    genres.push_back(clip.genre);
    tracks.push_back(clip.track);
    reasons.push_back(clip.reason);
  }
  file.write("/left_out/genres", genres);
  file.write("/left_out/tracks", tracks);
  file.write("/left_out/reasons", reasons);
}

std::vector<BadClip> read_left_out(const Hdf5File& file) {
  std::vector<BadClip> left_out;
  if (!file.contains("/left_out")) return left_out;
  const auto genres = file.read<std::string>("/left_out/genres"), tracks = file.read<std::string>("/left_out/tracks"),
             reasons = file.read<std::string>("/left_out/reasons");
  check_shape(file.path(), "/left_out/genres", genres, {tracks.values.size()});
  check_shape(file.path(), "/left_out/reasons", reasons, {tracks.values.size()});
  for (std::size_t i = 0; i < tracks.values.size(); ++i)
    left_out.push_back({genres.values[i], tracks.values[i], reasons.values[i]});
  return left_out;
}

}  // namespace

void write_store(const fs::path& path, const FeatureStore& store) {
  write_whole(path, [&](const fs::path& temporary) {
    Hdf5File file = Hdf5File::create(temporary);
    file.write<float>("/features", store.features, {store.clips(), store.config.frames, store.config.width()});
    file.write("/labels", store.labels);
    file.write("/genres", store.genres);
    file.write("/tracks", store.tracks);
    file.write("/lengths", store.lengths);
    file.write("/checksums", store.checksums);
    write_left_out(file, store.left_out);
    file.set_attribute<std::int32_t>("/", "format", format_version);
    file.set_attribute("/", "parameters", to_json(store.config));
    for (const TextAttribute& text : text_attributes) file.set_attribute("/", text.name, store.*text.member);
    file.set_attribute<std::int32_t>("/", "complete", 1);
    file.close();
  });
}

FeatureStore read_store(const fs::path& path) {
  const Hdf5File file = open_store(path);
  check_header(file);
  FeatureStore store;
  try {
    store.config = feature_config_from_json(file.attribute<std::string>("/", "parameters"));
  } catch (const InputError& error) {
    reject("{} has parameters that this program does not know ({}). {}", path.string(), error.what(), make_again);
  }
  for (const TextAttribute& text : text_attributes)
    if (file.has_attribute("/", text.name)) store.*text.member = file.attribute<std::string>("/", text.name);
  store.left_out = read_left_out(file);
  auto tracks = file.read<std::string>("/tracks");
  auto genres = file.read<std::string>("/genres");
  auto labels = file.read<std::int32_t>("/labels");
  auto lengths = file.read<std::int32_t>("/lengths");
  auto checksums = file.read<std::uint64_t>("/checksums");
  auto features = file.read<float>("/features");

  const std::size_t clips = tracks.values.size();
  check_shape(path, "/tracks", tracks, {clips});
  check_shape(path, "/genres", genres, {genres.values.size()});
  check_shape(path, "/labels", labels, {clips});
  check_shape(path, "/lengths", lengths, {clips});
  check_shape(path, "/checksums", checksums, {clips});
  check_shape(path, "/features", features, {clips, store.config.frames, store.config.width()});
  for (const std::int32_t label : labels.values)
    if (label < 0 || static_cast<std::size_t>(label) >= genres.values.size())
      reject("'/labels' in {} holds {}, but there are {} genres. {}", path.string(), label, genres.values.size(),
             make_again);

  store.tracks = std::move(tracks.values);
  store.genres = std::move(genres.values);
  store.labels = std::move(labels.values);
  store.lengths = std::move(lengths.values);
  store.checksums = std::move(checksums.values);
  store.features = std::move(features.values);
  return store;
}

FeatureStore select_genres(const FeatureStore& store, const std::vector<std::string>& genres) {
  std::map<std::string, std::int32_t> new_label;
  for (std::size_t i = 0; i < genres.size(); ++i)
    if (!new_label.emplace(genres[i], static_cast<std::int32_t>(i)).second)
      reject("the genre '{}' is named twice", genres[i]);

  FeatureStore part;
  part.config = store.config;
  for (const TextAttribute& text : text_attributes) part.*text.member = store.*text.member;
  std::ranges::copy_if(store.left_out, std::back_inserter(part.left_out),
                       [&](const BadClip& clip) { return new_label.contains(clip.genre); });
  part.genres = genres;
  const std::size_t clip_size = store.config.frames * store.config.width();
  std::vector<std::size_t> counts(genres.size());
  for (std::size_t clip = 0; clip < store.clips(); ++clip) {
    const auto found = new_label.find(store.genres[static_cast<std::size_t>(store.labels[clip])]);
    if (found == new_label.end()) continue;
    ++counts[static_cast<std::size_t>(found->second)];
    part.tracks.push_back(store.tracks[clip]);
    part.labels.push_back(found->second);
    part.lengths.push_back(store.lengths[clip]);
    part.checksums.push_back(store.checksums[clip]);
    const auto begin = store.features.begin() + static_cast<std::ptrdiff_t>(clip * clip_size);
    part.features.insert(part.features.end(), begin, begin + static_cast<std::ptrdiff_t>(clip_size));
  }
  for (std::size_t i = 0; i < genres.size(); ++i)
    if (counts[i] == 0)
      reject("the feature store has no clip of the genre '{}'{}; it has {}", genres[i],
             did_you_mean(genres[i], store.genres), join(store.genres));
  return part;
}

}  // namespace genretree
