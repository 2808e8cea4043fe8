// The real cuDNN takes our descriptors of LSTM layers, on any machine: it makes and checks them without a GPU. What it
// has not got on a GPU it says only when a layer is made or computed there.
#include <array>
#include <numeric>
#include <vector>

#include "kernels/cuda/libraries/rnn_descriptors.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using cuda::RnnConfig;
using cuda::RnnDescriptors;

namespace {

/// Layers of the paper's network and of others, some with odd sizes, over long and short sequences.
std::vector<RnnConfig> layers() {
  std::vector<RnnConfig> configs{
      {13, 128, 1293, 35}, {128, 32, 1293, 35}, {1, 1, 1, 1}, {33, 17, 128, 15}, {200, 129, 3, 60}};
  for (const std::size_t units : {16, 32, 64, 96, 128, 192, 256}) configs.push_back({14, units, 1293, 25});
  return configs;
}

/// What the library has kept of what it was told.
void check_descriptors(const RnnDescriptors& descriptors, const RnnConfig& config) {
  cudnnRNNAlgo_t algorithm{};
  cudnnRNNMode_t cell{};
  cudnnRNNBiasMode_t bias{};
  cudnnDirectionMode_t direction{};
  cudnnRNNInputMode_t input{};
  cudnnDataType_t type{}, precision{};
  cudnnMathType_t math{};
  std::int32_t inputs = 0, units = 0, projection = 0, layers = 0;
  cudnnDropoutDescriptor_t dropout{};
  std::uint32_t flags = 0;
  REQUIRE(cudnnGetRNNDescriptor_v8(descriptors.rnn(), &algorithm, &cell, &bias, &direction, &input, &type, &precision,
                                   &math, &inputs, &units, &projection, &layers, &dropout,
                                   &flags) == CUDNN_STATUS_SUCCESS);
  CHECK(cell == CUDNN_LSTM);
  CHECK(bias == CUDNN_RNN_DOUBLE_BIAS);
  CHECK(direction == CUDNN_UNIDIRECTIONAL);
  CHECK(input == CUDNN_LINEAR_INPUT);
  CHECK((type == CUDNN_DATA_FLOAT && precision == CUDNN_DATA_FLOAT));
  CHECK(math == (config.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH));
  CHECK(static_cast<std::size_t>(inputs) == config.inputs);
  CHECK(static_cast<std::size_t>(units) == config.units);
  CHECK((projection == units && layers == 1));
  CHECK(flags == CUDNN_RNN_PADDED_IO_ENABLED);

  const auto check_data = [&](cudnnRNNDataDescriptor_t data, std::size_t width) {
    cudnnRNNDataLayout_t layout{};
    int frames = 0, batch = 0, vector = 0;
    float fill = 0;
    std::vector<int> lengths(config.batch);
    REQUIRE(cudnnGetRNNDataDescriptor(data, &type, &layout, &frames, &batch, &vector, static_cast<int>(config.batch),
                                      lengths.data(), &fill) == CUDNN_STATUS_SUCCESS);
    CHECK(layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED);
    CHECK(static_cast<std::size_t>(frames) == config.frames);
    CHECK(static_cast<std::size_t>(batch) == config.batch);
    CHECK(static_cast<std::size_t>(vector) == width);
    CHECK(lengths == std::vector<int>(config.batch, frames));
  };
  check_data(descriptors.x(), config.inputs);
  check_data(descriptors.y(), config.units);

  std::array<int, 3> shape{}, strides{};
  int dimensions = 0;
  REQUIRE(cudnnGetTensorNdDescriptor(descriptors.state(), 3, &type, &dimensions, shape.data(), strides.data()) ==
          CUDNN_STATUS_SUCCESS);
  const int batch = static_cast<int>(config.batch);
  CHECK((dimensions == 3 && shape == std::array{1, batch, units} && strides == std::array{batch * units, units, 1}));
}

}  // namespace

// With CUDNN_RNN_SINGLE_INP_BIAS, which would be Keras's, cuDNN 9.19 takes those of standard alone: "biasMode !=
// CUDNN_RNN_DOUBLE_BIAS && algo != CUDNN_RNN_ALGO_STANDARD" is NOT_SUPPORTED, and with it go all persistent algorithms.
TEST_CASE("cuDNN takes the descriptors of every layer, for each algorithm") {
  for (RnnConfig config : layers())
    for (const bool tf32 : {false, true})
      for (const auto& [name, algorithm] : cuda::rnn_algorithms) {
        config.tf32 = tf32, config.algorithm = algorithm;
        INFO(description(config) << (tf32 ? ", tf32" : ""));
        check_descriptors(RnnDescriptors(config), config);
      }
}

TEST_CASE("what cuDNN says of sizes that cannot be comes with the call and the layer") {
  CHECK_THROWS_WITH(RnnDescriptors({13, 0, 10, 35}),
                    Catch::Contains("cudnnSetRNNDescriptor_v8") && Catch::Contains("CUDNN_STATUS_BAD_PARAM") &&
                        Catch::Contains("13 inputs and 0 units over 35 rows of 10 frames"));
  CHECK_THROWS_WITH(RnnDescriptors({13, 8, 0, 35}), Catch::Contains("cudnnSetRNNDataDescriptor"));
  CHECK_THAT(test::error_of([] { RnnDescriptors({13, 8, std::size_t{1} << 32, 35}); }), Catch::Contains("too large"));
}

TEST_CASE("the version of cuDNN that is loaded is the one whose header was compiled") {
  CHECK(cudnnGetVersion() / 10000 == CUDNN_MAJOR);
  CHECK(cudnnGetVersion() >= CUDNN_VERSION);
  CHECK(cudnnAdvVersionCheck() == CUDNN_STATUS_SUCCESS);
}
