// The frame of every program: errors become a message and an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
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

/// Reads the command line. True if --help was asked for, which is printed; InputError if an option is wrong.
inline bool asked_for_help(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return false;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return true;
  } catch (const CLI::ParseError& error) {
    reject("{}. See {} --help", error.what(), app.get_name());
  }
}

}  // namespace genretree
