// CUDA's runtime behind core's Device and Queue. In this order: pinned memory and recorded graphs, the queue's members,
// the device (memory from one pool), the queue's work (copies by way of pinned blocks, recording, phases on the
// timeline, handles of libraries), and what the machine says of its GPU.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <mutex>
#include <nvtx3/nvToolsExt.h>
#include <set>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/progress.hpp"
#include "kernels/cuda/libraries/queue.hpp"
#include "kernels/cuda/libraries/workspace.hpp"

namespace genretree::cuda {
namespace {

std::string in_megabytes(std::size_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

}  // namespace

namespace {
constexpr int first_gpu = 0;  ///< CUDA_VISIBLE_DEVICES chooses; also that of a thread which chooses none
}  // namespace

void launch_failed(cudaError_t error, dim3 grid, dim3 block, std::size_t shared_bytes) {
  cudaGetLastError();
  fail("CUDA refused a launch of {}×{}×{} blocks of {}×{}×{} threads with {} bytes of shared memory each: {} ({})",
       grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes, cudaGetErrorString(error),
       cudaGetErrorName(error));
}

cudaError_t allow_most_shared_memory(const void* kernel) {
  static std::mutex mutex;
  static std::set<const void*> allowed;
  const std::lock_guard lock(mutex);
  if (allowed.contains(kernel)) return cudaSuccess;
  int bytes = 0;
  cudaError_t error = cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, first_gpu);
  if (error == cudaSuccess) error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error == cudaSuccess) allowed.insert(kernel);
  return error;
}

// --------------------------------------------------------------------------------------------------------------- queue

namespace {

using OwnedStream = Owned<cudaStream_t, cudaStreamDestroy>;
using OwnedEvent = Owned<cudaEvent_t, cudaEventDestroy>;
using OwnedGraph = Owned<cudaGraph_t, cudaGraphDestroy>;
using OwnedPool = Owned<cudaMemPool_t, cudaMemPoolDestroy>;
using OwnedCudnn = Owned<cudnnHandle_t, cudnnDestroy>;
using OwnedCublas = Owned<cublasHandle_t, cublasDestroy>;

OwnedStream make_stream() {
  OwnedStream stream;
  check(cudaStreamCreateWithFlags(stream.out(), cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return stream;
}

OwnedEvent make_event(unsigned flags) {
  OwnedEvent event;
  check(cudaEventCreateWithFlags(event.out(), flags), "cudaEventCreateWithFlags");
  return event;
}

/// Memory of the host that the GPU copies from and to by itself.
class Pinned {
 public:
  explicit Pinned(std::size_t bytes) : bytes_(bytes) {
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "cudaHostAlloc", in_megabytes(bytes));
    memory_ = Owned<void*, cudaFreeHost>(memory);
  }
  std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }
  std::size_t size() const { return bytes_; }

 private:
  Owned<void*, cudaFreeHost> memory_;
  std::size_t bytes_;
};

/// A graph, once it has been recorded.
struct GraphRecording final : Recording {
  Owned<cudaGraphExec_t, cudaGraphExecDestroy> graph;
  /// A call of another thread can spoil one: so a few are tried before the work is given as it comes for ever.
  unsigned failures = 0;
  bool refused() const { return failures >= 3; }
};

class CudaDevice;

class CudaQueue final : public Queue {
 public:
  explicit CudaQueue(CudaDevice& device);
  ~CudaQueue() override;

  cudaStream_t stream() const { return stream_.get(); }
  /// Makes another stream wait for what this queue was given so far. Under CudaDevice::mutex().
  void hold_back(cudaStream_t other) const noexcept {
    // while work is recorded, a new event would become part of it: that from before the recording stands
    if (!recording_) cudaEventRecord(work_so_far_.get(), stream());
    cudaStreamWaitEvent(other, work_so_far_.get(), 0);
  }

  void copy_in(void* device_memory, const void* host, std::size_t bytes) override;
  void copy_out(void* host, const void* device_memory, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes)
      check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "cudaMemcpyAsync",
            in_megabytes(bytes));
  }
  void zero(void* device_memory, std::size_t bytes) override {
    if (bytes) check(cudaMemsetAsync(device_memory, 0, bytes, stream()), "cudaMemsetAsync", in_megabytes(bytes));
  }
  void synchronize() override;
  void repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) override;

  void trace_to(Trace& trace, const std::string& lane) override;
  void begin_phase(std::string_view name) override;
  void end_phase() override;

  void* workspace(std::size_t bytes);
  cudnnHandle_t cudnn();
  cublasHandle_t cublas();

 private:
  void record(GraphRecording& recording, const std::function<void()>& work);
  void begin_recording();
  cudaError_t end_recording(OwnedGraph& graph);
  void refuse_in_recording(const char* what) const {
    if (recording_) fail("{} within Queue::repeat, which CUDA cannot record", what);
  }
  OwnedEvent timestamp();
  void add_phases_to_trace();

  CudaDevice& device_;
  OwnedStream stream_ = make_stream();
  OwnedEvent work_so_far_ = make_event(cudaEventDisableTiming);
  bool recording_ = false;  ///< written under CudaDevice::mutex()

  // Into the GPU: what is to be copied goes through one of two pinned blocks, free again when its event is past.
  struct Block {
    Pinned memory{4 << 20};
    OwnedEvent copied = make_event(cudaEventDisableTiming);
  };
  std::vector<Block> blocks_ = std::vector<Block>(2);
  std::size_t next_block_ = 0;

  // Out of it: into pinned memory, and from there to where it was wanted when the queue is synchronized.
  struct CopyOut {
    void* host;
    std::size_t offset, bytes;
  };
  std::unique_ptr<Pinned> results_ = std::make_unique<Pinned>(4 << 20);
  std::vector<CopyOut> copies_out_;
  std::size_t results_used_ = 0;

  Workspace workspace_;
  OwnedCudnn cudnn_;
  Buffer<std::byte> cublas_workspace_;
  OwnedCublas cublas_;

  struct TimedPhase {
    std::string name;
    OwnedEvent begin, end;
  };
  Trace* trace_ = nullptr;
  std::size_t lane_ = 0;
  OwnedEvent anchor_;  ///< at anchor_time_
  Clock::time_point anchor_time_;
  std::vector<TimedPhase> open_, closed_;
};

// -------------------------------------------------------------------------------------------------------------- device

int first_device() {
  // a worker that waits for the GPU leaves its core to others
  check(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync), "cudaSetDeviceFlags");
  check(cudaSetDevice(first_gpu), "cudaSetDevice");
  return first_gpu;
}

/// One pool, which keeps what is released for what is asked for next. Memory is released on a stream of the device's
/// own, which waits for all queues first. It is taken on another, where nothing waits, from what has come back: so it
/// may be used on any queue at once.
class CudaDevice final : public Device {
 public:
  CudaDevice() {
    cudaMemPoolProps properties{};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location = {cudaMemLocationTypeDevice, ordinal_};
    check(cudaMemPoolCreate(pool_.out(), &properties), "cudaMemPoolCreate");
    std::uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool_.get(), cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
    int no = 0;
    check(cudaMemPoolSetAttribute(pool_.get(), cudaMemPoolReuseAllowInternalDependencies, &no),
          "cudaMemPoolSetAttribute");
  }

  void* allocate(std::size_t bytes) override {
    use();
    const std::lock_guard lock(mutex_);
    void* memory = nullptr;
    const auto take = [&] { return cudaMallocFromPoolAsync(&memory, bytes, pool_.get(), stream_.get()); };
    cudaError_t status = take();
    if (status == cudaErrorMemoryAllocation) {  // until all that is released has come back
      check(cudaStreamSynchronize(release_stream_.get()), "cudaStreamSynchronize");
      status = take();
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      fail("out of memory on the GPU: {} were asked for and {} are free. Use fewer workers (--jobs) or a smaller batch",
           in_megabytes(bytes), in_megabytes(free_memory()));
    }
    check(status, "cudaMallocFromPoolAsync", in_megabytes(bytes));
    check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize");
    return memory;
  }

  void release(void* memory) noexcept override {
    const std::lock_guard lock(mutex_);
    for (const CudaQueue* queue : queues_) queue->hold_back(release_stream_.get());
    cudaFreeAsync(memory, release_stream_.get());
  }

  std::unique_ptr<Queue> make_queue() override {
    use();
    const std::lock_guard lock(recording_mutex_);
    return std::make_unique<CudaQueue>(*this);
  }

  std::size_t free_memory() const override {
    use();
    std::size_t free = 0, all = 0, reserved = 0, used = 0;
    check(cudaMemGetInfo(&free, &all), "cudaMemGetInfo");
    check(cudaMemPoolGetAttribute(pool_.get(), cudaMemPoolAttrReservedMemCurrent, &reserved),
          "cudaMemPoolGetAttribute");
    check(cudaMemPoolGetAttribute(pool_.get(), cudaMemPoolAttrUsedMemCurrent, &used), "cudaMemPoolGetAttribute");
    return free + reserved - used;
  }

  /// Makes the calling thread's CUDA calls go to this GPU.
  void use() const { check(cudaSetDevice(ordinal_), "cudaSetDevice"); }
  int ordinal() const { return ordinal_; }

  void add(const CudaQueue* queue) {
    const std::lock_guard lock(mutex_);
    queues_.insert(queue);
  }
  void remove(const CudaQueue* queue) {
    const std::lock_guard lock(mutex_);
    queues_.erase(queue);
  }
  /// Guards the set of queues, and which of them are recorded.
  std::mutex& mutex() { return mutex_; }
  /// Held while a queue is recorded, and while queues, handles and plans of libraries are made or destroyed: that may
  /// wait for the whole GPU, which spoils a recording on any thread (cublasDestroy and cudnnDestroy do).
  std::mutex& recording_mutex() { return recording_mutex_; }

 private:
  const int ordinal_ = first_device();
  OwnedPool pool_;
  OwnedStream stream_ = make_stream(), release_stream_ = make_stream();
  std::mutex mutex_, recording_mutex_;
  std::set<const CudaQueue*> queues_;
};

CudaQueue::CudaQueue(CudaDevice& device) : Queue(device), device_(device) { device_.add(this); }

CudaQueue::~CudaQueue() {
  cudaStreamSynchronize(stream());
  device_.remove(this);
  const std::lock_guard lock(device_.recording_mutex());
  cublas_ = {};
  cudnn_ = {};
  blocks_.clear();
  results_.reset();
}

void CudaQueue::copy_in(void* device_memory, const void* host, std::size_t bytes) {
  refuse_in_recording("copy_in");
  const auto* from = static_cast<const std::byte*>(host);
  auto* to = static_cast<std::byte*>(device_memory);
  while (bytes > 0) {
    Block& block = blocks_[next_block_++ % blocks_.size()];
    const std::size_t part = std::min(bytes, block.memory.size());
    check(cudaEventSynchronize(block.copied.get()), "cudaEventSynchronize");
    std::memcpy(block.memory.data(), from, part);
    check(cudaMemcpyAsync(to, block.memory.data(), part, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync",
          in_megabytes(part));
    check(cudaEventRecord(block.copied.get(), stream()), "cudaEventRecord");
    from += part, to += part, bytes -= part;
  }
}

void CudaQueue::copy_out(void* host, const void* device_memory, std::size_t bytes) {
  refuse_in_recording("copy_out");
  auto* to = static_cast<std::byte*>(host);
  const auto* from = static_cast<const std::byte*>(device_memory);
  while (bytes > 0) {
    if (results_used_ == results_->size()) synchronize();  // what waits there goes where it was wanted
    const std::size_t part = std::min(bytes, results_->size() - results_used_);
    check(cudaMemcpyAsync(results_->data() + results_used_, from, part, cudaMemcpyDeviceToHost, stream()),
          "cudaMemcpyAsync", in_megabytes(part));
    copies_out_.push_back({to, results_used_, part});
    results_used_ += part;
    to += part, from += part, bytes -= part;
  }
}

void CudaQueue::synchronize() {
  refuse_in_recording("synchronize");
  const std::vector<CopyOut> copies = std::exchange(copies_out_, {});  // if this fails, they are not done later either
  results_used_ = 0;
  check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
  for (const auto& [host, offset, bytes] : copies) std::memcpy(host, results_->data() + offset, bytes);
  add_phases_to_trace();
}

void CudaQueue::repeat(std::unique_ptr<Recording>& recording, const std::function<void()>& work) {
  refuse_in_recording("repeat");
  if (!recording) {
    work();  // the first time, libraries make what they need
    recording = std::make_unique<GraphRecording>();
    return;
  }
  auto& own = static_cast<GraphRecording&>(*recording);
  if (!own.graph.get() && !own.refused()) record(own, work);
  if (!own.graph.get()) return work();
  check(cudaGraphLaunch(own.graph.get(), stream()), "cudaGraphLaunch");
}

void CudaQueue::record(GraphRecording& recording, const std::function<void()>& work) {
  std::string refusal;
  OwnedGraph graph;
  {
    const std::lock_guard lock(device_.recording_mutex());
    begin_recording();
    try {
      work();
    } catch (const std::exception& error) {  // an error of the work itself comes again when it is given as it comes
      refusal = error.what();
    }
    const cudaError_t status = end_recording(graph);
    if (refusal.empty() && status != cudaSuccess) refusal = cudaGetErrorString(status);
  }
  if (refusal.empty()) {
    const cudaError_t instantiated = cudaGraphInstantiate(recording.graph.out(), graph.get(), 0);
    if (instantiated != cudaSuccess) refusal = cudaGetErrorString(instantiated);
  }
  cudaGetLastError();
  if (!refusal.empty()) ++recording.failures;
  static std::once_flag said;
  if (recording.refused())
    std::call_once(said, [&] {
      warn(fmt::format(
          "a step cannot be recorded as a CUDA graph, so its kernels are launched one by one, more slowly: {}",
          refusal));
    });
}

void CudaQueue::begin_recording() {
  const std::lock_guard lock(device_.mutex());
  check(cudaEventRecord(work_so_far_.get(), stream()), "cudaEventRecord");
  check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  recording_ = true;
}

cudaError_t CudaQueue::end_recording(OwnedGraph& graph) {
  const std::lock_guard lock(device_.mutex());
  recording_ = false;
  return cudaStreamEndCapture(stream(), graph.out());
}

void* CudaQueue::workspace(std::size_t bytes) {
  if (!workspace_.holds(bytes)) refuse_in_recording("a larger workspace");
  return workspace_.reserve(bytes, device(), recording_);
}

void CudaQueue::trace_to(Trace& trace, const std::string& lane) {
  trace_ = &trace;
  lane_ = trace.add_lane(lane);
  anchor_ = timestamp();
  check(cudaEventSynchronize(anchor_.get()), "cudaEventSynchronize");
  anchor_time_ = Clock::now();
}

OwnedEvent CudaQueue::timestamp() {
  OwnedEvent event = make_event(cudaEventDefault);
  check(cudaEventRecord(event.get(), stream()), "cudaEventRecord");
  return event;
}

void CudaQueue::begin_phase(std::string_view name) {
  const std::string text(name);
  if (trace_ && !recording_) open_.push_back({text, timestamp(), make_event(cudaEventDefault)});
  nvtxRangePushA(text.c_str());
}

void CudaQueue::end_phase() {
  nvtxRangePop();
  if (!trace_ || recording_) return;
  cudaEventRecord(open_.back().end.get(), stream());  // a destructor's call: an error appears in synchronize
  closed_.push_back(std::move(open_.back()));
  open_.pop_back();
}

void CudaQueue::add_phases_to_trace() {
  if (closed_.empty()) return;
  const auto seconds_between = [](const OwnedEvent& begin, const OwnedEvent& end) {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "cudaEventElapsedTime");
    return milliseconds / 1e3;
  };
  const auto time_of = [&](const OwnedEvent& event) {
    const std::chrono::duration<double> since_anchor(seconds_between(anchor_, event));
    return anchor_time_ + std::chrono::duration_cast<Clock::duration>(since_anchor);
  };
  for (const TimedPhase& phase : closed_)
    trace_->add(lane_, phase.name, time_of(phase.begin), seconds_between(phase.begin, phase.end));
  if (open_.empty()) {  // from here on: after an hour, a float of milliseconds is coarser than most kernels are long
    anchor_time_ = time_of(closed_.back().end);
    anchor_ = std::move(closed_.back().end);
  }
  closed_.clear();
}

cudnnHandle_t CudaQueue::cudnn() {
  if (!cudnn_.get()) {
    refuse_in_recording("a first use of cuDNN");
    const std::lock_guard lock(device_.recording_mutex());
    OwnedCudnn handle;
    check(cudnnCreate(handle.out()), "cudnnCreate");
    check(cudnnSetStream(handle.get(), stream()), "cudnnSetStream");
    cudnn_ = std::move(handle);
  }
  return cudnn_.get();
}

cublasHandle_t CudaQueue::cublas() {
  if (!cublas_.get()) {
    refuse_in_recording("a first use of cuBLAS");
    // with a workspace of its own, cuBLAS is repeatable and takes no memory
    if (cublas_workspace_.size() == 0) cublas_workspace_ = Buffer<std::byte>(device_, 32 << 20);
    const std::lock_guard lock(device_.recording_mutex());
    OwnedCublas handle;
    check(cublasCreate(handle.out()), "cublasCreate");
    check(cublasSetStream(handle.get(), stream()), "cublasSetStream");
    check(cublasSetMathMode(handle.get(), CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
    check(cublasSetWorkspace(handle.get(), cublas_workspace_.data(), cublas_workspace_.size()), "cublasSetWorkspace");
    cublas_ = std::move(handle);
  }
  return cublas_.get();
}

CudaQueue& own(Queue& queue) { return static_cast<CudaQueue&>(queue); }

std::string version_of(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

}  // namespace

std::string no_device_reason() {
  // as many hardware queues as there are: with the usual eight, one stream's work may wait for another's
  static const int connections = setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", /*overwrite=*/0);
  // cuBLAS's documentation, "Results Reproducibility": workspaces of fixed size, also where cuDNN calls it, on any stream
  static const int workspaces = setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  (void)connections, (void)workspaces;
  int driver = 0, count = 0;
  const cudaError_t driver_status = cudaDriverGetVersion(&driver);
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status == cudaSuccess && count > 0) {
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "cudaDeviceGetAttribute");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "cudaDeviceGetAttribute");
    if (major >= 8) return "";
    return fmt::format(
        "the GPU is too old: it has compute capability {}.{}, but this build's kernels need 8.0 or more (A100, H100, "
        "RTX 30 and later)",
        major, minor);
  }
  const std::string said = fmt::format("the CUDA {} runtime answered {}", version_of(CUDART_VERSION),
                                       status == cudaSuccess ? "0 devices" : cudaGetErrorString(status));
  if (driver_status != cudaSuccess || driver == 0)
    return fmt::format(
        "no NVIDIA driver was found: {}. If there is a GPU, install its driver; in a container, start that with the "
        "GPU (docker run --gpus all)",
        said);
  if (status == cudaErrorInsufficientDriver)
    return fmt::format(
        "the NVIDIA driver is too old: it supports CUDA {}, but this build needs {}: {}. Update the driver",
        version_of(driver), version_of(CUDART_VERSION), said);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return fmt::format("no NVIDIA GPU was found: {}; the driver supports CUDA {}{}. Look at what nvidia-smi lists", said,
                     version_of(driver), visible ? fmt::format("; CUDA_VISIBLE_DEVICES is '{}'", visible) : "");
}

std::unique_ptr<Device> make_device() {
  if (const std::string reason = no_device_reason(); !reason.empty()) reject("{}. Use device: cpu", reason);
  return std::make_unique<CudaDevice>();
}

DeviceProperties gpu_properties() {
  constexpr int ordinal = first_gpu;
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  int driver = 0, fft = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cufftGetVersion(&fft), "cufftGetVersion");
  const std::size_t dnn = cudnnGetVersion();
  int kilohertz = 0;
  check(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, ordinal), "cudaDeviceGetAttribute");
  // results of fp32 multiply-adds in a clock cycle of a multiprocessor: CUDA C++ Programming Guide, "Throughput of
  // Native Arithmetic Instructions"
  const double lanes = properties.major == 8 && properties.minor == 0 ? 64 : 128;
  return {properties.name,
          fmt::format("sm_{}{}", properties.major, properties.minor),
          fmt::format("CUDA {}, driver for CUDA {}, cuDNN {}.{}.{}, cuFFT {}", version_of(CUDART_VERSION),
                      version_of(driver), dnn / 10000, dnn / 100 % 100, dnn % 100, fft),
          properties.multiProcessorCount * lanes * 2 * kilohertz / 1e6,
          static_cast<std::size_t>(properties.multiProcessorCount),
          properties.sharedMemPerBlockOptin};
}

Stream stream_of(Queue& queue) { return own(queue).stream(); }
void* workspace_of(Queue& queue, std::size_t bytes) { return own(queue).workspace(bytes); }
std::unique_lock<std::mutex> no_recording(Device& device) {
  return std::unique_lock(static_cast<CudaDevice&>(device).recording_mutex());
}
cudnnHandle_t cudnn_of(Queue& queue) { return own(queue).cudnn(); }
cublasHandle_t cublas_of(Queue& queue) { return own(queue).cublas(); }

}  // namespace genretree::cuda
