// Decoding, mixing and resampling against librosa.load, and what is said of files that cannot be used.
#include <algorithm>
#include <cmath>
#include <fstream>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "core/io/hdf5.hpp"
#include "features/audio.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
namespace fs = std::filesystem;

namespace {

std::string big_endian(std::uint32_t value, int bytes = 4) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}
std::string little_endian(std::uint32_t value, int bytes = 4) {
  std::string text = big_endian(value, bytes);
  std::reverse(text.begin(), text.end());
  return text;
}

/// A 16-bit .au file: header, an annotation that may be empty, samples.
std::string au_file(const std::vector<std::int16_t>& samples, std::uint32_t promised_bytes,
                    const std::string& annotation = "", std::uint32_t rate = 22050, std::uint32_t channels = 1) {
  std::string text = ".snd" + big_endian(24 + static_cast<std::uint32_t>(annotation.size())) +
                     big_endian(promised_bytes) + big_endian(3) + big_endian(rate) + big_endian(channels) + annotation;
  for (const std::int16_t sample : samples) text += big_endian(static_cast<std::uint16_t>(sample), 2);
  return text;
}

/// A .wav file of one channel at 22050 Hz, with a chunk before the samples that readers must pass over.
std::string wav_file(const std::string& sample_bytes, std::uint32_t promised_bytes, std::uint32_t format,
                     std::uint32_t bits) {
  const std::string chunks = "WAVEfmt " + little_endian(16) + little_endian(format, 2) + little_endian(1, 2) +
                             little_endian(22050) + little_endian(22050 * bits / 8) + little_endian(bits / 8, 2) +
                             little_endian(bits, 2) + "note" + little_endian(3) + "abc" + '\0' + "data" +
                             little_endian(promised_bytes) + sample_bytes;
  return "RIFF" + little_endian(static_cast<std::uint32_t>(chunks.size())) + chunks;
}

class AudioFolder : public test::TemporaryFolder {
 public:
  fs::path file(const std::string& name, const std::string& content) const {
    write_whole_text(*this / name, content);
    return *this / name;
  }
};

/// What load_audio says of the file, without its name.
std::string complaint(const fs::path& path) {
  try {
    load_audio(path, 22050);
  } catch (const InputError& error) {
    const std::string message = error.what(), start = "cannot read " + path.string() + ": ";
    REQUIRE(message.starts_with(start));
    return message.substr(start.size());
  }
  return "";
}

const std::vector<std::int16_t> four_samples = {0, 16384, -32768, 32767};
const std::vector<float> four_floats = {0, 0.5f, -1, 32767.f / 32768};

}  // namespace

TEST_CASE("files are loaded as librosa.load does: scale, mean of channels, soxr HQ to 22050 Hz") {
  const Hdf5File golden = Hdf5File::open(test::golden("librosa_features.h5"));
  for (const char* name : {"plain", "stereo", "8khz"}) {
    const std::string group = std::string("/cases/") + name;
    const Audio audio = load_audio(test::golden(golden.attribute<std::string>(group, "file")), 22050);
    INFO(name);
    // a newer soxr may differ in the last bit
    CHECK(test::max_difference<float, float>(audio.samples, golden.read<float>(group + "/samples").values) < 1e-6);
    CHECK(audio.sample_rate == 22050);
  }
}

TEST_CASE("an .au file may have any data offset, or no length") {
  const AudioFolder folder;
  const std::uint32_t bytes = 8;
  for (const char* annotation : {"", "abc", "MARSYAS 2001, George Tzanetakis"})
    CHECK(load_audio(folder.file("a.au", au_file(four_samples, bytes, annotation)), 22050).samples == four_floats);
  for (const std::uint32_t unknown : {0xffffffffu, 0x7ffff000u})
    CHECK(load_audio(folder.file("b.au", au_file(four_samples, unknown)), 22050).samples == four_floats);
}

TEST_CASE("16-bit samples of either byte order have libsndfile's scale: full scale is 1") {
  const AudioFolder folder;
  std::string low_first, high_first;
  std::vector<float> expected;
  for (int value = -32768; value <= 32767; ++value) {  // more than are read at once
    low_first += little_endian(static_cast<std::uint16_t>(value), 2);
    high_first += big_endian(static_cast<std::uint16_t>(value), 2);
    expected.push_back(static_cast<float>(value) / 32768);
  }
  const std::uint32_t bytes = 2 * 65536, rate = 22050;
  const std::string au = big_endian(24) + big_endian(bytes) + big_endian(3) + big_endian(rate) + big_endian(1);
  const std::string reversed_au =
      little_endian(24) + little_endian(bytes) + little_endian(3) + little_endian(rate) + little_endian(1);
  CHECK(load_audio(folder.file("big.au", ".snd" + au + high_first), rate).samples == expected);
  CHECK(load_audio(folder.file("little.au", "dns." + reversed_au + low_first), rate).samples == expected);
  CHECK(load_audio(folder.file("little.wav", wav_file(low_first, bytes, 1, 16)), rate).samples == expected);
  // half a sample at the end of a file that does not give its length is dropped
  const std::string open_end = ".snd" + big_endian(24) + big_endian(0xffffffff) + au.substr(8);
  CHECK(load_audio(folder.file("open.au", open_end + high_first + "x"), rate).samples == expected);
}

TEST_CASE("the channels' mean is taken") {
  const AudioFolder folder;
  const fs::path file = folder.file("stereo.au", au_file({16384, -16384, 8192, 0}, 8, "", 22050, 2));
  CHECK(load_audio(file, 22050).samples == std::vector<float>{0, 0.125f});
}

TEST_CASE("a resampled clip has as many samples as librosa's: ceil(n ratio)") {
  const AudioFolder folder;
  const std::vector<std::int16_t> samples(1001, 1000);
  for (const std::uint32_t rate : {8000u, 11025u, 32000u, 44100u, 48000u}) {
    const Audio audio = load_audio(folder.file("a.au", au_file(samples, 2002, "", rate)), 22050);
    CHECK(audio.samples.size() == static_cast<std::size_t>(std::ceil(1001 * (22050.0 / rate))));
  }
}

TEST_CASE("the checksum is of the samples, whatever the container") {
  const AudioFolder folder;
  std::string wav_samples;
  for (const std::int16_t sample : four_samples) wav_samples += little_endian(static_cast<std::uint16_t>(sample), 2);
  const Audio au = load_audio(folder.file("a.au", au_file(four_samples, 8, "with a note")), 22050);
  const Audio wav = load_audio(folder.file("a.wav", wav_file(wav_samples, 8, 1, 16)), 22050);
  CHECK(wav.samples == au.samples);
  CHECK(wav.checksum == au.checksum);
  CHECK(load_audio(folder.file("b.au", au_file({0, 16384, -32768, 32766}, 8)), 22050).checksum != au.checksum);
  // mixing comes later: two channels with equal means are still different recordings
  CHECK(load_audio(folder.file("c.au", au_file({2, 4}, 4, "", 22050, 2)), 22050).checksum !=
        load_audio(folder.file("d.au", au_file({3, 3}, 4, "", 22050, 2)), 22050).checksum);
}

TEST_CASE("a file that cannot be used is named with its reason") {
  const AudioFolder folder;
  const auto floats = [](std::vector<float> values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  };
  CHECK(complaint(folder / "missing.wav") == "there is no such file. Check the path");
  CHECK(complaint(folder.path()) == "it is a folder, but an audio file is needed");
  CHECK(complaint(folder.file("empty.wav", "")) == "the file is empty (0 bytes). Fetch or copy it again");
  CHECK_THAT(complaint(folder.file("text.wav", "This is a text.\nIt is no music.\n")),
             Catch::StartsWith("it holds no audio that libsndfile"));
  CHECK_THAT(
      complaint(folder.file("raw.wav", std::string("\xcb\x15\x1e\x16\x7f\x15\x6c\x14", 8) + std::string(5000, '\x12'))),
      Catch::StartsWith("it holds no audio that libsndfile"));
  CHECK(complaint(folder.file("none.au", au_file({}, 0))) == "it holds no samples. Fetch it again, or remove it");
  CHECK(complaint(folder.file("nan.wav", wav_file(floats({0, std::nanf(""), 0}), 12, 3, 32))) ==
        "sample 1 of channel 1 is nan, but full scale is 1 and no more than 1e+09 can be used. Make the file again");
  CHECK_THAT(complaint(folder.file("inf.wav", wav_file(floats({0, 0, -HUGE_VALF}), 12, 3, 32))),
             Catch::StartsWith("sample 2 of channel 1 is -inf"));
  CHECK_THAT(complaint(folder.file("rate.au", au_file(four_samples, 8, "", 3))),
             Catch::StartsWith("its sample rate is 3 Hz, but must be from"));
}

TEST_CASE("a file that was cut off is not taken for a shorter one") {
  const AudioFolder folder;
  CHECK(complaint(folder.file("cut.au", au_file(four_samples, 4000))) ==
        "cut off: its header promises 4000 bytes of samples, but the file holds 8. Fetch or copy it again");
  CHECK(complaint(folder.file("odd.au", au_file(four_samples, 4000, "abc"))) ==
        "cut off: its header promises 4000 bytes of samples, but the file holds 8. Fetch or copy it again");
  CHECK(complaint(folder.file("cut.wav", wav_file(std::string(100, '\0'), 400, 1, 16))) ==
        "cut off: its header promises 400 bytes of samples, but the file holds 100. Fetch or copy it again");
  const std::string flac = read_text(test::golden("librosa_8khz.flac"));
  CHECK_THAT(complaint(folder.file("cut.flac", flac.substr(0, flac.size() / 2))),
             Catch::StartsWith("cut off or damaged: its header promises 4000 samples"));
}

TEST_CASE("the original files of GTZAN and its known corrupt one") {
  const fs::path au = test::shared("data/gtzan-au"), corrupt = test::shared("data/bad/jazz.00054.wav.corrupt");
  if (au.empty() || corrupt.empty()) SKIP_TEST("no GTZAN files here");
  CHECK(load_audio(au / "disco.00006.au", 22050).samples.size() == 661676);
  CHECK(load_audio(au / "jazz.00003.au", 22050).samples.size() == 661794);
  CHECK(load_audio(au / "metal.00005.au", 22050).samples.size() == 661504);
  CHECK_THAT(complaint(corrupt), Catch::StartsWith("it holds no audio that libsndfile"));
}

TEST_CASE("a .flac and a .wav file of the same samples have the same checksum, and load as in librosa") {
  const fs::path audio = test::shared("fixtures/audio"), expected = test::shared("fixtures/librosa_features.h5");
  if (audio.empty() || expected.empty()) SKIP_TEST("no shared fixtures here");
  const Hdf5File fixtures = Hdf5File::open(expected);
  const Audio wav = load_audio(audio / "c_32000_mono_float.wav", 22050),
              flac = load_audio(audio / "c_32000_mono_pcm24.flac", 22050);
  CHECK(wav.checksum == flac.checksum);
  CHECK(wav.samples == flac.samples);
  CHECK(test::max_difference<float, float>(wav.samples, fixtures.read<float>("/c/y_f32").values) < 1e-6);
  CHECK(test::max_difference<float, float>(load_audio(audio / "a_44100_stereo_pcm16.wav", 22050).samples,
                                           fixtures.read<float>("/a/y_f32").values) < 1e-6);
}
