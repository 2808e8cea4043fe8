// What bench leaves behind: a table for the terminal and an array of JSON records.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/measure.hpp"

namespace genretree::bench {

/// [{"name", "value", "unit", "repetitions", "min", "max"}, …] where value is the median; "share_of_peak" and
/// "megabytes" where a record has them. The first one, "machine/cores", also names the machine, the backend, the
/// program's commit, the time and the machine's load before.
std::string to_json(const Setup& setup, const std::vector<Record>& records);

std::string table_heading(const std::vector<std::string>& names);
std::string table_line(const Record& record, const std::vector<std::string>& names);

}  // namespace genretree::bench
