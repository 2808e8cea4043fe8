#include <algorithm>
#include <chrono>
#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include "experiments/resources.hpp"
#include "tools/bench/report.hpp"

namespace genretree::bench {
namespace {

using Json = nlohmann::ordered_json;

/// Numbers as they are shown: four digits.
double rounded(double value) { return std::stod(fmt::format("{:.4g}", value)); }

Json machine_record(const Setup& setup) {
  const BackendInfo info = setup.fp32().backend->info();
  const auto now = std::chrono::floor<std::chrono::minutes>(std::chrono::system_clock::now());
  return {
      {"name", "machine/cores"},    {"value", setup.cores},        {"unit", "cores"},
      {"repetitions", 1},           {"min", setup.cores},          {"max", setup.cores},
      {"processor", info.device},   {"target", info.target},       {"libraries", info.libraries},
      {"commit", program_commit()}, {"load", rounded(setup.load)}, {"time", fmt::format("{:%Y-%m-%d %H:%M} UTC", now)}};
}

Json to_json(const Record& record) {
  const auto [low, high] = std::minmax_element(record.values.begin(), record.values.end());
  Json json{{"name", record.name},  {"value", rounded(median(record.values))},
            {"unit", record.unit},  {"repetitions", record.values.size()},
            {"min", rounded(*low)}, {"max", rounded(*high)}};
  if (!record.shares_of_peak.empty()) json["share_of_peak"] = rounded(median(record.shares_of_peak));
  if (record.megabytes) json["megabytes"] = rounded(*record.megabytes);
  return json;
}

std::size_t width_of(const std::vector<std::string>& names) {
  const auto longest = std::ranges::max_element(names, {}, [](const std::string& name) { return name.size(); });
  return std::max<std::size_t>(4, longest == names.end() ? 0 : longest->size());
}

}  // namespace

std::string to_json(const Setup& setup, const std::vector<Record>& records) {
  std::vector<std::string> lines{machine_record(setup).dump()};
  for (const Record& record : records) lines.push_back(to_json(record).dump());
  return fmt::format("[\n  {}\n]\n", fmt::join(lines, ",\n  "));
}

std::string table_heading(const std::vector<std::string>& names) {
  return fmt::format("{:<{}} {:>11} {:>11} {:>11}  {:<8} {:>9} {:>8}", "name", width_of(names), "median", "min", "max",
                     "unit", "% of peak", "MB");
}

std::string table_line(const Record& record, const std::vector<std::string>& names) {
  const auto [low, high] = std::minmax_element(record.values.begin(), record.values.end());
  return fmt::format("{:<{}} {:>11.4g} {:>11.4g} {:>11.4g}  {:<8} {:>9} {:>8}", record.name, width_of(names),
                     median(record.values), *low, *high, record.unit,
                     record.shares_of_peak.empty() ? "" : fmt::format("{:.0f}", 100 * median(record.shares_of_peak)),
                     record.megabytes ? fmt::format("{:.0f}", *record.megabytes) : "");
}

}  // namespace genretree::bench
