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
  std::string operation;
  double allowed;              ///< what the backends' precision may cost
  std::vector<double> errors;  ///< of each backend; infinite where an output is not a finite number

  bool passed() const;
};

/// Runs each operation once on the definition and on each of `backends`, which have one precision, with random inputs:
/// the paper's network on a partial batch, a small CNN, and every spectral feature, by `tables`, of a clip of 22050 and
/// of one of 5000 samples.
std::vector<OperationCheck> check_operations(std::span<const std::unique_ptr<Backend>> backends,
                                             const SpectralTables& tables);

/// A heading, and a line for each check that ends in "ok" or "FAILED". targets: names of the backends.
std::string check_table(std::span<const OperationCheck> checks, std::span<const std::string> targets);

}  // namespace genretree
