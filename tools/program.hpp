// The frame of every program: errors become a message and an exit code.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <new>

#include "core/error.hpp"
#include "core/interrupt.hpp"

namespace genretree {

/// Runs main_body() and returns the exit code of the process; "error: …" goes to standard error.
template <class Body>
int run_program(Body main_body) {
  try {
    stop_on_signals();
    return static_cast<int>(main_body());
  } catch (const Error& error) {
    fmt::print(stderr, "{}: {}\n", error.code() == ExitCode::interrupted ? "stopped" : "error", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory. Use fewer workers (--jobs)\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
  }
  return static_cast<int>(ExitCode::failure);
}

}  // namespace genretree
