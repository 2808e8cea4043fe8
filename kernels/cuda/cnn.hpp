// The CNN: convolutions by cuDNN, the hidden layer by cuBLAS, all between them by kernels of ours (cnn_kernels.hpp).
//
// As on the CPU, rows of a batch go through the whole network, forward and back, some at a time, so that memory does
// not grow with the batch; a part is always of the same size, so that a row has the same bits wherever it stands, and
// what a partial batch leaves empty is an image of zeros with a gradient of zero. Gradients of the parts are added up
// in their order.
#pragma once

#include "kernels/ops.hpp"

namespace genretree::cuda {

/// Backend::make_cnn_state.
std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode, Device& device);

/// Backend::cnn_step of the network that the state was made for; without gradients, Backend::cnn_evaluate.
void cnn_step(const Group& group, Loss kind, View<const float, 2> parameters, View<const float, 4> x,
              View<const std::int32_t, 2> labels, std::span<const RandomKey> keys, CnnState& state,
              View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
              View<float, 2> gradients, Queue& queue);

}  // namespace genretree::cuda
