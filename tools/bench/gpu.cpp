// What a GPU reaches: MFCCs of clips in the host's memory, one training step, an epoch, as many runs at once as a tree
// has nodes and the paper's grid has runs, and steps of the CNN. All by the clock on the wall, from the first copy or
// launch until the last is done. Each is compared with the definition, or MFCCs with the cpu's, before it is timed.
#include <cmath>
#include <fmt/format.h>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/worker_pool.hpp"
#include "features/corpus.hpp"
#include "features/spectral.hpp"
#include "kernels/backends.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/cnn.hpp"
#include "tools/bench/training.hpp"

namespace genretree::bench {
namespace {

constexpr std::size_t repetitions = 7;

/// `seconds` of each repetition, after one that is not counted. operations: as training.hpp counts them; of the peak,
/// which is that of fp32, a share in fp32 alone.
Record wall_time(Backend& backend, double operations, const std::function<double()>& seconds) {
  seconds();
  Record record{.unit = "s"};
  for (std::size_t i = 0; i < repetitions; ++i) record.values.push_back(seconds());
  record.gflops = operations / median(record.values) / 1e9;
  if (backend.info().precision != "fp32") return record;
  for (const double value : record.values)
    record.shares_of_peak.push_back(operations / value / 1e9 / device_peak_gflops(backend));
  return record;
}

// --------------------------------------------------------------------------------------------------------------- MFCCs

using Samples = std::vector<float>;

/// A queue that takes clips from the host's memory, one after another, and brings their MFCCs back.
class MfccQueue {
 public:
  MfccQueue(Backend& backend, std::size_t longest)
      : backend_(backend),
        queue_(backend.device().make_queue()),
        state_(backend.make_spectral_state(tables_)),
        samples_(backend.device(), longest),
        features_(backend.device(), tables_.frames(longest) * tables_.width()) {}

  /// `features` has its values after the next wait().
  void give(const Samples& clip, std::vector<float>& features) {
    const std::size_t length = clip.size(), frames = tables_.frames(length);
    features.resize(frames * tables_.width());
    queue_->copy_in(samples_.data(), clip.data(), length * sizeof(float));
    backend_.spectral_features(*state_, std::as_const(samples_).view(length), std::span(&length, 1),
                               features_.view(frames, tables_.width()), *queue_);
    queue_->copy_out(features.data(), features_.data(), features.size() * sizeof(float));
  }
  void wait() { queue_->synchronize(); }

 private:
  Backend& backend_;
  SpectralTables tables_ = make_spectral_tables({.kind = FeatureKind::mfcc});
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<SpectralState> state_;
  Buffer<float> samples_, features_;
};

/// The clips of a made-up corpus, decoded.
std::vector<Samples> decoded_clips(const CorpusConfig& corpus) {
  std::vector<Samples> clips;
  for (const Clip& clip : corpus_clips(corpus)) clips.push_back(clip.load(FeatureConfig{}.sample_rate).samples);
  return clips;
}

/// Of a whole clip, which a GPU takes in several chunks, beside the cpu's.
void check_mfcc(Backend& backend, const Samples& clip) {
  const auto cpu = make_backend({.device = "cpu"});
  std::vector<float> ours, expected;
  for (const auto& [which, features] : {std::pair{&backend, &ours}, {cpu.get(), &expected}}) {
    MfccQueue queue(*which, clip.size());
    queue.give(clip, *features);
    queue.wait();
  }
  const double difference =
      max_difference(ours, expected) / max_difference(expected, std::vector<float>(expected.size()));
  if (!(difference <= 2e-5)) fail("MFCCs are off by {:.1e} of the largest, so their time means nothing", difference);
}

/// Multiplications and additions of a clip's MFCCs as they are usually counted: 2.5 n log2 n for a real transform of n
/// samples, three for a bin's power, and the products of mel bands and of DCT-II.
double mfcc_operations(std::size_t samples) {
  const SpectralTables tables = make_spectral_tables({.kind = FeatureKind::mfcc});
  const double n = static_cast<double>(tables.n_fft);
  std::size_t products = tables.mel.size() * tables.coefficients;
  for (const auto& band : tables.mel) products += band.weights.size();
  return static_cast<double>(tables.frames(samples)) *
         (2.5 * n * std::log2(n) + 3 * (n / 2 + 1) + 2 * static_cast<double>(products));
}

/// Clips per second of 1,000 clips of 30 s, copies in and out included; they, not the peak, are the bound.
Record mfcc(Backend& backend, std::size_t queues) {
  constexpr std::size_t clips = 1000;
  const std::vector<Samples> samples = decoded_clips({.clips_per_genre = 2});
  check_mfcc(backend, samples.front());
  std::vector<std::unique_ptr<MfccQueue>> all;
  for (std::size_t q = 0; q < queues; ++q) all.push_back(std::make_unique<MfccQueue>(backend, samples.front().size()));
  std::vector<std::vector<float>> features(clips);
  Record record = wall_time(backend, clips * mfcc_operations(samples.front().size()), [&] {
    const Clock::time_point start = Clock::now();
    run_on_workers(backend.device(), queues, queues, [&](std::size_t q, Worker&) {
      for (std::size_t clip = q; clip < clips; clip += queues)
        all[q]->give(samples[clip % samples.size()], features[clip]);
      all[q]->wait();
    });
    return seconds_since(start);
  });
  for (double& value : record.values) value = clips / value;
  record.unit = "clips/s";
  record.shares_of_peak.clear();
  return record;
}

// ------------------------------------------------------------------------------------------------------------ training

constexpr std::size_t steps = 12;  ///< of the paper's epoch, given together

Group group_of_one(const Shape& shape) {
  return {1, shape.batch, shape.frames, paper_classes, {static_cast<std::uint32_t>(shape.batch)}, {paper_classes}};
}

/// Seconds of one step of each of `runs`. Together: in groups of as many as the backend takes, or, where it computes run
/// after run, on a queue each.
Record training_steps(const Precision& precision, const Shape& shape, std::size_t runs, bool together) {
  check_training(precision, shape);
  Backend& backend = *precision.backend;
  std::vector<std::unique_ptr<Training>> trainings;
  double megabytes = 0;
  const std::size_t in_group = together ? backend.runs_together(shape.stack, group_of_one(shape)) : 1;
  for (std::size_t run = 0; run < runs; run += in_group) {
    trainings.push_back(std::make_unique<Training>(backend, shape, Mode::training, std::min(in_group, runs - run)));
    megabytes += trainings.back()->megabytes();
  }
  const std::size_t workers = together ? trainings.size() : 1;
  Record record = wall_time(backend, static_cast<double>(runs) * Operations(shape).step(), [&] {
    const Clock::time_point start = Clock::now();
    run_on_workers(backend.device(), workers, trainings.size(), [&](std::size_t item, Worker&) {
      for (std::size_t step = 0; step < steps; ++step) trainings[item]->repeat_step();
      trainings[item]->wait();
    });
    return seconds_since(start) / steps;
  });
  record.megabytes = megabytes;
  return record;
}

Record epoch(const Precision& precision) {
  check_training(precision, paper_shape);
  PaperEpoch epoch(*precision.backend);
  Record record = wall_time(*precision.backend, PaperEpoch::operations(), [&] {
    const Clock::time_point start = Clock::now();
    epoch.trainer().train_epoch();
    return seconds_since(start);
  });
  record.megabytes = static_cast<double>(epoch.trainer().bytes()) / 1e6;
  return record;
}

/// Seconds of a step of 64 clips at the original size.
Record cnn_step(Backend& backend, const CnnConfig& cnn) {
  check_cnn(backend, cnn);
  CnnTraining training(backend, cnn, cnn_batch);
  Record record = wall_time(backend, cnn_operations(cnn, cnn_batch), [&] {
    const Clock::time_point start = Clock::now();
    for (std::size_t step = 0; step < steps; ++step) training.repeat_step();
    training.wait();
    return seconds_since(start) / steps;
  });
  record.megabytes = training.megabytes();
  return record;
}

}  // namespace

std::vector<Benchmark> gpu_benchmarks(const Setup& setup) {
  std::vector<Benchmark> all;
  for (const std::size_t queues : {2, 4, 8})
    all.push_back({fmt::format("mfcc/features/cuda/{}queues", queues),
                   [&setup, queues] { return mfcc(*setup.fp32().backend, queues); }});
  for (const Precision& precision : setup.precisions) {
    const Group training = group_of_one(paper_shape);
    const Group evaluation{
        1, evaluation_batch, paper_shape.frames, paper_classes, {std::uint32_t{evaluation_batch}}, {paper_classes}};
    precision.backend->choose_algorithm(paper_shape.stack, {{training}, {evaluation}, 7});
    const auto add = [&](const char* name, const Shape& shape, std::size_t runs, bool together) {
      all.push_back({fmt::format("{}/{}/cuda", name, precision.name), [&precision, &shape, runs, together] {
                       return training_steps(precision, shape, runs, together);
                     }});
    };
    add("train_step/paper", paper_shape, 1, false);
    all.push_back({fmt::format("epoch/paper/{}/cuda", precision.name), [&precision] { return epoch(precision); }});
    add("nodes7/in_turn", paper_shape, 7, false);
    add("nodes7/together", paper_shape, 7, true);
    add("runs28/in_turn", paper_shape, 28, false);
    add("runs28/together", paper_shape, 28, true);
  }
  for (const auto& [name, cnn] : {std::pair{"mel", mel_variant()}, {"mfcc", mfcc_variant()}})
    all.push_back({fmt::format("cnn_step/{}/fp32/cuda", name),
                   [&setup, cnn = cnn] { return cnn_step(*setup.fp32().backend, cnn); }});
  return all;
}

}  // namespace genretree::bench
