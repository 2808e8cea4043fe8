// What is for machines with a GPU, as far as a machine without one can tell: what is refused and what is said.
#include <algorithm>

#include "core/io/files.hpp"
#include "kernels/backends.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

using Catch::Contains;

test::CommandResult tool(const std::string& command) {
  return test::run_command("cd " + std::string(GENRETREE_SOURCE) + " && " + command);
}

TEST_CASE("bench --gpu and check_device --backend cuda: without a GPU an error that says so") {
  const std::vector<std::string> built = built_backends();
  if (std::find(built.begin(), built.end(), "cuda") != built.end() && backend_absence("cuda").empty())
    test::skip("there is a GPU");
  for (const char* program : {"bench", "check_device"}) {
    const std::string option = std::string(program) == "bench" ? " --gpu" : " --backend cuda";
    const test::CommandResult result = test::run_command(test::program(program).string() + option);
    INFO(result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Contains("error: ") && Contains("cuda", Catch::CaseSensitive::No));
  }
  CHECK(test::run_command(test::program("bench").string() + " --gpu --target avx2").exit_code == 65);
}

TEST_CASE("gpu_session, pack_libraries and cuda_toolkit: what they do not know is refused before anything is done") {
  for (const char* command : {"tools/gpu_session --stage abacus", "tools/gpu_session --limit soon",
                              "tools/gpu_session --abacus", "tools/gpu_session --stage", "tools/pack_libraries",
                              "tools/pack_libraries --abacus", "tools/pack_libraries core", "tools/cuda_toolkit",
                              "tools/cuda_toolkit --abacus", "tools/kernel_resources", "tools/kernel_resources core"}) {
    const test::CommandResult result = tool(command);
    INFO(command << "\n" << result.output);
    CHECK(result.exit_code == 65);
    CHECK(!result.output.empty());
  }
  const test::CommandResult help = tool("tools/gpu_session --help");
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Contains("--libraries") && Contains("racecheck") && !Contains("set -uo"));
}

TEST_CASE(
    "gpu_session: a stage that fails or lacks something does not keep the others from running, and each has a row") {
  const test::TemporaryFolder out;
  const std::string session = "OUT=" + out.path().string() + " CUDACXX= CUDA_HOME= PATH=/usr/bin:/bin ";
  const test::CommandResult result =
      tool(session + "tools/gpu_session --python /nowhere --stage peers --stage memcheck --limit 60");
  INFO(result.output);
  const std::string table = read_text(out / "session.md");
  CHECK_THAT(table, Contains("commit: ") && Contains("GPU and driver: "));
  CHECK_THAT(table, Contains("| peers        | left out: /nowhere has no torch") && Contains("| memcheck "));
  CHECK_THAT(read_text(out / "session.log"), Contains("=== peers") && Contains("=== memcheck"));
}

TEST_CASE("kernel_resources: a table of what ptxas said of our kernels; a spill is an error") {
  const test::TemporaryFolder folder;
  const auto log = [&](const std::string& spills) {
    std::string text;
    for (const char* name : {"_ZN9genretree4cuda12_GLOBAL__N_111scan_kernelEPf", "_ZN5other6kernelEv"})
      text += std::string("ptxas info    : Compiling entry function '") + name +
              "' for 'sm_90'\nptxas info    : Function properties for x\n    8 bytes stack frame, " + spills +
              " bytes spill stores, 0 bytes spill loads\n"
              "ptxas info    : Used 65 registers, used 1 barriers, 512 bytes smem\n";
    const std::filesystem::path cuda = folder / "kernels/CMakeFiles/kernels.dir/cuda";
    std::filesystem::create_directories(cuda);
    write_whole_text(cuda / "scan.cu.o.log", text);
    return tool("tools/kernel_resources " + folder.path().string());
  };
  const test::CommandResult right = log("0");
  INFO(right.output);
  CHECK(right.exit_code == 0);
  // 65 registers are given out as 72: 65536 / (72 · 32) warps
  CHECK_THAT(right.output, Contains("scan_kernel") && Contains("sm_90") && Contains("512") && Contains("28\n"));
  CHECK_THAT(right.output, !Contains("other"));
  const test::CommandResult spilt = log("4");
  CHECK(spilt.exit_code == 1);
  CHECK_THAT(spilt.output, Contains("error: ") && Contains("scan_kernel"));
}

TEST_CASE(
    "compare_gpu: every training that bench --gpu measures has a counterpart, and ratios above 1 say ours is faster") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "check.py", R"(
from compare_gpu import compare, counterpart
print(counterpart("train_step/paper/tf32/cuda"), counterpart("runs28/together/fp32/cuda"))
print(counterpart("mfcc/features/cuda/4queues"), counterpart("machine/cores"), counterpart("train_step/paper/bf16/1core"))
print(compare({"name": "a", "value": 2}, {"peer": "p", "unit": "s", "values": [3, 8, 4]})["ratio"])
print(compare({"name": "a", "value": 200}, {"peer": "p", "unit": "clips/s", "values": [50]})["ratio"])
)");
  const test::CommandResult result =
      tool("cd tools/peers && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. python3 " + (folder / "check.py").string());
  CHECK(result.output ==
        "['torch_gpu.py', 'train_step/paper', 'tf32'] ['torch_gpu.py', 'runs28/together', 'fp32']\n"
        "['torchaudio_mfcc_gpu.py'] None None\n2.0\n4.0\n");
}

}  // namespace
}  // namespace genretree
