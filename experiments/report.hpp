// The report of an experiment: tables, plots and pages made from its results, with the paper's own figures beside ours.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/ledger.hpp"
#include "experiments/spec.hpp"

namespace genretree {

/// What the header of a report says about the data, filled by the runner and kept in the run's folder as dataset.json.
struct DatasetSummary {
  /// "GTZAN", the folder's name, or for the built-in corpus, wherever it was read from, a name that begins with
  /// "SYNTHETIC".
  std::string name;
  std::string source;  ///< path, or the corpus recipe ("synthetic corpus …")
  std::vector<std::string> genres;
  std::size_t clips = 0, train = 0, validation = 0, test = 0;  ///< of the first trial
  std::string checksum;                    ///< 16 hex digits over tracks, labels, audio and features, wherever they lie
  std::vector<std::string> notes;          ///< missing tracks, bad files
  std::size_t left_out = 0;                ///< clips that could not be read
  std::vector<std::string> warnings = {};  ///< what makes the figures look better than they are: shared artists, copies
  std::string features_by = {};            ///< backend, target and libraries; "" where a store does not say
};

std::string to_json(const DatasetSummary& summary);
/// InputError that names `source` if it is damaged.
DatasetSummary dataset_summary_from_json(const std::string& json, const std::string& source = "dataset.json");

/// "computed by cpu, avx3, …", of the features.
std::string origin_of_features(const DatasetSummary& summary);

/// What two data sets with different checksums are: "GTZAN, 600 clips, checksum …, features computed by … there; …
/// here", and what to do if they may differ in what computed their features alone.
std::string differences(const DatasetSummary& there, const DatasetSummary& here);

/// Writes report.md, a self-contained report.html and what they are made of into `folder`, every file whole or not at
/// all: of a grid figure9.csv, figure10.csv, figure11.svg, figure12.svg, …; of a tree table3.csv and nodes.csv (each
/// node), table4.csv (the whole tree), confusion.csv and decoded.csv (where each test clip ends),
/// figure14.svg.
void write_report(const std::filesystem::path& folder, const Spec& spec, const DatasetSummary& dataset,
                  const std::vector<Result>& results);

/// Figures 9 and 10, or Tables 3 and 4, as text for a terminal, the paper's values beside ours.
std::string tables_as_text(const Spec& spec, const DatasetSummary& dataset, const std::vector<Result>& results);

}  // namespace genretree
