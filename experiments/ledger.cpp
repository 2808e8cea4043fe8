#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/text.hpp"
#include "experiments/ledger.hpp"

namespace genretree {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

/// JSON has no NaN: null stands for it (no validation set, or a training that diverged).
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double number(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

Json score_to_json(const Score& score) { return {{"loss", number(score.loss)}, {"accuracy", number(score.accuracy)}}; }
Score score_from_json(const Json& json) { return {number(json.at("loss")), number(json.at("accuracy"))}; }

/// One epoch as [training loss, accuracy, validation loss, accuracy, test loss, accuracy].
Json epoch_to_json(const EpochScores& epoch) {
  Json row = Json::array();
  for (const Score& score : {epoch.train, epoch.validation, epoch.test})
    row.push_back(number(score.loss)), row.push_back(number(score.accuracy));
  return row;
}
EpochScores epoch_from_json(const Json& row) {
  const auto score = [&](std::size_t first) { return Score{number(row.at(first)), number(row.at(first + 1))}; };
  return {score(0), score(2), score(4)};
}

Json backend_to_json(const BackendInfo& info) {
  Json json;
  for (const auto& [name, field] : backend_info_fields) json[name] = info.*field;
  return json;
}
BackendInfo backend_from_json(const Json& json) {
  BackendInfo info;
  for (const auto& [name, field] : backend_info_fields) json.at(name).get_to(info.*field);
  return info;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }
bool same(const Score& a, const Score& b) { return same(a.loss, b.loss) && same(a.accuracy, b.accuracy); }
bool same_metrics(const Result& a, const Result& b) {
  return same(a.train, b.train) && same(a.validation, b.validation) && same(a.test, b.test) &&
         a.confusion == b.confusion && a.validation_confusion == b.validation_confusion &&
         a.answers.tracks == b.answers.tracks && a.answers.genres == b.answers.genres &&
         std::ranges::equal(a.answers.probabilities, b.answers.probabilities,
                            [](double x, double y) { return same(x, y); });
}

/// The double that prints with the fewest digits and reads back to the same float.
double shortest(float value) {
  const double decimal = std::stod(fmt::format("{}", value));
  return static_cast<float>(decimal) == value ? decimal : value;
}

Json answers_to_json(const TestAnswers& answers) {
  Json probabilities = Json::array();
  for (const float probability : answers.probabilities) probabilities.push_back(number(shortest(probability)));
  return {{"tracks", answers.tracks}, {"genres", answers.genres}, {"probabilities", probabilities}};
}
TestAnswers answers_from_json(const Json& json) {
  TestAnswers answers{json.at("tracks"), json.at("genres"), {}};
  for (const Json& probability : json.at("probabilities"))
    answers.probabilities.push_back(static_cast<float>(number(probability)));
  return answers;
}

/// True for a result without answers, as ledgers of version 0.1 hold them.
bool is_older_result(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  return json.is_object() && json.contains("confusion") && !(json.contains("answers") && json.contains("node"));
}

/// All results of one ledger beside those that are there already; see read_results.
void check_together(const Result& first, const Result& other, bool allow_mixed) {
  if (first.spec_hash != other.spec_hash)
    reject("{} and {} belong to different experiments (spec hashes {} and {}) and cannot be merged", first.run,
           other.run, first.spec_hash, other.spec_hash);
  const std::string difference = differences(first.backend, first.commit, other.backend, other.commit);
  if (!allow_mixed && !difference.empty())
    reject(
        "{} and {} were computed differently ({}). Results may differ in their last bits; --allow-mixed merges them "
        "all the same",
        first.run, other.run, difference);
}

}  // namespace

std::string Cell::name() const {
  return node.empty() ? fmt::format("{} epochs, trial {}", epochs, trial) : fmt::format("{}, trial {}", node, trial);
}

std::size_t Result::classes() const {
  return static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(confusion.size()))));
}

std::string to_json_line(const Result& result) {
  Json history = Json::array();
  for (const EpochScores& epoch : result.history) history.push_back(epoch_to_json(epoch));
  const Json json = {{"run", result.run},
                     {"node", result.node},
                     {"epochs", result.epochs},
                     {"trial", result.trial},
                     {"seed", result.seed},
                     {"spec_hash", result.spec_hash},
                     {"commit", result.commit},
                     {"backend", backend_to_json(result.backend)},
                     {"machine", result.machine},
                     {"seconds", result.seconds},
                     {"train", score_to_json(result.train)},
                     {"validation", score_to_json(result.validation)},
                     {"test", score_to_json(result.test)},
                     {"selected_epoch", result.selected_epoch},
                     {"history", history},
                     {"confusion", result.confusion},
                     {"validation_confusion", result.validation_confusion},
                     {"answers", answers_to_json(result.answers)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);  // a track's name may be any bytes
}

std::optional<Result> result_from_json_line(const std::string& line) {
  try {
    const Json json = Json::parse(line);
    Result result;
    json.at("run").get_to(result.run);
    json.at("node").get_to(result.node);
    json.at("epochs").get_to(result.epochs);
    json.at("trial").get_to(result.trial);
    json.at("seed").get_to(result.seed);
    json.at("spec_hash").get_to(result.spec_hash);
    json.at("commit").get_to(result.commit);
    result.backend = backend_from_json(json.at("backend"));
    json.at("machine").get_to(result.machine);
    json.at("seconds").get_to(result.seconds);
    result.train = score_from_json(json.at("train"));
    result.validation = score_from_json(json.at("validation"));
    result.test = score_from_json(json.at("test"));
    for (const Json& row : json.at("history")) result.history.push_back(epoch_from_json(row));
    // ledgers of earlier versions: the last epoch's
    result.selected_epoch = json.value("selected_epoch", static_cast<std::uint32_t>(result.history.size()));
    json.at("confusion").get_to(result.confusion);
    json.at("validation_confusion").get_to(result.validation_confusion);
    result.answers = answers_from_json(json.at("answers"));
    const std::size_t clips = result.answers.tracks.size(), classes = result.classes();
    const bool whole = result.answers.genres.size() == clips &&
                       result.answers.probabilities.size() == clips * classes &&
                       result.confusion.size() == classes * classes;
    return whole ? std::optional(result) : std::nullopt;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

fs::path ledger_path(const fs::path& folder, std::size_t shard) {
  return folder / fmt::format("ledger.{}.jsonl", shard);
}

std::vector<std::size_t> ledger_shards(const fs::path& folder) {
  std::vector<std::size_t> shards;
  if (!fs::is_directory(folder)) return shards;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string number = entry.path().stem().extension().string();  // ledger.12.jsonl: ".12"
    const bool digits =
        number.size() > 1 && number.size() < 10 && number.find_first_not_of("0123456789", 1) == std::string::npos;
    if (digits && entry.path() == ledger_path(folder, std::stoul(number.substr(1))))
      shards.push_back(std::stoul(number.substr(1)));
  }
  std::ranges::sort(shards);
  return shards;
}

std::vector<Result> read_ledger(const fs::path& path, bool repair) {
  const std::string text = read_text(path);
  std::vector<Result> results;
  std::size_t begin = 0;
  for (std::size_t number = 1; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    std::optional<Result> result =
        end == std::string::npos ? std::nullopt : result_from_json_line(text.substr(begin, end - begin));
    if (!result) {
      if (end != std::string::npos && is_older_result(text.substr(begin, end - begin)))
        reject(
            "{}:{}: this result was written by an older version of the program, which did not keep what the classifier "
            "says of each test clip. Reports need that now: run the experiment anew in another --out, or make the "
            "report with the version that wrote the ledger",
            path.string(), number);
      if (end != std::string::npos && end + 1 < text.size())
        reject("{}", damaged_line_text(fmt::format("{}:{}", path.string(), number)));
      if (repair) fs::resize_file(path, begin);
      break;
    }
    results.push_back(std::move(*result));
    begin = end + 1;
  }
  return results;
}

std::vector<Result> read_results(const std::vector<fs::path>& folders, bool allow_mixed) {
  std::vector<Result> results;
  std::vector<std::string> damages;
  for (const fs::path& folder : folders)
    for (std::size_t shard : ledger_shards(folder)) try {
        std::ranges::move(read_ledger(ledger_path(folder, shard), false), std::back_inserter(results));
      } catch (const InputError& error) {
        damages.push_back(error.what());
      }
  if (!damages.empty()) reject("{}", join(damages, "\nerror: "));
  for (const Result& result : results) check_together(results.front(), result, allow_mixed);
  std::ranges::stable_sort(results, {}, &Result::cell);

  std::vector<Result> cells;
  for (Result& result : results) {
    const bool again = !cells.empty() && cells.back().cell() == result.cell();
    if (again && !allow_mixed && !same_metrics(cells.back(), result))
      reject(
          "there are two different results for {}. One experiment cannot give both: remove one of the folders or "
          "ledgers",
          result.cell().name());
    if (!again) cells.push_back(std::move(result));
  }
  return cells;
}

std::string damaged_line_text(const std::string& line) {
  return fmt::format(
      "{}: this line is no result. The file is damaged: delete the line, and its run will be done again with --resume",
      line);
}

LedgerIndex::LedgerIndex(fs::path folder) : folder_(std::move(folder)) { update(); }

void LedgerIndex::update() {
  for (const std::size_t shard : ledger_shards(folder_))
    if (!read_from(places_[shard], ledger_path(folder_, shard))) {  // somebody removed lines: all is read again
      *this = LedgerIndex(folder_);
      return;
    }
}

bool LedgerIndex::read_from(Place& place, const fs::path& ledger) {
  const Descriptor file(ledger, O_RDONLY);  // opened first: only then is a size up to date, on NFS
  struct stat status {};
  if (::fstat(file, &status) != 0) fail("cannot read {}: {}", ledger.string(), std::strerror(errno));
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < place.bytes) return false;
  std::string added(size - place.bytes, '\0');
  for (std::size_t read = 0; read < added.size();) {
    const ssize_t bytes =
        ::pread(file, added.data() + read, added.size() - read, static_cast<off_t>(place.bytes + read));
    if (bytes < 0) fail("cannot read {}: {}", ledger.string(), std::strerror(errno));
    if (bytes == 0) added.resize(read);  // somebody cuts it at this very moment
    read += static_cast<std::size_t>(bytes);
  }
  std::size_t begin = 0;
  for (std::size_t end; (end = added.find('\n', begin)) != std::string::npos; begin = end + 1)
    add(std::string_view(added).substr(begin, end - begin), ledger, ++place.lines);
  place.bytes += begin;  // the rest is a line that is being written, or was cut
  return true;
}

void LedgerIndex::add(std::string_view line, const fs::path& ledger, std::size_t number) {
  try {
    // to_json_line puts these keys first; no string of JSON holds a bare quotation mark, so this can only be a key
    const std::size_t rest = line.find(",\"machine\":");
    const bool ours = rest != std::string_view::npos && line.ends_with("]}}");
    const Json json = Json::parse(ours ? std::string(line.substr(0, rest)) + "}" : std::string(line));
    const Cell cell{json.at("node"), json.at("epochs"), json.at("trial")};
    Computation computation{json.at("spec_hash"), json.at("commit"), backend_from_json(json.at("backend"))};
    const std::string run = json.at("run");
    if (std::ranges::find(origins_, computation, &Origin::computation) == origins_.end())
      origins_.push_back({std::move(computation), run});
    cells_.insert(cell);
  } catch (const Json::exception&) {
    damaged_.push_back(fmt::format("{}:{}", ledger.string(), number));
  }
}

std::string differences(const BackendInfo& before, const std::string& commit_before, const BackendInfo& now,
                        const std::string& commit_now) {
  std::vector<std::string> found;
  const auto compare = [&](const char* name, const std::string& a, const std::string& b) {
    if (a != b) found.push_back(fmt::format("{}: '{}' and '{}'", name, a, b));
  };
  for (const auto& [name, field] : backend_info_fields) compare(name, before.*field, now.*field);
  compare("commit", commit_before, commit_now);
  return join(found, "; ");
}

}  // namespace genretree
