// What the emulator finds, each by a kernel that must fail beside one that must not. In the plain build a race shows as
// a wrong result in some order, in the race check as a Fault in every order; in the AddressSanitizer build a read past
// the end kills a program, so those kernels run in a child.
#include <cmath>
#include <numeric>
#include <vector>

#include "tests/kernels/cuda/faults.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using Catch::Matchers::Contains;
using emulator::all_orders;
using emulator::checks_races;
using emulator::Emulator;
using emulator::Fault;

namespace {

/// What the Fault of `kernel(stream)` says in `emulator`, or "no fault".
template <class Kernel>
std::string fault_of(Kernel kernel, Emulator& emulator) {
  try {
    kernel(&emulator);
  } catch (const Fault& fault) {
    return fault.what();
  }
  return "no fault";
}

/// In all orders the kernel must end in a Fault that says `words`.
template <class Kernel>
void must_fault(Kernel kernel, const std::vector<std::string>& words) {
  for (Emulator& emulator : all_orders()) {
    const std::string fault = fault_of(kernel, emulator);
    CHECK_THAT(fault, Contains("faults.cu:"));
    for (const std::string& word : words) CHECK_THAT(fault, Contains(word));
  }
}

/// A kernel(out, stream) that lacks an order: the race check finds it in all orders and says `words`; in the plain
/// build the result differs from `expected` in at least one, if `visible`.
template <class Value, class Kernel>
void must_race(Kernel kernel, const std::vector<Value>& expected, bool visible, const std::string& words) {
  bool seen = false;
  for (Emulator& emulator : all_orders()) {
    std::vector<Value> out(expected.size());
    const std::string fault = fault_of([&](cuda::Stream stream) { kernel(out.data(), stream); }, emulator);
    if (checks_races())
      CHECK_THAT(fault, Contains(words));
    else
      CHECK(fault == "no fault");
    seen = seen || out != expected;
  }
  if (!checks_races()) CHECK(seen == visible);
}

std::vector<float> ring_by_hand(int steps) {
  std::vector<float> h(cuda::ring_threads), last;
  for (int t = 0; t < steps; ++t) {
    last = h;
    for (int i = 0; i < cuda::ring_threads; ++i) h[i] = last[(i + cuda::ring_threads - 1) % cuda::ring_threads] + i;
  }
  return h;
}

std::vector<float> reversed() {
  std::vector<float> values(32);
  std::iota(values.rbegin(), values.rend(), 0.0f);
  return values;
}

std::string run_hidden(const std::string& name) {
  const auto result = test::run_command(
      test::program(checks_races() ? "test_cuda_races" : "test_cuda_emulated").string() + " '" + name + "'");
  CHECK(result.exit_code != 0);
  return result.output;
}

}  // namespace

TEST_CASE("A recurrent ring is right; without its step barrier or its second buffer it is found") {
  const int steps = 5;
  const auto expected = ring_by_hand(steps);
  const auto ring = [](cuda::Flaw flaw) {
    return [=](float* out, cuda::Stream stream) { cuda::ring(flaw, 5, out, stream); };
  };
  for (Emulator& emulator : all_orders()) {
    std::vector<float> out(cuda::ring_threads);
    ring(cuda::Flaw::none)(out.data(), &emulator);
    CHECK(out == expected);
  }
  must_race(ring(cuda::Flaw::no_double_buffer), expected, true, "no barrier stands between");
  // without the barrier some thread reads what nobody has written yet
  must_race(ring(cuda::Flaw::no_step_barrier), expected, true,
            "of shared memory in void genretree::cuda::(anonymous namespace)::ring_kernel");
}

TEST_CASE("A shuffle is no memory barrier: only __syncwarp hands shared memory from lane to lane") {
  for (Emulator& emulator : all_orders()) {
    std::vector<float> out(32);
    cuda::reverse_in_warp(false, out.data(), &emulator);
    CHECK(out == reversed());
  }
  // the lanes do meet, so that no order shows it: only the race check does
  must_race([](float* out, cuda::Stream stream) { cuda::reverse_in_warp(true, out, stream); }, reversed(), false,
            "no barrier stands between");
}

TEST_CASE("A __syncwarp orders the lanes of its mask, and those that these have met before") {
  std::vector<float> neighbours(32), opposite(32);
  for (int lane = 0; lane < 32; ++lane) neighbours[lane] = lane ^ 1, opposite[lane] = lane ^ 16;
  for (Emulator& emulator : all_orders()) {
    std::vector<float> out(32);
    cuda::exchange_in_halves(false, out.data(), &emulator);
    CHECK(out == neighbours);
    float passed = 0;
    cuda::pass_along(&passed, &emulator);
    CHECK(passed == 1);
  }
  must_race([](float* out, cuda::Stream stream) { cuda::exchange_in_halves(true, out, stream); }, opposite, true,
            "of shared memory in genretree::cuda::(anonymous namespace)::halves_kernel");
}

TEST_CASE("A barrier that not all threads reach is found") {
  must_fault(cuda::barrier_that_half_the_threads_miss,
             {"thread (0,0,0) (and 31 more) waits at __syncthreads", "waits at __syncwarp", "half_miss_kernel"});
  must_fault(cuda::barrier_after_threads_ended, {"(and 62 more) waits at __syncthreads", "thread (7,0,0) has ended"});
  must_fault(cuda::barrier_in_two_branches, {"divergent barrier", "two_branches_kernel"});
}

TEST_CASE("Lanes that do not meet as their masks say are found") {
  must_fault(cuda::shuffle_that_some_lanes_miss, {"waits at __shfl_xor_sync with mask 0xffffffff", "has ended"});
  must_fault(cuda::shuffle_from_a_lane_outside, {"reads lane 20, which is not in the mask", "0x0000ffff"});
  must_fault(cuda::vote_without_oneself, {"calls __any_sync with mask 0x0000ffff, in which it is not itself"});
  must_fault(cuda::masks_that_differ, {"waits at __ballot_sync with mask 0xffffffff"});
}

TEST_CASE("Launches that no GPU takes and kernels that ask for more than they get are found") {
  must_fault(cuda::more_shared_memory_than_given, {"asks for 512 bytes", "the launch gives 511"});
  Emulator emulator;
  const auto nothing = [] {};
  CHECK_THROWS_WITH(emulator.run(1, 1025, 0, nothing), Contains("1025×1×1 threads"));
  CHECK_THROWS_WITH(emulator.run(dim3(1, 65536), 1, 0, nothing), Contains("1×65536×1 blocks"));
  CHECK_THROWS_WITH(emulator.run(1, 1, 300000, nothing), Contains("300000 bytes of shared memory"));
  CHECK_THROWS_WITH(emulator.run(1, 1, 0, [&] { emulator.run(1, 1, 0, nothing); }), Contains("launches a kernel"));
}

TEST_CASE("Shared memory that nobody wrote is NaN, and a read of it a fault of the race check") {
  for (Emulator& emulator : all_orders()) {
    std::vector<float> out(cuda::plain_threads);
    const std::string fault =
        fault_of([&](cuda::Stream stream) { cuda::read_uninitialised(out.data(), stream); }, emulator);
    if (checks_races()) {
      CHECK_THAT(fault, Contains("reads byte") && Contains("where no thread of the block has written"));
    } else {
      for (int i = 0; i < cuda::plain_threads; ++i) CHECK(std::isnan(out[i]) == (i % 2 == 0));
    }
  }
}

TEST_CASE("Nothing orders two blocks; atomics do not collide with each other") {
  must_race<float>(cuda::blocks_that_write_the_same, {1}, true, "of another block");
  for (Emulator& emulator : all_orders()) {
    int total = 0;
    cuda::count_threads(false, &total, &emulator);
    CHECK(total == 2 * cuda::plain_threads);
    int counted = 0;
    cuda::read_while_counting(false, &counted, &emulator);
    CHECK(counted == cuda::plain_threads);
  }
  must_race<int>([](int* out, cuda::Stream stream) { cuda::count_threads(true, out, stream); },
                 {2 * cuda::plain_threads}, false, "of global memory");
  must_race<int>([](int* out, cuda::Stream stream) { cuda::read_while_counting(true, out, stream); },
                 {cuda::plain_threads}, true, "atomicAdd");
}

TEST_CASE("A fault leaves the emulator ready for the next launch") {
  Emulator emulator;
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS_AS(cuda::barrier_after_threads_ended(&emulator), Fault);
    std::vector<float> out(32);
    cuda::reverse_in_warp(false, out.data(), &emulator);
    CHECK(out == reversed());
  }
}

TEST_CASE("A thread that overflows its stack hits the guard page") {
  const std::string output = run_hidden("overflow the stack");
  CHECK_THAT(output, Contains("SIGSEGV") || Contains("stack-overflow"));
}
TEST_CASE("overflow the stack", "[.]") {
  Emulator emulator;
  float out = 0;
  cuda::overflow_the_stack(&out, &emulator);
}

#ifdef __SANITIZE_ADDRESS__
TEST_CASE("Reads past the end of shared memory, an array in it and a global buffer are found") {
  CHECK_THAT(run_hidden("read past shared memory"), Contains("heap-buffer-overflow") && Contains("faults.cu"));
  CHECK_THAT(run_hidden("read past a member"), Contains("out of bounds") && Contains("faults.cu"));
  CHECK_THAT(run_hidden("read past a global buffer"), Contains("heap-buffer-overflow") && Contains("faults.cu"));
}
TEST_CASE("read past shared memory", "[.]") {
  Emulator emulator;
  std::vector<float> out(cuda::plain_threads);
  cuda::read_past_shared(out.data(), &emulator);
}
TEST_CASE("read past a member", "[.]") {
  Emulator emulator;
  std::vector<float> out(cuda::plain_threads);
  cuda::read_past_member(out.data(), &emulator);
}
TEST_CASE("read past a global buffer", "[.]") {
  Emulator emulator;
  std::vector<float> values(100, 1), out(cuda::plain_threads);
  cuda::read_past_global(values.data(), 100, out.data(), &emulator);
}
#endif
