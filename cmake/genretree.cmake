# What every target of the project shares: warnings, sanitizers, the libraries, and two short ways to name a target.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)

add_library(genretree_flags INTERFACE)
target_include_directories(genretree_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(genretree_flags INTERFACE
  # a*b+c is one rounding or two as written, on every target: results must not depend on the compiler's mood
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers -ffp-contract=off>
  # ptxas tells registers, shared memory and spills of each kernel; 554 is View's conversion, which `requires` rules out
  "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror all-warnings -diag-suppress 554 -Xcompiler -Wall,-Wextra -Xptxas -v>")
if(GENRETREE_SANITIZE)
  target_compile_options(genretree_flags INTERFACE -fsanitize=${GENRETREE_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(genretree_flags INTERFACE -fsanitize=${GENRETREE_SANITIZE})
endif()

# genretree_library(NAME DEPENDS LIBRARY...): the library of this folder, made of all its .cpp files. Folders form a
# ladder: DEPENDS may name only folders above this one.
function(genretree_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC genretree_flags ${ARG_DEPENDS})
endfunction()
