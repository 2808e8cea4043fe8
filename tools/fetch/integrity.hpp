// What a copy of GTZAN is worth: every file decoded, counted and compared.
#pragma once

#include <filesystem>

#include "core/error.hpp"
#include "core/progress.hpp"

namespace genretree {

/// Decodes every track under `folder` on all cores and prints tracks of each genre, files that cannot be decoded with
/// their reasons, what is missing, duplicates and odd lengths. ExitCode::ok if nothing worse than jazz.00054, which is
/// damaged in most copies, is wrong; else ExitCode::left_out. InputError if it is the built-in corpus, whose tracks
/// have the same names. Interrupted on a signal.
ExitCode report_integrity(const std::filesystem::path& folder, Progress& progress);

}  // namespace genretree
