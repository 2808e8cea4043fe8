#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <optional>

#include "core/io/files.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "features/clips.hpp"
#include "features/gtzan.hpp"
#include "tools/fetch/integrity.hpp"

namespace genretree {
namespace {

/// A decoded track, or why it cannot be decoded.
struct Outcome {
  std::uint64_t checksum = 0;
  std::size_t samples = 0;
  std::string error;
};

std::vector<Outcome> decode_all(const std::vector<Clip>& clips, unsigned sample_rate, Progress& progress) {
  std::vector<Outcome> outcomes(clips.size());
  std::atomic<std::size_t> done{0};
  run_on_workers(host_device(), available_cores(), clips.size(), [&](std::size_t i, Worker&) {
    try {
      const Audio audio = clips[i].load(sample_rate);
      outcomes[i] = {audio.checksum, audio.samples.size(), ""};
    } catch (const InputError& error) {
      outcomes[i].error = error.what();
    }
    progress.show(0, fmt::format("decoding: {} of {} files", ++done, clips.size()));
  });
  progress.clear(0);
  return outcomes;
}

/// A store without features, of the tracks that could be decoded.
FeatureStore store_of(const std::vector<Clip>& clips, const std::vector<Outcome>& outcomes) {
  FeatureStore store;
  store.genres = gtzan_genres();
  for (std::size_t i = 0; i < clips.size(); ++i) {
    if (!outcomes[i].error.empty()) continue;
    const auto genre = std::find(store.genres.begin(), store.genres.end(), clips[i].genre);
    if (genre == store.genres.end()) continue;
    store.tracks.push_back(clips[i].track);
    store.labels.push_back(static_cast<std::int32_t>(genre - store.genres.begin()));
    store.lengths.push_back(static_cast<std::int32_t>(1 + outcomes[i].samples / store.config.hop));
    store.checksums.push_back(outcomes[i].checksum);
  }
  return store;
}

void print_counts(const FeatureStore& store) {
  for (std::size_t genre = 0; genre < store.genres.size(); ++genre)
    fmt::print("  {:<10} {:>4} of {} tracks\n", store.genres[genre],
               std::count(store.labels.begin(), store.labels.end(), static_cast<int>(genre)), gtzan_tracks_per_genre);
}

/// All tracks but, perhaps, the one that is damaged in most copies.
bool is_whole(const FeatureStore& store) {
  for (const std::string& genre : gtzan_genres())
    for (int number = 0; number < gtzan_tracks_per_genre; ++number) {
      const std::string track = numbered_track_name(genre, number);
      if (track != "jazz.00054" && std::find(store.tracks.begin(), store.tracks.end(), track) == store.tracks.end())
        return false;
    }
  return true;
}

/// make_corpus says what it wrote beside genres/.
void refuse_synthetic_corpus(const std::filesystem::path& folder) {
  for (const std::filesystem::path& description : {folder / "corpus.txt", folder / ".." / "corpus.txt"})
    if (std::filesystem::exists(description) && read_text(description).starts_with("synthetic corpus"))
      reject("{} is the synthetic corpus that make_corpus writes, not GTZAN", folder.string());
}

}  // namespace

ExitCode report_integrity(const std::filesystem::path& folder, Progress& progress) {
  refuse_synthetic_corpus(folder);
  const std::vector<Clip> clips = scan_audio_folder(folder);
  const std::vector<Outcome> outcomes = decode_all(clips, FeatureConfig().sample_rate, progress);
  const FeatureStore store = store_of(clips, outcomes);
  fmt::print("{}: {}\n", folder.string(), count_of(clips.size(), "audio file"));
  print_counts(store);
  for (const Outcome& outcome : outcomes)
    if (!outcome.error.empty()) fmt::print("  {}\n", outcome.error);
  for (const std::string& note : check_data_set(store, true)) fmt::print("  {}\n", note);
  const bool whole = is_whole(store);
  fmt::print("{}\n", whole ? "this GTZAN is whole" : "this GTZAN is not whole");
  return whole ? ExitCode::ok : ExitCode::left_out;
}

}  // namespace genretree
