#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sndfile.h>
#include <soxr.h>
#include <span>
#include <string>
#include <string_view>
#ifdef __x86_64__
#include <xxh_x86dispatch.h>  // the same functions, for the instruction set of the machine
#else
#include <xxhash.h>
#endif

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "features/audio.hpp"

namespace genretree {
namespace fs = std::filesystem;
namespace {

constexpr int lowest_rate = 1000, highest_rate = 384'000;
/// Beyond this the power spectrum leaves single precision; full scale is 1.
constexpr float largest_amplitude = 1e9f;

struct CloseSound {
  void operator()(SNDFILE* file) const { sf_close(file); }
};

/// reject("cannot read FILE: REASON"), where the reason also says what to do.
template <class... Args>
[[noreturn]] void reject_file(const fs::path& path, fmt::format_string<Args...> reason, Args&&... args) {
  reject("cannot read {}: {}", path.string(), fmt::format(reason, std::forward<Args>(args)...));
}

// --- what the header says about the length ---

/// Bytes of a header, in either byte order.
class HeaderReader {
 public:
  explicit HeaderReader(const fs::path& path) : file_(path, std::ios::binary) {}
  std::string tag() {
    std::string text(4, '\0');
    file_.read(text.data(), 4);
    return text;
  }
  std::uint64_t number(bool big_endian) {
    std::array<unsigned char, 4> bytes{};
    file_.read(reinterpret_cast<char*>(bytes.data()), 4);
    if (!big_endian) std::reverse(bytes.begin(), bytes.end());
    std::uint64_t value = 0;
    for (const unsigned char byte : bytes) value = value << 8 | byte;
    return value;
  }
  void skip(std::uint64_t bytes) { file_.seekg(static_cast<std::streamoff>(bytes), std::ios::cur); }
  std::uint64_t position() { return static_cast<std::uint64_t>(file_.tellg()); }
  bool good() const { return file_.good(); }

 private:
  std::ifstream file_;
};

/// Where the samples should begin, and how many bytes of them there should be.
struct Promise {
  std::uint64_t begin, bytes;
};
/// Programs that cannot seek back write 0xffffffff, or like SoX 0x7ffff000; no clip is that long.
constexpr std::uint64_t unknown_length = 0x7ffff000;

/// libsndfile takes what is there and does not tell that it is less than the header says, so the header is read here.
/// nullopt: the length is not given, or the format is not one of .au, .wav and .aiff.
std::optional<Promise> promised_samples(const fs::path& path) {
  HeaderReader header(path);
  const std::string tag = header.tag();
  if (tag == ".snd" || tag == "dns.") {
    const std::uint64_t begin = header.number(tag == ".snd"), bytes = header.number(tag == ".snd");
    if (bytes >= unknown_length) return std::nullopt;
    return Promise{begin, bytes};
  }
  if (tag != "RIFF" && tag != "RIFX" && tag != "FORM") return std::nullopt;
  const bool big_endian = tag != "RIFF";
  const std::string_view wanted = tag == "FORM" ? "SSND" : "data";
  header.skip(8);  // the whole file's length, and "WAVE" or "AIFF"
  while (header.good()) {
    const bool found = header.tag() == wanted;
    const std::uint64_t bytes = header.number(big_endian);
    if (found && header.good() && bytes < unknown_length) return Promise{header.position(), bytes};
    if (found) break;
    header.skip(bytes + bytes % 2);  // chunks begin at even offsets
  }
  return std::nullopt;
}

void check_length(const fs::path& path) {
  const std::optional<Promise> promise = promised_samples(path);
  if (!promise) return;
  const std::uint64_t size = fs::file_size(path), held = size - std::min(size, promise->begin);
  if (held < promise->bytes)
    reject_file(path, "cut off: its header promises {} bytes of samples, but the file holds {}. Fetch or copy it again",
                promise->bytes, held);
}

// --- samples ---

void check_is_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) reject_file(path, "there is no such file. Check the path");
  if (fs::is_directory(status)) reject_file(path, "it is a folder, but an audio file is needed");
  if (!std::ifstream(path)) reject_file(path, "it cannot be opened. Check its permissions");
  if (fs::file_size(path, error) == 0 && !error)
    reject_file(path, "the file is empty (0 bytes). Fetch or copy it again");
}

/// For the formats whose length libsndfile does tell.
void check_decoded_length(const fs::path& path, const SF_INFO& info, std::size_t decoded) {
  const int format = info.format & SF_FORMAT_TYPEMASK;
  const bool is_known = info.frames != SF_COUNT_MAX && format != SF_FORMAT_MPEG;  // MPEG's length is an estimate
  if (format == SF_FORMAT_OGG && !is_known)                                       // no page that ends it
    reject_file(path, "cut off: its end is missing after {} samples. Fetch or copy it again", decoded);
  if (is_known && decoded < static_cast<std::size_t>(info.frames))
    reject_file(
        path, "cut off or damaged: its header promises {} samples, but only {} can be decoded. Fetch or copy it again",
        info.frames, decoded);
  if (decoded == 0) reject_file(path, "it holds no samples. Fetch it again, or remove it");
}

std::unique_ptr<SNDFILE, CloseSound> open_sound(const fs::path& path, SF_INFO& info) {
  static std::mutex reason_mutex;  // libsndfile keeps one reason for the whole process
  const std::lock_guard lock(reason_mutex);
  std::unique_ptr<SNDFILE, CloseSound> file(sf_open(path.c_str(), SFM_READ, &info));
  if (!file) {
    std::string reason = sf_strerror(nullptr);
    while (reason.ends_with('.')) reason.pop_back();
    reject_file(path, "it holds no audio that {} can read ({}). Convert it to .wav, .au, .flac or .ogg, or remove it",
                sf_version_string(), reason);
  }
  return file;
}

/// Reads the samples of an open file as floats, channels interleaved. The 16-bit integers of .au and .wav, in which
/// GTZAN comes, are taken as they stand in the file and converted here: libsndfile takes them one by one, which costs
/// more than all the rest of reading.
class SampleReader {
 public:
  SampleReader(SNDFILE* file, const SF_INFO& info)
      : file_(file),
        channels_(static_cast<std::size_t>(info.channels)),
        is_plain_(is_plain(info.format)),
        is_swapped_(sf_command(file, SFC_RAW_DATA_NEEDS_ENDSWAP, nullptr, 0) == SF_TRUE) {}

  /// Up to `frames` frames; returns how many.
  std::size_t read(float* to, std::size_t frames) {
    const auto wanted = static_cast<sf_count_t>(frames);
    if (!is_plain_) return static_cast<std::size_t>(sf_readf_float(file_, to, wanted));
    integers_.resize(frames * channels_);
    const sf_count_t frame_bytes = static_cast<sf_count_t>(sizeof(std::uint16_t) * channels_);
    frames = static_cast<std::size_t>(sf_read_raw(file_, integers_.data(), wanted * frame_bytes) / frame_bytes);
    for (std::size_t i = 0; i < frames * channels_; ++i) to[i] = sample_of(integers_[i]);
    return frames;
  }

 private:
  static bool is_plain(int format) {
    const int container = format & SF_FORMAT_TYPEMASK;
    return (format & SF_FORMAT_SUBMASK) == SF_FORMAT_PCM_16 &&
           (container == SF_FORMAT_AU || container == SF_FORMAT_WAV || container == SF_FORMAT_WAVEX);
  }

  float sample_of(std::uint16_t integer) const {
    if (is_swapped_) integer = static_cast<std::uint16_t>(integer << 8 | integer >> 8);
    return static_cast<float>(static_cast<std::int16_t>(integer)) * (1.0f / 32768);
  }

  SNDFILE* file_;
  std::size_t channels_;
  bool is_plain_, is_swapped_;
  std::vector<std::uint16_t> integers_;
};

/// `first` is the place of the first of these samples in the file.
void check_amplitudes(const fs::path& path, std::span<const float> samples, std::size_t first, std::size_t channels) {
  const auto is_usable = [](float x) { return std::abs(x) <= largest_amplitude; };  // a NaN is not
  std::uint32_t any_bad = 0;  // as wide as a float, and no branch: this becomes vector code
  for (const float x : samples) any_bad |= !is_usable(x);
  if (!any_bad) return;
  const auto bad = std::find_if_not(samples.begin(), samples.end(), is_usable);
  const std::size_t index = first + static_cast<std::size_t>(bad - samples.begin());
  reject_file(
      path, "sample {} of channel {} is {}, but full scale is 1 and no more than {:g} can be used. Make the file again",
      index / channels, index % channels + 1, *bad, largest_amplitude);
}

/// All samples, channels interleaved.
std::vector<float> read_samples(const fs::path& path, SF_INFO& info) {
  const std::unique_ptr<SNDFILE, CloseSound> file = open_sound(path, info);
  if (info.samplerate < lowest_rate || info.samplerate > highest_rate)
    reject_file(path,
                "its sample rate is {} Hz, but must be from {} to {}. The header is damaged: fetch or convert it again",
                info.samplerate, lowest_rate, highest_rate);
  const auto channels = static_cast<std::size_t>(info.channels);
  // a chunk stays in the cache while it is converted and looked at; a header may promise anything
  constexpr std::size_t chunk_frames = 1 << 14, most_reserved = 1 << 24;
  std::vector<float> samples;
  samples.reserve(std::min(static_cast<std::size_t>(std::max<sf_count_t>(info.frames, 0)), most_reserved) +
                  chunk_frames * channels);
  SampleReader reader(file.get(), info);
  for (std::size_t frames = chunk_frames; frames == chunk_frames;) {
    const std::size_t before = samples.size();
    samples.resize(before + chunk_frames * channels);
    frames = reader.read(samples.data() + before, chunk_frames);
    samples.resize(before + frames * channels);
    check_amplitudes(path, std::span(samples).subspan(before), before, channels);
  }
  check_decoded_length(path, info, samples.size() / channels);
  return samples;
}

/// Source: librosa.to_mono.
std::vector<float> mean_of_channels(std::vector<float> samples, std::size_t channels) {
  if (channels == 1) return samples;
  std::vector<float> mono(samples.size() / channels);
  for (std::size_t i = 0; i < mono.size(); ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < channels; ++c) sum += samples[i * channels + c];
    mono[i] = sum / static_cast<float>(channels);
  }
  return mono;
}

/// Source: librosa.resample with res_type="soxr_hq".
std::vector<float> resampled(std::vector<float> samples, unsigned from, unsigned to) {
  if (from == to) return samples;
  const double ratio = static_cast<double>(to) / from;
  std::vector<float> result(static_cast<std::size_t>(std::ceil(static_cast<double>(samples.size()) * ratio)));
  const soxr_io_spec_t types = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  std::size_t read = 0, written = 0;
  if (const soxr_error_t error = soxr_oneshot(from, to, 1, samples.data(), samples.size(), &read, result.data(),
                                              result.size(), &written, &types, &quality, nullptr))
    fail("cannot resample from {} to {} Hz: {}", from, to, soxr_strerror(error));
  return result;  // where soxr gives one sample less, librosa puts a zero too
}

}  // namespace

Audio load_audio(const fs::path& path, unsigned sample_rate) {
  check_is_file(path);
  check_length(path);
  SF_INFO info{};
  std::vector<float> samples = read_samples(path, info);
  const auto channels = static_cast<std::size_t>(info.channels);
  return make_audio(std::move(samples), channels, static_cast<unsigned>(info.samplerate), sample_rate);
}

Audio make_audio(std::vector<float> samples, std::size_t channels, unsigned from_rate, unsigned sample_rate) {
  Audio audio;
  audio.sample_rate = sample_rate;
  audio.checksum = XXH3_64bits(samples.data(), samples.size() * sizeof(float));
  audio.samples = resampled(mean_of_channels(std::move(samples), channels), from_rate, sample_rate);
  return audio;
}

void write_au(const fs::path& path, std::span<const std::int16_t> samples, unsigned sample_rate) {
  write_whole(path, [&](const fs::path& temporary) {
    SF_INFO info{};
    info.samplerate = static_cast<int>(sample_rate);
    info.channels = 1;
    info.format = SF_FORMAT_AU | SF_FORMAT_PCM_16 | SF_ENDIAN_BIG;
    std::unique_ptr<SNDFILE, CloseSound> file(sf_open(temporary.c_str(), SFM_WRITE, &info));
    if (!file) fail("cannot write {}: {}", path.string(), sf_strerror(nullptr));
    const auto count = static_cast<sf_count_t>(samples.size());
    if (sf_write_short(file.get(), samples.data(), count) != count || sf_close(file.release()) != 0)
      fail("cannot write {}: the disk may be full. Free some space, or choose another folder", path.string());
  });
}

}  // namespace genretree
