#include <cmath>
#include <numbers>
#include <optional>

#include "core/error.hpp"
#include "kernels/cuda/clip_spectra.hpp"
#include "kernels/cuda/descriptors.hpp"
#include "kernels/cuda/libraries/device.hpp"
#include "kernels/cuda/spectral.hpp"

namespace genretree::cuda {
namespace {

void check_tables(const SpectralTables& tables) {
  if (tables.n_fft < 4 || tables.n_fft / 2 + 1 > most_bins)
    reject("a frame of {} samples cannot be transformed by the cuda backend: n_fft may be 4 to {}", tables.n_fft,
           2 * (most_bins - 1));
  for (std::size_t i = 0; i < tables.n_fft; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(tables.n_fft),
                 hann = 0.5 - 0.5 * std::cos(angle);
    if (!(std::abs(tables.window[i] - hann) < 1e-9))
      reject(
          "the cuda backend applies the periodic Hann window and no other, but sample {} of the window is {} where {} "
          "was expected. Use the cpu backend",
          i, tables.window[i], hann);
  }
}

/// Mel power, its decibels, and MFCCs.
class MelFeatures {
 public:
  MelFeatures(const SpectralTables& tables, Device& device, Queue& queue)
      : tables_(tables),
        device_(device),
        spectra_(tables, device),
        first_bins_(device, tables.mel.size()),
        offsets_(device, tables.mel.size() + 1),
        dct_(device, tables.dct.size()),
        maximum_(device, 1) {
    std::vector<int> first_bins, offsets = {0};
    std::vector<float> weights;
    for (const SpectralTables::Band& band : tables.mel) {
      first_bins.push_back(static_cast<int>(band.first_bin));
      weights.insert(weights.end(), band.weights.begin(), band.weights.end());
      offsets.push_back(static_cast<int>(weights.size()));
    }
    weights_ = Buffer<float>(device, weights.size());
    first_bins_.copy_in(first_bins, queue);
    offsets_.copy_in(offsets, queue);
    weights_.copy_in(weights, queue);
    dct_.copy_in(tables.dct, queue);
  }

  /// clip [n] on the device → its columns of out [frames(n), W].
  void run(std::span<const float> clip, View<float, 2> out, Queue& queue) {
    const std::size_t frames = tables_.frames(clip.size()), bands = tables_.mel.size();
    const Stream stream = stream_of(queue);
    grow(decibels_, device_, frames * bands);
    grow(maxima_, device_, frames);
    const MelTables mel{first_bins_.data(), offsets_.data(), weights_.data(), static_cast<int>(bands)};
    spectra_.run(clip, queue, [&](std::size_t first, std::size_t count, const Complex<float>* spectra) {
      mel_decibels(spectra, count, tables_.n_fft, mel, tables_.amin,
                   rows_of(SpectralFeature::mel, tables_, out).from(first), decibels_.data() + first * bands,
                   maxima_.data() + first, stream);
    });
    const FeatureRows log_mel = rows_of(SpectralFeature::log_mel, tables_, out),
                      mfcc = rows_of(SpectralFeature::mfcc, tables_, out);
    if (!log_mel.first && !mfcc.first) return;
    find_maxima(maxima_.data(), 1, frames, maximum_.data(), stream);
    floor_and_transform(decibels_.data(), frames, bands, maximum_.data(), tables_.top_db, dct_.data(),
                        tables_.coefficients, log_mel, mfcc, stream);
  }

 private:
  const SpectralTables& tables_;
  Device& device_;
  ClipSpectra<float> spectra_;
  Buffer<int> first_bins_, offsets_;  ///< these three: MelTables
  Buffer<float> weights_;
  Buffer<double> dct_;      ///< [K][M]
  Buffer<float> decibels_;  ///< [T][M]
  Buffer<float> maxima_;    ///< [T]
  Buffer<float> maximum_;   ///< [1]
};

class CudaSpectralState final : public SpectralState {
 public:
  CudaSpectralState(const SpectralTables& tables, Device& device) : tables_(tables) {
    check_tables(tables);
    const std::unique_ptr<Queue> queue = device.make_queue();
    const auto wants = [&](auto... features) { return (tables.wants(features) || ...); };
    if (wants(SpectralFeature::mel, SpectralFeature::log_mel, SpectralFeature::mfcc))
      mel_.emplace(tables_, device, *queue);
    if (wants(SpectralFeature::centroid, SpectralFeature::chroma, SpectralFeature::contrast))
      descriptors_.emplace(tables_, device, *queue);
    queue->synchronize();
  }

  const SpectralTables& tables() const { return tables_; }

  void run(std::span<const float> clip, View<float, 2> out, Queue& queue) {
    if (mel_) mel_->run(clip, out, queue);
    if (descriptors_) descriptors_->run(clip, out, queue);
  }

 private:
  const SpectralTables tables_;
  std::optional<MelFeatures> mel_;
  std::optional<Descriptors> descriptors_;
};

}  // namespace

std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables, Device& device) {
  return std::make_unique<CudaSpectralState>(tables, device);
}

void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                       View<float, 2> out, Queue& queue) {
  auto& own = static_cast<CudaSpectralState&>(state);
  std::size_t sample = 0, frame = 0;
  for (const std::size_t length : lengths) {
    const std::size_t frames = own.tables().frames(length), width = own.tables().width();
    own.run({samples.data + sample, length}, view_of(out.data + frame * width, frames, width), queue);
    sample += length;
    frame += frames;
  }
}

}  // namespace genretree::cuda
