#include <cstdint>
#include <vector>

#include "core/device.hpp"
#include "tests/support/support.hpp"

using namespace genretree;

TEST_CASE("a view is row-major, and a slice of it is the same memory") {
  std::vector<int> values(24);
  for (int i = 0; i < 24; ++i) values[static_cast<std::size_t>(i)] = i;
  const View<int, 3> view = view_of(values.data(), 2, 3, 4);
  CHECK(view.size() == 24);
  CHECK(view(1, 2, 3) == 23);
  CHECK(view(0, 1, 0) == 4);
  CHECK(view[1].shape == std::array<std::size_t, 2>{3, 4});
  CHECK(view[1](0, 2) == 14);
  CHECK(view[1][2][3] == 23);
  view[0][0][1] = -1;
  CHECK(values[1] == -1);
  const View<const int, 3> read_only = view;
  CHECK(read_only.flat().size() == 24);
}

TEST_CASE("an empty view stands for nothing, whatever its shape") {
  const View<float, 2> nothing{nullptr, {3, 4}};
  CHECK(nothing.empty());
  CHECK(nothing.flat().empty());
  CHECK(nothing[1].data == nullptr);
}

TEST_CASE("a buffer owns aligned memory on its device, and can be moved") {
  const std::unique_ptr<Queue> queue = host_device().make_queue();
  Buffer<float> buffer(host_device(), 5);
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
  const std::vector<float> values = {1, 2, 3, 4, 5};
  buffer.copy_in(values, *queue);
  Buffer<float> moved = std::move(buffer);
  std::vector<float> copy(5);
  moved.copy_out(copy, *queue);
  CHECK(copy == values);
  moved.zero(*queue);
  CHECK(moved.view(5)[4] == 0);
  CHECK(Buffer<double>(host_device(), 0).data() == nullptr);
}
