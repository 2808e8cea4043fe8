// What tests compare of the results of experiments.
#pragma once

#include <string>
#include <vector>

#include "experiments/ledger.hpp"

namespace genretree::test {

/// Everything of results that must be the same bit for bit, as text: all but the times.
inline std::vector<std::string> metrics(std::vector<Result> results) {
  std::vector<std::string> lines;
  for (Result& result : results) {
    result.seconds = 0;
    lines.push_back(to_json_line(result));
  }
  return lines;
}

}  // namespace genretree::test
