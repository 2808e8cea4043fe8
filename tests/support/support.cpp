#define CATCH_CONFIG_RUNNER
#include <array>
#include <cstdio>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/support/support.hpp"

namespace genretree::test {
namespace fs = std::filesystem;
namespace {

bool skipped_now = false;
int passed = 0, failed = 0, skipped = 0;

/// Counts test cases, skips apart.
struct CountingListener : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo&) override { skipped_now = false; }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    if (!stats.totals.assertions.allOk())
      ++failed;
    else
      ++(skipped_now ? skipped : passed);
  }
};
CATCH_REGISTER_LISTENER(CountingListener)

}  // namespace

void skip(const std::string& reason) {
  skipped_now = true;
  std::printf("SKIPPED: %s: %s\n", Catch::getResultCapture().getCurrentTestName().c_str(), reason.c_str());
}

fs::path golden(const std::string& name) {
  const fs::path path = fs::path(GENRETREE_GOLDEN) / name;
  INFO("the golden file " << path << " is part of the project");
  REQUIRE(fs::exists(path));
  return path;
}

fs::path shared(const std::string& name) {
  const fs::path path = fs::path(GENRETREE_SHARED) / name;
  return fs::exists(path) ? fs::canonical(path) : fs::path();
}

fs::path program(const std::string& name) { return fs::path(GENRETREE_BIN) / name; }

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "genretree-test-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

CommandResult run_command(const std::string& command_line) {
  CommandResult result{-1, ""};
  std::FILE* pipe = popen((command_line + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  std::array<char, 4096> chunk;
  while (const std::size_t n = fread(chunk.data(), 1, chunk.size(), pipe)) result.output.append(chunk.data(), n);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace genretree::test

int main(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  std::printf("%d passed, %d failed, %d skipped\n", genretree::test::passed, genretree::test::failed,
              genretree::test::skipped);
  return result;
}
