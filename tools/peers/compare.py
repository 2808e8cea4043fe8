"""Runs bench and the peers in turns on one core, so that each peer is compared with ours just before and after it.

Writes one JSON record for each peer and task: the peer's median with its range, ours in fp32, how many times faster
ours is, what part of the FMA peak the peer reaches, how far its MFCCs are from ours, and when and where it was
measured. What the file has of other peers stays. Called by tools/bench_peers.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

HERE = Path(__file__).resolve().parent
SCRIPTS = {"keras": "keras_step.py", "torch": "torch_step.py", "librosa": "librosa_mfcc.py",
           "torchaudio": "torchaudio_mfcc.py"}
# Each task with the name of our record.
TASKS = {"train_step/paper": "train_step/paper/fp32/1core", "train_step/short": "train_step/short/fp32/1core",
         "mfcc/features": "mfcc/features/1core", "mfcc/decode+features": "mfcc/decode+features/1core"}
CANDIDATES = {"train_step": ("keras", "torch"), "mfcc": ("librosa", "torchaudio")}

# One thread, where libraries ask the environment; and an allocator that keeps what it has: glibc's would give large
# arrays back after each step, and PyTorch would spend two fifths of its time on page faults.
PEERS_AT_THEIR_BEST = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                       "NUMBA_NUM_THREADS": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TOP_PAD_": str(1 << 28),
                       "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}


def on_one_core(command, environment):
    """Runs a command on the last of our cores."""
    core = max(os.sched_getaffinity(0))
    return subprocess.run(["taskset", "-c", str(core), *map(str, command)], env=os.environ | environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def measure_ours(bench, task, folder):
    """bench's record of a task, after that of the machine."""
    json_file = Path(folder) / "bench.json"
    finished = on_one_core([bench, "--only", f"^{re.escape(TASKS[task])}$", "--json", json_file], {})
    if finished.returncode != 0:
        sys.exit(finished.stderr or f"error: bench failed at {task}")
    return json.loads(json_file.read_text())


def measure_peer(python, peer, task, folder):
    """What the peer's script reports, or None after saying why there is nothing."""
    arguments = [folder / "clips", folder / "features.h5"] if task.startswith("mfcc") else []
    finished = on_one_core([python, HERE / SCRIPTS[peer], task, *arguments], PEERS_AT_THEIR_BEST)
    if finished.returncode == 0:
        return json.loads(finished.stdout.splitlines()[-1])
    reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
    print(f"{peer} failed at {task} and is left out: {reason}", file=sys.stderr)
    return None


def compare(task, program, peer, before, after):
    """One record. Steps are measured in seconds, MFCCs in clips per second."""
    machine, first = before
    _, second = after
    theirs, ours = median(peer["values"]), mean([first["value"], second["value"]])
    record = {"task": task, "program": program, "peer": peer["peer"], "unit": peer["unit"], "value": theirs,
              "min": min(peer["values"]), "max": max(peer["values"]), "repetitions": len(peer["values"]),
              "ours": ours, "ours_min": min(first["min"], second["min"]), "ours_max": max(first["max"], second["max"]),
              "ratio": theirs / ours if peer["unit"] == "s" else ours / theirs}
    if "share_of_peak" in first:
        record["ours_share_of_peak"] = mean([first["share_of_peak"], second["share_of_peak"]])
        record["share_of_peak"] = record["ours_share_of_peak"] * ours / theirs
    if "largest_difference" in peer:
        record["largest_difference"] = peer["largest_difference"]
    record = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in record.items()}
    return record | {fact: machine[fact] for fact in ("processor", "commit", "time")}


def merge(earlier, measured):
    """Records in the order of tasks and peers; what was measured now takes the place of what was measured before."""
    records = {(r["task"], r["program"]): r for r in earlier + measured}
    order = [(task, program) for task in TASKS for program in SCRIPTS]
    return [records[key] for key in order if key in records]


def line(r):
    share = f"{100 * r['share_of_peak']:.0f}, ours {100 * r['ours_share_of_peak']:.0f}" if "share_of_peak" in r else ""
    if "largest_difference" in r:
        share = f"MFCCs differ by up to {r['largest_difference']:.1g} dB"
    numbers = f"{r['value']:>9.4g}{r['ours']:>9.4g}  {r['unit']:<9}{r['ratio']:>6.2f}"
    return f"{r['task']:<28}{r['peer']:<34}{numbers}  {share}"


def table(records):
    heading = f"{'task':<28}{'peer':<34}{'peer':>9}{'ours':>9}  {'unit':<9}{'ratio':>6}  % of peak"
    return "\n".join([heading, *map(line, records)])


def measure(programs, environments, wanted, folder):
    """The records of the wanted peers."""
    records = []
    if set(wanted) & set(CANDIDATES["mfcc"]):
        clips, store = folder / "clips", folder / "features.h5"
        for command in ([programs / "make_corpus", clips, "--clips", "2"],
                        [programs / "extract_features", clips, "--out", store]):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for task in TASKS:
        peers = [peer for peer in CANDIDATES[task.split("/")[0]] if peer in wanted]
        before = measure_ours(programs / "bench", task, folder) if peers else None
        for program in peers:
            peer = measure_peer(environments / program / "bin" / "python", program, task, folder)
            after = measure_ours(programs / "bench", task, folder)
            if peer:
                records.append(compare(task, program, peer, before, after))
            before = after
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("peers", nargs="*", help=f"any of {', '.join(SCRIPTS)}; none keeps the file's records")
    options = parser.parse_args()

    earlier = json.loads(options.json.read_text()) if options.json.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options.programs, options.environments, options.peers, Path(folder))
    # records of versions that did not say when they were measured are not kept
    records = merge([record for record in earlier if "commit" in record], measured)
    options.json.write_text(json.dumps(records, indent=2) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
