// Spectral features, as many frames side by side as a vector has lanes: lane l of every vector belongs to frame l of
// the block, so that the Fourier transform, the mel bands, the logarithm and the cosine transform are plain loops over
// vectors.
//
// What is done for a block of frames:
//   1. Samples are turned into columns: row r of column c is sample c · hop + r of the padded clip. Frame f begins at
//      row 0 of column f, so sample i of all frames of the block is one load from row i % hop, at column f + i / hop.
//      Each sample is moved once, however much the frames overlap.
//   2. Window and Fourier transform: each bin's power goes to the mel bands that it has a share in as soon as it is
//      known, so that no spectrum is stored.
//   3. Logarithm, and the clip's maximum so far.
// Once the clip's maximum is known, a second sweep applies the floor and the cosine transform.
// What needs the bins of the spectrum themselves (descriptors-inl.hpp) gets those of a second transform, which is kept
// of the whole clip. It is computed in doubles, for half as many frames side by side: beside loud bins, the smallest
// ones, which contrast looks for, would be nothing but the rounding of floats.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include "core/rounding.hpp"
#include "kernels/cpu/spectral.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/spectral.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
#include "kernels/cpu/descriptors-inl.hpp"
#include "kernels/cpu/fft-inl.hpp"
// clang-format on

#ifndef GENRETREE_KERNELS_CPU_SPECTRAL_ONCE
#define GENRETREE_KERNELS_CPU_SPECTRAL_ONCE
namespace genretree::cpu {

/// What the dispatched code gives out.
class ClipState : public SpectralState {
 public:
  /// One clip: samples [n] → out [frames(n), W].
  virtual void run(std::span<const float> samples, float* out) = 0;
  virtual const SpectralTables& tables() const = 0;
};

}  // namespace genretree::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {

constexpr std::size_t tile = HWY_TARGET == HWY_SCALAR ? 1 : 4;  ///< rows that are made together
constexpr std::size_t group = 7;                                ///< coefficients that are summed together

std::vector<float> to_float(const std::vector<double>& values) { return {values.begin(), values.end()}; }

/// What a bin of the power spectrum gives to a mel band.
struct MelShare {
  std::uint32_t offset = 0;  ///< of the band in energies_
  float weight = 0;
};

#if HWY_TARGET != HWY_SCALAR
/// Four samples from r on of column 0, then of column 4, 8, …, as many as there is room for.
template <class D>
HWY_INLINE hn::Vec<D> load_every_fourth(D d, const float* const* columns, std::size_t r) {
  if constexpr (hn::MaxLanes(D()) <= tile) {
    return hn::LoadU(d, columns[0] + r);
  } else {
    const hn::Half<D> half;
    return hn::Combine(d, load_every_fourth(half, columns + hn::Lanes(half), r), load_every_fourth(half, columns, r));
  }
}
#endif

class LaneFeatures final : public ClipState {
 public:
  explicit LaneFeatures(const SpectralTables& tables)
      : tables_(tables),
        width_(tables.width()),
        window_(to_float(tables.window)),
        spectrum_(tables.n_fft),
        rows_(round_up(std::min(tables.hop, tables.n_fft), tile)),
        overlap_(round_up((tables.n_fft - 1) / tables.hop, tile)),
        row_stride_(overlap_ + lanes()),
        columns_(host_device(), rows_ * row_stride_),
        edge_columns_(host_device(), lanes() * rows_),
        scratch_(host_device(), spectrum_.scratch_size()),
        energies_(host_device(), tables.mel.size() * lanes()),
        exact_spectrum_(tables.n_fft),
        descriptors_(tables_) {
    if (descriptors_.wanted()) exact_scratch_ = Buffer<double>(host_device(), exact_spectrum_.scratch_size());
    for (const std::size_t bin : spectrum_.bins()) bin_offsets_.push_back(static_cast<std::uint32_t>(bin * lanes()));
    for (std::size_t i = 0; i < tables.n_fft; ++i)
      sample_offsets_.push_back(static_cast<std::uint32_t>(i % tables.hop * row_stride_ + i / tables.hop));
    set_mel_shares();
    const std::size_t bands = tables.mel.size();
    dct_.resize(bands * round_up(tables.coefficients, group));
    dct_sums_.resize(round_up(tables.coefficients, group));
    for (std::size_t k = 0; k < tables.coefficients; ++k) {
      const double* row = tables.dct.data() + k * bands;
      dct_sums_[k] = static_cast<float>(std::accumulate(row, row + bands, 0.0));
      for (std::size_t m = 0; m < bands; ++m)
        dct_[(k / group * bands + m) * group + k % group] = static_cast<float>(row[m]);
    }
  }

  const SpectralTables& tables() const override { return tables_; }

  void run(std::span<const float> samples, float* out) override {
    const std::size_t frames = tables_.frames(samples.size());
    const std::size_t block_size = tables_.mel.size() * lanes();
    const std::size_t blocks = (frames + lanes() - 1) / lanes();
    if (decibels_.size() < blocks * block_size) decibels_ = Buffer<float>(host_device(), blocks * block_size);

    if (descriptors_.wanted()) descriptors_.begin(blocks);

    float maximum = std::numeric_limits<float>::lowest();
    for (std::size_t block = 0; block < blocks; ++block) {
      load_columns(samples, block);
      take_energies();
      const std::size_t wanted = std::min(lanes(), frames - block * lanes());
      maximum = std::max(maximum, mel_decibels(decibels_.data() + block * block_size, wanted));
      if (tables_.wants(SpectralFeature::mel))
        store_frames(energies_.data(), energies_.size(), 0, wanted, place(out, block, SpectralFeature::mel));
      if (descriptors_.wanted()) {
        take_exact_spectrum(descriptors_.spectrum(block));
        descriptors_.take_block(block, wanted);
      }
    }
    descriptors_.finish_clip();
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t wanted = std::min(lanes(), frames - block * lanes());
      const float* decibels = decibels_.data() + block * block_size;
      if (tables_.wants(SpectralFeature::log_mel))
        store_frames(decibels, block_size, maximum - static_cast<float>(tables_.top_db), wanted,
                     place(out, block, SpectralFeature::log_mel));
      if (tables_.wants(SpectralFeature::mfcc))
        cosine_transform(decibels, maximum, wanted, place(out, block, SpectralFeature::mfcc));
      // none of these is negative
      for (const SpectralFeature feature :
           {SpectralFeature::centroid, SpectralFeature::chroma, SpectralFeature::contrast})
        if (tables_.wants(feature)) {
          const std::span<const float> values = descriptors_.values(feature, block);
          store_frames(values.data(), values.size(), 0, wanted, place(out, block, feature));
        }
    }
  }

 private:
  static std::size_t lanes() { return hn::Lanes(FloatTag()); }

  /// Where a feature of the block's first frame lies in out [frames][W].
  float* place(float* out, std::size_t block, SpectralFeature feature) const {
    return out + block * lanes() * width_ + tables_.column(feature);
  }

  /// values [size / lanes][lanes], raised to `lowest`, of the `wanted` first lanes → out, a frame in every W.
  void store_frames(const float* HWY_RESTRICT values, std::size_t size, float lowest, std::size_t wanted,
                    float* HWY_RESTRICT out) const {
    for (std::size_t lane = 0; lane < wanted; ++lane, out += width_)
      for (std::size_t i = 0; i < size / lanes(); ++i) out[i] = std::max(lowest, values[i * lanes() + lane]);
  }

  void set_mel_shares() {
    std::vector<std::vector<MelShare>> shares_of_bin(tables_.n_fft / 2 + 1);
    for (std::size_t m = 0; m < tables_.mel.size(); ++m)
      for (std::size_t i = 0; i < tables_.mel[m].weights.size(); ++i)
        shares_of_bin[tables_.mel[m].first_bin + i].push_back(
            {static_cast<std::uint32_t>(m * lanes()), static_cast<float>(tables_.mel[m].weights[i])});
    for (const auto& shares : shares_of_bin) shares_per_bin_ = std::max(shares_per_bin_, shares.size());
    for (const std::size_t bin : spectrum_.bins()) {
      shares_of_bin[bin].resize(shares_per_bin_);
      mel_shares_.insert(mel_shares_.end(), shares_of_bin[bin].begin(), shares_of_bin[bin].end());
    }
  }

  /// The clip continued beyond its ends. Silence where even the mirror has nothing: in frames that only fill a block.
  float padded_sample(std::span<const float> samples, std::ptrdiff_t position) const {
    const auto n = static_cast<std::ptrdiff_t>(samples.size());
    if (tables_.padding == EdgePadding::reflect && position < 0) position = -position;
    if (tables_.padding == EdgePadding::reflect && position >= n) position = 2 * (n - 1) - position;
    return position >= 0 && position < n ? samples[static_cast<std::size_t>(position)] : 0;
  }

  /// The samples of one column: in the clip itself, or copied to `edge` where the clip must be padded.
  const float* column(std::span<const float> samples, std::size_t index, float* edge) const {
    const auto begin =
        static_cast<std::ptrdiff_t>(index * tables_.hop) - static_cast<std::ptrdiff_t>(tables_.n_fft / 2);
    if (begin >= 0 && static_cast<std::size_t>(begin) + rows_ <= samples.size()) return samples.data() + begin;
    for (std::size_t r = 0; r < rows_; ++r) edge[r] = padded_sample(samples, begin + static_cast<std::ptrdiff_t>(r));
    return edge;
  }

  /// Makes columns_ [rows][overlap + lanes] hold the columns from the block's first on. What the block before had of
  /// them is moved.
  void load_columns(std::span<const float> samples, std::size_t block) {
    const std::size_t first = block * lanes();
    for (std::size_t c = 0; block == 0 && c < overlap_; ++c) {
      const float* from = column(samples, c, edge_columns_.data());
      for (std::size_t r = 0; r < rows_; ++r) columns_.data()[r * row_stride_ + lanes() + c] = from[r];
    }
    const float* from[HWY_MAX_BYTES / sizeof(float)];
    for (std::size_t c = 0; c < lanes(); ++c)
      from[c] = column(samples, first + overlap_ + c, edge_columns_.data() + c * rows_);
    for (std::size_t r = 0; r < rows_; r += tile) {
      float* to = columns_.data() + r * row_stride_;
      for (std::size_t row = 0; row < tile; ++row) move_overlap(to + row * row_stride_);
      load_rows(from, r, to + overlap_);
    }
  }

  /// The last columns of a row become the first.
  void move_overlap(float* row) const {
    const hn::CappedTag<float, tile> d;
    for (std::size_t c = 0; c < overlap_; c += tile) hn::StoreU(hn::LoadU(d, row + lanes() + c), d, row + c);
  }

  /// Four samples of each column become four rows.
  void load_rows(const float* const* from, std::size_t r, float* to) const {
    const FloatTag d;
#if HWY_TARGET == HWY_SCALAR
    hn::StoreU(hn::LoadU(d, from[0] + r), d, to);
#else
    const auto v0 = load_every_fourth(d, from, r), v1 = load_every_fourth(d, from + 1, r);
    const auto v2 = load_every_fourth(d, from + 2, r), v3 = load_every_fourth(d, from + 3, r);
    const auto lower02 = hn::InterleaveLower(d, v0, v2), upper02 = hn::InterleaveUpper(d, v0, v2);
    const auto lower13 = hn::InterleaveLower(d, v1, v3), upper13 = hn::InterleaveUpper(d, v1, v3);
    hn::StoreU(hn::InterleaveLower(d, lower02, lower13), d, to);
    hn::StoreU(hn::InterleaveUpper(d, lower02, lower13), d, to + row_stride_);
    hn::StoreU(hn::InterleaveLower(d, upper02, upper13), d, to + 2 * row_stride_);
    hn::StoreU(hn::InterleaveUpper(d, upper02, upper13), d, to + 3 * row_stride_);
#endif
  }

  /// Window, power spectrum and mel bands of the block's frames: energies_.
  void take_energies() {
    const FloatTag d;
    const float* HWY_RESTRICT columns = columns_.data();
    const float* HWY_RESTRICT window = window_.data();
    const std::uint32_t* HWY_RESTRICT offsets = sample_offsets_.data();
    const auto sample = [=](std::size_t i)
                            HWY_ATTR { return hn::Mul(hn::Set(d, window[i]), hn::LoadU(d, columns + offsets[i])); };
    float* HWY_RESTRICT energies = energies_.data();
    std::fill(energies, energies + energies_.size(), 0.0f);
    const MelShare* HWY_RESTRICT shares = mel_shares_.data();
    const std::size_t shares_per_bin = shares_per_bin_;
    const auto add_to_bands = [=](std::size_t i, FloatVector power) HWY_ATTR {
      for (std::size_t s = 0; s < shares_per_bin; ++s) {
        const MelShare share = shares[i * shares_per_bin + s];
        float* energy = energies + share.offset;
        hn::Store(hn::MulAdd(hn::Set(d, share.weight), power, hn::Load(d, energy)), d, energy);
      }
    };
    spectrum_.run(sample, scratch_.data(), add_to_bands);
  }

  /// Window and power spectrum [bins][lanes] of the block's frames in doubles, as many lanes at a time as have room.
  /// librosa.stft, too, transforms doubles and stores floats.
  void take_exact_spectrum(float* HWY_RESTRICT spectrum) {
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> floats;  // as many
    const double* HWY_RESTRICT window = tables_.window.data();
    const std::uint32_t* HWY_RESTRICT offsets = sample_offsets_.data();
    const std::uint32_t* HWY_RESTRICT bin_offsets = bin_offsets_.data();
    for (std::size_t lane = 0; lane < lanes(); lane += hn::Lanes(d)) {
      const float* HWY_RESTRICT columns = columns_.data() + lane;
      float* HWY_RESTRICT powers = spectrum + lane;
      const auto sample = [=](std::size_t i) HWY_ATTR {
        return hn::Mul(hn::Set(d, window[i]), hn::PromoteTo(d, hn::LoadU(floats, columns + offsets[i])));
      };
      const auto keep = [=](std::size_t i, Vector<double> power)
                            HWY_ATTR { hn::Store(hn::DemoteTo(floats, power), floats, powers + bin_offsets[i]); };
      exact_spectrum_.run(sample, exact_scratch_.data(), keep);
    }
  }

  /// Decibels of the mel bands, [M][lanes]; returns the largest of the `wanted` first lanes.
  float mel_decibels(float* HWY_RESTRICT decibels, std::size_t wanted) const {
    const FloatTag d;
    const auto amin = hn::Set(d, static_cast<float>(tables_.amin)),
               ten_per_ln10 = hn::Set(d, static_cast<float>(10 / std::numbers::ln10));
    auto maximum = hn::Set(d, std::numeric_limits<float>::lowest());
    for (std::size_t i = 0; i < energies_.size(); i += lanes()) {
      const auto value = hn::Mul(ten_per_ln10, hn::Log(d, hn::Max(amin, hn::Load(d, energies_.data() + i))));
      hn::Store(value, d, decibels + i);
      maximum = hn::Max(maximum, value);
    }
    const auto counts = hn::FirstN(d, wanted);
    return hn::GetLane(
        hn::MaxOfLanes(d, hn::IfThenElse(counts, maximum, hn::Set(d, std::numeric_limits<float>::lowest()))));
  }

  /// Floor and DCT of one block; the `wanted` first lanes go to out, a frame in every W. Bands are counted from the
  /// clip's maximum and summed in short runs, which keeps the rounding of single precision small: a coefficient of 1000
  /// is off by about one unit in its last place, where one long sum of bands of -100 dB is off by ten.
  void cosine_transform(const float* HWY_RESTRICT decibels, float clip_maximum, std::size_t wanted,
                        float* HWY_RESTRICT out) const {
    const FloatTag d;
    const std::size_t step = lanes(), bands = tables_.mel.size(), coefficients = tables_.coefficients;
    constexpr std::size_t run_length = 16;
    const auto maximum = hn::Set(d, clip_maximum), lowest = hn::Set(d, -static_cast<float>(tables_.top_db));
    HWY_ALIGN float results[group * HWY_MAX_BYTES / sizeof(float)];
    for (std::size_t k = 0; k < coefficients; k += group) {
      const float* HWY_RESTRICT row = dct_.data() + k * bands;
      FloatVector totals[group];
      for (std::size_t i = 0; i < group; ++i) totals[i] = hn::Mul(maximum, hn::Set(d, dct_sums_[k + i]));
      for (std::size_t begin = 0; begin < bands; begin += run_length) {
        FloatVector sums[group];
        for (FloatVector& sum : sums) sum = hn::Zero(d);
        for (std::size_t m = begin; m < std::min(bands, begin + run_length); ++m, row += group) {
          const auto value = hn::Max(lowest, hn::Sub(hn::Load(d, decibels + m * step), maximum));
          for (std::size_t i = 0; i < group; ++i) sums[i] = hn::MulAdd(hn::Set(d, row[i]), value, sums[i]);
        }
        for (std::size_t i = 0; i < group; ++i) totals[i] = hn::Add(totals[i], sums[i]);
      }
      for (std::size_t i = 0; i < group; ++i) hn::Store(totals[i], d, results + i * step);
      for (std::size_t lane = 0; lane < wanted; ++lane)
        for (std::size_t i = 0; i < std::min(group, coefficients - k); ++i)
          out[lane * width_ + k + i] = results[i * step + lane];
    }
  }

  SpectralTables tables_;
  std::size_t width_;                  ///< W
  std::vector<float> window_;          ///< [n_fft]
  LanePowerSpectrum<float> spectrum_;  ///< of n_fft samples
  /// Of columns_: rows; columns beyond the block's own; floats from one row to the next.
  std::size_t rows_, overlap_, row_stride_;
  std::vector<std::uint32_t> sample_offsets_;  ///< [n_fft] where sample i of the block's first frame lies in columns_
  std::size_t shares_per_bin_ = 0;             ///< mel bands that overlap; two for the Slaney bands
  std::vector<MelShare> mel_shares_;           ///< [n_fft / 2 + 1][shares_per_bin] of the results of spectrum_
  std::vector<float> dct_;                     ///< [K / group][M][group], rounded up with zeros
  std::vector<float> dct_sums_;                ///< [K], rounded up: the sum of each row
  Buffer<float> columns_;                      ///< [rows][row_stride]
  Buffer<float> edge_columns_;                 ///< [lanes][rows], of columns that reach beyond the clip
  Buffer<float> scratch_;                      ///< of spectrum_
  Buffer<float> energies_;                     ///< [M][lanes]
  Buffer<float> decibels_;                     ///< [blocks][M][lanes]
  std::vector<std::uint32_t> bin_offsets_;     ///< [n_fft / 2 + 1] of the results of spectrum_ in a kept spectrum
  LanePowerSpectrum<double> exact_spectrum_;   ///< of n_fft samples; its results have the order of spectrum_'s
  Buffer<double> exact_scratch_;               ///< of exact_spectrum_, where it is needed
  LaneDescriptors descriptors_;
};

}  // namespace

ClipState* make_state(const SpectralTables& tables) { return new LaneFeatures(tables); }

}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(make_state);

std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables, std::int64_t target) {
  return std::unique_ptr<SpectralState>(entry_for(target, HWY_DISPATCH_TABLE(make_state))(tables));
}

void spectral_features(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
                       View<float, 2> out) {
  auto& clip_state = static_cast<ClipState&>(state);
  const float* clip = samples.data;
  float* features = out.data;
  for (const std::size_t length : lengths) {
    clip_state.run({clip, length}, features);
    clip += length;
    features += clip_state.tables().frames(length) * clip_state.tables().width();
  }
}

}  // namespace genretree::cpu
#endif
