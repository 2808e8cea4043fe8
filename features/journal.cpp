#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <xxhash.h>

#include "core/error.hpp"
#include "core/io/files.hpp"
#include "features/journal.hpp"

namespace genretree {
namespace {

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string record_of(const std::string& payload) {
  return bytes_of(static_cast<std::uint32_t>(payload.size())) +
         bytes_of(std::uint64_t{XXH3_64bits(payload.data(), payload.size())}) + payload;
}

/// Takes a number off the front; nullopt if there is not enough left.
template <class T>
std::optional<T> take_number(std::string_view& from) {
  if (from.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, from.data(), sizeof value);
  from.remove_prefix(sizeof value);
  return value;
}

/// Takes one whole record off the front and returns its payload; nullopt at the end, or where one is cut or damaged.
std::optional<std::string_view> take_record(std::string_view& from) {
  std::string_view rest = from;
  const auto size = take_number<std::uint32_t>(rest);
  const auto checksum = take_number<std::uint64_t>(rest);
  if (!size || !checksum || rest.size() < *size) return std::nullopt;
  const std::string_view payload = rest.substr(0, *size);
  if (XXH3_64bits(payload.data(), payload.size()) != *checksum) return std::nullopt;
  from = rest.substr(*size);
  return payload;
}

std::string payload_of(const FinishedClip& clip) {
  std::string payload = bytes_of(clip.length) + bytes_of(clip.checksum) +
                        bytes_of(static_cast<std::uint32_t>(clip.key.size())) + clip.key;
  payload.append(reinterpret_cast<const char*>(clip.features.data()), clip.features.size() * sizeof(float));
  return payload;
}

/// The inverse, for a payload whose checksum was right.
FinishedClip clip_of(std::string_view payload) {
  FinishedClip clip;
  clip.length = take_number<std::int32_t>(payload).value();
  clip.checksum = take_number<std::uint64_t>(payload).value();
  const auto key_size = take_number<std::uint32_t>(payload).value();
  clip.key = payload.substr(0, key_size);
  payload.remove_prefix(key_size);
  clip.features.resize(payload.size() / sizeof(float));
  std::memcpy(clip.features.data(), payload.data(), payload.size());
  return clip;
}

}  // namespace

Journal::Journal(std::filesystem::path path, const std::string& header, const std::function<void(FinishedClip)>& take)
    : path_(std::move(path)),
      lock_(path_, fmt::format("{} is in use: another extraction writes the same store. Wait for it, or choose another "
                               "name",
                               path_.string())),
      file_(path_, O_WRONLY | O_APPEND) {
  const std::string content = read_text(path_);
  std::string_view rest = content;
  const bool ours = take_record(rest) == header;
  if (ours)
    while (const auto payload = take_record(rest)) take(clip_of(*payload));
  const std::size_t kept = ours ? content.size() - rest.size() : 0;
  if (kept < content.size()) std::filesystem::resize_file(path_, kept);
  if (!ours) append_record(header);
}

void Journal::append(const FinishedClip& clip) { append_record(payload_of(clip)); }

void Journal::append_record(const std::string& payload) {
  const std::lock_guard lock(mutex_);
  file_.write(record_of(payload));
}

void Journal::remove() { std::filesystem::remove(path_); }

}  // namespace genretree
