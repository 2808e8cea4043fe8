// What bench leaves behind: a table for the terminal and an array of JSON records.
#pragma once

#include <string>
#include <vector>

#include "tools/bench/measure.hpp"

namespace genretree::bench {

/// [{"name", "value", "unit", "repetitions", "min", "max"}, …] where value is the median; "share_of_peak" and
/// "megabytes" where a record has them. The first one, "machine/cores", also names the machine, what computes in each
/// precision, the program's commit, the time and the machine's load before.
/// kept: the text of such an array, or empty. Its records stay, in the order of `names`, unless they are among
/// `records`; its first "time" and larger "load" stay too, and "until" says when the last were added. InputError if it
/// is none or was made by another program, on another machine, or with other options.
std::string to_json(const Setup& setup, const std::vector<Record>& records, const std::vector<std::string>& names,
                    const std::string& kept);

/// "fp32 on avx3, interleaved; bf16 on avx3+amx_bf16, interleaved"
std::string description_of(const std::vector<Precision>& precisions);

std::string table_heading(const std::vector<std::string>& names);
std::string table_line(const Record& record, const std::vector<std::string>& names);

}  // namespace genretree::bench
