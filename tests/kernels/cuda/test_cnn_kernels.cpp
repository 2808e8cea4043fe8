// The CNN's own kernels in every order, by hand and against plain loops; recorded steps; rows that must not meet.
#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/cuda/cnn_kernels.hpp"
#include "kernels/cuda/libraries/blas.hpp"
#include "kernels/cuda/libraries/convolution.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/cuda_libraries/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;
using emulator::all_orders;
using emulator::Emulator;
using test::OnDevice;

namespace {

constexpr float not_written = std::numeric_limits<float>::quiet_NaN();
constexpr cuda::LayerDropout no_dropout{};

std::vector<float> counting(std::size_t size) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

}  // namespace

TEST_CASE("images have a channel for each neighbouring frame, a border of zeros, and none of what does not count") {
  // two clips are laid out and one counts: x [3 frames, 2 clips, 2 bands]
  const std::vector<float> x{1,           2,           not_written, not_written, 3,           4,
                             not_written, not_written, 5,           6,           not_written, not_written};
  const auto layout = cuda::ImageLayout::bordered(2, {2, 2, 2});
  REQUIRE(layout.size() == 2 * 2 * 5 * 5);
  for (Emulator& emulator : all_orders()) {
    std::vector<float> images(layout.size(), not_written), expected(layout.size(), 0);
    cuda::make_images(x.data(), 2, 1, nullptr, nullptr, layout, images.data(), &emulator);
    for (std::size_t channel = 0; channel < 2; ++channel)
      for (std::size_t row = 0; row < 2; ++row)
        for (std::size_t column = 0; column < 2; ++column)
          expected[(channel * 5 + row + 1) * 5 + column + 1] = static_cast<float>(1 + 2 * (row + channel) + column);
    CHECK(images == expected);

    const std::vector<float> mean{1, 0}, scale{10, -1};
    cuda::make_images(x.data(), 2, 1, mean.data(), scale.data(), layout, images.data(), &emulator);
    CHECK(images[1 * 5 + 1] == 0);   // (1 - 1) · 10
    CHECK(images[2 * 5 + 1] == 20);  // (3 - 1) · 10
    CHECK(images[2 * 5 + 2] == -4);
    CHECK(images[0] == 0);  // the border is not standardised
  }
}

TEST_CASE("kernels change places with cuDNN's and back") {
  const std::size_t in = 3, filters = 5;
  const std::vector<float> kernel = counting(16 * in * filters);
  for (Emulator& emulator : all_orders()) {
    std::vector<float> arranged(kernel.size(), not_written), restored(kernel.size(), not_written);
    cuda::arrange_kernel(kernel.data(), in, filters, arranged.data(), &emulator);
    cuda::restore_kernel(arranged.data(), in, filters, restored.data(), &emulator);
    CHECK(restored == kernel);
    // row 1, column 2, input 1, filter 4
    CHECK(arranged[((4 * in + 1) * 4 + 1) * 4 + 2] == kernel[((1 * 4 + 2) * in + 1) * filters + 4]);
  }
}

TEST_CASE("pooling takes the first of equals, adds the bias, cuts below 0, and its gradient goes where it was found") {
  // one filter, 3 × 3 pooled by 2: windows of rows {0, 1} and {2}, for TensorFlow adds its odd zero behind
  const cuda::Pooling pooling(1, {3, 3, 1}, {2, 2, 1}, 2);
  CHECK(pooling.above == 0);
  const std::vector<float> convolved{5, 1, -9,  //
                                     5, 5, -8,  //
                                     2, 3, -1};
  const float bias = -3;
  const auto layout = cuda::ImageLayout::bordered(1, {2, 2, 1});
  std::vector<float> doutput(layout.size(), not_written);
  const auto at = [](std::size_t row, std::size_t column) { return (row + 1) * 5 + column + 1; };
  doutput[at(0, 0)] = 7, doutput[at(0, 1)] = 11, doutput[at(1, 0)] = 13, doutput[at(1, 1)] = 17;
  for (Emulator& emulator : all_orders()) {
    std::vector<float> output(layout.size(), not_written), expected(layout.size(), 0), dconvolved(9, not_written);
    std::vector<std::uint32_t> maxima(4, 99);
    cuda::pool_forward(pooling, convolved.data(), &bias, no_dropout, layout, output.data(), maxima.data(), &emulator);
    expected[at(0, 0)] = 2;  // 5 - 3; all others are not above 0, 3 - 3 among them
    CHECK(output == expected);
    CHECK(maxima == std::vector<std::uint32_t>{0, cuda::no_maximum, cuda::no_maximum, cuda::no_maximum});

    float dbias = 100;
    cuda::pool_backward(pooling, maxima.data(), layout, doutput.data(), 2, dconvolved.data(), &dbias, &emulator);
    CHECK(dconvolved == std::vector<float>{14, 0, 0, 0, 0, 0, 0, 0, 0});
    CHECK(dbias == 114);
  }
}

TEST_CASE(
    "pooling of odd sizes, its gradient and that of the bias are those of plain loops, with the same bits always") {
  const std::size_t clips = 5, filters = 3, size = 4;
  const CnnConfig::Image convolved{9, 6, filters}, pooled{3, 2, filters};
  const cuda::Pooling pooling(clips, convolved, pooled, size);
  CHECK(pooling.above == 1);  // 12 rows are covered, 1 before and 2 after
  CHECK(pooling.left == 1);
  const std::vector<float> values = test::normal_numbers(pooling.in.size(), 1), bias = test::normal_numbers(filters, 2),
                           doutput = test::normal_numbers(clips * pooled.size(), 3);
  const RandomKey key{.seed = 4, .use = RandomUse::dropout};
  const cuda::LayerDropout dropout{cuda::Dropout(key, 0.25), 1000, 77};
  const auto layout = cuda::ImageLayout::flat(clips, pooled);
  std::vector<float> expected(clips * pooled.size()), dexpected(values.size(), 0);
  std::vector<double> dbias_expected(filters, 1);
  for (std::size_t clip = 0; clip < clips; ++clip)
    for (std::size_t row = 0; row < pooled.rows; ++row)
      for (std::size_t column = 0; column < pooled.columns; ++column)
        for (std::size_t o = 0; o < filters; ++o) {
          std::size_t best = 0;
          float largest = -std::numeric_limits<float>::infinity();
          for (std::size_t y = 0; y < convolved.rows; ++y)
            for (std::size_t x = 0; x < convolved.columns; ++x) {
              if ((y + 1) / size != row || (x + 1) / size != column) continue;
              const std::size_t place = ((clip * filters + o) * convolved.rows + y) * convolved.columns + x;
              if (values[place] > largest) largest = values[place], best = place;
            }
          const std::size_t number = (row * pooled.columns + column) * filters + o, e = clip * pooled.size() + number;
          const float mask = Random(key).uniform_at(1000 + 77 * clip + number) >= 0.25f ? 1 / 0.75f : 0;
          expected[e] = std::max(largest + bias[o], 0.0f) * mask;
          if (expected[e] == 0) continue;
          dexpected[best] = doutput[e] * (1 / 0.75f);
          dbias_expected[o] += doutput[e] * (1 / 0.75f);
        }
  std::vector<float> first;
  for (Emulator& emulator : all_orders()) {
    std::vector<float> output(expected.size(), not_written), evaluated(expected.size(), not_written),
        dconvolved(values.size(), not_written), dbias(filters, 1);
    std::vector<std::uint32_t> maxima(expected.size());
    cuda::pool_forward(pooling, values.data(), bias.data(), dropout, layout, output.data(), maxima.data(), &emulator);
    cuda::pool_forward(pooling, values.data(), bias.data(), dropout, layout, evaluated.data(), nullptr, &emulator);
    cuda::pool_backward(pooling, maxima.data(), layout, doutput.data(), dropout.dropout.scale, dconvolved.data(),
                        dbias.data(), &emulator);
    CHECK(output == expected);
    CHECK(evaluated == expected);
    CHECK(dconvolved == dexpected);
    CHECK(test::relative_difference<float, double>(dbias, dbias_expected) < 1e-6);
    if (first.empty()) first = dbias;
    CHECK(dbias == first);
  }
}

TEST_CASE("the hidden layer's activation and its gradient, in place") {
  const std::vector<float> bias{1, -2, 0};
  for (Emulator& emulator : all_orders()) {
    std::vector<float> hidden{1, 1, 5, -3, 4, -1}, dhidden{10, 20, 30, 40, 50, 60}, dbias{1, 1, 1};
    cuda::activate_hidden(2, 3, bias.data(), no_dropout, hidden.data(), &emulator);
    CHECK(hidden == std::vector<float>{2, 0, 5, 0, 2, 0});
    cuda::activate_hidden_backward(2, 3, hidden.data(), 2, dhidden.data(), dbias.data(), &emulator);
    CHECK(dhidden == std::vector<float>{20, 0, 60, 0, 100, 0});
    CHECK(dbias == std::vector<float>{21, 101, 61});
  }
}

TEST_CASE("the twins of cuBLAS and cuDNN: transposed matrices, what is added and what is written") {
  const auto device = cuda::make_device();
  const auto queue = device->make_queue();
  // a = (1 2 3; 4 5 6), b = (1 2; 3 4; 5 6), a · b = (22 28; 49 64)
  OnDevice<float> a(*queue, counting(6)), b(*queue, counting(6)), a_transposed(*queue, {1, 4, 2, 5, 3, 6}),
      b_transposed(*queue, {1, 3, 5, 2, 4, 6});
  for (const bool turn_a : {false, true})
    for (const bool turn_b : {false, true}) {
      OnDevice<float> c(*queue, 4, 100);
      for (const bool add : {false, true})
        cuda::multiply({2, 2, 3, (turn_a ? a_transposed : a).view(6).data, turn_a,
                        (turn_b ? b_transposed : b).view(6).data, turn_b, c.view(4).data, add},
                       *queue);
      CHECK(c.host() == std::vector<float>{44, 56, 98, 128});
    }

  // one image of 2 × 3, one kernel of 2 × 2: two windows
  const auto convolution = cuda::make_convolution({1, 1, 2, 3, 1, 2});
  OnDevice<float> image(*queue, counting(6)), kernel(*queue, {1, 10, 100, 1000}), output(*queue, 2, not_written),
      doutput(*queue, {1, 2}), dkernel(*queue, 4, 1), dimage(*queue, 6, not_written);
  convolution->forward(image.view(6).data, kernel.view(4).data, output.view(2).data, *queue);
  convolution->add_kernel_gradient(image.view(6).data, doutput.view(2).data, dkernel.view(4).data, *queue);
  convolution->input_gradient(kernel.view(4).data, doutput.view(2).data, dimage.view(6).data, *queue);
  CHECK(output.host() == std::vector<float>{5421, 6532});
  CHECK(dkernel.host() == std::vector<float>{1 + 1 + 4, 1 + 2 + 6, 1 + 4 + 10, 1 + 5 + 12});
  CHECK(dimage.host() == std::vector<float>{1, 12, 20, 100, 1200, 2000});
}

namespace {

const CnnConfig config{.frames = 9, .bands = 5, .channels = 2, .stages = {{3, 2}, {4, 3}}, .units = 6};
constexpr std::size_t classes = 3;

struct Output {
  std::vector<float> probabilities, gradients;
  std::vector<double> loss;
  bool operator==(const Output&) const = default;
};

/// `steps` steps of training without dropout on [1, T, rows, F], the last one's results.
Output train(Backend& backend, std::size_t rows, const std::vector<float>& features, std::size_t steps, bool recorded) {
  const auto queue = backend.device().make_queue();
  const Group group{1, rows, config.feature_frames(), classes, {static_cast<std::uint32_t>(rows)}, {classes}};
  const auto state = backend.make_cnn_state(config, group, Mode::training);
  const std::size_t size = CnnLayout(config, classes).size;
  std::vector<std::int32_t> genres(rows);
  for (std::size_t b = 0; b < rows; ++b) genres[b] = static_cast<std::int32_t>(b % classes);
  OnDevice<float> parameters(*queue, test::normal_numbers(size, 1, 0.3)), x(*queue, features),
      gradients(*queue, size, 7), moments(*queue, 2 * size, 0), probabilities(*queue, rows * classes, 7);
  OnDevice<std::int32_t> labels(*queue, genres), correct(*queue, 1, 7);
  OnDevice<std::int64_t> counted(*queue, 1, 0);
  OnDevice<double> loss(*queue, 1, 7);
  std::unique_ptr<Recording> recording;
  const auto step = [&] {
    backend.cnn_step(config, group, Loss::logits, parameters.view(1, size), x.view(1, group.frames, rows, config.bands),
                     labels.view(1, rows), {}, *state, probabilities.view(1, rows, classes), loss.view(1),
                     correct.view(1), gradients.view(1, size), *queue);
    backend.update({}, group, {}, counted.view(1), parameters.view(1, size), gradients.view(1, size),
                   moments.view(1, 2, size), {}, *queue);
  };
  for (std::size_t s = 0; s < steps; ++s) {
    if (recorded)
      queue->repeat(recording, step);
    else
      step();
  }
  return {probabilities.host(), gradients.host(), loss.host()};
}

}  // namespace

TEST_CASE("recorded steps of the CNN train as those that are not") {
  const std::size_t rows = 18;  // more than go through at once
  const std::vector<float> x = test::normal_numbers(config.feature_frames() * rows * config.bands, 2);
  test::for_each_backend("fp32", [&](Backend& backend) {
    const Output once = train(backend, rows, x, 1, false), plain = train(backend, rows, x, 4, false);
    CHECK(plain.loss[0] < once.loss[0]);
    CHECK((train(backend, rows, x, 4, true) == plain));
  });
}

TEST_CASE("a clip has the same probabilities whatever lies beside it") {
  const std::size_t rows = 18, frames = config.feature_frames(), bands = config.bands;
  const std::vector<float> x = test::normal_numbers(frames * rows * bands, 2);
  std::vector<float> others = test::normal_numbers(frames * rows * bands, 3, 100);
  for (std::size_t t = 0; t < frames; ++t)
    for (const std::size_t b : {std::size_t{3}, std::size_t{17}})
      std::copy_n(&x[(t * rows + b) * bands], bands, &others[(t * rows + b) * bands]);
  test::for_each_backend("fp32", [&](Backend& backend) {
    const Output one = train(backend, rows, x, 1, false), other = train(backend, rows, others, 1, false);
    CHECK(one.probabilities != other.probabilities);
    for (const std::size_t b : {std::size_t{3}, std::size_t{17}})
      CHECK(std::equal(&one.probabilities[b * classes], &one.probabilities[(b + 1) * classes],
                       &other.probabilities[b * classes]));
  });
}
