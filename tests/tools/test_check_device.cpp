#include "kernels/backends.hpp"
#include "tests/support/support.hpp"

namespace genretree {
namespace {

TEST_CASE("check_device: names machine, backends and targets, and checks every operation of the contract") {
  const test::CommandResult result = test::run_command(test::program("check_device").string());
  INFO(result.output);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains("machine") && Catch::Contains("backend cpu") && Catch::Contains("HDF5"));
  for (const std::string& precision : backend_precisions("cpu"))
    for (const std::string& target : backend_targets("cpu", precision))
      CHECK_THAT(result.output, Catch::Contains(precision) && Catch::Contains(target));
  for (const char* operation :
       {"spectral_features, mfcc", "gather", "dropout_masks", "stack_forward, inference", "stack_forward and _backward",
        "classify_loss", "adam", "rmsprop", "sgd", "training steps, repeated", "on two queues"})
    CHECK_THAT(result.output, Catch::Contains(operation));
  CHECK_THAT(result.output, Catch::Contains("checks passed in") && !Catch::Contains("FAILED"));
  CHECK(test::run_command(test::program("check_device").string() + " --backend abacus").exit_code == 65);
}

}  // namespace
}  // namespace genretree
