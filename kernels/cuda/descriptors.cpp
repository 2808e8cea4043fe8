#include "kernels/cuda/descriptors.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {

Descriptors::Descriptors(const SpectralTables& tables, Device& device, Queue& queue)
    : tables_(tables), device_(device), bins_(tables.n_fft / 2 + 1), spectra_(tables, device) {
  if (tables.wants(SpectralFeature::chroma)) {
    search_ = {static_cast<int>(tables.first_pitch_bin), static_cast<int>(tables.end_pitch_bin), tables.pitch_threshold,
               tables.bin_hz};
    banks_ = Buffer<float>(device, tables.chroma.size());
    banks_.copy_in(tables.chroma, queue);
    tuning_ = Buffer<int>(device, 1);
  }
  if (tables.wants(SpectralFeature::contrast)) {
    std::vector<ContrastRange> ranges;
    for (const SpectralTables::ContrastBand& band : tables.contrast)
      ranges.push_back(
          {static_cast<int>(band.first_bin), static_cast<int>(band.end_bin), static_cast<int>(band.extremes)});
    ranges_ = Buffer<ContrastRange>(device, ranges.size());
    ranges_.copy_in(ranges, queue);
    maxima_ = Buffer<float>(device, 2);
  }
}

void Descriptors::run(std::span<const float> clip, View<float, 2> out, Queue& queue) {
  const std::size_t frames = tables_.frames(clip.size());
  const Stream stream = stream_of(queue);
  make_room(frames);
  spectra_.run(clip, queue, [&](std::size_t first, std::size_t count, const Complex<double>* spectra) {
    hann_powers(spectra, count, tables_.n_fft, power_.data() + first * bins_, stream);
  });
  if (const FeatureRows rows = rows_of(SpectralFeature::centroid, tables_, out); rows.first)
    find_centroids(power_.data(), frames, bins_, tables_.bin_hz, rows, stream);
  if (const FeatureRows rows = rows_of(SpectralFeature::chroma, tables_, out); rows.first)
    find_chroma(frames, rows, stream);
  if (const FeatureRows rows = rows_of(SpectralFeature::contrast, tables_, out); rows.first)
    find_contrast(frames, rows, stream);
}

void Descriptors::make_room(std::size_t frames) {
  grow(power_, device_, frames * bins_);
  if (tables_.wants(SpectralFeature::chroma)) {
    const std::size_t slots = peak_slots(search_.first_bin, search_.end_bin);
    grow(peak_powers_, device_, frames * slots);
    grow(peak_tunings_, device_, frames * slots);
    grow(peak_counts_, device_, frames);
  }
  if (tables_.wants(SpectralFeature::contrast)) grow(extremes_, device_, 2 * frames * tables_.contrast.size());
}

void Descriptors::find_chroma(std::size_t frames, FeatureRows rows, Stream stream) {
  const PeakTable peaks{peak_powers_.data(), peak_tunings_.data(), peak_counts_.data(),
                        peak_slots(search_.first_bin, search_.end_bin)};
  find_peaks(power_.data(), frames, bins_, search_, peaks, stream);
  find_tuning(peaks, frames, tuning_.data(), stream);
  cuda::find_chroma(power_.data(), frames, bins_, banks_.data(), tuning_.data(), rows, stream);
}

void Descriptors::find_contrast(std::size_t frames, FeatureRows rows, Stream stream) {
  const std::size_t bands = tables_.contrast.size();
  find_extremes(power_.data(), frames, bins_, ranges_.data(), bands, tables_.amin, extremes_.data(), stream);
  find_maxima(extremes_.data(), 2, frames * bands, maxima_.data(), stream);
  subtract_extremes(extremes_.data(), frames, bands, maxima_.data(), tables_.top_db, rows, stream);
}

}  // namespace genretree::cuda
