# The CUDA backend without a GPU: its kernels, and the tests of every operation on it, compiled for the emulator
# (test_cuda_emulated) and for its race check (test_cuda_races). support/cuda_emulator.hpp says what each of them finds;
# support/cuda_libraries takes the place of NVIDIA's. In a build with the backend itself (preset cuda) nvcc must take
# the tests' kernels too, and test_cuda_libraries tries what NVIDIA's own libraries do without a GPU, and the frame on
# one.
file(GLOB cuda_examples CONFIGURE_DEPENDS kernels/cuda/*.cu)

if(GENRETREE_CUDA)
  add_library(cuda_examples OBJECT ${cuda_examples})
  target_link_libraries(cuda_examples PRIVATE genretree_flags core CUDA::cudart)
  file(GLOB library_tests CONFIGURE_DEPENDS kernels/cuda_libraries/*.cpp)
  add_executable(test_cuda_libraries ${library_tests} kernels/cuda/test_device.cpp $<TARGET_OBJECTS:cuda_examples>)
  target_include_directories(test_cuda_libraries SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
  target_link_libraries(test_cuda_libraries PRIVATE test_support kernels CUDA::cudart ${CUDNN_LIBRARY})
  add_test(NAME cuda_libraries COMMAND test_cuda_libraries)
  return()
endif()

find_package(Boost 1.74 QUIET COMPONENTS context)
find_path(GENRETREE_THRUST_INCLUDE_DIR thrust/version.h)  # not the toolkit's own, which brings CUDA's types with it
if(NOT Boost_FOUND OR NOT GENRETREE_THRUST_INCLUDE_DIR)
  message(WARNING "Boost.Context or Thrust was not found: the CUDA emulator is not built. "
    "Debian 12 has libboost-context-dev and libthrust-dev")
elseif(NOT GENRETREE_SANITIZE MATCHES thread)  # the race check takes the place of ThreadSanitizer's library
  file(GLOB cuda_emulator CONFIGURE_DEPENDS support/cuda_*.cpp support/cuda_libraries/*.cpp)
  file(GLOB cuda_tests CONFIGURE_DEPENDS kernels/cuda/*.cpp)
  set_source_files_properties(${cuda_examples} PROPERTIES LANGUAGE CXX)
  file(GLOB cuda_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
  set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX)

  add_library(cuda_emulated_host OBJECT ${cuda_emulator} ${cuda_tests} ${PROJECT_SOURCE_DIR}/kernels/backends.cpp)
  file(GLOB cuda_host_code CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cpp)
  target_sources(cuda_emulated_host PRIVATE ${cuda_host_code})
  target_link_libraries(cuda_emulated_host PUBLIC test_support experiments Boost::context nlohmann_json::nlohmann_json)
  target_compile_definitions(cuda_emulated_host PUBLIC GENRETREE_CUDA GENRETREE_CUDA_EMULATED)

  function(add_cuda_test name)
    add_library(${name}_kernels OBJECT ${cuda_kernels} ${cuda_examples})
    target_link_libraries(${name}_kernels PRIVATE genretree_flags core)
    target_include_directories(${name}_kernels SYSTEM PRIVATE ${GENRETREE_THRUST_INCLUDE_DIR})
    target_compile_options(${name}_kernels PRIVATE -g1 -Wno-unknown-pragmas ${ARGN})  # #pragma unroll
    target_compile_definitions(${name}_kernels PRIVATE GENRETREE_CUDA GENRETREE_CUDA_EMULATED
      THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_CPP)
    add_executable(test_${name} $<TARGET_OBJECTS:${name}_kernels> $<TARGET_OBJECTS:cuda_emulated_host>
      $<TARGET_OBJECTS:operation_tests>)
    target_link_libraries(test_${name} PRIVATE cuda_emulated_host)
    add_test(NAME ${name} COMMAND test_${name})
  endfunction()
  add_cuda_test(cuda_emulated)
  if(NOT GENRETREE_SANITIZE)
    add_cuda_test(cuda_races -O1 -fsanitize=thread)
  endif()
endif()
