// Errors of the whole program. A message says what failed, the value it got, what is allowed and what to do; the type
// decides the exit code of the program.
#pragma once

#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace genretree {

/// Exit codes of every program.
enum class ExitCode : int {
  ok = 0,
  failure = 1,       ///< something broke: no space, no memory, a bug
  left_out = 3,      ///< finished, but some inputs were bad and are left out
  incomplete = 4,    ///< a report was written, but results are missing
  bad_input = 65,    ///< a file, option or value that can never work: trying again is pointless
  interrupted = 75,  ///< stopped by a signal with everything saved, or others have to end first: --resume goes on
};

/// Anything that stops a program. Its text is shown to the user after "error: ".
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, ExitCode code = ExitCode::failure)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// The user's input cannot work (ExitCode::bad_input).
class InputError : public Error {
 public:
  explicit InputError(const std::string& message) : Error(message, ExitCode::bad_input) {}
};

/// A signal asked for an early end (ExitCode::interrupted).
class Interrupted : public Error {
 public:
  explicit Interrupted(const std::string& message) : Error(message, ExitCode::interrupted) {}
};

/// fail("cannot write {}: {}", path, reason) throws Error.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// reject("learning_rate is {}, but must be above 0", value) throws InputError.
template <class... Args>
[[noreturn]] void reject(fmt::format_string<Args...> format, Args&&... args) {
  throw InputError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace genretree
