// The CNN by oneDNN. Rows of a batch go through the whole network, forward and back, some at a time: then the memory
// for activations does not grow with the batch (at the size of the paper's baseline it would be 6 GB), and a partial
// batch needs nothing of its own. Gradients of the parts are added up in their order.
//
// One core for each queue, as everywhere in this backend: oneDNN shares its loops out over OpenMP's threads, so OpenMP
// is held to one thread on the calling thread while a state is made and used. It then starts no threads, and results
// depend neither on the number of cores nor on what runs beside.
//
// oneDNN chooses its instructions by itself, whatever the backend's target; its environment variable
// ONEDNN_MAX_CPU_ISA limits them. What it uses stands in onednn_version().
#pragma once

#include <string>

#include "kernels/ops.hpp"

namespace genretree::cpu {

/// "oneDNN 2.6.3 (avx512_core)"
std::string onednn_version();

/// Backend::make_cnn_state.
std::unique_ptr<CnnState> make_cnn_state(const CnnConfig& config, const Group& largest, Mode mode);

/// Backend::cnn_step of the network that the state was made for; without gradients, Backend::cnn_evaluate.
void cnn_step(const Group& group, Loss kind, View<const float, 2> parameters, View<const float, 4> x,
              View<const std::int32_t, 2> labels, std::span<const RandomKey> keys, CnnState& state,
              View<float, 3> probabilities, View<double, 1> loss, View<std::int32_t, 1> correct,
              View<float, 2> gradients);

}  // namespace genretree::cpu
