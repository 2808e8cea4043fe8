#include <bit>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>

#include "tests/support/cuda_emulator.hpp"
#include "tests/support/cuda_races.hpp"

extern "C" const char __executable_start;  // the linker's

namespace genretree::emulator {

void RaceCheck::begin_launch() {
  pages_.clear();  // what came before a launch is over
  last_page_ = nullptr;
  launch_start_ = ++epoch_;
}

void RaceCheck::begin_block(std::size_t threads, const void* shared, std::size_t shared_bytes) {
  block_start_ = ++epoch_;
  stamps_ = {};
  seen_.assign(threads, Clock{});
  shared_ = static_cast<const std::byte*>(shared);
  shared_bytes_ = shared_bytes;
}

void RaceCheck::warp_barrier(unsigned warp, std::uint32_t lanes) {
  const std::uint32_t stamp = ++stamps_[warp];
  const auto each = [lanes](auto&& visit) {
    for (std::uint32_t rest = lanes; rest; rest &= rest - 1) visit(static_cast<unsigned>(std::countr_zero(rest)));
  };
  Clock joined{};
  each([&](unsigned lane) {
    const Clock& clock = seen_[32 * warp + lane];
    for (unsigned i = 0; i < 32; ++i) joined[i] = std::max(joined[i], clock[i]);
  });
  each([&](unsigned lane) { joined[lane] = stamp; });
  each([&](unsigned lane) { seen_[32 * warp + lane] = joined; });
}

std::optional<std::size_t> RaceCheck::offset_in_shared(const void* address) const {
  const std::size_t offset = static_cast<std::size_t>(static_cast<const std::byte*>(address) - shared_);
  return shared_ && offset < shared_bytes_ ? std::optional(offset) : std::nullopt;
}

RaceCheck::Cell& RaceCheck::cell(const std::byte* address) {
  const auto number = reinterpret_cast<std::uintptr_t>(address) / page_bytes;
  if (!last_page_ || number != last_number_) {
    auto& page = pages_[number];
    if (!page) page = std::make_unique<Page>();
    last_number_ = number;
    last_page_ = page.get();
  }
  return (*last_page_)[reinterpret_cast<std::uintptr_t>(address) % page_bytes];
}

/// The lanes of `earlier` whose access no barrier puts before `now`, which is by `thread`.
std::uint32_t RaceCheck::unordered(const Accesses& earlier, const Accesses& now, unsigned thread, bool shared) const {
  if (earlier.epoch < (shared ? block_start_ : launch_start_)) return 0;
  if (earlier.epoch < block_start_) return earlier.lanes;  // another block of this launch
  if (earlier.epoch < epoch_) return 0;
  if (earlier.warp != now.warp) return earlier.lanes;
  std::uint32_t open = earlier.lanes & ~now.lanes;
  for (std::uint32_t rest = open; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    if (earlier.stamp < seen_[thread][static_cast<std::size_t>(lane)]) open &= ~(1u << lane);
  }
  return open;
}

/// Puts `now` into the sets and drops what is ordered before it, for whoever comes after `now` comes after that too.
void RaceCheck::add(Sets& sets, const Accesses& now, unsigned thread, bool shared) const {
  for (Accesses& set : sets) {
    if (set.epoch == now.epoch && set.warp == now.warp && set.stamp == now.stamp) {
      set.lanes |= now.lanes;
      return;
    }
  }
  for (Accesses& set : sets) set.lanes = unordered(set, now, thread, shared);
  for (Accesses& set : sets) {
    if (!set.lanes) {
      set = now;
      return;
    }
  }
  if (sets[0].epoch == sets[1].epoch && sets[0].warp == sets[1].warp) sets[1] = now;
}

std::optional<RaceCheck::Conflict> RaceCheck::access(unsigned thread, const void* address, std::size_t bytes, Kind kind,
                                                     std::uint32_t code) {
  Accesses now{epoch_};
  now.warp = thread / 32;
  now.stamp = stamps_[thread / 32];
  now.lanes = 1u << thread % 32;
  now.code = code;
  const bool shared = offset_in_shared(address).has_value();

  for (std::size_t i = 0; i < bytes; ++i) {
    const std::byte* byte = static_cast<const std::byte*>(address) + i;
    Cell& memory = cell(byte);
    const auto collision = [&](const Accesses& earlier, Kind earlier_kind) -> std::optional<Conflict> {
      const std::uint32_t lanes = unordered(earlier, now, thread, shared);
      if (!lanes) return std::nullopt;
      Accesses culprit = earlier;
      culprit.lanes = lanes;
      return Conflict{culprit, earlier_kind, earlier.epoch >= block_start_, byte};
    };
    if (auto found = collision(memory.write, Kind::write)) return found;
    if (kind != Kind::read) {
      for (const Accesses& set : memory.reads) {
        if (auto found = collision(set, Kind::read)) return found;
      }
    }
    if (kind != Kind::atomic) {
      for (const Accesses& set : memory.atomics) {
        if (auto found = collision(set, Kind::atomic)) return found;
      }
    }
    if (kind == Kind::write) {
      memory = Cell{now, {}, {}};
    } else {
      if (shared && memory.write.epoch < block_start_) return Conflict{std::nullopt, Kind::write, true, byte};
      add(kind == Kind::read ? memory.reads : memory.atomics, now, thread, shared);
    }
  }
  return std::nullopt;
}

std::uint32_t distance_of(const void* code) {
  return static_cast<std::uint32_t>(static_cast<const char*>(code) - &__executable_start);
}

std::string place_of(std::uint32_t code) {
  // a return address: the call is one byte before at the latest
  const std::string command =
      fmt::format("addr2line --functions --inlines --demangle --basenames --pretty-print -e '{}' {:#x}",
                  std::filesystem::read_symlink("/proc/self/exe").string(), code - 1);
  std::string place;
  if (std::FILE* output = popen(command.c_str(), "r")) {
    for (int letter = std::fgetc(output); letter != EOF; letter = std::fgetc(output)) {
      if (letter != '\n') place += static_cast<char>(letter);
    }
    pclose(output);
  }
  return place.empty() ? fmt::format("code at {:#x}", code) : place;
}

namespace {
bool instrumented = false;
}

bool checks_races() { return instrumented; }

void note_atomic(const void* address, std::size_t bytes, const void* code) {
  if (instrumented) note_access(address, bytes, RaceCheck::Kind::atomic, code);
}

}  // namespace genretree::emulator

// What code calls that was compiled with -fsanitize=thread: at its start, and before each access to memory.
extern "C" {

void __tsan_init() { genretree::emulator::instrumented = true; }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define GENRETREE_ACCESS(name, bytes, kind)                                                      \
  void name(const void* address) {                                                               \
    genretree::emulator::note_access(address, bytes, genretree::emulator::RaceCheck::Kind::kind, \
                                     __builtin_return_address(0));                               \
  }
#define GENRETREE_ACCESSES(bytes)                               \
  GENRETREE_ACCESS(__tsan_read##bytes, bytes, read)             \
  GENRETREE_ACCESS(__tsan_write##bytes, bytes, write)           \
  GENRETREE_ACCESS(__tsan_unaligned_read##bytes, bytes, read)   \
  GENRETREE_ACCESS(__tsan_unaligned_write##bytes, bytes, write) \
  GENRETREE_ACCESS(__tsan_volatile_read##bytes, bytes, read)    \
  GENRETREE_ACCESS(__tsan_volatile_write##bytes, bytes, write)
GENRETREE_ACCESSES(1)
GENRETREE_ACCESSES(2)
GENRETREE_ACCESSES(4)
GENRETREE_ACCESSES(8)
GENRETREE_ACCESSES(16)

void __tsan_read_range(const void* address, std::size_t bytes) {
  genretree::emulator::note_access(address, bytes, genretree::emulator::RaceCheck::Kind::read,
                                   __builtin_return_address(0));
}
void __tsan_write_range(const void* address, std::size_t bytes) {
  genretree::emulator::note_access(address, bytes, genretree::emulator::RaceCheck::Kind::write,
                                   __builtin_return_address(0));
}

}  // extern "C"
