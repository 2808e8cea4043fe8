#include <algorithm>
#include <chrono>
#include <fmt/chrono.h>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "core/text.hpp"
#include "experiments/resources.hpp"
#include "kernels/backends.hpp"
#include "tools/bench/report.hpp"

namespace genretree::bench {
namespace {

using Json = nlohmann::ordered_json;

/// Numbers as they are shown: four digits.
double rounded(double value) { return std::stod(fmt::format("{:.4g}", value)); }

Json machine_record(const Setup& setup) {
  const BackendInfo info = setup.fp32().backend->cnn_info();  // with the libraries of all that is measured
  const auto now = std::chrono::floor<std::chrono::minutes>(std::chrono::system_clock::now());
  Backend& backend = *setup.fp32().backend;
  Json precisions;
  for (const Precision& precision : setup.precisions) {
    const BackendInfo of = precision.backend->info();
    precisions[precision.name] = {{"target", of.target}, {"algorithm", of.algorithm}};
  }
  Json machine{
      {"name", "machine/cores"},    {"value", setup.cores},        {"unit", "cores"},
      {"repetitions", 1},           {"min", setup.cores},          {"max", setup.cores},
      {"processor", info.device},   {"precisions", precisions},    {"libraries", info.libraries},
      {"commit", program_commit()}, {"load", rounded(setup.load)}, {"time", fmt::format("{:%Y-%m-%d %H:%M} UTC", now)}};
  if (const double peak = device_peak_gflops(backend); peak > 0) machine["peak_gflops"] = rounded(peak);
  return machine;
}

Json to_json(const Record& record) {
  const auto [low, high] = std::minmax_element(record.values.begin(), record.values.end());
  Json json{{"name", record.name},  {"value", rounded(median(record.values))},
            {"unit", record.unit},  {"repetitions", record.values.size()},
            {"min", rounded(*low)}, {"max", rounded(*high)}};
  if (!record.shares_of_peak.empty()) json["share_of_peak"] = rounded(median(record.shares_of_peak));
  if (record.megabytes) json["megabytes"] = rounded(*record.megabytes);
  if (record.gflops) json["gflops"] = rounded(*record.gflops);
  return json;
}

/// The records of an earlier file by their names; enters into `machine` what stays of its first one.
std::map<std::string, Json> read_kept(const std::string& text, Json& machine) try {
  const Json records = Json::parse(text);
  const Json& before = records.at(0);
  for (const char* fact : {"value", "processor", "precisions", "libraries", "commit"})
    if (before.at(fact) != machine.at(fact))
      reject("--update: {} was {} and is now {}. Leave --update out, and measure everything anew",
             fact == std::string_view("value") ? "cores" : fact, before.at(fact).dump(), machine.at(fact).dump());
  machine["until"] = std::exchange(machine["time"], before.at("time"));
  if (before.at("load").is_number() && before.at("load") > machine.at("load")) machine["load"] = before.at("load");
  std::map<std::string, Json> by_name;
  for (std::size_t r = 1; r < records.size(); ++r) by_name[records[r].at("name").get<std::string>()] = records[r];
  return by_name;
} catch (const Json::exception&) {
  reject("--update: the file is no array of bench's records. Leave --update out, and measure everything anew");
}

std::size_t width_of(const std::vector<std::string>& names) {
  const auto longest = std::ranges::max_element(names, {}, [](const std::string& name) { return name.size(); });
  return std::max<std::size_t>(4, longest == names.end() ? 0 : longest->size());
}

}  // namespace

std::string to_json(const Setup& setup, const std::vector<Record>& records, const std::vector<std::string>& names,
                    const std::string& kept) {
  Json machine = machine_record(setup);
  std::map<std::string, Json> by_name;
  if (!kept.empty()) by_name = read_kept(kept, machine);
  for (const Record& record : records) by_name[record.name] = to_json(record);
  std::vector<std::string> lines{machine.dump()};
  for (const std::string& name : names)
    if (by_name.contains(name)) lines.push_back(by_name[name].dump());
  return fmt::format("[\n  {}\n]\n", fmt::join(lines, ",\n  "));
}

std::string description_of(const std::vector<Precision>& precisions) {
  std::vector<std::string> parts;
  for (const Precision& precision : precisions) {
    const BackendInfo info = precision.backend->info();
    parts.push_back(fmt::format("{} on {}, {}", precision.name, info.target, info.algorithm));
  }
  return join(parts, "; ");
}

std::string table_heading(const std::vector<std::string>& names) {
  return fmt::format("{:<{}} {:>11} {:>11} {:>11}  {:<8} {:>9} {:>8} {:>9}", "name", width_of(names), "median", "min",
                     "max", "unit", "% of peak", "MB", "GFLOP/s");
}

std::string table_line(const Record& record, const std::vector<std::string>& names) {
  const auto [low, high] = std::minmax_element(record.values.begin(), record.values.end());
  return fmt::format("{:<{}} {:>11.4g} {:>11.4g} {:>11.4g}  {:<8} {:>9} {:>8} {:>9}", record.name, width_of(names),
                     median(record.values), *low, *high, record.unit,
                     record.shares_of_peak.empty() ? "" : fmt::format("{:.0f}", 100 * median(record.shares_of_peak)),
                     record.megabytes ? fmt::format("{:.0f}", *record.megabytes) : "",
                     record.gflops ? fmt::format("{:.0f}", *record.gflops) : "");
}

}  // namespace genretree::bench
