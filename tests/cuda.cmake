# Every CUDA kernel without a GPU: compiled for the emulator (test_cuda_emulated), for its race check (test_cuda_races),
# and by nvcc where there is one. support/cuda_emulator.hpp says what each of them finds.
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu kernels/cuda/*.cu)

find_package(Boost 1.74 QUIET COMPONENTS context)
if(NOT Boost_FOUND)
  message(WARNING "Boost.Context was not found: the CUDA emulator is not built. Debian 12 has libboost-context-dev")
elseif(NOT GENRETREE_SANITIZE MATCHES thread)  # the race check takes the place of ThreadSanitizer's library
  file(GLOB cuda_emulator CONFIGURE_DEPENDS support/cuda_*.cpp)
  file(GLOB cuda_tests CONFIGURE_DEPENDS kernels/cuda/*.cpp)
  set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX)
  function(add_cuda_test name)
    add_library(${name}_kernels OBJECT ${cuda_kernels})
    target_link_libraries(${name}_kernels PRIVATE genretree_flags core)
    target_compile_options(${name}_kernels PRIVATE -g1 ${ARGN})
    target_compile_definitions(${name}_kernels PRIVATE GENRETREE_CUDA_EMULATED)
    add_executable(test_${name} ${cuda_tests} ${cuda_emulator} $<TARGET_OBJECTS:${name}_kernels>)
    target_link_libraries(test_${name} PRIVATE test_support core Boost::context)
    target_compile_definitions(test_${name} PRIVATE GENRETREE_CUDA_EMULATED)
    add_test(NAME ${name} COMMAND test_${name})
  endfunction()
  add_cuda_test(cuda_emulated)
  if(NOT GENRETREE_SANITIZE)
    add_cuda_test(cuda_races -O1 -fsanitize=thread)
  endif()
endif()

find_program(GENRETREE_NVCC nvcc HINTS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
if(GENRETREE_NVCC AND NOT GENRETREE_SANITIZE)
  foreach(kernel ${cuda_kernels})
    get_filename_component(stem ${kernel} NAME)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/nvcc/${stem}.o)
    add_custom_command(OUTPUT ${object} DEPENDS ${kernel} DEPFILE ${object}.d VERBATIM
      COMMAND ${GENRETREE_NVCC} -std=c++20 -O3 -I${PROJECT_SOURCE_DIR} -gencode arch=compute_80,code=sm_80
        -gencode arch=compute_90,code=sm_90 -Werror all-warnings -Xcompiler -Wall,-Wextra -Xptxas -v
        -MD -MF ${object}.d -c ${kernel} -o ${object}
      COMMENT "nvcc ${stem}: registers, spills and shared memory of each kernel")
    list(APPEND cuda_objects ${object})
  endforeach()
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/nvcc)
  get_filename_component(cuda_include ${GENRETREE_NVCC} REALPATH)
  cmake_path(SET cuda_include NORMALIZE ${cuda_include}/../../include)
  add_library(cuda_platform OBJECT ${PROJECT_SOURCE_DIR}/kernels/cuda/platform.cpp)
  target_include_directories(cuda_platform SYSTEM PRIVATE ${cuda_include})
  target_link_libraries(cuda_platform PRIVATE genretree_flags core)
  add_custom_target(cuda_kernels_compile ALL DEPENDS ${cuda_objects} cuda_platform)
elseif(NOT GENRETREE_SANITIZE)
  message(STATUS "nvcc was not found: CUDA kernels are compiled for the emulator only")
endif()
