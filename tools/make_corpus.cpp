// make_corpus DIR: writes the built-in synthetic corpus as .au files, in the folders that GTZAN has.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>

#include "core/io/files.hpp"
#include "core/progress.hpp"
#include "core/text.hpp"
#include "core/worker_pool.hpp"
#include "features/corpus.hpp"
#include "features/gtzan.hpp"
#include "features/synthesis.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  fs::path folder;
  CorpusConfig corpus;
  std::vector<std::string> genres = corpus_genres();
  std::size_t jobs = available_cores();
};

/// The text of DIR/corpus.txt, by which a corpus is known again.
std::string described(const Options& options) {
  return fmt::format("{}, {} of each genre: {}\nMade by make_corpus; not GTZAN.\n", corpus_recipe(options.corpus),
                     count_of(options.corpus.clips_per_genre, "clip"), join(options.genres));
}

/// The same corpus is completed, any other content is left alone.
void claim_folder(const Options& options) {
  make_writable_folder(options.folder);
  const fs::path description = options.folder / "corpus.txt";
  if (fs::exists(description)) {
    if (const std::string found = read_text(description); found != described(options))
      reject("{} already holds another corpus: {}. Choose another folder, or remove this one", options.folder.string(),
             found.substr(0, found.find('\n')));
  } else if (!fs::is_empty(options.folder)) {
    reject("{} is not empty and holds no corpus that was made here. Choose another folder", options.folder.string());
  } else {
    write_whole_text(description, described(options));
  }
}

/// A clip that is not there yet.
struct MissingClip {
  std::string genre;
  std::size_t index;
  fs::path file;
};

std::vector<MissingClip> missing_clips(const Options& options) {
  std::vector<MissingClip> missing;
  for (const std::string& genre : options.genres) {
    const fs::path folder = options.folder / "genres" / genre;
    for (std::size_t index = 0; index < options.corpus.clips_per_genre; ++index) {
      const fs::path file = folder / (numbered_track_name(genre, static_cast<int>(index)) + ".au");
      if (!fs::exists(file)) missing.push_back({genre, index, file});
    }
  }
  return missing;
}

void write_clips(const Options& options, const std::vector<MissingClip>& missing) {
  for (const std::string& genre : options.genres) make_writable_folder(options.folder / "genres" / genre);
  const auto start = std::chrono::steady_clock::now();
  Progress progress;
  std::atomic<std::size_t> done{0};
  run_on_workers(host_device(), options.jobs, missing.size(), [&](std::size_t item, Worker&) {
    const MissingClip& clip = missing[item];
    write_au(clip.file, synthesise_clip(options.corpus, clip.genre, clip.index), synthesis_rate);
    const std::size_t written = ++done;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = static_cast<double>(written) / std::max(seconds, 1e-3);
    progress.show(0, fmt::format("{} of {} clips, {:.0f} clips/s, {} left", written, missing.size(), rate,
                                 duration(static_cast<double>(missing.size() - written) / rate)));
  });
}

ExitCode make_corpus(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Writes the built-in synthetic corpus, ten genres of made-up music, as DIR/genres/GENRE/GENRE.NNNNN.au\n"
      "(22050 Hz, 16 bits). The same options give the same files on every machine.",
      "make_corpus");
  app.add_option("DIR", options.folder, "folder to write to; what is missing of the same corpus is added")->required();
  app.add_option("--clips", options.corpus.clips_per_genre, "clips of each genre")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seconds", options.corpus.seconds, "length of a clip")->capture_default_str();
  app.add_option("--seed", options.corpus.seed, "another seed gives other music")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);  // a minus sign would be taken modulo 2^64
  app.add_option("--genres", options.genres, "genres, with commas between; all ten if not given")
      ->delimiter(',')
      ->check(CLI::IsMember(corpus_genres()));
  app.add_option("--jobs", options.jobs, "clips that are made at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  if (std::set(options.genres.begin(), options.genres.end()).size() != options.genres.size())
    reject("--genres names a genre twice: {}", join(options.genres));
  validate(options.corpus);
  claim_folder(options);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<MissingClip> missing = missing_clips(options);
  write_clips(options, missing);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::size_t clips = options.genres.size() * options.corpus.clips_per_genre;
  fmt::print("{}: {} in {}, {} of {} s each; {} written in {}{}\n", options.folder.string(), count_of(clips, "clip"),
             count_of(options.genres.size(), "genre"), options.corpus.clips_per_genre, options.corpus.seconds,
             missing.size(), duration(seconds),
             missing.size() < clips ? fmt::format(", {} were there already", clips - missing.size()) : "");
  return ExitCode::ok;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return make_corpus(argc, argv); });
}
