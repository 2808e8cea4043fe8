#include <algorithm>

#include "core/rounding.hpp"
#include "kernels/cuda/clip_spectra.hpp"
#include "kernels/cuda/libraries/device.hpp"

namespace genretree::cuda {
namespace {

/// cuFFT may read real samples two at a time: where hop is odd, frames share none, and each is laid out by itself.
Framing framing_of(const SpectralTables& tables) {
  return {tables.n_fft, tables.hop, tables.hop % 2 == 0 ? tables.hop : tables.n_fft,
          tables.padding == EdgePadding::reflect};
}

/// Half of GTZAN's longest clip, 1320 frames, and less of longer frames, so that a chunk's spectra, 5.4 MB of floats,
/// stay in the GPU's cache. A multiple of 4, so that chunks begin where cuFFT can read.
std::size_t chunk_of(const SpectralTables& tables) {
  constexpr std::size_t usual_chunk = 660, usual_n_fft = 2048;
  return std::max<std::size_t>(4, std::min(usual_chunk, usual_chunk * usual_n_fft / tables.n_fft / 4 * 4));
}

}  // namespace

template <class Real>
ClipSpectra<Real>::ClipSpectra(const SpectralTables& tables, Device& device)
    : device_(device),
      framing_(framing_of(tables)),
      chunk_(chunk_of(tables)),
      transforms_(make_frame_transforms<Real>(device, tables.n_fft, framing_.step, chunk_)),
      spectra_(device, chunk_ * (tables.n_fft / 2 + 1)) {}

template <class Real>
void ClipSpectra<Real>::run(std::span<const float> clip, Queue& queue, const Take& take) {
  const std::size_t frames = 1 + clip.size() / framing_.hop;
  const std::size_t all_frames = round_up(frames, chunk_);  // the last chunk is transformed as a whole
  grow(laid_out_, device_, (all_frames - 1) * framing_.step + framing_.n_fft);
  lay_out_frames(clip.data(), clip.size(), framing_, all_frames, laid_out_.data(), stream_of(queue));
  for (std::size_t first = 0; first < frames; first += chunk_) {
    transforms_->run(laid_out_.data() + first * framing_.step, spectra_.data(), queue);
    take(first, std::min(chunk_, frames - first), spectra_.data());
  }
}

template class ClipSpectra<float>;
template class ClipSpectra<double>;

}  // namespace genretree::cuda
