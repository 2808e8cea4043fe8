# CUDA's compiler and libraries, for the backend kernels/cuda. The compiler is the one that `tools/cuda_toolkit --find`
# names; libraries that lie beside it, outside the system's folders, are found again when a program starts.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
if(NOT CMAKE_CUDA_COMPILER)
  execute_process(COMMAND ${CMAKE_CURRENT_LIST_DIR}/../tools/cuda_toolkit --find OUTPUT_VARIABLE nvcc
    ERROR_VARIABLE flaw OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE missing)
  if(missing)
    message(FATAL_ERROR "There is no usable CUDA toolkit: ${flaw}. "
      "Set CUDA_HOME to one of CUDA 13 with cuDNN, or let tools/build cuda set one up")
  endif()
  get_filename_component(CMAKE_CUDA_COMPILER "${nvcc}" ABSOLUTE BASE_DIR ${PROJECT_SOURCE_DIR})
endif()
enable_language(CUDA)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # which cmake 3.25 does not know that nvcc has
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
find_package(CUDAToolkit 13 REQUIRED)
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
list(APPEND CMAKE_BUILD_RPATH ${CUDAToolkit_LIBRARY_DIR})
list(APPEND CMAKE_INSTALL_RPATH ${CUDAToolkit_LIBRARY_DIR})
