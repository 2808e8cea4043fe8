#include <csignal>

#include "core/error.hpp"
#include "core/interrupt.hpp"

namespace genretree {
namespace {

volatile std::sig_atomic_t received = 0;

void on_signal(int signal) {
  received = signal;
  if (signal == SIGINT) std::signal(SIGINT, SIG_DFL);
}

}  // namespace

void stop_on_signals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool stop_requested() noexcept { return received != 0; }

void throw_if_stop_requested() {
  if (received)
    throw Interrupted(fmt::format(
        "stopped by signal {}; what was finished is saved: go on with the same command (run_experiment: and "
        "--resume)",
        int{received}));
}

}  // namespace genretree
