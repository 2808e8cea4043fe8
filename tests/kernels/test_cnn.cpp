// The CNN of every backend against the definition; the definition against Keras, finite differences, and by hand.
#include <numeric>
#include <thread>

#include "core/io/hdf5.hpp"
#include "kernels/reference/backend.hpp"
#include "kernels/reference/cnn.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

/// A batch of a group of runs with random content.
struct CnnProblem {
  CnnConfig config;
  Group group;
  std::vector<float> parameters, x;
  std::vector<std::int32_t> labels;
  std::vector<RandomKey> keys;  ///< empty: no dropout

  CnnProblem(const CnnConfig& cnn, std::size_t runs, std::size_t batch, std::size_t classes) : config(cnn) {
    group = {runs, batch, cnn.feature_frames(), classes, {}, {}};
    group.rows.assign(runs, static_cast<std::uint32_t>(batch));
    group.class_counts.assign(runs, static_cast<std::uint32_t>(classes));
    parameters = test::normal_numbers(runs * parameter_count(), 1, 0.2);
    x = test::normal_numbers(runs * group.frames * batch * cnn.bands, 2);
    for (std::size_t row = 0; row < runs * batch; ++row) labels.push_back(static_cast<std::int32_t>(row % classes));
  }

  std::size_t parameter_count() const { return CnnLayout(config, group.classes).size; }
};

struct CnnOutput {
  std::vector<float> probabilities, gradients;
  std::vector<double> loss;
  std::vector<std::int32_t> correct;
};

enum class Do { step, evaluate };

CnnOutput run(Backend& backend, const CnnProblem& p, Do what, Loss kind, CnnState& state) {
  const auto queue = backend.device().make_queue();
  const auto [runs, batch, frames, classes, rows, counts] = p.group;
  test::OnDevice<float> parameters(*queue, p.parameters), x(*queue, p.x);
  test::OnDevice<std::int32_t> labels(*queue, p.labels);
  test::OnDevice<float> probabilities(*queue, runs * batch * classes, test::untouched),
      gradients(*queue, p.parameters.size(), test::untouched);
  test::OnDevice<double> loss(*queue, runs, 0);
  test::OnDevice<std::int32_t> correct(*queue, runs, 0);
  const auto parameter_view = parameters.view(runs, p.parameter_count());
  const auto x_view = x.view(runs, frames, batch, p.config.bands);
  const auto probability_view = probabilities.view(runs, batch, classes);
  if (what == Do::step)
    backend.cnn_step(p.config, p.group, kind, parameter_view, x_view, labels.view(runs, batch), p.keys, state,
                     probability_view, loss.view(runs), correct.view(runs), gradients.view(runs, p.parameter_count()),
                     *queue);
  else
    backend.cnn_evaluate(p.config, p.group, kind, parameter_view, x_view, labels.view(runs, batch), state,
                         probability_view, loss.view(runs), correct.view(runs), *queue);
  return {probabilities.host(), gradients.host(), loss.host(), correct.host()};
}

CnnOutput run(Backend& backend, const CnnProblem& p, Do what = Do::step, Loss kind = Loss::logits) {
  return run(backend, p, what, kind,
             *backend.make_cnn_state(p.config, p.group, what == Do::step ? Mode::training : Mode::inference));
}

/// Each tensor of the gradient by itself, so that a small one cannot hide behind a large one.
std::vector<CnnLayout::Tensor> tensors_of(const CnnLayout& layout) {
  std::vector<CnnLayout::Tensor> tensors;
  for (const CnnLayout::Layer& layer : layout.stages) tensors.insert(tensors.end(), {layer.kernel, layer.bias});
  for (const CnnLayout::Layer& layer : {layout.hidden, layout.output})
    tensors.insert(tensors.end(), {layer.kernel, layer.bias});
  return tensors;
}

void check_close(const CnnProblem& p, const CnnOutput& result, const CnnOutput& expected) {
  const CnnLayout layout(p.config, p.group.classes);
  for (std::size_t r = 0; r < p.group.runs; ++r) {
    if (p.group.rows[r] == 0) continue;
    INFO("run " << r);
    const std::size_t counted = p.group.rows[r] * p.group.classes, first = r * p.group.batch * p.group.classes;
    CHECK(test::relative_difference<float, float>(std::span(result.probabilities).subspan(first, counted),
                                                  std::span(expected.probabilities).subspan(first, counted)) < 2e-6);
    for (const CnnLayout::Tensor& tensor : tensors_of(layout)) {
      INFO("tensor at " << tensor.offset);
      const std::size_t begin = r * layout.size + tensor.offset;
      CHECK(test::relative_difference<float, float>(std::span(result.gradients).subspan(begin, tensor.size()),
                                                    std::span(expected.gradients).subspan(begin, tensor.size())) <
            1e-5);
    }
  }
  CHECK(test::relative_difference<double, double>(result.loss, expected.loss) < 2e-6);
  CHECK(result.correct == expected.correct);
}

// Sizes that no pooling divides, from images smaller than a kernel to filters that fill no vector.
const CnnConfig small{.frames = 19, .bands = 13, .channels = 2, .stages = {{3, 4}, {5, 2}, {2, 2}}, .units = 4};
const CnnConfig thin{.frames = 9, .bands = 2, .channels = 5, .stages = {{17, 3}, {6, 2}}, .units = 5};
const CnnConfig tiny{.frames = 2, .bands = 1, .channels = 1, .stages = {{2, 4}}, .units = 3};
const CnnConfig wide{.frames = 21, .bands = 16, .channels = 2, .stages = {{33, 4}, {16, 2}}, .units = 20};

}  // namespace

TEST_CASE("the CNN of every backend is the definition's, for odd sizes and more rows than go through at once") {
  const auto definition = reference::make_backend();
  for (const CnnConfig& config : {small, thin, tiny, wide}) {
    CnnProblem p(config, 1, 67, 3);
    const CnnOutput expected = run(*definition, p);
    test::for_each_backend("fp32", [&](Backend& backend) {
      const CnnOutput result = run(backend, p);
      check_close(p, result, expected);
      const CnnOutput evaluated = run(backend, p, Do::evaluate);
      CHECK(test::relative_difference<float, float>(evaluated.probabilities, expected.probabilities) < 2e-6);
      CHECK(evaluated.correct == expected.correct);
    });
  }
}

TEST_CASE("dropout of the CNN draws the definition's masks, whose rows do not depend on the size of the batch") {
  CnnProblem p(small, 2, 66, 3);
  p.config.dropout = 0.25;
  p.keys = {{.seed = 5, .epoch = 2, .use = RandomUse::dropout}, {.seed = 6, .use = RandomUse::dropout}};
  const auto definition = reference::make_backend();
  const CnnOutput expected = run(*definition, p);
  CnnProblem without = p;
  without.keys.clear();
  CHECK(test::max_difference<float, float>(run(*definition, without).gradients, expected.gradients) > 1e-3);
  test::for_each_backend("fp32", [&](Backend& backend) { check_close(p, run(backend, p), expected); });

  const std::vector<double> masks = reference::cnn_masks(p.config, 400, p.keys[0]);
  double sum = 0;
  for (const double mask : masks) sum += mask;
  CHECK(sum / static_cast<double>(masks.size()) == Approx(1).margin(0.02));
  const std::vector<double> fewer = reference::cnn_masks(p.config, 7, p.keys[0]);
  CHECK(std::equal(fewer.begin(), fewer.end(), masks.begin()));
}

TEST_CASE("runs with fewer rows and classes, clipped loss, and a state used again for a smaller batch") {
  CnnProblem p(thin, 3, 6, 4);
  p.group.rows = {6, 0, 3};
  p.group.class_counts = {4, 4, 2};
  for (std::size_t b = 12; b < 18; ++b) p.labels[b] %= 2;
  const auto definition = reference::make_backend();
  const CnnOutput expected = run(*definition, p, Do::step, Loss::clipped);
  CnnProblem all_rows = p;
  all_rows.group.rows = {6, 6, 6};
  test::for_each_backend("fp32", [&](Backend& backend) {
    const auto state = backend.make_cnn_state(p.config, p.group, Mode::training);
    run(backend, all_rows, Do::step, Loss::clipped, *state);  // leaves its numbers in the state
    const CnnOutput result = run(backend, p, Do::step, Loss::clipped, *state);
    check_close(p, result, expected);
    CHECK(result.loss[1] == 0);
    CHECK(result.gradients[p.parameter_count()] == test::untouched);  // run 1 has no rows
    CHECK(result.probabilities[12 * 4 + 2] == 0);                     // run 2 has two classes
  });
}

TEST_CASE("a state made for a larger group serves one with fewer classes and a smaller batch") {
  const CnnProblem large(thin, 1, 6, 4), p(thin, 1, 4, 2);
  const CnnOutput expected = run(*reference::make_backend(), p);
  test::for_each_backend("fp32", [&](Backend& backend) {
    const auto state = backend.make_cnn_state(large.config, large.group, Mode::training);
    check_close(p, run(backend, p, Do::step, Loss::logits, *state), expected);
  });
}

TEST_CASE("standardised inputs: what the mean and scale make of them; their gradient is 0") {
  CnnProblem p(small, 1, 4, 3);
  CnnProblem standardised = p;
  standardised.config.standardise = true;
  const std::vector<float> statistics = test::normal_numbers(2 * small.bands, 7);
  standardised.parameters.insert(standardised.parameters.begin(), statistics.begin(), statistics.end());
  for (std::size_t i = 0; i < p.x.size(); ++i) {
    const std::size_t band = i % small.bands;
    p.x[i] = (p.x[i] - statistics[band]) * statistics[small.bands + band];
  }
  const auto check = [&](Backend& backend) {
    const CnnOutput plain = run(backend, p), result = run(backend, standardised);
    CHECK(test::max_difference<float, float>(result.probabilities, plain.probabilities) < 1e-6);
    for (std::size_t e = 0; e < statistics.size(); ++e) CHECK(result.gradients[e] == 0);
    CHECK(test::relative_difference<float, float>(std::span(result.gradients).subspan(statistics.size()),
                                                  plain.gradients) < 1e-5);
  };
  check(*reference::make_backend());
  test::for_each_backend("fp32", check);
}

TEST_CASE("the definition's gradient of the CNN is the slope of its loss, for every kind of parameter") {
  CnnConfig config = small;
  config.dropout = 0.25;
  const CnnLayout layout(config, 3);
  const std::vector<std::int32_t> labels{2, 0, 1};
  const std::vector<float> weights = test::normal_numbers(layout.size, 3, 0.3),
                           inputs = test::normal_numbers(config.feature_frames() * 3 * config.bands, 4);
  std::vector<double> parameters(weights.begin(), weights.end());
  const std::vector<double> x(inputs.begin(), inputs.end()),
      masks = reference::cnn_masks(config, 3, {.seed = 9, .use = RandomUse::dropout});
  const auto at_parameters = [&] {
    return reference::cnn(config, 3, Loss::logits, parameters,
                          view_of(x.data(), config.feature_frames(), std::size_t{3}, config.bands), labels, masks);
  };
  const std::vector<double> gradients = at_parameters().gradients;
  for (const CnnLayout::Tensor& tensor : tensors_of(layout))
    for (std::size_t step = 0; step < 5; ++step) {  // numbers all over the tensor
      const std::size_t e = tensor.offset + step * (tensor.size() - 1) / 4;
      const double saved = parameters[e], h = 1e-6;
      parameters[e] = saved + h;
      const double above = at_parameters().loss;
      parameters[e] = saved - h;
      const double below = at_parameters().loss;
      parameters[e] = saved;
      INFO("parameter " << e);
      CHECK(gradients[e] == Approx((above - below) / (2 * h) / 3).margin(1e-8).epsilon(1e-5));
    }
}

TEST_CASE("the definition's CNN agrees with Keras to the last digits, edges, pools and dropout") {
  const Hdf5File file = Hdf5File::open(test::golden("keras_cnn.h5"));
  for (const std::string name : {"three_stages", "thin", "dropout"}) {
    INFO(name);
    const auto number = [&](const char* key) {
      return static_cast<std::size_t>(file.attribute<std::int64_t>("/" + name, key));
    };
    const auto doubles = [&](const std::string& key) { return file.read<double>("/" + name + "/" + key).values; };
    CnnConfig config{.frames = number("frames"), .bands = number("bands"), .channels = number("channels")};
    config.units = number("units");
    const auto filters = file.read<std::int64_t>("/" + name + "/filters").values,
               pools = file.read<std::int64_t>("/" + name + "/pools").values;
    for (std::size_t s = 0; s < filters.size(); ++s)
      config.stages.push_back({static_cast<std::size_t>(filters[s]), static_cast<std::size_t>(pools[s])});
    const std::vector<double> x = doubles("x"), weights = doubles("weights");
    const auto labels = file.read<std::int32_t>("/" + name + "/labels").values;
    REQUIRE(weights.size() == CnnLayout(config, 3).size);
    const reference::CnnResult result = reference::cnn(
        config, 3, Loss::logits, weights, view_of(x.data(), config.feature_frames(), labels.size(), config.bands),
        labels, name == "dropout" ? doubles("masks") : std::vector<double>());
    CHECK(result.loss / 3 == Approx(doubles("loss")[0]).epsilon(1e-12));
    CHECK(test::max_difference<double, double>(result.probabilities, doubles("probabilities")) < 1e-12);
    CHECK(test::relative_difference<double, double>(result.gradients, doubles("gradient")) < 1e-11);
  }
}

TEST_CASE("of equal numbers in a pool the first alone has the gradient, and none that are not above 0") {
  // One filter that copies its pixel (tap (1, 1), for the padding is 1 above and to the left), one pool over it all.
  CnnProblem p({.frames = 2, .bands = 2, .channels = 1, .stages = {{1, 2}}, .units = 1}, 1, 2, 2);
  const CnnLayout layout(p.config, 2);
  std::fill(p.parameters.begin(), p.parameters.end(), 0.0f);
  p.parameters[layout.stages[0].kernel.offset + 5] = 1;
  p.parameters[layout.hidden.kernel.offset] = 1;
  p.parameters[layout.output.kernel.offset] = 2, p.parameters[layout.output.kernel.offset + 1] = -2;
  p.labels = {1, 1};
  // x [T, B, F]; clip 0 is (3, 7; 7, 7): its first 7 is at (0, 1). Clip 1 is below 0 throughout
  p.x = {3, 7, -1, -2, 7, 7, -3, -1};
  const auto check = [&](Backend& backend) {
    const CnnOutput result = run(backend, p);
    // logits (14, -14) and (0, 0); only clip 0 passes a gradient on: (1 · 2 + -1 · -2) / 2 clips = 2
    CHECK(result.gradients[layout.stages[0].bias.offset] == Approx(2));
    // the tap at (1 + i, 1 + j) multiplies the pixel at (0 + i, 1 + j)
    const float* kernel = &result.gradients[layout.stages[0].kernel.offset];
    CHECK(kernel[5] == Approx(2 * 7));  // itself
    CHECK(kernel[4] == Approx(2 * 3));  // to its left
    CHECK(kernel[9] == Approx(2 * 7));  // below
    CHECK(kernel[8] == Approx(2 * 7));  // below to the left
    CHECK(kernel[6] == 0);              // beyond the edge
    CHECK(result.loss[0] == Approx(28 + std::log(2)));
  };
  check(*reference::make_backend());
  test::for_each_backend("fp32", check);
}

TEST_CASE("CNNs side by side on threads of their own give the bits of one alone") {
  CnnProblem p(wide, 1, 19, 3);
  p.config.dropout = 0.25;
  p.keys = {{.seed = 5, .use = RandomUse::dropout}};
  test::for_each_backend("fp32", [&](Backend& backend) {
    const CnnOutput alone = run(backend, p);
    CnnOutput first, second;
    {
      std::jthread one([&] { first = run(backend, p); });
      std::jthread two([&] { second = run(backend, p); });
    }
    CHECK(first.gradients == alone.gradients);
    CHECK(second.gradients == alone.gradients);
    CHECK(first.loss == alone.loss);
  });
}

TEST_CASE("the shapes of the paper's baseline: images, parameters, memory that does not grow with the batch") {
  const CnnConfig mel{
      .frames = 599, .bands = 128, .channels = 2, .stages = {{149, 4}, {73, 2}, {35, 2}}, .units = 8192};
  CHECK(mel.feature_frames() == 600);
  CHECK((mel.image(1).rows == 150 && mel.image(1).columns == 32 && mel.image(1).channels == 149));
  CHECK((mel.image(3).rows == 38 && mel.image(3).columns == 8 && mel.image(3).channels == 35));
  // 4·4·2·149 + 149, 4·4·149·73 + 73, 4·4·73·35 + 35, 38·8·35·8192 + 8192, 8192·10 + 10
  CHECK(CnnLayout(mel, 10).size == 4'917 + 174'105 + 40'915 + 87'171'072 + 81'930);
  const CnnConfig mfcc{.frames = 599, .bands = 13, .channels = 5, .stages = {{149, 4}, {73, 2}}, .units = 1024};
  CHECK(mfcc.image(2).size() == 75 * 2 * 73);

  test::for_each_backend("fp32", [&](Backend& backend) {
    const auto bytes = [&](std::size_t batch, Mode mode) {
      return backend.make_cnn_state(wide, {1, batch, wide.feature_frames(), 3, {}, {}}, mode)->bytes();
    };
    CHECK(bytes(16, Mode::inference) < bytes(16, Mode::training));
    CHECK(bytes(1000, Mode::training) == bytes(64, Mode::training));  // a backend takes 64 rows at once, or fewer
  });
}
