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

/// Prints what is run on what: data, split, features, model, backend and workers. `part`: "" or which part of the whole
/// these runs are. Warns if memory may be short.
void print_header(const Spec& spec, const Data& data, const BackendChoice& choice, std::size_t runs,
                  const std::string& part, const Workers& workers);

/// Prints every run with the time that it would take here; for that, an epoch is measured.
void print_dry_run(const Spec& spec, const Data& data, Backend& backend, const std::vector<PlannedRun>& runs,
                   const Workers& workers);

/// Prints how much each of several shards has left to do, and how long it would take on a machine like this one; for
/// that, an epoch is measured. workers: of a shard; alone: runs side by side of a process that does all.
void print_shards(const Spec& spec, const Data& data, Backend& backend,
                  const std::vector<std::vector<PlannedRun>>& shards, const Workers& workers, std::size_t alone);

}  // namespace genretree
