// The LSTM stack by cuDNN, layer after layer.
#pragma once

#include "kernels/cuda/libraries/rnn.hpp"
#include "kernels/cuda/lstm_stack.hpp"

namespace genretree::cuda {

/// Why cuDNN cannot compute such a stack; or "".
std::string cudnn_refusal(const StackConfig& config);

/// RnnRefused if cuDNN has not got the algorithm for one of the layers. `config` is not refused. The state is for
/// groups of exactly this batch and these frames, and at most these runs.
std::unique_ptr<LstmState> make_cudnn_state(RnnAlgorithm algorithm, const StackConfig& config, const Group& largest,
                                            Mode mode, bool tf32, Queue& queue);

}  // namespace genretree::cuda
