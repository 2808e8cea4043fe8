// What this machine offers, and how long an experiment would take on it.
#pragma once

#include <string>

#include "experiments/data.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// Bytes that a grid takes, as its backend says.
struct MemoryNeed {
  /// By all runs: the data set; where they share a GPU's queue, also what the GPU's libraries take for it.
  std::size_t shared = 0;
  /// Activations, batches, gradients, weights and moments, twice for the last whole epoch's; on the host also a copy of
  /// these for a checkpoint; on a GPU what its libraries take for a queue, if each run has one.
  std::size_t per_run = 0;
  std::size_t host_per_run = 0;  ///< of the host's memory too, where runs are on a GPU
  std::size_t host_shared = 0;   ///< of that by all of them

  std::size_t of(std::size_t jobs) const { return shared + jobs * per_run; }
  std::size_t on_host(std::size_t jobs) const { return host_shared + jobs * host_per_run; }
};

/// How many of the experiment's runs its backend advances best in the same launches, in a group on one queue. 1: each
/// run does best on a queue of its own.
std::size_t runs_together(const Spec& spec, const Data& data, const Backend& backend);

/// Runs of a group at most, if more are asked for.
inline constexpr std::size_t most_slots = 128;

/// What this experiment's runs need: a run with all clips and genres, which no node of a tree exceeds, is made, and
/// asked. If it would not go into `limit` bytes none is made: its need is reckoned from two with fewer frames, or from
/// its weights alone if these are too many already. A run in a group takes as much as one alone, or less by what its
/// classes and evaluations fall short of the group's largest, to which they are padded. `one_queue`: they share one.
MemoryNeed memory_need(const Spec& spec, const Data& data, Backend& backend, std::size_t limit, bool one_queue = false);

/// Queues of a GPU that --jobs auto begins at most: the largest number of connections to a GPU that CUDA may be asked
/// for (CUDA_DEVICE_MAX_CONNECTIONS). The work of more streams would wait for each other's.
inline constexpr std::size_t most_gpu_queues = 32;

/// What runs may use.
struct Limits {
  std::size_t jobs = 0;         ///< side by side
  std::size_t memory = 0;       ///< bytes
  bool gpu = false;             ///< the memory is a GPU's, not that of the host
  std::size_t host_memory = 0;  ///< bytes of the host, if the memory is a GPU's
};

/// Of the backend's device: as many jobs as it computes `together` if those are more than one, else as the process may
/// use cores, on a GPU most_gpu_queues; and four fifths of the free memory, of the host and of the GPU, which leaves
/// room for what else is done there.
Limits limits_of(Backend& backend, std::size_t together = 1);

/// Runs at once for --jobs auto: as many as the limits allow, but no more than there are runs and than the memory holds.
/// On a GPU the host's memory must hold them too. Error if a single run has no room.
std::size_t automatic_jobs(std::size_t runs, const MemoryNeed& need, const Limits& limits);

/// The batches of all the experiment's classifiers, the largest first.
StackWork stack_work(const Spec& spec, const Data& data, std::size_t side_by_side);

/// Seconds of one epoch over all clips, with validation and test, when so many groups of `slots` runs go side by side:
/// measured on a batch of the real shape, again and again for two seconds. A run takes it
/// run.cost times.
double seconds_per_epoch(const Spec& spec, const Data& data, Backend& backend, std::size_t workers,
                         std::size_t slots = 1);

/// Host name and cores. The processor has its name in BackendInfo::device.
std::string machine_name();

/// The version of the sources that this program was made from, as git says it, or "unknown".
std::string program_commit();

}  // namespace genretree
