// Every operation of the contract, held against the definition (kernels/reference) on the machine that runs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/ops.hpp"

namespace genretree {

/// How far an operation is from the definition: max |a - b| / max |b| of its worst output.
struct OperationCheck {
  std::string operation, backend;  ///< backend: with target and precision, "cpu avx3 fp32"
  double error = 0;                ///< infinite where an output is not a finite number
  double allowed = 0;              ///< what the backend's precision may cost
  double milliseconds = 0;         ///< from giving it to an idle queue until it is done, at a second call
  std::string note = {};           ///< more about it; if the backend refuses it, why, and what can compute it
  bool refused = false;
  std::string algorithm = {};  ///< that computed the LSTM; "" where none takes part

  bool passed() const { return error <= allowed; }
};

/// What is asked of a backend.
struct CheckScope {
  bool only_lstm = false;  ///< nothing but the operations that an LSTM takes part in
  /// InputError is a refusal, as of an algorithm that a GPU has not got; else it is a failure.
  bool may_refuse = false;
  /// Backends that are targets of one share its queues: these are checked with the first alone.
  bool queues_of_first_only = true;
};

/// Runs each operation twice on each of `backends`, which have one precision, with random inputs: the paper's network
/// on a partial batch, a small CNN, and every spectral feature, by `tables`, of a clip of 22050 and of one of 5000
/// samples. Then some training steps by Queue::repeat, and on two queues at once, which must have the bits of the same
/// steps given one by one, and alone.
std::vector<OperationCheck> check_operations(std::span<const std::unique_ptr<Backend>> backends,
                                             const SpectralTables& tables, const CheckScope& scope = {});

/// Backend::choose_algorithm for the paper's network on few frames, by a backend whose `lstm:` leaves several: which one
/// it takes. The choice itself holds each algorithm's gradients against the first's.
OperationCheck check_choice(Backend& backend);

/// A table: its heading, and the line of a check, which says "ok", "FAILED" or "refused".
std::string check_heading();
std::string check_line(const OperationCheck& check);

}  // namespace genretree
