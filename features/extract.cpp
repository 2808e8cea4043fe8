#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <xxhash.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/grow.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "features/deltas.hpp"
#include "features/extract.hpp"
#include "features/journal.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

/// Everything that a clip's features depend on besides the clip.
std::string journal_header(const FeatureConfig& config, const BackendInfo& backend) {
  return fmt::format("{} {} {} {} {}", to_json(config), backend.backend, backend.device, backend.target,
                     backend.libraries);
}

std::string journal_key(const Clip& clip) { return fmt::format("{}/{}\n{}", clip.genre, clip.track, clip.identity); }

/// What a worker keeps from clip to clip.
struct Workspace {
  std::unique_ptr<SpectralState> state;
  Buffer<float> samples;   ///< at least as long as the longest clip so far; empty where the device is the host
  Buffer<float> features;  ///< likewise, of all frames of a clip
};

/// The samples where the backend can read them: where they are, or copied to its device.
View<const float, 1> on_device(const std::vector<float>& samples, Backend& backend, Workspace& work, Queue& queue) {
  if (is_host(backend.device())) return view_of(samples.data(), samples.size());
  grow(work.samples, backend.device(), samples.size());
  const Phase phase(queue, "copy to the device");
  work.samples.copy_in(samples, queue);
  return std::as_const(work.samples).view(samples.size());
}

/// The features [frames, width] of all frames of a clip. InputError if it cannot be used.
std::vector<float> features_of(const Audio& audio, const std::string& track, const FeatureConfig& config,
                               const SpectralTables& tables, Backend& backend, Workspace& work, Queue& queue) {
  const std::size_t samples = audio.samples.size();
  if (tables.padding == EdgePadding::reflect && samples <= config.n_fft / 2)
    reject(
        "{} has {} at {} Hz, but compat {} mirrors the ends of a clip and needs more than {}. Use compat {}, or remove "
        "it",
        track, count_of(samples, "sample"), config.sample_rate, name_of(config.compat), config.n_fft / 2,
        name_of(Compat::librosa_1_0));
  const std::size_t frames = tables.frames(samples);
  if (config.deltas > 0 && frames < delta_frames)
    reject("{} has {}, but differences over time need {}. Use deltas 0, or remove it", track, count_of(frames, "frame"),
           delta_frames);
  const std::size_t width = config.spectral_width();
  std::vector<float> features(frames * width);
  if (!work.state) work.state = backend.make_spectral_state(tables);
  const View<const float, 1> input = on_device(audio.samples, backend, work, queue);
  grow(work.features, backend.device(), features.size());
  {
    const Phase phase(queue, "features");
    backend.spectral_features(*work.state, input, std::span(&samples, 1), work.features.view(frames, width), queue);
  }
  queue.copy_out(features.data(), work.features.data(), std::span(features).size_bytes());
  queue.synchronize();
  if (config.clip_mean == ClipMean::remove) remove_mean(features, width);
  return config.deltas > 0 ? with_deltas(features, width, config.deltas) : features;
}

/// Throws InputError for a clip that cannot be used.
FinishedClip extract_clip(const Clip& clip, const FeatureConfig& config, const SpectralTables& tables, Backend& backend,
                          Workspace& work, Queue& queue) {
  const Audio audio = [&] {
    const Phase phase(queue, "decoding");
    return clip.load(config.sample_rate);
  }();
  std::vector<float> features = features_of(audio, clip.track, config, tables, backend, work, queue);
  const auto frames = static_cast<std::int32_t>(features.size() / config.width());
  return {journal_key(clip), frames, audio.checksum, fit_to_frames(std::move(features), config)};
}

/// The finished and the bad clips, by their place in the list. Each entry is written by one worker.
struct Results {
  Results(std::size_t clips, const FeatureConfig& config)
      : clip_size(config.frames * config.width()),
        is_finished(clips),
        lengths(clips),
        checksums(clips),
        features(clips * clip_size),
        reasons(clips) {}

  void take(std::size_t i, const FinishedClip& clip) {
    lengths[i] = clip.length;
    checksums[i] = clip.checksum;
    std::copy(clip.features.begin(), clip.features.end(),
              features.begin() + static_cast<std::ptrdiff_t>(i * clip_size));
    is_finished[i] = 1;
  }

  std::size_t clip_size;
  std::vector<char> is_finished;  ///< no vector<bool>, whose entries share bytes
  std::vector<std::int32_t> lengths;
  std::vector<std::uint64_t> checksums;
  std::vector<float> features;       ///< [clips, frames, width]
  std::vector<std::string> reasons;  ///< empty: not bad
};

/// The features are moved from the results to the store, so that there is one copy of them.
FeatureStore gather_store(const std::vector<Clip>& clips, const FeatureConfig& config, const std::string& source,
                          const BackendInfo& backend, Results results) {
  FeatureStore store;
  store.config = config;
  store.source = source;
  store.identity = identity_of(clips);
  store.backend = backend.backend;
  store.target = backend.target;
  store.libraries = backend.libraries;
  store.features = std::move(results.features);
  const auto features_of = [&](std::size_t i) {
    return store.features.begin() + static_cast<std::ptrdiff_t>(i * results.clip_size);
  };
  std::map<std::string, std::int32_t> labels;
  for (std::size_t i = 0; i < clips.size(); ++i) {
    if (!results.is_finished[i]) {
      store.left_out.push_back({clips[i].genre, clips[i].track, results.reasons[i]});
      continue;
    }
    const std::size_t place = store.clips();
    if (place < i) std::copy(features_of(i), features_of(i + 1), features_of(place));
    const auto [label, is_new] = labels.emplace(clips[i].genre, static_cast<std::int32_t>(labels.size()));
    if (is_new) store.genres.push_back(clips[i].genre);
    store.tracks.push_back(clips[i].track);
    store.labels.push_back(label->second);
    store.lengths.push_back(results.lengths[i]);
    store.checksums.push_back(results.checksums[i]);
  }
  store.features.resize(store.clips() * results.clip_size);
  return store;
}

std::vector<std::pair<std::string, std::string>> find_duplicates(const FeatureStore& store) {
  std::vector<std::pair<std::string, std::string>> duplicates;
  std::unordered_map<std::uint64_t, std::string> first;
  for (std::size_t i = 0; i < store.clips(); ++i) {
    const auto [same, is_new] = first.emplace(store.checksums[i], store.tracks[i]);
    if (!is_new) duplicates.emplace_back(same->second, store.tracks[i]);
  }
  return duplicates;
}

std::string progress_line(std::size_t resumed, std::size_t finished, std::size_t clips, double seconds) {
  const double per_second = static_cast<double>(finished) / seconds;
  return fmt::format("features: {}/{} clips, {:.1f} clips/s, {} left", resumed + finished, clips, per_second,
                     duration(static_cast<double>(clips - resumed - finished) / per_second));
}

/// What make_corpus writes into the folder of a corpus; its first line is the recipe.
constexpr const char* corpus_file = "corpus.txt";

}  // namespace

std::size_t extraction_workers(Device& device) {
  return is_host(device) ? available_cores() : std::max<std::size_t>(2, available_cores());
}

std::vector<float> fit_to_frames(std::vector<float> features, const FeatureConfig& config) {
  const std::size_t width = config.width(), wanted = config.frames * width;
  const std::vector<float> last(features.end() - static_cast<std::ptrdiff_t>(width), features.end());
  std::size_t filled = std::min(features.size(), wanted);
  features.resize(wanted);
  for (; config.pad == FramePadding::edge && filled < wanted; filled += width)
    std::copy(last.begin(), last.end(), features.begin() + static_cast<std::ptrdiff_t>(filled));
  return features;
}

std::vector<float> clip_features(const Audio& audio, const std::string& track, const FeatureConfig& config,
                                 const SpectralTables& tables, Backend& backend, Queue& queue) {
  Workspace work;
  return features_of(audio, track, config, tables, backend, work, queue);
}

bool is_synthetic(const std::string& source) { return source.starts_with("synthetic corpus"); }

std::string source_of_folder(const fs::path& folder) {
  const fs::path path = fs::canonical(folder);
  for (const fs::path& place : {path, path.parent_path()}) {
    std::string recipe;
    std::getline(std::ifstream(place / corpus_file), recipe);
    if (is_synthetic(recipe)) return fmt::format("{}, read from {}", recipe, path.string());
  }
  return path.string();
}

std::string identity_of(const std::vector<Clip>& clips) {
  std::string text;
  for (const Clip& clip : clips) text += journal_key(clip) + '\n';
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

bool is_current(const FeatureStore& store, const std::vector<Clip>& clips, Backend& backend) {
  if (store.identity != identity_of(clips)) return false;
  if (store.left_out.empty()) return true;
  std::set<std::string> left_out;
  for (const BadClip& clip : store.left_out) left_out.insert(clip.track);
  const SpectralTables tables = make_spectral_tables(store.config);
  Workspace work;
  const std::unique_ptr<Queue> queue = backend.device().make_queue();
  return std::none_of(clips.begin(), clips.end(), [&](const Clip& clip) {
    if (!left_out.contains(clip.track)) return false;
    try {
      extract_clip(clip, store.config, tables, backend, work, *queue);
      return true;
    } catch (const InputError&) {
      return false;
    }
  });
}

ExtractSummary extract_features(const std::vector<Clip>& clips, const FeatureConfig& config, const std::string& source,
                                Backend& backend, const fs::path& path, const ExtractOptions& options) {
  const auto start = Clock::now();
  const SpectralTables tables = make_spectral_tables(config);
  check_writable(path);

  ExtractSummary summary;
  Results results(clips.size(), config);
  const fs::path partial = path.string() + ".partial";
  std::unordered_map<std::string, std::size_t> index_of;
  for (std::size_t i = 0; i < clips.size(); ++i) index_of.emplace(journal_key(clips[i]), i);
  Journal journal(partial, journal_header(config, backend.info()), [&](FinishedClip clip) {
    const auto known = index_of.find(clip.key);
    if (known != index_of.end()) results.take(known->second, clip);  // else the clip has changed since, or is gone
  });
  remove_stale_temporaries(path);  // the journal is the lock of the store
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < clips.size(); ++i)
    if (!results.is_finished[i]) open.push_back(i);
  summary.resumed = clips.size() - open.size();

  std::atomic<std::size_t> done{0};
  std::vector<Workspace> workspaces(options.jobs);
  const auto extract = [&](std::size_t item, Worker& worker) {
    const std::size_t i = open[item];
    const Phase phase(worker.queue, clips[i].track);
    try {
      const FinishedClip clip = extract_clip(clips[i], config, tables, backend, workspaces[worker.index], worker.queue);
      journal.append(clip);
      results.take(i, clip);
    } catch (const InputError& error) {
      if (options.strict) throw;
      results.reasons[i] = error.what();
    }
    const std::size_t finished = ++done;
    if (options.progress)
      options.progress->show(0, progress_line(summary.resumed, finished, clips.size(), seconds_since(start)));
  };
  try {
    run_on_workers(backend.device(), options.jobs, open.size(), extract, options.trace);
  } catch (const Interrupted&) {
    throw Interrupted(fmt::format("{} of {} are finished and kept in {}. Give the same command again to go on",
                                  summary.resumed + done, count_of(clips.size(), "clip"), partial.string()));
  }
  if (options.progress) options.progress->clear(0);

  const FeatureStore store = gather_store(clips, config, source, backend.info(), std::move(results));
  if (store.clips() == 0)
    reject("no clip of {} can be used{}", clips.size(),
           store.left_out.empty() ? "" : "; the first: " + store.left_out[0].reason);
  write_store(path, store);
  journal.remove();
  summary.clips = store.clips();
  summary.bad = store.left_out;
  summary.duplicates = find_duplicates(store);
  summary.seconds = seconds_since(start);
  return summary;
}

}  // namespace genretree
