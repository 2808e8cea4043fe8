// The ways to compute an LSTM network's passes on the GPU, and the choice among them.
//
// Each is an LstmState, made by a name that `lstm:` in an experiment file and BackendInfo::algorithm know it by. An
// algorithm is added here: a name in lstm_algorithms() and a line in make_lstm_state(). The fused LSTM is taken for what
// it can do, unless `lstm:` says otherwise; among cuDNN's a trial chooses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// A pass's memory, which knows how to compute with it. All launchers: see Backend::stack_forward, stack_backward.
class LstmState : public StackState {
 public:
  explicit LstmState(Mode mode) : mode_(mode) {}
  Mode mode() const { return mode_; }

  /// Views of whole groups; runs without rows are left alone.
  virtual void forward(const Group& group, View<const float, 2> parameters, View<const float, 4> x,
                       View<const float, 2> masks, Mode mode, View<float, 4> h, Queue& queue) = 0;
  virtual void backward(const Group& group, View<const float, 4> x, View<const float, 4> dh, View<float, 2> gradients,
                        View<float, 4> dx, Queue& queue) = 0;

 private:
  Mode mode_;
};

/// What `lstm:` may be: auto and cudnn, which stand for a choice, fused, cudnn:standard, ….
std::vector<std::string> lstm_choices();

/// The algorithms that such a choice may take in a precision: "fused" in fp32 and bf16, cuDNN's in fp32 and tf32.
std::vector<std::string> lstm_algorithms(const std::string& lstm, const std::string& precision);

/// Those of them that may compute every pass of such a network: "fused" alone if it is one of them, else those of cuDNN,
/// of which the first is to be had, and the others are compared with it. InputError if there are none: why, and what can.
std::vector<std::string> lstm_candidates(const std::string& lstm, const std::string& precision,
                                         const NetworkConfig& network);

/// The state of a pass for groups of this shape. InputError if the libraries have not got the algorithm for it. `queue`
/// lends its handles; what it is given is done when it is next synchronized.
std::unique_ptr<LstmState> make_lstm_state(const std::string& algorithm, const std::string& precision,
                                           const StackConfig& pass, const Group& largest, Mode mode, Queue& queue);

// ------------------------------------------------------------------------------------------------------- the choice

/// One way to compute a network's passes, for a trial.
struct LstmCandidate {
  std::string name;
  /// The state of a pass for groups of this shape. May throw InputError: then the candidate is not to be had.
  std::function<std::unique_ptr<LstmState>(const StackConfig&, const Group&, Mode)> make;
};

/// How far a candidate's numbers may be from the first one's: max |a - b| / max |b| of h, of dx and of the gradient of
/// each of a pass's tensors. Sums of 10^4 to 10^5 products (rows × frames) differ by some 1e-5 in fp32 when their order
/// does, and by about 1e-3 when each product is cut to TF32's 10 bits; a wrong gate or a lost bias makes a difference
/// of order 1.
inline constexpr double fp32_tolerance = 2e-4, tf32_tolerance = 2e-2;

/// A candidate takes the place of the best so far if it needs less than this part of its time: so that noise does not
/// make the processes of one experiment choose differently.
inline constexpr double worthwhile = 0.9;

/// Trainings that are timed together, at most: as many as a tree of ten genres has nodes.
inline constexpr std::size_t most_trials = 7;

/// The name of the fastest candidate among those that can do all of the work and agree with the first, which must be to
/// be had. Timed are steps of the first training batches, as many side by side as there will be, up to most_trials and
/// as half of the free memory holds, each recorded and put on the GPU at once, as in training. The passes of a network
/// are tried by themselves, and their times added. A candidate that disagrees is named in a warning.
std::string fastest(const std::vector<LstmCandidate>& candidates, const NetworkConfig& network, const StackWork& work,
                    double tolerance, Device& device);

}  // namespace genretree::cuda
