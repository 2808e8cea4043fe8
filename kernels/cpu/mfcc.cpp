// MFCCs, as many frames side by side as a vector has lanes: lane l of every vector belongs to frame l of the block, so
// that the Fourier transform, the mel bands, the logarithm and the cosine transform are plain loops over vectors.
//
// What is done for a block of frames:
//   1. Samples are turned into columns: row r of column c is sample c · hop + r of the padded clip. Frame f begins at
//      row 0 of column f, so sample i of all frames of the block is one load from row i % hop, at column f + i / hop.
//      Each sample is moved once, however much the frames overlap.
//   2. The real signal of n_fft samples is transformed as n_fft / 2 complex ones (even samples real, odd ones
//      imaginary), window and first pass in one.
//   3. The halves are taken apart again into the power of bins 0 … n_fft / 2.
//   4. Sparse mel bands, logarithm, and the clip's maximum so far.
// Once the clip's maximum is known, a second sweep applies the floor and the cosine transform.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include "kernels/cpu/mfcc.hpp"
#include "kernels/cpu/target.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/mfcc.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first: it includes this file once per target
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
#include "kernels/cpu/fft-inl.hpp"
// clang-format on

#ifndef GENRETREE_KERNELS_CPU_MFCC_ONCE
#define GENRETREE_KERNELS_CPU_MFCC_ONCE
namespace genretree::cpu {

/// What the dispatched code gives out.
class MfccState : public SpectralState {
 public:
  /// One clip: samples [n] → out [frames(n), K].
  virtual void run(std::span<const float> samples, float* out) = 0;
  virtual const SpectralTables& tables() const = 0;
};

}  // namespace genretree::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace genretree::cpu::HWY_NAMESPACE {
namespace {

constexpr std::size_t tile = HWY_TARGET == HWY_SCALAR ? 1 : 4;  ///< columns and rows that are transposed together
constexpr std::size_t group = 4;                                ///< coefficients that are summed together

std::size_t rounded_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

std::vector<float> to_float(const std::vector<double>& values) { return {values.begin(), values.end()}; }

class LaneMfcc final : public MfccState {
 public:
  explicit LaneMfcc(const SpectralTables& tables)
      : tables_(tables),
        window_(to_float(tables.window)),
        fft_(tables.n_fft / 2),
        rows_(rounded_up(std::min(tables.hop, tables.n_fft), tile)),
        overlap_(rounded_up((tables.n_fft - 1) / tables.hop, tile)),
        row_stride_(overlap_ + lanes()),
        columns_(host_device(), rows_ * row_stride_),
        edge_columns_(host_device(), tile * rows_),
        spectrum_(host_device(), tables.n_fft * lanes()),
        power_(host_device(), (tables.n_fft / 2 + 1) * lanes()) {
    for (std::size_t i = 0; i < tables.n_fft; ++i)
      sample_offsets_.push_back(i % tables.hop * row_stride_ + i / tables.hop);
    for (std::size_t k = 0; k <= tables.n_fft / 4; ++k) {
      const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(tables.n_fft);
      split_twiddles_.push_back(static_cast<float>(std::cos(angle)));
      split_twiddles_.push_back(static_cast<float>(std::sin(angle)));
    }
    for (const SpectralTables::Band& band : tables.mel)
      mel_weights_.insert(mel_weights_.end(), band.weights.begin(), band.weights.end());
    const std::size_t bands = tables.mel.size();
    dct_.resize(bands * rounded_up(tables.coefficients, group));
    dct_sums_.resize(rounded_up(tables.coefficients, group));
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

    float maximum = std::numeric_limits<float>::lowest();
    for (std::size_t block = 0; block < blocks; ++block) {
      load_columns(samples, block);
      transform();
      split_into_power();
      const std::size_t wanted = std::min(lanes(), frames - block * lanes());
      maximum = std::max(maximum, mel_decibels(decibels_.data() + block * block_size, wanted));
    }
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t first = block * lanes();
      cosine_transform(decibels_.data() + block * block_size, maximum, std::min(lanes(), frames - first),
                       out + first * tables_.coefficients);
    }
  }

 private:
  static std::size_t lanes() { return hn::Lanes(FloatTag()); }

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
    if (block == 0) {
      for (std::size_t c = 0; c < overlap_; c += tile) transpose_columns(samples, c, columns_.data() + c);
    } else {
      const hn::CappedTag<float, tile> d;
      for (std::size_t r = 0; r < rows_; ++r) {
        float* row = columns_.data() + r * row_stride_;
        for (std::size_t c = 0; c < overlap_; c += tile) hn::StoreU(hn::LoadU(d, row + lanes() + c), d, row + c);
      }
    }
    for (std::size_t c = overlap_; c < row_stride_; c += tile)
      transpose_columns(samples, first + c, columns_.data() + c);
  }

  /// Columns first … first + tile - 1, to rows.
  void transpose_columns(std::span<const float> samples, std::size_t first, float* to) {
    const float* from[tile];
    for (std::size_t c = 0; c < tile; ++c) from[c] = column(samples, first + c, edge_columns_.data() + c * rows_);
#if HWY_TARGET == HWY_SCALAR
    for (std::size_t r = 0; r < rows_; ++r) to[r * row_stride_] = from[0][r];
#else
    const hn::Full128<float> d;
    for (std::size_t r = 0; r < rows_; r += tile, to += tile * row_stride_) {
      const auto a = hn::LoadU(d, from[0] + r), b = hn::LoadU(d, from[1] + r);
      const auto c = hn::LoadU(d, from[2] + r), e = hn::LoadU(d, from[3] + r);
      const auto ac_lower = hn::InterleaveLower(d, a, c), ac_upper = hn::InterleaveUpper(d, a, c);
      const auto be_lower = hn::InterleaveLower(d, b, e), be_upper = hn::InterleaveUpper(d, b, e);
      hn::StoreU(hn::InterleaveLower(d, ac_lower, be_lower), d, to);
      hn::StoreU(hn::InterleaveUpper(d, ac_lower, be_lower), d, to + row_stride_);
      hn::StoreU(hn::InterleaveLower(d, ac_upper, be_upper), d, to + 2 * row_stride_);
      hn::StoreU(hn::InterleaveUpper(d, ac_upper, be_upper), d, to + 3 * row_stride_);
    }
#endif
  }

  /// Window and Fourier transform of the block's frames.
  void transform() {
    const FloatTag d;
    const float* HWY_RESTRICT columns = columns_.data();
    const float* HWY_RESTRICT window = window_.data();
    const std::size_t* HWY_RESTRICT offsets = sample_offsets_.data();
    const auto sample = [=](std::size_t i)
                            HWY_ATTR { return hn::Mul(hn::LoadU(d, columns + offsets[i]), hn::Set(d, window[i])); };
    fft_.run([=](std::size_t i) HWY_ATTR { return ComplexVector{sample(2 * i), sample(2 * i + 1)}; }, spectrum_.data());
  }

  /// From the transform Z of the half-size complex signal to the power of the real one's, X. With M = n_fft / 2,
  /// w = exp(-2πi / n_fft), E = (Z[k] + Z*[M-k]) / 2 and O = (Z[k] - Z*[M-k]) / 2i:
  ///   X[k] = E + w^k O and X*[M-k] = E - w^k O
  void split_into_power() {
    const FloatTag d;
    const std::size_t half = tables_.n_fft / 2, step = lanes();
    const std::uint32_t* HWY_RESTRICT positions = fft_.positions();
    const float* HWY_RESTRICT spectrum = spectrum_.data();
    float* HWY_RESTRICT power = power_.data();
    const auto quarter = hn::Set(d, 0.25f);
    for (std::size_t k = 0; k <= half / 2; ++k) {
      const ComplexVector a = load_complex(spectrum, positions[k]);
      const ComplexVector b = load_complex(spectrum, positions[(half - k) % half]);
      const ComplexVector even = {hn::Add(a.re, b.re), hn::Sub(a.im, b.im)};
      const ComplexVector odd = {hn::Add(a.im, b.im), hn::Sub(b.re, a.re)};
      const ComplexVector turned = odd * set_complex(&split_twiddles_[2 * k]);
      const ComplexVector low = even + turned, high = even - turned;  // both twice as large as they should be
      hn::Store(hn::Mul(quarter, hn::MulAdd(low.re, low.re, hn::Mul(low.im, low.im))), d, power + k * step);
      hn::Store(hn::Mul(quarter, hn::MulAdd(high.re, high.re, hn::Mul(high.im, high.im))), d,
                power + (half - k) * step);
    }
  }

  /// Decibels of the mel bands, [M][lanes]; returns the largest of the `wanted` first lanes.
  float mel_decibels(float* HWY_RESTRICT decibels, std::size_t wanted) const {
    const FloatTag d;
    const std::size_t step = lanes();
    const auto amin = hn::Set(d, static_cast<float>(tables_.amin)),
               ten_per_ln10 = hn::Set(d, static_cast<float>(10 / std::numbers::ln10));
    const float* HWY_RESTRICT weight = mel_weights_.data();
    auto maximum = hn::Set(d, std::numeric_limits<float>::lowest());
    for (const SpectralTables::Band& band : tables_.mel) {
      const float* HWY_RESTRICT power = power_.data() + band.first_bin * step;
      auto energy = hn::Zero(d);
      for (std::size_t i = 0; i < band.weights.size(); ++i, ++weight, power += step)
        energy = hn::MulAdd(hn::Set(d, *weight), hn::Load(d, power), energy);
      const auto value = hn::Mul(ten_per_ln10, hn::Log(d, hn::Max(amin, energy)));
      hn::Store(value, d, decibels);
      maximum = hn::Max(maximum, value);
      decibels += step;
    }
    const auto counts = hn::FirstN(d, wanted);
    return hn::GetLane(
        hn::MaxOfLanes(d, hn::IfThenElse(counts, maximum, hn::Set(d, std::numeric_limits<float>::lowest()))));
  }

  /// Floor and DCT of one block; the `wanted` first lanes go to out [wanted][K]. Bands are counted from the clip's
  /// maximum and summed in short runs, which keeps the rounding of single precision small: a coefficient of 1000 is off
  /// by about one unit in its last place, where one long sum of bands of -100 dB is off by ten.
  void cosine_transform(const float* HWY_RESTRICT decibels, float clip_maximum, std::size_t wanted,
                        float* HWY_RESTRICT out) const {
    const FloatTag d;
    const std::size_t step = lanes(), bands = tables_.mel.size(), coefficients = tables_.coefficients;
    constexpr std::size_t run_length = 16;
    const auto maximum = hn::Set(d, clip_maximum), lowest = hn::Set(d, -static_cast<float>(tables_.top_db));
    HWY_ALIGN float results[group * HWY_MAX_BYTES / sizeof(float)];
    for (std::size_t k = 0; k < coefficients; k += group) {
      const float* HWY_RESTRICT row = dct_.data() + k * bands;
      auto total0 = hn::Mul(maximum, hn::Set(d, dct_sums_[k])), total1 = hn::Mul(maximum, hn::Set(d, dct_sums_[k + 1]));
      auto total2 = hn::Mul(maximum, hn::Set(d, dct_sums_[k + 2])),
           total3 = hn::Mul(maximum, hn::Set(d, dct_sums_[k + 3]));
      for (std::size_t begin = 0; begin < bands; begin += run_length) {
        auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
        for (std::size_t m = begin; m < std::min(bands, begin + run_length); ++m, row += group) {
          const auto value = hn::Max(lowest, hn::Sub(hn::Load(d, decibels + m * step), maximum));
          sum0 = hn::MulAdd(hn::Set(d, row[0]), value, sum0);
          sum1 = hn::MulAdd(hn::Set(d, row[1]), value, sum1);
          sum2 = hn::MulAdd(hn::Set(d, row[2]), value, sum2);
          sum3 = hn::MulAdd(hn::Set(d, row[3]), value, sum3);
        }
        total0 = hn::Add(total0, sum0), total1 = hn::Add(total1, sum1);
        total2 = hn::Add(total2, sum2), total3 = hn::Add(total3, sum3);
      }
      hn::Store(total0, d, results);
      hn::Store(total1, d, results + step);
      hn::Store(total2, d, results + 2 * step);
      hn::Store(total3, d, results + 3 * step);
      for (std::size_t lane = 0; lane < wanted; ++lane)
        for (std::size_t i = 0; i < std::min(group, coefficients - k); ++i)
          out[lane * coefficients + k + i] = results[i * step + lane];
    }
  }

  SpectralTables tables_;
  std::vector<float> window_;  ///< [n_fft]
  LaneFft fft_;                ///< of n_fft / 2 complex elements
  /// Of columns_: rows; columns beyond the block's own; floats from one row to the next.
  std::size_t rows_, overlap_, row_stride_;
  std::vector<std::size_t> sample_offsets_;  ///< [n_fft] where sample i of the block's first frame lies in columns_
  std::vector<float> split_twiddles_;        ///< [n_fft / 4 + 1][2]
  std::vector<float> mel_weights_;           ///< of all bands, one after another
  std::vector<float> dct_;                   ///< [K / 4][M][4], rounded up with zeros
  std::vector<float> dct_sums_;              ///< [K], rounded up: the sum of each row
  Buffer<float> columns_;                    ///< [rows][row_stride]
  Buffer<float> edge_columns_;               ///< [4][rows]
  Buffer<float> spectrum_;                   ///< [n_fft / 2][2][lanes]
  Buffer<float> power_;                      ///< [n_fft / 2 + 1][lanes]
  Buffer<float> decibels_;                   ///< [blocks][M][lanes]
};

}  // namespace

MfccState* make_state(const SpectralTables& tables) { return new LaneMfcc(tables); }

}  // namespace genretree::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace genretree::cpu {

HWY_EXPORT(make_state);

std::unique_ptr<SpectralState> make_mfcc_state(const SpectralTables& tables, std::int64_t target) {
  return std::unique_ptr<SpectralState>(entry_for(target, HWY_DISPATCH_TABLE(make_state))(tables));
}

void mfcc(SpectralState& state, View<const float, 1> samples, std::span<const std::size_t> lengths,
          View<float, 2> out) {
  auto& lane_state = static_cast<MfccState&>(state);
  const float* clip = samples.data;
  float* features = out.data;
  for (const std::size_t length : lengths) {
    lane_state.run({clip, length}, features);
    clip += length;
    features += lane_state.tables().frames(length) * lane_state.tables().coefficients;
  }
}

}  // namespace genretree::cpu
#endif
