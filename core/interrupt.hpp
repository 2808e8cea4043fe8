// A clean end on SIGINT and SIGTERM: the signal sets a flag, long loops look at it between steps, save and throw
// Interrupted.
#pragma once

namespace genretree {

/// From here on SIGINT and SIGTERM set the flag. A second SIGINT (Ctrl-C) ends the process at once; further SIGTERMs do
/// nothing, for engines of clusters send it more than once.
void stop_on_signals();

/// True once a signal has come.
bool stop_requested() noexcept;

/// Throws Interrupted("stopped by a signal …") if a signal has come.
void throw_if_stop_requested();

}  // namespace genretree
