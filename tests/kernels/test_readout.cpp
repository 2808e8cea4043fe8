// What lies between the passes of a network and behind the last: copied columns, and the readout of an LSTM's outputs.
#include <algorithm>

#include "kernels/reference/backend.hpp"
#include "tests/kernels/problem.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

namespace {

constexpr Readout kinds[] = {Readout::last, Readout::mean, Readout::max, Readout::mean_max};

/// Runs [first, first + 1) of values [R, …].
template <class T>
std::vector<T> part_of(const std::vector<T>& values, std::size_t runs, std::size_t r) {
  const std::size_t size = values.size() / runs;
  return {values.begin() + static_cast<std::ptrdiff_t>(r * size),
          values.begin() + static_cast<std::ptrdiff_t>((r + 1) * size)};
}

Group alone(const Group& group, std::size_t r) {
  return {1, group.batch, group.frames, group.classes, {group.rows[r]}, {}};
}

/// Three runs with 5, 0 and 2 rows. What the operations know of frames stands in their arrays.
Group three_runs() { return {3, 5, 1, 2, {5, 0, 2}, {}}; }

/// Masks of three runs, which begin behind a few other numbers.
struct Masks {
  static constexpr std::size_t offset = 8;
  std::size_t width;
  std::vector<float> values;  ///< [R, offset + B · width], or empty

  Masks(const Group& group, std::size_t row, bool masked) : width(row) {
    if (masked) values = test::normal_numbers(group.runs * (offset + group.batch * width), 3);
  }
  RowMask on_device(test::OnDevice<float>& buffer, std::size_t runs) const {
    if (values.empty()) return {};
    return {buffer.view(runs, values.size() / runs), offset, width};
  }
};

/// Arguments of the readout.
struct Reading {
  Readout kind;
  std::size_t frames, units, first_column = 0;
  Group group = three_runs();
  std::size_t width = first_column + (kind == Readout::mean_max ? 2 : 1) * units + 3;
  Masks masks{group, width, true};
  std::vector<float> y = test::normal_numbers(group.runs * frames * group.batch * units, 1),
                     dout = test::normal_numbers(group.runs * group.batch * width, 2);

  Reading run_alone(std::size_t r) const {
    Reading one = *this;
    one.group = alone(group, r);
    one.masks.values = part_of(masks.values, group.runs, r);
    one.y = part_of(y, group.runs, r), one.dout = part_of(dout, group.runs, r);
    return one;
  }
};

struct Read {
  std::vector<float> out, dy;  ///< [R, B, W], [R, T, B, H]
};

Read read_out(Backend& backend, const Reading& reading) {
  const auto& [kind, frames, units, first_column, group, width, masks, all_y, all_dout] = reading;
  const auto queue = backend.device().make_queue();
  test::OnDevice<float> y(*queue, all_y), dout(*queue, all_dout), mask_values(*queue, masks.values),
      out(*queue, all_dout.size(), test::untouched), dy(*queue, all_y.size(), test::untouched);
  const RowMask mask = masks.on_device(mask_values, group.runs);
  const auto outputs = [&, frames = frames, units = units](test::OnDevice<float>& values) {
    return values.view(reading.group.runs, frames, reading.group.batch, units);
  };
  backend.readout(kind, group, outputs(y), mask, first_column, out.view(group.runs, group.batch, width), *queue);
  backend.readout_backward(kind, group, outputs(y), mask, first_column, dout.view(group.runs, group.batch, width),
                           outputs(dy), *queue);
  return {out.host(), dy.host()};
}

/// Arguments of copy_columns, whose arrays have rows of 20 and 31 numbers.
struct Copying {
  static constexpr std::size_t frames = 6, from_width = 20, to_width = 31;
  ColumnCopy copy;
  Group group = three_runs();
  Masks masks{group, 17, true};
  std::vector<float> from = test::normal_numbers(group.runs * frames * group.batch * from_width, 1),
                     to = test::normal_numbers(group.runs * frames * group.batch * to_width, 2);

  Copying run_alone(std::size_t r) const {
    Copying one = *this;
    one.group = alone(group, r);
    one.masks.values = part_of(masks.values, group.runs, r);
    one.from = part_of(from, group.runs, r), one.to = part_of(to, group.runs, r);
    return one;
  }
};

/// `to` afterwards.
std::vector<float> copy_columns(Backend& backend, const Copying& copying) {
  const auto queue = backend.device().make_queue();
  const std::size_t runs = copying.group.runs, batch = copying.group.batch;
  test::OnDevice<float> from(*queue, copying.from), to(*queue, copying.to), masks(*queue, copying.masks.values);
  ColumnCopy copy = copying.copy;
  copy.mask = copying.masks.on_device(masks, runs);
  backend.copy_columns(copying.group, copy, from.view(runs, Copying::frames, batch, Copying::from_width),
                       to.view(runs, Copying::frames, batch, Copying::to_width), *queue);
  return to.host();
}

}  // namespace

TEST_CASE("the definition's gradient of a readout is its slope") {
  const auto definition = reference::make_backend();
  for (const Readout kind : kinds)
    for (const std::size_t first_column : {0, 4}) {
      Reading reading{kind, 4, 3, first_column};
      // all outputs of a unit are so far apart that a small step makes no other one the largest
      for (std::size_t e = 0; e < reading.y.size(); ++e) reading.y[e] = 0.5f * static_cast<float>(e * 7 % 61);
      const Read result = read_out(*definition, reading);
      const auto loss = [&] {  // Σ out · dout, of what is written
        const std::vector<float> out = read_out(*definition, reading).out;
        double sum = 0;
        for (std::size_t e = 0; e < out.size(); ++e)
          if (out[e] != test::untouched) sum += static_cast<double>(out[e]) * reading.dout[e];
        return sum;
      };
      for (std::size_t e = 0; e < reading.y.size(); ++e) {
        if (result.dy[e] == test::untouched) continue;  // rows that do not count
        const float saved = reading.y[e], step = 0.125f;
        reading.y[e] = saved + step;
        const double above = loss();
        reading.y[e] = saved - step;
        const double slope = (above - loss()) / (2 * step);
        reading.y[e] = saved;
        INFO("kind " << static_cast<int>(kind) << ", output " << e);
        CHECK(result.dy[e] == Approx(slope).epsilon(1e-5).margin(1e-5));
      }
      CHECK(test::counted_rows(result.dy, reading.group, 4).size() ==
            result.dy.size() - static_cast<std::size_t>(std::ranges::count(result.dy, test::untouched)));
    }
}

TEST_CASE("every backend reads out as the definition does, and a run in a group as alone") {
  const auto definition = reference::make_backend();
  for (const Readout kind : kinds)
    for (const auto& [frames, units, first_column] :
         {std::tuple<std::size_t, std::size_t, std::size_t>{1, 1, 0}, {7, 32, 32}, {40, 13, 5}, {9, 200, 0}})
      for (const bool masked : {false, true}) {
        Reading reading{kind, frames, units, first_column};
        if (!masked) reading.masks.values.clear();
        for (float& y : reading.y) y = std::round(4 * y) / 4;  // so that some are equal
        const Read expected = read_out(*definition, reading);
        test::for_each_backend([&, frames = frames](Backend& backend) {
          INFO("kind " << static_cast<int>(kind) << ", " << reading.units << " units");
          const Read result = read_out(backend, reading);
          const auto written = [&](const std::vector<float>& out) {
            std::vector<float> values;
            for (const float value : test::counted_rows(out, reading.group))
              if (value != test::untouched) values.push_back(value);
            return values;
          };
          REQUIRE(written(result.out).size() == written(expected.out).size());
          CHECK(test::relative_difference<float, float>(written(result.out), written(expected.out)) < 1e-6);
          CHECK(test::relative_difference<float, float>(test::counted_rows(result.dy, reading.group, frames),
                                                        test::counted_rows(expected.dy, reading.group, frames)) < 1e-6);
          for (std::size_t r = 0; r < reading.group.runs; ++r) {
            const Read one = read_out(backend, reading.run_alone(r));
            const Group group = alone(reading.group, r);
            CHECK(test::counted_rows(one.out, group) ==
                  test::counted_rows(part_of(result.out, reading.group.runs, r), group));
            CHECK(test::counted_rows(one.dy, group, frames) ==
                  test::counted_rows(part_of(result.dy, reading.group.runs, r), group, frames));
          }
        });
      }
}

TEST_CASE("a readout, worked by hand: of equal outputs the first has the gradient") {
  Reading reading{Readout::mean_max, 4, 1};
  reading.group = {1, 1, 1, 2, {1}, {}};
  reading.width = 2;
  reading.y = {-1, 3, 3, 2}, reading.dout = {8, 100};
  reading.masks.width = 2;
  reading.masks.values.assign(Masks::offset, 0.0f);
  reading.masks.values.insert(reading.masks.values.end(), {0.5f, 2});
  const auto check = [&](Backend& backend) {
    const Read result = read_out(backend, reading);
    CHECK(result.out == std::vector<float>{0.5f * 1.75f, 6});
    CHECK(result.dy == std::vector<float>{1, 201, 1, 1});
    Reading last = reading;
    last.kind = Readout::last;
    const Read of_last = read_out(backend, last);
    CHECK(of_last.out == std::vector<float>{1, test::untouched});
    CHECK(of_last.dy == std::vector<float>{0, 0, 0, 4});
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}

TEST_CASE("every backend copies columns as the definition does, and a run in a group as alone") {
  const auto definition = reference::make_backend();
  for (const bool reversed : {false, true})
    for (const bool adds : {false, true})
      for (const bool masked : {false, true}) {
        Copying copying{{.from_column = 3, .to_column = 10, .columns = 12, .reversed = reversed, .adds = adds}};
        copying.copy.mask_column = 5;
        if (!masked) copying.masks.values.clear();
        const std::vector<float> expected = copy_columns(*definition, copying);
        test::for_each_backend([&](Backend& backend) {
          INFO("reversed " << reversed << ", adds " << adds << ", masked " << masked);
          const std::vector<float> result = copy_columns(backend, copying);
          CHECK(test::relative_difference<float, float>(result, expected) < 1e-6);
          for (std::size_t e = 0; e < result.size(); ++e) {
            const std::size_t column = e % Copying::to_width, row = e / Copying::to_width;
            const std::size_t b = row % 5, r = row / (5 * Copying::frames);
            const bool counts = b < copying.group.rows[r], is_target = column >= 10 && column < 22;
            if (!is_target || (adds && !counts))
              CHECK(result[e] == copying.to[e]);
            else if (!counts)
              CHECK(result[e] == 0);
          }
          for (std::size_t r = 0; r < copying.group.runs; ++r)
            CHECK(copy_columns(backend, copying.run_alone(r)) == part_of(result, copying.group.runs, r));
        });
      }
}

TEST_CASE("columns that are copied, worked by hand") {
  Copying copying{{.from_column = 1, .to_column = 2, .columns = 2, .reversed = true}};
  copying.group = {1, 1, 1, 2, {1}, {}};
  copying.from.assign(Copying::frames * Copying::from_width, 0.0f);
  copying.to.assign(Copying::frames * Copying::to_width, 5.0f);
  for (std::size_t t = 0; t < Copying::frames; ++t)
    for (std::size_t c = 0; c < Copying::from_width; ++c)
      copying.from[t * Copying::from_width + c] = static_cast<float>(100 * t + c);
  copying.copy.mask_column = 1;
  copying.masks.width = 3;
  copying.masks.values.assign(Masks::offset, 0.0f);
  copying.masks.values.insert(copying.masks.values.end(), {7, 0, 2});
  const auto check = [&](Backend& backend) {
    for (const bool adds : {false, true}) {
      copying.copy.adds = adds;
      const std::vector<float> to = copy_columns(backend, copying);
      const float before = adds ? 5 : 0;
      for (std::size_t t = 0; t < Copying::frames; ++t) {
        const float* row = to.data() + t * Copying::to_width;
        CHECK(row[1] == 5);
        CHECK(row[2] == before);
        CHECK(row[3] == before + 2 * static_cast<float>(100 * (Copying::frames - 1 - t) + 2));
        CHECK(row[4] == 5);
      }
    }
  };
  check(*reference::make_backend());
  test::for_each_backend(check);
}
