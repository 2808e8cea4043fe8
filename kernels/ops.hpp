// The contract between the backends: every operation that has a kernel, and nothing else. kernels/reference is its
// definition in double precision; one test file per operation holds every backend that is built against it.
//
// The unit of work is a whole LSTM stack over whole sequences, or a whole step of a CNN, for a group of runs. A run is
// one training: it has weights, a batch and a class count of its own; the runs of a group share the shape of the
// network, the frames and the largest batch. One run is the plain case.
//
// All operations are launchers: views in, views out, queue last. They wait for nothing and take no device memory: their
// scratch lies in the states that make_… made. (Only a SpectralState grows, to the longest clip that it has met.) Views
// lie on the backend's device. Arguments may not overlap unless it is said.
//
// Shapes: R runs, B rows of the largest batch, T frames, F inputs (features of a frame), H units of the last layer,
// C classes, P parameters.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/device.hpp"
#include "core/random.hpp"
#include "core/tensor.hpp"

namespace genretree {

// --------------------------------------------------------------------------------------------------- spectral features

/// How a clip is continued beyond its ends before the first and last frames are cut: with zeros (librosa ≥ 0.10) or
/// mirrored without repeating the edge sample (librosa 0.5 and 0.6, numpy's mode "reflect").
enum class EdgePadding { zero, reflect };

/// What can be computed of a frame's spectrum.
enum class SpectralFeature {
  mel,      ///< [M] power in the mel bands (librosa.feature.melspectrogram)
  log_mel,  ///< [M] the same in decibels, 10·log10(max(amin, mel)), at least the clip's maximum - top_db (power_to_db)
  mfcc,     ///< [K] DCT-II of log_mel (librosa.feature.mfcc)
  /// [1] Σ f·|X| / Σ |X|, Hz; 0 in a frame of zeros (librosa.feature.spectral_centroid)
  centroid,
  /// [12] pitch classes from C up: the chroma bank of the clip's tuning times |X|², over the frame's maximum; zeros in
  /// a frame of zeros (librosa.feature.chroma_stft). The tuning is the fullest bin, the first of equals, of a histogram
  /// of how far the clip's stronger peaks are from the nearest semitone (librosa.estimate_tuning).
  chroma,
  /// [Q] decibels of the mean of a band's largest |X| less those of its smallest, each with the floor of log_mel
  /// (librosa.feature.spectral_contrast)
  contrast,
};

/// What is wanted, and the constant tables for it: made once on the host (features/spectral.hpp) and read by every
/// backend.
struct SpectralTables {
  /// Side by side in a frame's results, in this order; each at most once.
  std::vector<SpectralFeature> wanted = {SpectralFeature::mfcc};

  std::size_t n_fft = 0;  ///< samples of a frame, a power of two
  std::size_t hop = 0;    ///< samples from one frame to the next
  EdgePadding padding = EdgePadding::zero;
  std::vector<double> window;  ///< [n_fft]
  struct Band {
    std::size_t first_bin;        ///< of the one-sided power spectrum
    std::vector<double> weights;  ///< for first_bin, first_bin + 1, …
  };
  std::vector<Band> mel;         ///< [M] triangular filters, sparse
  std::vector<double> dct;       ///< [K][M], the rows of the orthonormal DCT-II that are wanted
  std::size_t coefficients = 0;  ///< K
  double amin = 1e-10;           ///< power below which the logarithm is cut
  double top_db = 80;            ///< dynamic range kept below the clip's maximum, dB
  double bin_hz = 0;             ///< from one bin of the spectrum to the next

  // The tuning is looked for in peaks of |X|² with more than this share of their frame's maximum, in these bins.
  double pitch_threshold = 0.1;
  std::size_t first_pitch_bin = 1, end_pitch_bin = 1;
  static constexpr std::size_t tunings = 100;  ///< bins of the histogram: tuning t is t / 100 - 0.5 semitones
  static constexpr std::size_t pitch_classes = 12;
  std::vector<float> chroma;  ///< [tunings][n_fft / 2 + 1][pitch_classes], single precision as librosa's

  struct ContrastBand {
    std::size_t first_bin, end_bin;
    std::size_t extremes;  ///< as many of the largest and of the smallest bins count
  };
  std::vector<ContrastBand> contrast;  ///< [Q]

  std::size_t frames(std::size_t samples) const { return 1 + samples / hop; }
  /// Numbers of one frame: of one feature, and of all that are wanted (W).
  std::size_t width(SpectralFeature feature) const {
    switch (feature) {
      case SpectralFeature::mel:
      case SpectralFeature::log_mel:
        return mel.size();
      case SpectralFeature::mfcc:
        return coefficients;
      case SpectralFeature::centroid:
        return 1;
      case SpectralFeature::chroma:
        return pitch_classes;
      case SpectralFeature::contrast:
        return contrast.size();
    }
    return 0;
  }
  std::size_t width() const {
    std::size_t sum = 0;
    for (const SpectralFeature feature : wanted) sum += width(feature);
    return sum;
  }
  bool wants(SpectralFeature feature) const { return std::find(wanted.begin(), wanted.end(), feature) != wanted.end(); }
  /// Where a feature that is wanted begins among the W numbers of a frame.
  std::size_t column(SpectralFeature feature) const {
    std::size_t sum = 0;
    for (std::size_t i = 0; wanted[i] != feature; ++i) sum += width(wanted[i]);
    return sum;
  }
};

/// A backend's own form of the tables and its scratch memory; one per queue.
class SpectralState {
 public:
  virtual ~SpectralState() = default;
};

// ---------------------------------------------------------------------------------------------------------- LSTM stack

/// σ(x); clip(0.2 x + 0.5, 0, 1) as in Keras 2; relu6(x + 3) / 6 as in Keras 3.
enum class Gate { sigmoid, hard_sigmoid, hard_sigmoid_keras3 };

/// LSTM layers one above another, which a backend computes in one pass over the sequences: the whole of a plain network,
/// or one layer in one direction of another (NetworkConfig::passes).
struct StackConfig {
  std::size_t inputs = 0;          ///< F
  std::vector<std::size_t> units;  ///< of each layer, first to last
  Gate gate = Gate::sigmoid;
  double dropout = 0;            ///< rate on each layer's input
  double recurrent_dropout = 0;  ///< rate on each layer's h[t-1]

  // Of a pass within a network:
  std::size_t first_parameter = 0;  ///< where its own begin in a run's parameters
  std::size_t first_mask = 0;       ///< dropout masks of one row that lie before its own
  bool sequences = false;           ///< outputs, and their gradients, are of every frame, not of the last alone
  bool input_gradient = false;      ///< stack_backward gives dx

  std::size_t layers() const { return units.size(); }
  std::size_t layer_inputs(std::size_t layer) const { return layer == 0 ? inputs : units[layer - 1]; }
  std::size_t outputs() const { return units.back(); }
  bool has_dropout() const { return dropout > 0 || recurrent_dropout > 0; }
};

/// What of the last layer's outputs over time the dense layer is given: that after the last frame, the mean over all
/// frames, the largest of each unit over all frames, or the mean and then the largest.
enum class Readout { last, mean, max, mean_max };

/// An LSTM network up to its dense layer. It is computed in passes, with copy_columns between them and readout after
/// them.
struct NetworkConfig : StackConfig {
  /// Each layer is two: one that hears the sequence, and one that hears it backwards. Their outputs of a frame lie side
  /// by side. The readout of the backward one comes after the forward one's; its last frame is the sequence's first.
  /// Source: Keras, Bidirectional(merge_mode="concat").
  bool bidirectional = false;
  Readout readout = Readout::last;
  /// Rate on what the next layer is given, constant over time, and on what the dense layer is given.
  double layer_dropout = 0;
  bool standardise = false;  ///< gather makes the inputs (x - mean) · scale, constants that stand before the weights

  NetworkConfig() = default;
  /// A plain network; implicit, for a stack alone is one.
  NetworkConfig(StackConfig stack) : StackConfig(std::move(stack)) {}

  std::size_t directions() const { return bidirectional ? 2 : 1; }
  std::size_t layer_outputs(std::size_t layer) const { return directions() * units[layer]; }
  /// Numbers that the dense layer is given of each row.
  std::size_t dense_inputs() const { return layer_outputs(layers() - 1) * (readout == Readout::mean_max ? 2 : 1); }
  /// Numbers at the beginning of the parameters that training never changes: mean [F] and scale [F] of the inputs.
  std::size_t constants() const { return standardise ? 2 * inputs : 0; }
  bool has_any_dropout() const { return has_dropout() || layer_dropout > 0; }
  /// One for all layers where nothing comes between them; else, for each layer from the first, the forward one and then
  /// the backward one.
  std::vector<StackConfig> passes() const;
};

/// Where each tensor lies in the flat parameter vector of one run. The canonical layout is Keras's, all row-major: for
/// each layer kernel [in, 4H], recurrent kernel [H, 4H] and bias [4H], with column blocks i, f, c, o; then the dense
/// layer's kernel [H, C] and bias [C]. C is the largest class count of the group; a run with fewer leaves the columns
/// beyond its own unused. A network may have constants before all that; the layers of a bidirectional one are the first
/// forward, the first backward, the second forward, ….
struct ParameterLayout {
  struct Tensor {
    std::size_t offset, rows, columns;
    std::size_t size() const { return rows * columns; }
  };
  struct Layer {
    Tensor kernel, recurrent, bias;
  };
  Tensor mean{}, scale{};  ///< [F], or empty
  std::vector<Layer> layers;
  Tensor dense_kernel{}, dense_bias{};
  std::size_t size = 0;  ///< P

  ParameterLayout(const NetworkConfig& network, std::size_t classes);
  /// Of one pass: its layers alone, where they lie in the network's parameters; no dense layer.
  explicit ParameterLayout(const StackConfig& pass);

 private:
  Tensor place(std::size_t rows, std::size_t columns);
};

/// Where each mask of one run lies in its flat vector of dropout masks, of D numbers: per layer one input mask
/// [4, B, in] and one recurrent mask [4, B, H], gate order i, f, c, o, if the cells have dropout; then, with
/// layer_dropout, one mask [B, layer_outputs] of each layer but the last, and one [B, dense_inputs], each padded to a
/// multiple of 4. A mask is 0 or 1 / (1 - rate) ("inverted dropout"), constant over time. Source: Keras, LSTMCell with
/// implementation = 1.
struct MaskLayout {
  struct Layer {
    std::size_t input_offset, recurrent_offset;
  };
  /// Masks back to back that have one rate.
  struct Part {
    std::size_t size;
    double rate;
  };
  std::vector<Layer> layers;               ///< in the order of ParameterLayout
  std::vector<std::size_t> layer_outputs;  ///< offsets of the masks of each layer's outputs; of the last: the readout's
  std::vector<Part> parts;                 ///< all of it in its order
  std::size_t size = 0;                    ///< D

  MaskLayout(const NetworkConfig& network, std::size_t batch);
  /// Of one pass: its layers alone, where they lie in the network's masks.
  MaskLayout(const StackConfig& pass, std::size_t batch);

 private:
  std::size_t place(std::size_t numbers, double rate);
};

/// The shape of a group, and what differs between its runs in this batch.
struct Group {
  std::size_t runs = 1;     ///< R
  std::size_t batch = 0;    ///< B: rows that are laid out for each run
  std::size_t frames = 0;   ///< T
  std::size_t classes = 0;  ///< C: the largest class count
  /// [R] rows that count in this batch, 0 … B: fewer than B in a partial last batch, 0 once the run has ended
  std::vector<std::uint32_t> rows;
  std::vector<std::uint32_t> class_counts;  ///< [R] 2 … C
};

/// Training keeps what the backward pass needs; inference keeps nothing.
enum class Mode { training, inference };

/// A factor for each number of a row, where there is one: of run r, row b and number i it is
/// masks[r, offset + b · width + i].
struct RowMask {
  View<const float, 2> masks;  ///< [R, D], or empty: 1 for all
  std::size_t offset = 0, width = 0;
};

/// What copy_columns does.
struct ColumnCopy {
  std::size_t from_column = 0, to_column = 0, columns = 0;
  bool reversed = false;  ///< in time
  bool adds = false;      ///< to what is there
  RowMask mask = {};      ///< column c has that of number mask_column + c
  std::size_t mask_column = 0;
};

/// What one row of a batch is made of: frames of a clip, perhaps mixed with those of another one, with holes.
struct BatchRow {
  struct Range {
    std::int32_t first = 0, count = 0;
  };
  std::int32_t clip = 0, first_frame = 0;
  /// The row is share · clip + (1 - share) · partner, and so is its target. Source: Zhang et al., "mixup", 2018.
  float share = 1;
  std::int32_t partner = 0, partner_frame = 0;
  /// Frames of the row, and numbers of a frame, that are 0. Source: Park et al., "SpecAugment", 2019.
  std::array<Range, 2> masked_frames = {}, masked_inputs = {};
};

/// The batches that a stack will compute.
struct StackWork {
  std::vector<Group> training;    ///< every shape of training batch, at least one; the first will come most often
  std::vector<Group> evaluation;  ///< every shape that only Mode::inference computes
  std::size_t side_by_side = 1;   ///< trainings at once, each on a queue of its own
};

/// A backend's own memory for one group: packed weights, activations, scratch. Made for the largest group; filled by
/// stack_forward and read by stack_backward of the same batch.
class StackState {
 public:
  virtual ~StackState() = default;
  /// Bytes held on the device.
  virtual std::size_t bytes() const = 0;
};

// ------------------------------------------------------------------------------------------- convolutional network

/// A CNN over an image of frames × bands: stages of a convolution (4 × 4, stride 1), ReLU, max pooling (k × k, stride
/// k) and dropout; then a dense layer with ReLU and dropout, and a dense softmax layer. Convolution and pooling are
/// padded as TensorFlow's "SAME": an odd zero more goes below and to the right, and what is padded is never a maximum.
///
/// Channel c of frame t of the image is frame t + c of the features: each pixel hears `channels` neighbouring spectra.
/// So features of frames + channels - 1 frames make the image [frames, bands, channels].
struct CnnConfig {
  struct Stage {
    std::size_t filters, pool;
    bool operator==(const Stage&) const = default;
  };
  /// An array [rows, columns, channels].
  struct Image {
    std::size_t rows, columns, channels;
    std::size_t size() const { return rows * columns * channels; }
  };
  static constexpr std::size_t kernel = 4;  ///< rows and columns of a convolution's kernel

  std::size_t frames = 0, bands = 0, channels = 1;  ///< of the image
  std::vector<Stage> stages;                        ///< at least one
  std::size_t units = 0;                            ///< of the hidden dense layer
  double dropout = 0;                               ///< rate after each stage and after the hidden layer
  /// The image is (x - mean) · scale, with a mean and a scale of each band that training never changes.
  bool standardise = false;

  std::size_t feature_frames() const { return frames + channels - 1; }
  /// What enters stage s; of s = stages.size(), what enters the hidden layer, flattened row-major.
  Image image(std::size_t s) const;
  /// Numbers of one row of the batch that dropout is applied to: each stage's output, then the hidden layer's.
  std::size_t dropout_size() const;
  bool operator==(const CnnConfig&) const = default;
};

/// Where each tensor lies in the flat parameter vector of one run. All are row-major as Keras has them: mean and scale
/// [bands] (empty unless `standardise`; their gradient is 0, so that no optimiser moves them); of each stage the kernel
/// [4, 4, in, filters] (here: 16·in rows of `filters` columns) and bias [filters]; the hidden layer's kernel
/// [image(last).size(), units] and bias [units]; the softmax layer's kernel [units, C] and bias [C].
struct CnnLayout {
  using Tensor = ParameterLayout::Tensor;
  struct Layer {
    Tensor kernel, bias;
  };
  Tensor mean{}, scale{};
  std::vector<Layer> stages;
  Layer hidden{}, output{};
  std::size_t size = 0;  ///< P

  CnnLayout(const CnnConfig& cnn, std::size_t classes);
};

/// A backend's own memory for the CNN of one group.
class CnnState {
 public:
  virtual ~CnnState() = default;
  /// Bytes held on the device.
  virtual std::size_t bytes() const = 0;
};

// ----------------------------------------------------------------------------------------------------- loss and update

/// Categorical cross-entropy.
///   logits   -log softmax, exact (Keras 3)
///   clipped  probabilities are renormalised and clipped to [1e-7, 1 - 1e-7] first, so that no row costs more than
///            16.118 and a clipped row has no gradient (Keras 2)
enum class Loss { logits, clipped };

/// An optimiser with its constants, as Keras 2 defines them (get_updates): ε is added beside the root, and in Adam
/// outside the bias correction. Keras 3 has the same Adam and SGD, but its RMSprop has ε under the root, g/√(v+ε).
///   adam     m += (1-β1)(g-m); v += (1-β2)(g²-v); p -= lr·√(1-β2^t)/(1-β1^t) · m/(√v+ε)
///   rmsprop  v += (1-β2)(g²-v);                   p -= lr · g/(√v+ε)              (β2 is Keras's ρ)
///   sgd      m = β1·m - lr·g;                     p += m                          (β1 is the momentum)
///
/// First of all, g is multiplied by clip_norm / |g| if its Euclidean norm over all parameters is more than clip_norm
/// (Keras's global_clipnorm); then p -= lr·weight_decay·p (Loshchilov and Hutter, "Decoupled weight decay
/// regularization", 2019), biases included, as PyTorch's AdamW has it.
struct Optimiser {
  enum class Kind { adam, rmsprop, sgd } kind = Kind::adam;
  double learning_rate = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7;
  double weight_decay = 0;
  double clip_norm = 0;       ///< 0: gradients are not clipped
  std::size_t constants = 0;  ///< parameters at the beginning that do not decay
};

// ------------------------------------------------------------------------------------------------------------- backend

/// What stands in a run's header and in the ledger: everything that may change the last bits of a result.
struct BackendInfo {
  std::string backend;    ///< "cpu", "cuda", "reference"
  std::string device;     ///< the hardware's own name
  std::string target;     ///< instruction set or architecture, e.g. "avx3", "avx3+amx_bf16", "sm_90"
  std::string algorithm;  ///< of the network, e.g. "interleaved", "cudnn:persist_static"
  std::string precision;  ///< "fp32", "bf16"
  std::string libraries;  ///< name and version of each one that computes

  bool operator==(const BackendInfo&) const = default;
};

/// Every field by the name under which files keep it.
inline constexpr std::pair<const char*, std::string BackendInfo::*> backend_info_fields[] = {
    {"backend", &BackendInfo::backend},     {"device", &BackendInfo::device},
    {"target", &BackendInfo::target},       {"algorithm", &BackendInfo::algorithm},
    {"precision", &BackendInfo::precision}, {"libraries", &BackendInfo::libraries}};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendInfo info() const = 0;                    ///< where features or LSTMs are computed
  virtual BackendInfo cnn_info() const { return info(); }  ///< where CNNs are, perhaps by other libraries
  virtual Device& device() = 0;

  /// Why this backend cannot compute such a network, and what can; or "". make_stack_state throws it as InputError.
  virtual std::string refusal(const NetworkConfig&) const { return ""; }
  /// Where there are several ways to compute the network's passes, keeps to the fastest of those that can do all of this work,
  /// which info() then names. Before the first make_stack_state.
  virtual void choose_algorithm(const NetworkConfig&, const StackWork&) {}
  /// What it chooses among; if there are several, by a trial, which may end otherwise elsewhere.
  virtual std::vector<std::string> algorithms_for(const NetworkConfig&) const { return {info().algorithm}; }

  /// How many trainings of this shape are best advanced in one group, on one queue; 1: the runs of a group go one after
  /// another, so that trainings side by side want a queue each. After choose_algorithm.
  ///   training  of one run: its largest batch
  virtual std::size_t runs_together(const NetworkConfig&, const Group& training) const {
    static_cast<void>(training);
    return 1;
  }

  // -- spectral features

  virtual std::unique_ptr<SpectralState> make_spectral_state(const SpectralTables& tables) = 0;

  /// What the state's tables want, of every frame of whole clips: of |FFT|² of the windowed frame that is centred on
  /// sample 0, hop, 2 hop, …. Source: librosa.stft with center=True.
  ///   samples   [Σ n_c] the clips' samples back to back, in -1 … 1
  ///   lengths   samples of each clip, on the host; each ≥ 1 (reflect padding: > n_fft / 2)
  ///   out       [Σ frames(n_c), W] the clips' frames back to back
  virtual void spectral_features(SpectralState& state, View<const float, 1> samples,
                                 std::span<const std::size_t> lengths, View<float, 2> out, Queue& queue) = 0;

  // -- LSTM stack

  /// Memory for groups of at most this shape. Mode::inference makes a smaller state that only Mode::inference can use.
  virtual std::unique_ptr<StackState> make_stack_state(const StackConfig& config, const Group& largest, Mode mode) = 0;

  /// Draws the dropout masks of one batch; element e of run r is kept iff Random(keys[r]).uniform_at(e) ≥ rate. Those
  /// of a run without rows are left alone.
  ///   keys   [R] on the host, use = dropout
  ///   masks  [R, D] in MaskLayout
  virtual void dropout_masks(const NetworkConfig& config, const Group& group, std::span<const RandomKey> keys,
                             View<float, 2> masks, Queue& queue) = 0;

  /// The stack over whole sequences, from a zero state.
  ///   parameters  [R, P]
  ///   x           [R, T, B, F]
  ///   masks       [R, D], or empty: no dropout in the cells
  ///   h           [R, 1, B, H] output after the last frame, or, of config.sequences, [R, T, B, H] after each; rows
  ///               beyond group.rows[r] are undefined
  virtual void stack_forward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                             View<const float, 4> x, View<const float, 2> masks, Mode mode, StackState& state,
                             View<float, 4> h, Queue& queue) = 0;

  /// Backward through time, after stack_forward of the same batch in Mode::training with the same arguments.
  ///   dh         like h: gradient of the loss with respect to the output
  ///   gradients  [R, P] the stack's part is overwritten; all else is left alone
  ///   dx         [R, T, B, F] gradient with respect to x, if config.input_gradient, else empty; rows beyond
  ///              group.rows[r] are undefined
  virtual void stack_backward(const StackConfig& config, const Group& group, View<const float, 2> parameters,
                              View<const float, 4> x, View<const float, 2> masks, View<const float, 4> dh,
                              StackState& state, View<float, 2> gradients, View<float, 4> dx, Queue& queue) = 0;

  // -- between passes

  /// to[r, t, b, copy.to_column + c] = from[r, s, b, copy.from_column + c] · mask[r, b, c], c < copy.columns, where s is
  /// t, or T - 1 - t if copy.reversed; or adds that, if copy.adds. Rows beyond group.rows[r] become 0, or are left alone
  /// if copy.adds.
  ///   from  [R, T, B, any]
  ///   to    [R, T, B, any]; group.frames does not matter
  virtual void copy_columns(const Group& group, const ColumnCopy& copy, View<const float, 4> from, View<float, 4> to,
                            Queue& queue) = 0;

  /// out[r, b, first_column + …] = what the readout makes of y over its frames, times the mask of its place.
  ///   y     [R, T, B, H]; group.frames does not matter
  ///   mask  [R, B, W]
  ///   out   [R, B, W] of which H, or 2 H of mean_max, columns are written; rows beyond group.rows[r] are undefined
  virtual void readout(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                       std::size_t first_column, View<float, 3> out, Queue& queue) = 0;

  /// The gradient with respect to y of the same arguments. Where several frames have the largest value, the first has
  /// the gradient.
  ///   dout  [R, B, W] gradient with respect to out
  ///   dy    like y, overwritten; rows beyond group.rows[r] are undefined
  virtual void readout_backward(Readout kind, const Group& group, View<const float, 4> y, const RowMask& mask,
                                std::size_t first_column, View<const float, 3> dout, View<float, 4> dy,
                                Queue& queue) = 0;

  // -- classifier

  /// Dense layer, softmax and cross-entropy over the first class_counts[r] classes.
  ///   h              [R, B, H] with H = config.dense_inputs()
  ///   labels         [R, B]
  ///   targets        [R, B, C] what the probabilities ought to be, of sum 1; or empty: 1 for the label
  ///   probabilities  [R, B, C]; columns beyond the run's classes are 0
  ///   loss           [R] sum over the run's rows
  ///   correct        [R] rows whose most probable class (the first of equals) is the label
  ///   dh             [R, B, H] gradient of the mean loss over the run's rows, or empty: evaluation only
  ///   gradients      [R, P] the dense layer's part is overwritten with that of the mean loss; ignored if dh is empty
  virtual void classify_loss(const NetworkConfig& config, const Group& group, Loss kind,
                             View<const float, 2> parameters, View<const float, 3> h,
                             View<const std::int32_t, 2> labels, View<const float, 3> targets,
                             View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                             View<float, 3> dh, View<float, 2> gradients, Queue& queue) = 0;

  // -- CNN

  /// Memory for groups of at most this shape, whose `frames` are those of the features. Mode::inference makes a smaller
  /// state that only cnn_evaluate can use.
  virtual std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode) = 0;

  /// A whole step of training but for `update`: forward, loss, and backward.
  ///   parameters     [R, P] in CnnLayout
  ///   x              [R, T, B, F] as gather makes it; T = feature_frames(), F = bands
  ///   labels         [R, B]
  ///   keys           [R] on the host, use = dropout, or empty: no dropout. In row b of run r, number e of those that
  ///                  dropout is applied to is kept, and multiplied by 1 / (1 - rate), iff
  ///                  Random(keys[r]).uniform_at(b · dropout_size() + e) ≥ rate
  ///   probabilities, loss, correct   as of classify_loss
  ///   gradients      [R, P] of the mean loss over the run's rows
  virtual void cnn_step(const CnnConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                        View<const float, 4> x, View<const std::int32_t, 2> labels, std::span<const RandomKey> keys,
                        CnnState& state, View<float, 3> probabilities, View<double, 1> loss,
                        View<std::int32_t, 1> correct, View<float, 2> gradients, Queue& queue) = 0;

  /// The same forward without dropout, with the loss but no gradients.
  virtual void cnn_evaluate(const CnnConfig& config, const Group& group, Loss kind, View<const float, 2> parameters,
                            View<const float, 4> x, View<const std::int32_t, 2> labels, CnnState& state,
                            View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
                            Queue& queue) = 0;

  /// One step of the optimiser over all parameters of the runs that have rows.
  ///   rates       [R] factors of the learning rate, or empty: 1
  ///   steps       [R] updates done so far, in place: this one is number steps[r] + 1
  ///   parameters  [R, P] in place;  moments [R, 2, P] in place: m, then v; zero before the first step
  ///   norms       [R] scratch: the gradients' norms, if they are to be clipped, else empty
  virtual void update(const Optimiser& optimiser, const Group& group, View<const float, 1> rates,
                      View<std::int64_t, 1> steps, View<float, 2> parameters, View<const float, 2> gradients,
                      View<float, 3> moments, View<float, 1> norms, Queue& queue) = 0;

  /// Makes a batch where the data are: for row b of run r, by rows[r, b], x[r, t, b, :] from
  /// (features[clip, first_frame + t, :] - mean) · scale, and y[r, b] = labels[r, clip].
  ///   features   [N, T', F], T' ≥ T: a row is a window of its clip
  ///   labels     [R, N] each run its own: the nodes of a tree ask different questions of the same clips
  ///   rows       [R, B] on the device; those beyond group.rows[r] are ignored, and those rows of x become 0
  ///   constants  [R, P] whose first numbers are mean [F] and scale [F], or empty: 0 and 1
  ///   smoothing  share of a target that is spread over all classes of the run (label smoothing)
  ///   targets    [R, B, C] as classify_loss takes them, or empty
  virtual void gather(const Group& group, View<const float, 3> features, View<const std::int32_t, 2> labels,
                      View<const BatchRow, 2> rows, View<const float, 2> constants, double smoothing, View<float, 4> x,
                      View<std::int32_t, 2> y, View<float, 3> targets, Queue& queue) = 0;
};

}  // namespace genretree
