#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include "core/error.hpp"
#include "core/random.hpp"
#include "core/text.hpp"
#include "experiments/fields.hpp"
#include "experiments/search_spec.hpp"

namespace genretree {
namespace {

// ------------------------------------------------------------------------------------------------------ keys of a file

bool is_log(const YamlValue& range) {
  const YamlValue* scale = range.find("scale");
  return scale && scale->text == "log";
}

/// What is wrong with {from: 1, to: 2, scale: log}, or nullptr.
const YamlValue* check_range(const YamlValue& range) {
  const YamlValue *from = range.find("from"), *to = range.find("to");
  for (const auto& [key, value] : range.entries) {
    double number = 0;
    const bool good = key == "scale" ? value.text == "linear" || value.text == "log"
                                     : (key == "from" || key == "to") && read_real(value, number);
    if (!good) return &value;
  }
  if (!from || !to) return &range;
  double low = 0, high = 0;
  read_real(*from, low), read_real(*to, high);
  if (is_log(range) && low <= 0) return from;
  return high > low ? nullptr : to;
}

/// The same of a list of distinct values.
const YamlValue* check_list(const YamlValue& list) {
  std::set<std::string> seen;
  for (const YamlValue& item : list.items)
    if (!seen.insert(item.one_line()).second) return &item;
  return list.items.empty() ? &list : nullptr;
}

const YamlValue* read_keys(const YamlValue& yaml, std::vector<SweptKey>& keys) {
  if (yaml.kind != YamlValue::Kind::map || yaml.entries.empty()) return &yaml;
  for (const auto& [key, values] : yaml.entries) {
    const YamlValue* wrong = values.kind == YamlValue::Kind::sequence ? check_list(values)
                             : values.kind == YamlValue::Kind::map    ? check_range(values)
                                                                      : &values;
    if (wrong) return wrong;
    keys.push_back({key, values});
  }
  return nullptr;
}

Field describe_keys(std::vector<SweptKey>& keys) {
  return {"keys",
          "What is swept: keys of this file with their whole path, each with a list of values or a range. A range is "
          "uniform, or with scale: log in the logarithm, and for random and halving only; one between two whole "
          "numbers, such as {from: 16, to: 64}, holds whole numbers (write 0.0 for a fraction's end). Not: seed, "
          "experiment, grid.trials, grid.mode, dataset.split, dataset.genres, training.select, training.patience, "
          "without which candidates could not be compared.",
          "at least one key such as training.batch: [16, 32] (distinct values) or training.learning_rate: {from: "
          "0.0003, to: 0.01, scale: linear | log} (from below to, and above 0 for log)",
          {},
          [&keys](const YamlValue& yaml) { return read_keys(yaml, keys); },
          [&keys] {
            std::vector<std::string> entries;
            for (const auto& [key, values] : keys) entries.push_back(fmt::format("{}: {}", key, values.one_line()));
            return fmt::format("{{{}}}", join(entries));
          }};
}

/// Keys that make a candidate another kind of thing, or its validation results no measure of it.
void refuse_keys(const std::vector<SweptKey>& keys, bool ranges) {
  for (const auto& [key, values] : keys) {
    for (const char* own : {"experiment", "variants", "search", "grid.trials", "grid.mode", "seed", "dataset.split",
                            "dataset.genres", "training.select", "training.patience"})
      if (key == own || key.starts_with(std::string(own) + "."))
        reject(
            "{}: search.keys cannot sweep '{}': it must be the same for all candidates, or their validation results "
            "could "
            "not be compared (an easier question, or the best of more epochs, would win)",
            values.where_key(), key);
    if (!ranges && values.kind == YamlValue::Kind::map)
      reject("{}: search.keys: {} has a range, but method: grid needs a list of values, such as [0.1, 0.2]",
             values.where(), key);
  }
}

void describe_search(Fields& fields, SearchSpec& search) {
  using Method = SearchSpec::Method;
  using By = SearchSpec::By;
  fields.key(choice<Method>(
      "method", search.method, {{"grid", Method::grid}, {"random", Method::random}, {"halving", Method::halving}},
      "Which candidates there are, and how long each is trained. grid: all combinations of the listed values; random: "
      "so many drawn at random; halving: the same, but all for one trial at first, then the better part for more, up "
      "to grid.trials for the last; no training is done twice."));
  fields.only_if(search.method != Method::grid, "search.method: random or halving", [&] {
    fields.key(whole("candidates", search.candidates, 2, most_candidates,
                     "How many are drawn. They follow from the seed: more of them begin with the same."));
  });
  fields.only_if(search.method == Method::halving, "search.method: halving", [&] {
    fields.key(whole("eta", search.eta, 2, 10,
                     "One of so many candidates goes on from a rung to the next, which has so many times the trials."));
  });
  fields.key(choice<By>(
      "by", search.by, {{"validation_accuracy", By::validation_accuracy}, {"validation_loss", By::validation_loss}},
      "What ranks the candidates: the mean over trials at the best of their grid.epochs, on the validation clips. "
      "The test clips have no part in a search."));
  fields.key(describe_keys(search.keys));
}

// ------------------------------------------------------------------------------------------------------------- drawing

/// A value that an error message places at its key's values.
YamlValue placed(YamlValue value, const YamlValue& at) {
  value.key_line = at.key_line, value.key_column = at.key_column;
  if (value.line == 0) value.line = at.line, value.column = at.column;
  value.source = at.source;
  return value;
}

double number_of(const YamlValue& value) {
  double number = 0;
  read_real(value, number);
  return number;
}

/// Four significant digits say as much as a search can know, and are still read by people.
std::string drawn_real(double low, double high, bool log, double share) {
  const double exact = log ? low * std::pow(high / low, share) : low + (high - low) * share;
  return fmt::format("{}", std::clamp(std::stod(fmt::format("{:.4g}", exact)), low, high));
}

std::string drawn_whole(double low, double high, bool log, double share) {
  const double exact = log ? low * std::pow((high + 1) / low, share) : low + (high + 1 - low) * share;
  return fmt::format("{:.0f}", std::min(std::floor(exact), high));
}

YamlValue draw(const YamlValue& values, Random& random) {
  if (values.kind == YamlValue::Kind::sequence)
    return placed(values.items[random.below(static_cast<std::uint32_t>(values.items.size()))], values);
  const YamlValue &from = *values.find("from"), &to = *values.find("to");
  std::uint64_t unused = 0;
  const bool whole = read_whole(from, 0, UINT64_MAX, unused) && read_whole(to, 0, UINT64_MAX, unused);
  YamlValue value;
  value.kind = YamlValue::Kind::scalar;
  value.text = (whole ? drawn_whole : drawn_real)(number_of(from), number_of(to), is_log(values), random.uniform());
  return placed(value, values);
}

std::vector<std::vector<YamlValue>> all_combinations(const SearchSpec& search) {
  std::vector<std::vector<YamlValue>> all = {{}};
  for (const auto& [key, values] : search.keys) {
    std::vector<std::vector<YamlValue>> longer;
    for (const std::vector<YamlValue>& begin : all)
      for (const YamlValue& item : values.items) {
        longer.push_back(begin);
        longer.back().push_back(placed(item, values));
      }
    all = std::move(longer);
    if (all.size() > most_candidates)
      reject("{}: the search's lists have more than {} combinations; give fewer values, or method: random or halving",
             search.keys.front().values.where_key(), most_candidates);
  }
  return all;
}

std::string text_of(const std::vector<YamlValue>& values) {
  std::vector<std::string> texts;
  for (const YamlValue& value : values) texts.push_back(value.one_line());
  return join(texts, "\n");
}

}  // namespace

bool SweptKey::is_log() const { return genretree::is_log(values); }

std::vector<YamlValue> SweptKey::extremes() const {
  std::vector<YamlValue> found;
  if (is_range())
    for (const char* end : {"from", "to"}) found.push_back(placed(*values.find(end), values));
  for (const YamlValue& item : values.items) found.push_back(placed(item, values));
  return found;
}

SearchSpec read_search(const YamlValue& group) {
  SearchSpec search;
  YamlValue document;
  document.kind = YamlValue::Kind::map;
  document.source = group.source;
  document.entries = {{"search", group}};
  read_fields(document, [&](Fields& fields) { fields.group("search", "", [&] { describe_search(fields, search); }); });
  if (search.keys.empty())
    reject("{}: search.keys: nothing is swept; give at least one key with its values", group.where());
  refuse_keys(search.keys, search.method != SearchSpec::Method::grid);
  return search;
}

std::string documented_yaml(const SearchSpec& search) {
  const auto rows_of = [](SearchSpec spec) {
    return collect_fields([&](Fields& fields) {
      fields.group("search",
                   "Many experiments that differ in some keys: each is a candidate with a folder of its own, and the "
                   "report shows which is best on the validation clips.",
                   [&] { describe_search(fields, spec); });
    });
  };
  SearchSpec defaults;
  defaults.method = search.method;
  return documented_yaml(rows_of(search), rows_of(defaults));
}

std::vector<std::vector<YamlValue>> candidates_of(const SearchSpec& search, std::uint64_t seed) {
  if (search.method == SearchSpec::Method::grid) return all_combinations(search);
  constexpr std::uint32_t most_attempts = 100'000;
  std::vector<std::vector<YamlValue>> candidates;
  std::set<std::string> seen;
  for (std::uint32_t attempt = 0; candidates.size() < search.candidates; ++attempt) {
    if (attempt == most_attempts)
      reject("{}: the search's values make no {} different candidates; give more values, or fewer candidates",
             search.keys.front().values.where_key(), search.candidates);
    Random random({.seed = seed, .trial = attempt, .use = RandomUse::search});
    std::vector<YamlValue> values;
    for (const SweptKey& key : search.keys) values.push_back(draw(key.values, random));
    if (seen.insert(text_of(values)).second) candidates.push_back(std::move(values));
  }
  return candidates;
}

std::vector<Rung> rungs_of(const SearchSpec& search, std::size_t candidates, std::uint32_t trials) {
  if (search.method != SearchSpec::Method::halving) return {{candidates, trials}};
  std::vector<Rung> rungs = {{candidates, 1}};
  while (rungs.back().trials < trials) {
    const auto& [before, done] = rungs.back();
    rungs.push_back({(before + search.eta - 1) / search.eta, std::min(done * search.eta, trials)});
  }
  return rungs;
}

std::string describe(const SearchSpec& search, const std::vector<Rung>& rungs) {
  const bool grid = search.method == SearchSpec::Method::grid;
  std::string text = fmt::format("{} {}", count_of(rungs.front().candidates, "candidate"),
                                 grid ? "of all combinations" : "drawn at random");
  if (rungs.size() == 1) return fmt::format("{}, {} each", text, count_of(rungs.front().trials, "trial"));
  std::vector<std::string> parts;
  for (const auto& [candidates, trials] : rungs)
    parts.push_back(fmt::format("{} for {}", candidates, count_of(trials, "trial")));
  return fmt::format("{}; successive halving: {}", text, join(parts));
}

}  // namespace genretree
