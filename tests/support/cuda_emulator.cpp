#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <new>
#include <span>
#include <sys/mman.h>
#include <utility>

#include "tests/support/cuda_emulator.hpp"
#include "tests/support/cuda_races.hpp"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace genretree::emulator {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr std::size_t most_threads = 1024, warp_size = 32, most_warps = most_threads / warp_size;

/// The stacks of a block's threads, side by side, each above a page that must not be touched.
class Stacks {
 public:
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t bytes = 256 * 1024;  // red zones around each variable
#else
  static constexpr std::size_t bytes = 64 * 1024;
#endif
  static constexpr std::size_t guard = 4096, stride = bytes + guard, all = most_threads * stride;

  Stacks() {
    void* memory = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    for (std::size_t i = 0; i < most_threads; ++i) mprotect(memory_ + i * stride, guard, PROT_NONE);
  }
  ~Stacks() { munmap(memory_, all); }
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  std::span<std::byte> operator[](std::size_t thread) const { return {memory_ + thread * stride + guard, bytes}; }
  /// Where a thread's stack begins: a little apart in their pages, for else all would want the same lines of the cache.
  std::byte* top(std::size_t thread) const { return memory_ + (thread + 1) * stride - thread * 192 % guard; }
  bool contain(const void* address) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - memory_) < all;
  }

 private:
  std::byte* memory_;
};

/// A fiber: a thread of the block, or the host that waits for it to end.
struct Thread {
  unsigned number = 0;  ///< in its block
  uint3 index{};
  fcontext_t context = nullptr;
  enum { running, at_barrier, in_meeting, ended } state = running;
  std::source_location place;        ///< of the barrier
  const Meeting* meeting = nullptr;  ///< on the thread's own stack
  std::span<const std::byte> stack;
  void* fake_stack = nullptr;  ///< AddressSanitizer's, while the thread does not run

  unsigned warp() const { return number / warp_size; }
  std::uint32_t lane_bit() const { return 1u << number % warp_size; }
};

struct Warp {
  std::uint32_t lanes = 0, ready = 0, meeting = 0;  ///< all; those that can run; those that wait in a meeting
};

std::string name_of(const std::source_location& place) {
  return fmt::format("{}:{}, {}", std::filesystem::path(place.file_name()).filename().string(), place.line(),
                     place.function_name());
}
std::string name_of(uint3 index) { return fmt::format("({},{},{})", index.x, index.y, index.z); }

/// One launch: runs its blocks one after another. Its member functions run on the stack of whoever calls them, mostly a
/// thread of the block that is about to wait: it chooses who goes on and switches there itself.
class Launch {
 public:
  Launch(Emulator& emulator, const Grid& grid, dim3 block, std::size_t shared_bytes,
         const std::function<void()>& kernel);
  ~Launch();
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  void run();
  std::uint64_t switches() const { return switches_; }

  // what a thread calls
  void barrier(std::source_location place);
  void meet(const Meeting& meeting);
  void* shared_memory(std::size_t bytes, std::source_location place);
  void note_access(const void* address, std::size_t bytes, RaceCheck::Kind kind, const void* code);
  template <class Describe>
  [[noreturn]] void fail(Describe describe);
  [[noreturn]] void fail_shuffle(int lane, int source);

 private:
  void run_block(uint3 block);
  static void thread_main(transfer_t from);
  void wake(unsigned warp, std::uint32_t lanes);
  void sleep();
  void go_on();
  Thread& next();
  void switch_to(Thread& to);
  static void arrive(transfer_t from);
  bool all_met(const Meeting& meeting) const;
  std::string stuck() const;
  std::string describe(const RaceCheck::Conflict& conflict, RaceCheck::Kind kind, std::uint32_t code) const;
  uint3 index_of(unsigned thread) const;

  static thread_local Stacks stacks_;
  static thread_local RaceCheck races_;

  Emulator& emulator_;
  const Grid& grid_;
  const dim3 shape_;
  const std::function<void()>& kernel_;
  const std::size_t shared_bytes_;
  std::unique_ptr<void, decltype(&std::free)> shared_{nullptr, std::free};
  std::vector<Thread> threads_;
  std::array<Warp, most_warps> warps_{};
  std::uint32_t ready_warps_ = 0;
  unsigned warp_ = 0;  ///< the one that runs ahead
  std::size_t at_barrier_ = 0, ended_ = 0;
  Thread host_;
  Thread* current_ = &host_;
  std::string fault_;
  std::uint64_t switches_ = 0;
};

thread_local Stacks Launch::stacks_;
thread_local RaceCheck Launch::races_;
thread_local Launch* running = nullptr;

Launch::Launch(Emulator& emulator, const Grid& grid, dim3 block, std::size_t shared_bytes,
               const std::function<void()>& kernel)
    : emulator_(emulator), grid_(grid), shape_(block), kernel_(kernel), shared_bytes_(shared_bytes) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  const auto refuse = [&](const std::string& what) {
    throw Fault(fmt::format("launch at {}: {}", name_of(grid.place), what));
  };
  if (threads == 0 || threads > most_threads || block.z > 64)
    refuse(fmt::format("a block of {}×{}×{} threads; from 1 to 1024 are allowed, 64 layers at most", block.x, block.y,
                       block.z));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
    refuse(fmt::format("a grid of {}×{}×{} blocks; at least 1 and at most 2147483647×65535×65535 are allowed", grid.x,
                       grid.y, grid.z));
  if (shared_bytes > most_shared_bytes())
    refuse(fmt::format("{} bytes of shared memory; a block has {} at most", shared_bytes, most_shared_bytes()));

  void* memory = nullptr;  // exactly as large as asked for: AddressSanitizer watches its end
  if (shared_bytes && posix_memalign(&memory, 128, shared_bytes)) throw std::bad_alloc();
  shared_.reset(memory);
  threads_.resize(threads);
  for (Thread& thread : threads_) {
    thread.number = static_cast<unsigned>(&thread - threads_.data());
    thread.index = index_of(thread.number);
    thread.stack = stacks_[thread.number];
    warps_[thread.warp()].lanes |= thread.lane_bit();
  }
  running = this;
  gridDim = grid;
  blockDim = block;
}

Launch::~Launch() { running = nullptr; }

uint3 Launch::index_of(unsigned thread) const {
  return {thread % shape_.x, thread / shape_.x % shape_.y, thread / shape_.x / shape_.y};
}

void Launch::run() {
  const std::uint64_t blocks = std::uint64_t{grid_.x} * grid_.y * grid_.z;
  std::vector<std::uint64_t> sequence(blocks);
  for (std::uint64_t i = 0; i < blocks; ++i) sequence[i] = i;
  emulator_.arrange(sequence);
  if (checks_races()) races_.begin_launch();
  for (const std::uint64_t i : sequence) {
    run_block({static_cast<unsigned>(i % grid_.x), static_cast<unsigned>(i / grid_.x % grid_.y),
               static_cast<unsigned>(i / grid_.x / grid_.y)});
  }
}

void Launch::run_block(uint3 block) {
  blockIdx = block;
  at_barrier_ = ended_ = 0;
  if (shared_bytes_) std::memset(shared_.get(), 0xff, shared_bytes_);
  if (checks_races()) races_.begin_block(threads_.size(), shared_.get(), shared_bytes_);
  for (Thread& thread : threads_) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(thread.stack.data(), Stacks::bytes);  // its last user never left its functions
#endif
    thread.state = Thread::running;
    thread.context = make_fcontext(stacks_.top(thread.number), Stacks::bytes - Stacks::guard, thread_main);
    wake(thread.warp(), thread.lane_bit());
  }
  warp_ = emulator_.pick(ready_warps_);
  switch_to(next());
  if (!fault_.empty())
    throw Fault(fmt::format("launch at {}: block {}: {}", name_of(grid_.place), name_of(block), fault_));
}

void Launch::thread_main(transfer_t from) {
  arrive(from);
  running->kernel_();
  running->current_->state = Thread::ended;
  ++running->ended_;
  running->sleep();
}

/// Lanes of a warp can run.
void Launch::wake(unsigned warp, std::uint32_t lanes) {
  warps_[warp].ready |= lanes;
  ready_warps_ |= 1u << warp;
}

/// The current thread can not run on: another does, until this one is woken (never, if it ended).
void Launch::sleep() {
  Warp& warp = warps_[current_->warp()];
  warp.ready &= ~current_->lane_bit();
  if (!warp.ready) ready_warps_ &= ~(1u << current_->warp());
  go_on();
}

void Launch::go_on() {
  Thread& to = next();
  if (&to != current_) switch_to(to);
}

/// Whose turn it is: the warp that runs ahead keeps it as long as it can.
Thread& Launch::next() {
  if (!ready_warps_) {
    if (ended_ < threads_.size()) fault_ = stuck();
    return host_;
  }
  if (!warps_[warp_].ready) warp_ = emulator_.pick(ready_warps_);
  return threads_[warp_ * warp_size + emulator_.pick(warps_[warp_].ready)];
}

/// Not instrumented: AddressSanitizer takes an ended thread's fake stack away before the jump.
__attribute__((no_sanitize("address"))) void Launch::switch_to(Thread& to) {
  Thread& self = *current_;
  current_ = &to;
  threadIdx = to.index;
  ++switches_;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(self.state == Thread::ended ? nullptr : &self.fake_stack, to.stack.data(),
                                 to.stack.size());
#endif
  arrive(jump_fcontext(to.context, &self));
}

/// The first thing that a thread does after a switch to it: notes where the one before stands.
void Launch::arrive(transfer_t from) {
  Thread& before = *static_cast<Thread*>(from.data);
  before.context = from.fctx;
#ifdef __SANITIZE_ADDRESS__
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(std::exchange(running->current_->fake_stack, nullptr), &stack, &bytes);
  before.stack = {static_cast<const std::byte*>(stack), bytes};  // so we learn the host's
#endif
}

/// Leaves the current thread for ever, and so must leave nothing behind that it owns: `describe` makes the text.
template <class Describe>
void Launch::fail(Describe describe) {
  fault_ = fmt::format("thread {} {}", name_of(current_->index), describe());
  switch_to(host_);
  std::abort();  // nobody comes back
}

void Launch::barrier(std::source_location place) {
  current_->state = Thread::at_barrier;
  current_->place = place;
  if (++at_barrier_ < threads_.size()) return sleep();
  for (const Thread& thread : threads_) {
    if (thread.place.line() != place.line() || std::strcmp(thread.place.file_name(), place.file_name()) != 0)
      fail([&] { return "comes last to a divergent barrier: " + stuck(); });
  }
  at_barrier_ = 0;
  if (checks_races()) races_.block_barrier();
  for (Thread& thread : threads_) thread.state = Thread::running;
  for (unsigned warp = 0; warp * warp_size < threads_.size(); ++warp) wake(warp, warps_[warp].lanes);
  warp_ = emulator_.pick(ready_warps_);
  go_on();
}

bool Launch::all_met(const Meeting& meeting) const {
  const Warp& warp = warps_[current_->warp()];
  if ((warp.meeting & meeting.mask) != meeting.mask) return false;
  const Thread* lanes = &threads_[current_->warp() * warp_size];
  for (std::uint32_t rest = meeting.mask; rest; rest &= rest - 1) {
    const Meeting& other = *lanes[std::countr_zero(rest)].meeting;
    if (other.mask != meeting.mask || std::strcmp(other.name, meeting.name) != 0) return false;
  }
  return true;
}

void Launch::meet(const Meeting& meeting) {
  Warp& warp = warps_[current_->warp()];
  if (!(meeting.mask & current_->lane_bit()))
    fail([&] {
      return fmt::format("calls {} with mask {:#010x}, in which it is not itself ({})", meeting.name, meeting.mask,
                         name_of(meeting.place));
    });
  current_->state = Thread::in_meeting;
  current_->meeting = &meeting;
  warp.meeting |= current_->lane_bit();
  if (!all_met(meeting)) return sleep();

  Thread* lanes = &threads_[current_->warp() * warp_size];
  Parts parts{};
  for (unsigned lane = 0; lane < warp_size; ++lane)
    if (meeting.mask >> lane & 1) parts[lane] = lanes[lane].meeting->part;
  if (meeting.combine) meeting.combine(parts);
  if (meeting.orders_memory && checks_races()) races_.warp_barrier(current_->warp(), meeting.mask);
  for (unsigned lane = 0; lane < warp_size; ++lane)
    if (meeting.mask >> lane & 1) lanes[lane].state = Thread::running;
  warp.meeting &= ~meeting.mask;
  wake(current_->warp(), meeting.mask);
  go_on();
}

void* Launch::shared_memory(std::size_t bytes, std::source_location place) {
  if (bytes > shared_bytes_)
    fail([&] {
      return fmt::format("asks for {} bytes of shared memory ({}), but the launch gives {}", bytes, name_of(place),
                         shared_bytes_);
    });
  return shared_.get();
}

void Launch::note_access(const void* address, std::size_t bytes, RaceCheck::Kind kind, const void* code) {
  if (current_ == &host_ || stacks_.contain(address)) return;
  const std::uint32_t now_code = distance_of(code);
  const auto found = races_.access(current_->number, address, bytes, kind, now_code);
  if (!found) return;
  fail([&] { return describe(*found, kind, now_code); });
}

std::string Launch::describe(const RaceCheck::Conflict& conflict, RaceCheck::Kind kind, std::uint32_t code) const {
  const auto verb = [](RaceCheck::Kind of) {
    return of == RaceCheck::Kind::read ? "reads" : of == RaceCheck::Kind::write ? "writes" : "updates";
  };
  const auto offset = races_.offset_in_shared(conflict.address);
  const std::string memory = offset ? fmt::format("byte {} of shared memory", *offset) : "a byte of global memory";
  const std::string now = fmt::format("{} {} in {}", verb(kind), memory, place_of(code));
  if (!conflict.earlier) return now + ", where no thread of the block has written";
  const RaceCheck::Accesses& earlier = *conflict.earlier;
  const unsigned other = earlier.warp * warp_size + static_cast<unsigned>(std::countr_zero(earlier.lanes));
  return fmt::format("{}, and no barrier stands between this and thread {}{}, which {} it in {}", now,
                     name_of(index_of(other)), conflict.same_block ? "" : " of another block",
                     verb(conflict.earlier_kind), place_of(earlier.code));
}

/// Who waits for what, as many threads at a time as wait for the same.
std::string Launch::stuck() const {
  std::vector<std::pair<std::string, std::vector<unsigned>>> groups;
  for (const Thread& thread : threads_) {
    std::string what;
    if (thread.state == Thread::ended)
      what = "has ended";
    else if (thread.state == Thread::at_barrier)
      what = fmt::format("waits at __syncthreads ({})", name_of(thread.place));
    else
      what = fmt::format("waits at {} with mask {:#010x} ({})", thread.meeting->name, thread.meeting->mask,
                         name_of(thread.meeting->place));
    const auto same =
        std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == what; });
    if (same == groups.end())
      groups.push_back({what, {thread.number}});
    else
      same->second.push_back(thread.number);
  }
  std::string text;
  for (const auto& [what, members] : groups)
    text += fmt::format("{}thread {}{} {}", text.empty() ? "" : "; ", name_of(threads_[members.front()].index),
                        members.size() > 1 ? fmt::format(" (and {} more)", members.size() - 1) : "", what);
  return text;
}

void Launch::fail_shuffle(int lane, int source) {
  fail([&] {
    const Meeting& meeting = *current_->meeting;
    return fmt::format(
        "and others meet at {} with mask {:#010x} ({}), where lane {} reads lane {}, which is not in the "
        "mask",
        meeting.name, meeting.mask, name_of(meeting.place), lane, source);
  });
}

}  // namespace

std::size_t& most_shared_bytes() {
  static std::size_t bytes = largest_shared_bytes;
  return bytes;
}

void Emulator::submit(std::function<void()> work) {
  if (kept_)
    kept_->push_back(std::move(work));
  else
    work();
}

void Emulator::run(const Grid& grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& kernel) {
  if (running)
    running->fail(
        [&] { return fmt::format("launches a kernel ({}), which our kernels must not do", name_of(grid.place)); });
  Launch launch(*this, grid, block, shared_bytes, kernel);
  launch.run();
  switches_ += launch.switches();
}

void Emulator::arrange(std::span<std::uint64_t> blocks) {
  if (order_ == Order::last_to_first) std::reverse(blocks.begin(), blocks.end());
  if (order_ == Order::random) std::shuffle(blocks.begin(), blocks.end(), random_);
}

unsigned Emulator::pick(std::uint32_t mask) {
  if (order_ == Order::last_to_first) return 31 - static_cast<unsigned>(std::countl_zero(mask));
  if (order_ == Order::random)
    for (auto before = random_() % static_cast<unsigned>(std::popcount(mask)); before; --before) mask &= mask - 1;
  return static_cast<unsigned>(std::countr_zero(mask));
}

std::vector<Emulator> all_orders(std::uint64_t seeds) {
  std::vector<Emulator> orders{Emulator(Order::first_to_last), Emulator(Order::last_to_first)};
  for (std::uint64_t seed = 0; seed < seeds; ++seed) orders.emplace_back(Order::random, seed);
  return orders;
}

void block_barrier(std::source_location place) { running->barrier(place); }
void meet(const Meeting& meeting) { running->meet(meeting); }
void* shared_memory(std::size_t bytes, std::source_location place) { return running->shared_memory(bytes, place); }
void fail_shuffle(int lane, int source) { running->fail_shuffle(lane, source); }

std::uint32_t vote(const char* name, std::uint32_t mask, bool yes, std::source_location place) {
  struct Vote {
    bool yes;
    std::uint32_t ballot;
  } mine{yes, 0};
  const auto count = [](const Parts& parts) {
    std::uint32_t ballot = 0;
    for (unsigned lane = 0; lane < warp_size; ++lane)
      if (parts[lane] && static_cast<Vote*>(parts[lane])->yes) ballot |= 1u << lane;
    for (void* part : parts)
      if (part) static_cast<Vote*>(part)->ballot = ballot;
  };
  meet({name, mask, &mine, count, false, place});
  return mine.ballot;
}

void note_access(const void* address, std::size_t bytes, RaceCheck::Kind kind, const void* code) {
  if (running) running->note_access(address, bytes, kind, code);
}

}  // namespace genretree::emulator
