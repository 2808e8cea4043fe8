#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <curl/curl.h>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <openssl/evp.h>
#include <thread>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/text.hpp"
#include "tools/fetch/download.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr int attempts = 4;                             ///< at one address, while the connection breaks
constexpr long connect_seconds = 30;                    ///< until a server that does not answer is given up
constexpr long silent_seconds = 60;                     ///< until a transfer that brings nothing is
constexpr auto pause = std::chrono::milliseconds(500);  ///< before another attempt

/// Why an address did not work. `again`: the connection broke, so another attempt may help.
struct Refusal {
  std::string reason;
  bool again;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// One transfer into the end of a file.
struct Transfer {
  const Address& address;
  fs::path file;
  Progress& progress;
  std::uint64_t begin;  ///< bytes that the file held already
  std::unique_ptr<std::FILE, CloseFile> out;
  Clock::time_point start = Clock::now();
  int write_error = 0;  ///< errno
};

std::size_t write_body(const char* data, std::size_t, std::size_t size, void* user) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const std::size_t written = std::fwrite(data, 1, size, transfer.out.get());
  if (written != size) transfer.write_error = errno;
  return written;
}

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) * 1e-6; }

int show_progress(void* user, curl_off_t expected, curl_off_t received, curl_off_t, curl_off_t) {
  Transfer& transfer = *static_cast<Transfer*>(user);
  const auto fresh = static_cast<std::uint64_t>(received);
  const std::uint64_t here = transfer.begin + fresh;
  const std::uint64_t total =
      expected > 0 ? transfer.begin + static_cast<std::uint64_t>(expected) : transfer.address.bytes;
  const double seconds = seconds_since(transfer.start);
  const double rate = static_cast<double>(fresh) / std::max(seconds, 1e-3);
  std::string line = fmt::format("{}: {:.1f} MB", transfer.address.url, megabytes(here));
  if (total >= here && total > 0)
    line = fmt::format("{:3.0f} %  {:.1f} of {:.1f} MB  {:.1f} MB/s{}",
                       100.0 * static_cast<double>(here) / static_cast<double>(total), megabytes(here),
                       megabytes(total), rate * 1e-6,
                       rate > 0 ? fmt::format("  {} left", duration(static_cast<double>(total - here) / rate)) : "");
  transfer.progress.show(0, line);
  return stop_requested() ? 1 : 0;
}

std::uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(file, error);
  return error ? 0 : size;
}

/// What curl says, with what it got from the server.
std::string reason_of(CURLcode code, const char* detail, long status) {
  if (code == CURLE_HTTP_RETURNED_ERROR) return fmt::format("the server answers {}", status);
  return *detail ? detail : curl_easy_strerror(code);
}

bool connection_broke(CURLcode code, long status) {
  if (code == CURLE_HTTP_RETURNED_ERROR) return status >= 500;
  return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
         code == CURLE_GOT_NOTHING || code == CURLE_OPERATION_TIMEDOUT;
}

/// Asks for what the file lacks and appends it.
void transfer_rest(const Address& address, const fs::path& file, Progress& progress) {
  const std::uint64_t begin = size_of(file);
  if (address.bytes && begin == address.bytes) return;
  Transfer transfer{address, file, progress, begin,
                    std::unique_ptr<std::FILE, CloseFile>(std::fopen(file.c_str(), "ab"))};
  if (!transfer.out) fail("cannot write {}: {}. Choose another folder", file.string(), std::strerror(errno));

  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) fail("cannot start a transfer: libcurl gives no handle");
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, address.url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "genretree");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, connect_seconds);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, silent_seconds);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(begin));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, &write_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, &show_progress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &transfer);
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (std::fclose(transfer.out.release()) != 0 && !transfer.write_error) transfer.write_error = errno;

  if (stop_requested())
    throw Interrupted(address.sha256.empty()
                          ? std::string("without a checksum the download starts again next time")
                          : fmt::format("{:.1f} MB are saved. Run the same command again to go on from there",
                                        megabytes(size_of(file))));
  if (transfer.write_error)
    fail("cannot write {}: {}. Free some space and run the same command again: {}", file.string(),
         std::strerror(transfer.write_error),
         address.sha256.empty() ? "without a checksum it starts anew" : "it goes on from here");
  // The server does not do ranges (33), or has no bytes beyond what is there (416): then the checksum decides.
  const bool nothing_more = code == CURLE_HTTP_RETURNED_ERROR && status == 416;
  if (code == CURLE_RANGE_ERROR || (nothing_more && address.sha256.empty())) {
    fs::resize_file(file, 0);
    return transfer_rest(address, file, progress);
  }
  if (code != CURLE_OK && !nothing_more) throw Refusal{reason_of(code, detail, status), connection_broke(code, status)};
}

void transfer_all(const Address& address, const fs::path& file, Progress& progress) {
  for (int attempt = 1;; ++attempt) {
    try {
      return transfer_rest(address, file, progress);
    } catch (const Refusal& refusal) {
      if (!refusal.again || attempt == attempts) throw;
      progress.message(
          fmt::format("{}: {}; going on at {:.1f} MB", address.url, refusal.reason, megabytes(size_of(file))));
      std::this_thread::sleep_for(pause);
    }
  }
}

/// Downloads of different archives do not share a file.
fs::path part_file(const Address& address, const fs::path& folder) {
  return folder / fmt::format("genres.{}.part", address.sha256.empty() ? "unverified" : address.sha256.substr(0, 8));
}

void verify(const Address& address, const fs::path& file, Progress& progress) {
  progress.show(0, "checking the checksum");
  const std::string found = sha256_of(file);
  if (address.sha256.empty()) {
    progress.message(fmt::format("warning: no checksum was given, so nothing is verified; the SHA-256 is {}", found));
  } else if (found != address.sha256) {
    const fs::path aside = file.string() + ".wrong";
    const std::uint64_t size = size_of(file);
    fs::rename(file, aside);
    throw Refusal{
        fmt::format("wrong checksum: {} bytes with SHA-256 {}, expected {}. The file is kept as {}: remove it "
                    "and try again, or, if you trust it, name its own checksum with --sha256",
                    size, found, address.sha256, aside.string()),
        false};
  }
}

}  // namespace

std::string sha256_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) reject("cannot read {}: {}", path.string(), std::strerror(errno));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) fail("OpenSSL gives no SHA-256");
  std::vector<char> chunk(1 << 20);
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), file.gcount() > 0) {
    EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(file.gcount()));
    throw_if_stop_requested();
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &size);
  std::string digits;
  for (unsigned i = 0; i < size; ++i) digits += fmt::format("{:02x}", digest[i]);
  return digits;
}

fs::path download(const std::vector<Address>& addresses, const fs::path& folder, Progress& progress) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  std::vector<std::string> refusals;
  for (const Address& address : addresses) {
    const fs::path file = part_file(address, folder);
    if (address.sha256.empty()) fs::remove(file);  // nothing could tell whether it is the beginning of this archive
    try {
      progress.message(
          fmt::format("fetching {}{}", address.url,
                      size_of(file) ? fmt::format(", going on at {:.1f} MB", megabytes(size_of(file))) : ""));
      transfer_all(address, file, progress);
      verify(address, file, progress);
      progress.clear(0);
      return file;
    } catch (const Refusal& refusal) {
      if (size_of(file) == 0) fs::remove(file);
      refusals.push_back(fmt::format("  {}: {}", address.url, refusal.reason));
      progress.message(refusals.back());
    }
  }
  fail(
      "GTZAN could not be fetched:\n{}\nIs the network there? Name another address with --url, or unpack a copy of "
      "your own into the folder and run fetch_gtzan --check on it",
      join(refusals, "\n"));
}

}  // namespace genretree
