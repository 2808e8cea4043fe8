// Views of row-major arrays; the buffers that own the memory are in core/device.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <type_traits>

namespace genretree {

/// A contiguous row-major array of N dimensions that somebody else owns, on the host or on a device. An empty view
/// (data == nullptr) stands for "not wanted" or "not given".
template <class T, std::size_t N>
struct View {
  T* data = nullptr;
  std::array<std::size_t, N> shape{};

  std::size_t size() const {
    std::size_t n = 1;
    for (std::size_t extent : shape) n *= extent;
    return data ? n : 0;
  }
  bool empty() const { return size() == 0; }
  std::span<T> flat() const { return {data, size()}; }

  /// view(i, j, …): one element; host memory only.
  template <class... Index>
  T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == N, "one index per dimension");
    std::size_t offset = 0, dimension = 0;
    ((offset = offset * shape[dimension++] + static_cast<std::size_t>(index)), ...);
    return data[offset];
  }

  /// view[i]: the i-th slice along the first dimension.
  View<T, N - 1> operator[](std::size_t i) const requires(N > 1) {
    View<T, N - 1> slice;
    std::size_t stride = 1;
    for (std::size_t d = 1; d < N; ++d) stride *= slice.shape[d - 1] = shape[d];
    slice.data = data ? data + i * stride : nullptr;
    return slice;
  }
  T& operator[](std::size_t i) const requires(N == 1) { return data[i]; }

  operator View<const T, N>() const requires(!std::is_const_v<T>) { return {data, shape}; }
};

/// view_of(pointer, 35, 128) is a View<T, 2>.
template <class T, class... Extents>
View<T, sizeof...(Extents)> view_of(T* data, Extents... extents) {
  return {data, {static_cast<std::size_t>(extents)...}};
}

}  // namespace genretree
