// What we use of oneDNN: one thread, memory of our own, and primitives that are made once with all their arguments.
#pragma once

#include <algorithm>
#include <dnnl.hpp>
#include <omp.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/device.hpp"

namespace genretree::cpu {

/// Holds OpenMP, over which oneDNN shares out its loops, to one thread on this thread while an object of this class
/// lives.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

inline const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// A primitive with the memory that it works on.
class Call {
 public:
  Call() = default;
  Call(dnnl::primitive primitive, std::unordered_map<int, dnnl::memory> arguments)
      : primitive_(std::move(primitive)), arguments_(std::move(arguments)) {}
  void operator()(const dnnl::stream& stream) const { primitive_.execute(stream, arguments_); }

 private:
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

/// Owns the memory of the primitives of one state. Their scratch is shared, for they run one after another.
class Workshop {
 public:
  using Memory = dnnl::memory;
  using Desc = dnnl::memory::desc;

  /// Attributes of every primitive: scratch is ours (oneDNN's own belongs to the thread that made the primitive), and
  /// nothing is rounded to fewer bits, whatever the environment says.
  static dnnl::primitive_attr attributes() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
    return attributes;
  }

  /// Memory that this object holds.
  Memory memory(const Desc& desc) {
    Buffer<char> buffer(host_device(), desc.get_size());
    Memory memory(desc, cpu_engine(), buffer.data());
    held_ += buffer.bytes();
    buffers_.push_back(std::move(buffer));
    return memory;
  }

  /// Memory of somebody else: given now, or before each call by set_data_handle.
  static Memory borrowed(const Desc& desc, void* data = nullptr) { return {desc, cpu_engine(), data}; }

  template <class Primitive>
  Call call(const typename Primitive::primitive_desc& desc, std::unordered_map<int, Memory> arguments) {
    scratch_.push_back(borrowed(desc.scratchpad_desc()));
    arguments.emplace(DNNL_ARG_SCRATCHPAD, scratch_.back());
    return {Primitive(desc), std::move(arguments)};
  }

  /// Copies `from` to `to`, which has another format.
  Call reorder(const Memory& from, const Memory& to) {
    return call<dnnl::reorder>({cpu_engine(), from.get_desc(), cpu_engine(), to.get_desc(), attributes()},
                               {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
  }

  /// Gives the scratch to all primitives. Call it once, after the last.
  void finish() {
    std::size_t size = 1;
    for (const Memory& memory : scratch_) size = std::max(size, memory.get_desc().get_size());
    buffers_.emplace_back(host_device(), size);
    held_ += size;
    for (Memory& memory : scratch_) memory.set_data_handle(buffers_.back().data());
  }

  std::size_t bytes() const { return held_; }

 private:
  std::vector<Buffer<char>> buffers_;
  std::vector<Memory> scratch_;
  std::size_t held_ = 0;
};

}  // namespace genretree::cpu
