// fetch_gtzan DIR: downloads GTZAN, verifies and unpacks it, and says what is wrong with it.
#include <filesystem>

#include "core/io/files.hpp"
#include "tools/fetch/addresses.hpp"
#include "tools/fetch/download.hpp"
#include "tools/fetch/integrity.hpp"
#include "tools/fetch/unpack.hpp"
#include "tools/program.hpp"

namespace fs = std::filesystem;
using namespace genretree;

namespace {

struct Options {
  fs::path folder, addresses;
  std::string url, sha256;
  bool keep_archive = false, check = false;
};

std::vector<Address> addresses_of(const Options& options) {
  if (!options.url.empty()) return {{options.url, options.sha256.empty() ? "" : checked_sha256(options.sha256)}};
  if (!options.addresses.empty()) return parse_addresses(read_text(options.addresses), options.addresses.string());
  return built_in_addresses();
}

void fetch(const Options& options, Progress& progress) {
  const std::vector<Address> addresses = addresses_of(options);
  make_writable_folder(options.folder);
  if (fs::exists(options.folder / "genres"))
    reject("{} is there already. Check it with fetch_gtzan --check {}, or remove it",
           (options.folder / "genres").string(), options.folder.string());
  const fs::path archive = download(addresses, options.folder, progress);
  unpack(archive, options.folder, progress);
  if (options.keep_archive)
    fs::rename(archive, options.folder / "genres.tar.gz");
  else
    fs::remove(archive);
}

ExitCode fetch_gtzan(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Downloads GTZAN (1.2 GB), verifies and unpacks it into DIR/genres, decodes every file and lists what is wrong.\n"
      "A download that was cut off goes on where it was. The recordings are their owners': for research only.",
      "fetch_gtzan");
  app.add_option("DIR", options.folder, "folder to write to")->required();
  CLI::Option* addresses =
      app.add_option("--addresses", options.addresses,
                     "file of lines 'URL SHA256 BYTES' to try in turn, instead of the built-in ones");
  CLI::Option* url = app.add_option("--url", options.url, "the one address to fetch from")->excludes(addresses);
  app.add_option("--sha256", options.sha256, "its checksum; without one nothing is verified, nor continued")
      ->needs(url);
  app.add_flag("--keep-archive", options.keep_archive, "keep DIR/genres.tar.gz");
  app.add_flag("--check", options.check, "fetch nothing, only check what is in DIR");
  if (asked_for_help(app, argc, argv)) return ExitCode::ok;

  Progress progress;
  if (!options.check) fetch(options, progress);
  return report_integrity(options.folder, progress);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program([&] { return fetch_gtzan(argc, argv); });
}
