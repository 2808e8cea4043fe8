// The race check of the CUDA emulator: remembers for every byte that a kernel touches who wrote and read it last, and
// finds two accesses that no barrier orders.
//
// Time is counted in two hands. The epoch goes up at each __syncthreads (and at the start of each block and launch): an
// access of an earlier epoch of the same block is over. Within an epoch nothing orders two warps; within a warp only
// __syncwarp does. A warp numbers its __syncwarps; each lane knows, for every lane of its warp, the number of the last
// one whose earlier accesses it has come after (a vector clock of 32 entries, joined at each __syncwarp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace genretree::emulator {

class RaceCheck {
 public:
  enum class Kind { read, write, atomic };

  /// Accesses of one kind by lanes of one warp between the same two barriers.
  struct Accesses {
    std::uint32_t epoch = 0;       ///< 0: none
    std::uint32_t warp : 5 = 0;    ///< in its block
    std::uint32_t stamp : 27 = 0;  ///< __syncwarps of the warp before
    std::uint32_t lanes = 0;
    std::uint32_t code = 0;  ///< where, as the distance from the program's start
  };

  /// An access that is wrong: the earlier one it collides with, or none where it reads what nobody wrote.
  struct Conflict {
    std::optional<Accesses> earlier;
    Kind earlier_kind;
    bool same_block;
    const std::byte* address;
  };

  void begin_launch();
  void begin_block(std::size_t threads, const void* shared, std::size_t shared_bytes);
  void block_barrier() { ++epoch_; }
  void warp_barrier(unsigned warp, std::uint32_t lanes);
  std::optional<Conflict> access(unsigned thread, const void* address, std::size_t bytes, Kind kind,
                                 std::uint32_t code);
  /// Distance of `address` from the start of shared memory, if it lies there.
  std::optional<std::size_t> offset_in_shared(const void* address) const;

 private:
  /// Two sets suffice: if they are of two warps, whoever collides with a third set collides with one of them too.
  using Sets = std::array<Accesses, 2>;
  struct Cell {
    Accesses write;
    Sets reads, atomics;
  };
  static constexpr std::size_t page_bytes = 1024;
  using Page = std::array<Cell, page_bytes>;
  using Clock = std::array<std::uint32_t, 32>;

  Cell& cell(const std::byte* address);
  std::uint32_t unordered(const Accesses& earlier, const Accesses& now, unsigned thread, bool shared) const;
  void add(Sets& sets, const Accesses& now, unsigned thread, bool shared) const;

  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
  std::uintptr_t last_number_ = 0;
  Page* last_page_ = nullptr;
  std::uint32_t epoch_ = 0, launch_start_ = 0, block_start_ = 0;
  std::array<std::uint32_t, 32> stamps_{};  ///< by warp
  std::vector<Clock> seen_;                 ///< by thread: stamps of its warp's lanes below this are over
  const std::byte* shared_ = nullptr;
  std::size_t shared_bytes_ = 0;
};

/// Where instrumented code reports an access; the emulator knows which thread it is of, if any.
void note_access(const void* address, std::size_t bytes, RaceCheck::Kind kind, const void* code);

/// Of an address in the program's code from its start.
std::uint32_t distance_of(const void* code);
/// "function at file:line", and for inlined code where from, as addr2line tells.
std::string place_of(std::uint32_t code);

}  // namespace genretree::emulator
