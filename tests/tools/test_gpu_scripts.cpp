// What is for machines with a GPU, as far as a machine without one can tell: what is refused and what is said.
#include <algorithm>

#include "core/io/files.hpp"
#include "kernels/backends.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

using Catch::Contains;

test::CommandResult tool(const std::string& command) {
  return test::run_command("cd '" + std::string(GENRETREE_SOURCE) + "' && " + command);
}

/// A program of the shell's, there to be found or run in place of another.
void write_program(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  write_whole_text(file, "#!/bin/sh\n" + text);
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
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
    if (built.size() == 1) CHECK_THAT(result.output, Contains("preset cuda"));
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

TEST_CASE("gpu_session: each stage has a row, also after one that failed, and a later call adds its own") {
  const test::TemporaryFolder out;
  const bool had_build = std::filesystem::exists(std::string(GENRETREE_SOURCE) + "/build-cuda");
  // neither stage touches a GPU: one lacks PyTorch, the other a compiler
  const std::string session = "OUT='" + (out / "a session").string() +
                              "' CUDA_HOME= CUDACXX=/nowhere/nvcc tools/gpu_session --python /nowhere --limit 60";
  const test::CommandResult both = tool(session + " --stage configure --stage peers");
  INFO(both.output);
  CHECK(both.exit_code == 1);
  const test::CommandResult later = tool(session + " --stage peers");
  CHECK(later.exit_code == 0);
  const std::string table = read_text(out / "a session/session.md"), log = read_text(out / "a session/session.log");
  const auto count = [](const std::string& text, const std::string& part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  };
  CHECK(count(table, "- commit: ") == 1);
  CHECK(count(table, "- GPU and driver: ") == 1);
  CHECK(count(table, "| configure    | refused: error: CUDACXX is '/nowhere/nvcc'") == 1);
  CHECK(count(table, "| peers        | left out: /nowhere has no torch") == 2);
  CHECK(count(log, "=== configure") == 1);
  CHECK(count(log, "=== peers") == 2);
  CHECK(std::filesystem::exists(std::string(GENRETREE_SOURCE) + "/build-cuda") == had_build);
}

TEST_CASE("gpu_session: peers without what bench measured are left out") {
  const test::TemporaryFolder folder;
  write_program(folder / "python", "exit 0\n");  // it imports torch
  const test::CommandResult result =
      test::run_command("cd '" + folder.path().string() + "' && OUT=out '" + GENRETREE_SOURCE +
                        "/tools/gpu_session' --python ./python " + "--stage peers");
  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(read_text(folder / "out/session.md"), Contains("left out: there is no bench.json"));
}

TEST_CASE("cuda_toolkit --find: what is set must do; what is found and will not do is passed over aloud") {
  const test::TemporaryFolder folder;
  const auto nvcc = [&](const std::string& name, const std::string& release) {
    write_program(folder / (name + "/bin/nvcc"), "echo 'Cuda compilation tools, release " + release + ", V0'\n");
    return (folder / name).string();
  };
  const std::string old = nvcc("old", "12.4"), right = nvcc("right", "13.1");
  std::filesystem::create_directories(folder / "right/include");
  write_whole_text(folder / "right/include/cudnn.h", "");
  const auto find = [&](const std::string& environment) {
    return tool("CUDACXX= CUDA_HOME= && unset CUDACXX CUDA_HOME && " + environment + " tools/cuda_toolkit --find");
  };
  for (const std::string& wrong : {"CUDACXX='" + old + "/bin/nvcc'", "CUDA_HOME='" + old + "'"}) {
    const test::CommandResult result = find(wrong);
    INFO(result.output);
    CHECK(result.exit_code == 65);
    CHECK_THAT(result.output, Contains("error: CUDA") && Contains("it is of CUDA 12.4"));
  }
  CHECK_THAT(find("CUDA_HOME=/nowhere").output, Contains("error: CUDA_HOME") && Contains("no such program"));
  CHECK(find("CUDA_HOME='" + right + "'").output == right + "/bin/nvcc\n");
  CHECK(find("CUDACXX=nvcc PATH='" + right + "/bin':$PATH").output == right + "/bin/nvcc\n");
  CHECK(find("PATH='" + right + "/bin':$PATH").output == right + "/bin/nvcc\n");
  CHECK_THAT(find("PATH='" + old + "/bin':$PATH").output, Contains("passed over " + old + "/bin/nvcc: it is of CUDA"));
}

TEST_CASE("kernel_resources: a table of what ptxas said of our kernels; a spill is an error") {
  const test::TemporaryFolder folder;
  const auto log = [&](const std::string& spills) {
    std::string text;
    for (const char* name : {"_ZN9genretree4cuda12_GLOBAL__N_113chroma_kernelEPf", "_ZN5other6kernelEv"})
      text += std::string("ptxas info    : Compiling entry function '") + name +
              "' for 'sm_90'\nptxas info    : Function properties for x\n    8 bytes stack frame, " + spills +
              " bytes spill stores, 0 bytes spill loads\n"
              "ptxas info    : Used 65 registers, used 1 barriers\n";
    const std::filesystem::path cuda = folder / "kernels/CMakeFiles/kernels.dir/cuda";
    std::filesystem::create_directories(cuda);
    write_whole_text(cuda / "descriptor_kernels.cu.o.log", text);
    return tool("tools/kernel_resources '" + folder.path().string() + "'");
  };
  const test::CommandResult right = log("0");
  INFO(right.output);
  CHECK(right.exit_code == 0);
  // a warp takes 72 · 32 registers, each of the four partitions has 16384: 7 warps, 28 in all, 7 blocks of 4
  CHECK_THAT(right.output, Contains("chroma_kernel") && Contains("sm_90") && Contains(" 192 "));
  CHECK_THAT(right.output, Contains("       128        28\n"));
  CHECK_THAT(right.output, !Contains("other"));
  const test::CommandResult spilt = log("4");
  CHECK(spilt.exit_code == 1);
  CHECK_THAT(spilt.output, Contains("error: ") && Contains("chroma_kernel"));
  // 512 threads of 65 registers go into a multiprocessor, of 136 they do not
  const auto wide = [&](const std::string& registers) {
    const std::string text =
        "ptxas info    : Compiling entry function "
        "'_ZN9genretree4cuda10fused_bf1612_GLOBAL__N_115backward_kernelILi0EEEvf' "
        "for 'sm_80'\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nptxas info    : Used " +
        registers + " registers\n";
    write_whole_text(folder / "kernels/CMakeFiles/kernels.dir/cuda/descriptor_kernels.cu.o.log", text);
    return tool("tools/kernel_resources '" + folder.path().string() + "'");
  };
  CHECK(wide("65").exit_code == 0);
  CHECK(wide("136").exit_code == 1);
  CHECK_THAT(wide("136").output, Contains("not one block") && Contains("backward_kernel<0>"));
}

TEST_CASE(
    "compare_gpu: every training that bench --gpu measures has a counterpart, and ratios above 1 say ours is faster") {
  const test::TemporaryFolder folder;
  write_whole_text(folder / "check.py", R"(
from compare_gpu import compare, counterpart
print(counterpart("train_step/paper/bf16/cuda"), counterpart("runs28/together/fp32/cuda"))
print(counterpart("mfcc/features/cuda/4queues"), counterpart("machine/cores"), counterpart("train_step/paper/bf16/1core"))
print(compare({"name": "a", "value": 2}, {"peer": "p", "unit": "s", "values": [3, 8, 4]})["ratio"])
print(compare({"name": "a", "value": 200}, {"peer": "p", "unit": "clips/s", "values": [50]})["ratio"])
)");
  const test::CommandResult result =
      tool("cd tools/peers && PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=. python3 '" + (folder / "check.py").string() + "'");
  CHECK(result.output ==
        "['torch_gpu.py', 'train_step/paper', 'tf32'] ['torch_gpu.py', 'runs28/together', 'fp32']\n"
        "['torchaudio_mfcc_gpu.py'] None None\n2.0\n4.0\n");
}

}  // namespace
}  // namespace genretree
