// MFCCs and the 33 features of the built-in corpus: features alone, from files, and from a folder of files to a feature
// store.
#include <filesystem>

#include "core/error.hpp"
#include "core/worker_pool.hpp"
#include "features/corpus.hpp"
#include "features/extract.hpp"
#include "features/synthesis.hpp"
#include "kernels/reference/backend.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/temporary.hpp"

namespace genretree::bench {
namespace {

namespace fs = std::filesystem;

class Extractor {
 public:
  Extractor(Backend& backend, FeatureKind kind)
      : backend_(backend),
        tables_(make_spectral_tables({.kind = kind})),
        queue_(backend.device().make_queue()),
        state_(backend.make_spectral_state(tables_)) {}

  const std::vector<float>& extract(const std::vector<float>& samples) {
    const std::size_t length = samples.size(), frames = tables_.frames(length);
    out_.resize(frames * tables_.width());
    backend_.spectral_features(*state_, view_of(samples.data(), length), std::span(&length, 1),
                               view_of(out_.data(), frames, tables_.width()), *queue_);
    queue_->synchronize();
    return out_;
  }

 private:
  Backend& backend_;
  SpectralTables tables_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<SpectralState> state_;
  std::vector<float> out_;
};

/// fail() unless a short clip has the definition's features. What is no decibels is far smaller, but the centroid, in
/// hertz, is larger.
void check_features(Backend& backend, FeatureKind kind) {
  const auto definition = reference::make_backend();
  Extractor ours(backend, kind), exact(*definition, kind);
  const Clip clip = corpus_clips({.clips_per_genre = 1, .seconds = 0.5}).front();
  const std::vector<float> samples = clip.load(FeatureConfig{}.sample_rate).samples;
  const double difference = max_difference(ours.extract(samples), exact.extract(samples));
  const double allowed = kind == FeatureKind::mfcc ? 1e-3 : 1e-2;
  if (!(difference <= allowed)) fail("features are off by {:.1e}, so their time means nothing", difference);
}

/// The first `count` clips of each of the corpus's ten genres, as make_corpus would write them.
void write_clips(const fs::path& folder, std::size_t count, std::size_t cores) {
  const std::vector<std::string>& genres = corpus_genres();
  for (const std::string& genre : genres) fs::create_directories(folder / genre);
  run_on_workers(host_device(), cores, count * genres.size(), [&](std::size_t item, Worker&) {
    const std::string& genre = genres[item % genres.size()];
    const std::size_t index = item / genres.size();
    write_au(folder / genre / fmt::format("{}.{:05}.au", genre, index), synthesise_clip({}, genre, index), 22050);
  });
}

Record clips_per_second(Record seconds, std::size_t clips) {
  for (double& value : seconds.values) value = static_cast<double>(clips) / value;
  seconds.unit = "clips/s";
  return seconds;
}

Record features(const Setup& setup, FeatureKind kind, bool decode) {
  Backend& backend = *setup.fp32().backend;
  check_features(backend, kind);
  const TemporaryFolder folder;
  write_clips(folder.path(), 2, setup.cores);
  const unsigned rate = FeatureConfig{}.sample_rate;
  const std::vector<Clip> clips = scan_audio_folder(folder.path());
  std::vector<std::vector<float>> samples;
  for (const Clip& clip : clips) samples.push_back(clip.load(rate).samples);
  Extractor kernel(backend, kind);
  return clips_per_second(time_work(setup, 1, {7}, 0,
                                    [&] {
                                      for (std::size_t c = 0; c < clips.size(); ++c) {
                                        if (decode)
                                          kernel.extract(clips[c].load(rate).samples);
                                        else
                                          kernel.extract(samples[c]);
                                      }
                                    }),
                          clips.size());
}

/// From files in the page cache to the store, as extract_features does it.
Record extraction(const Setup& setup, std::size_t cores) {
  Backend& backend = *setup.fp32().backend;
  check_features(backend, FeatureKind::mfcc);
  const TemporaryFolder folder;
  write_clips(folder.path() / "audio", 20, setup.cores);
  const std::vector<Clip> clips = scan_audio_folder(folder.path() / "audio");
  const fs::path store = folder.path() / "features.h5";
  return clips_per_second(time_work(setup, cores, {5}, 0,
                                    [&] {
                                      const ExtractSummary summary =
                                          extract_features(clips, {}, "bench", backend, store, {.jobs = cores});
                                      if (summary.clips != clips.size())
                                        fail("{} of {} clips were extracted", summary.clips, clips.size());
                                    }),
                          clips.size());
}

}  // namespace

std::vector<Benchmark> feature_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all{{"mfcc/features/1core", [&] { return features(setup, FeatureKind::mfcc, false); }},
                             {"mfcc/decode+features/1core", [&] { return features(setup, FeatureKind::mfcc, true); }},
                             {"features33/1core", [&] { return features(setup, FeatureKind::spectral33, false); }}};
  for (const std::size_t cores : core_counts(setup))
    all.push_back({"mfcc/extract/" + name_of_cores(cores), [&setup, cores] { return extraction(setup, cores); }});
  return all;
}

}  // namespace genretree::bench
