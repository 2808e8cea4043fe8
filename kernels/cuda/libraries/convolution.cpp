// Algorithms and their promises: cuDNN's documentation of cudnnConvolutionFwdAlgo_t and its fellows, which says of
// IMPLICIT_PRECOMP_GEMM and of both ALGO_1 that their results are deterministic. CUDNN_FMA_MATH forbids TF32.
#include <fmt/format.h>

#include "kernels/cuda/libraries/convolution.hpp"
#include "kernels/cuda/libraries/queue.hpp"

namespace genretree::cuda {
namespace {

constexpr cudnnConvolutionFwdAlgo_t forward_algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
constexpr cudnnConvolutionBwdFilterAlgo_t kernel_algorithm = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
constexpr cudnnConvolutionBwdDataAlgo_t input_algorithm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;

constexpr float one = 1, zero = 0;

int narrow(std::size_t size) { return static_cast<int>(size); }

class CudnnConvolution final : public Convolution {
 public:
  explicit CudnnConvolution(const ConvolutionShape& shape)
      : what_(fmt::format("a convolution of {} images of {} × {} × {} by {} filters of {} × {}", shape.clips,
                          shape.channels, shape.height, shape.width, shape.filters, shape.size, shape.size)) {
    describe_tensor(input_, shape.clips, shape.channels, shape.height, shape.width);
    describe_tensor(output_, shape.clips, shape.filters, shape.out_height(), shape.out_width());
    check(cudnnCreateFilterDescriptor(kernel_.out()), "cudnnCreateFilterDescriptor");
    check(cudnnSetFilter4dDescriptor(kernel_.get(), CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW, narrow(shape.filters),
                                     narrow(shape.channels), narrow(shape.size), narrow(shape.size)),
          "cudnnSetFilter4dDescriptor", what_);
    check(cudnnCreateConvolutionDescriptor(convolution_.out()), "cudnnCreateConvolutionDescriptor");
    constexpr int padding = 0, stride = 1, dilation = 1;
    check(cudnnSetConvolution2dDescriptor(convolution_.get(), padding, padding, stride, stride, dilation, dilation,
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
          "cudnnSetConvolution2dDescriptor", what_);
    check(cudnnSetConvolutionMathType(convolution_.get(), CUDNN_FMA_MATH), "cudnnSetConvolutionMathType", what_);
  }

  void forward(const float* input, const float* kernel, float* output, Queue& queue) const override {
    const cudnnHandle_t cudnn = cudnn_of(queue);
    std::size_t bytes = 0;
    check(cudnnGetConvolutionForwardWorkspaceSize(cudnn, input_.get(), kernel_.get(), convolution_.get(), output_.get(),
                                                  forward_algorithm, &bytes),
          "cudnnGetConvolutionForwardWorkspaceSize", what_);
    check(cudnnConvolutionForward(cudnn, &one, input_.get(), input, kernel_.get(), kernel, convolution_.get(),
                                  forward_algorithm, workspace_of(queue, bytes), bytes, &zero, output_.get(), output),
          "cudnnConvolutionForward", what_);
  }

  void add_kernel_gradient(const float* input, const float* doutput, float* dkernel, Queue& queue) const override {
    const cudnnHandle_t cudnn = cudnn_of(queue);
    std::size_t bytes = 0;
    check(cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnn, input_.get(), output_.get(), convolution_.get(),
                                                         kernel_.get(), kernel_algorithm, &bytes),
          "cudnnGetConvolutionBackwardFilterWorkspaceSize", what_);
    check(cudnnConvolutionBackwardFilter(cudnn, &one, input_.get(), input, output_.get(), doutput, convolution_.get(),
                                         kernel_algorithm, workspace_of(queue, bytes), bytes, &one, kernel_.get(),
                                         dkernel),
          "cudnnConvolutionBackwardFilter", what_);
  }

  void input_gradient(const float* kernel, const float* doutput, float* dinput, Queue& queue) const override {
    const cudnnHandle_t cudnn = cudnn_of(queue);
    std::size_t bytes = 0;
    check(cudnnGetConvolutionBackwardDataWorkspaceSize(cudnn, kernel_.get(), output_.get(), convolution_.get(),
                                                       input_.get(), input_algorithm, &bytes),
          "cudnnGetConvolutionBackwardDataWorkspaceSize", what_);
    check(cudnnConvolutionBackwardData(cudnn, &one, kernel_.get(), kernel, output_.get(), doutput, convolution_.get(),
                                       input_algorithm, workspace_of(queue, bytes), bytes, &zero, input_.get(), dinput),
          "cudnnConvolutionBackwardData", what_);
  }

 private:
  using Tensor = Owned<cudnnTensorDescriptor_t, cudnnDestroyTensorDescriptor>;

  void describe_tensor(Tensor& tensor, std::size_t clips, std::size_t channels, std::size_t height,
                       std::size_t width) const {
    check(cudnnCreateTensorDescriptor(tensor.out()), "cudnnCreateTensorDescriptor");
    check(cudnnSetTensor4dDescriptor(tensor.get(), CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, narrow(clips), narrow(channels),
                                     narrow(height), narrow(width)),
          "cudnnSetTensor4dDescriptor", what_);
  }

  std::string what_;
  Tensor input_, output_;
  Owned<cudnnFilterDescriptor_t, cudnnDestroyFilterDescriptor> kernel_;
  Owned<cudnnConvolutionDescriptor_t, cudnnDestroyConvolutionDescriptor> convolution_;
};

}  // namespace

std::unique_ptr<Convolution> make_convolution(const ConvolutionShape& shape) {
  return std::make_unique<CudnnConvolution>(shape);
}

}  // namespace genretree::cuda
