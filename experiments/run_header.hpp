// What is said of an experiment before it begins, and how many of its runs go side by side.
#pragma once

#include <optional>

#include "experiments/data.hpp"
#include "experiments/plan.hpp"
#include "experiments/resources.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// The runs that go side by side, and the memory that they have and need.
struct Workers {
  std::size_t jobs;   ///< runs at once
  std::size_t slots;  ///< of them in a group: all, or 1
  MemoryNeed need;
  Limits limits;
};

/// `asked_for`: --jobs; nothing: as many as cores, the backend and memory allow. One more than `runs` would be idle. The
/// backend's algorithm is chosen before.
Workers workers_for(const Spec& spec, const Data& data, Backend& backend, std::size_t runs,
                    std::optional<std::size_t> asked_for);

/// Prints what is run on what: data, split, features, model, backend and workers. Warns if memory may be short.
void print_header(const Spec& spec, const Data& data, const BackendChoice& choice, std::size_t runs, const Shard& shard,
                  const Workers& workers);

/// Prints every run with the time that it would take here; for that, an epoch is measured.
void print_dry_run(const Spec& spec, const Data& data, Backend& backend, const std::vector<PlannedRun>& runs,
                   const Workers& workers);

}  // namespace genretree
