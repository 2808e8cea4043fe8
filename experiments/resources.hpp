// What this machine offers, and how long an experiment would take on it.
#pragma once

#include <string>

#include "experiments/data.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// Bytes of device memory that one run needs.
std::size_t bytes_per_run(const Spec& spec, const Data& data, Backend& backend);

/// Bytes that this process may still take: MemAvailable, and what its cgroup leaves (caches that can be dropped counted
/// as free).
std::size_t available_memory();

/// Workers for --jobs auto: one for each core, but no more than there are runs and than four fifths of the free memory
/// hold.
std::size_t automatic_jobs(std::size_t runs, std::size_t bytes_of_run);

/// Seconds of one epoch, with validation and test, when `workers` runs go side by side: measured on a batch of the real
/// shape, again and again for two seconds.
double seconds_per_epoch(const Spec& spec, const Data& data, Backend& backend, std::size_t workers);

/// Host name, processor, cores.
std::string machine_name();

/// The version of the sources that this program was made from, as git says it, or "unknown".
std::string program_commit();

}  // namespace genretree
