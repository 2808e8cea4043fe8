"""Runs bench and the peers in turns on one core, so that each peer is compared with ours just before and after it.

Writes one JSON record for each peer and task: the peer's median with its range, ours, how many times faster ours is,
and what part of the FMA peak the peer reaches. Called by tools/bench_peers.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

HERE = Path(__file__).resolve().parent
SCRIPTS = {"keras": "keras_step.py", "torch": "torch_step.py", "librosa": "librosa_mfcc.py",
           "torchaudio": "torchaudio_mfcc.py"}
TASKS = {"train_step/paper": ("keras", "torch"), "train_step/short": ("keras", "torch"),
         "mfcc/features": ("librosa", "torchaudio"), "mfcc/decode+features": ("librosa", "torchaudio")}

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
    """bench's records of a task: {"fp32": …, "bf16": …} of a step where the machine has them, or {"": …}."""
    json_file = Path(folder) / "bench.json"
    pattern = "^" + task.replace("+", "[+]") + "/(.*/)?1core$"
    finished = on_one_core([bench, "--only", pattern, "--json", json_file], {})
    if finished.returncode != 0:
        sys.exit(finished.stderr or f"error: bench failed at {task}")
    records = [record for record in json.loads(json_file.read_text()) if record["name"].startswith(task)]
    return {record["name"].removeprefix(task).removesuffix("1core").strip("/"): record for record in records}


def measure_peer(python, peer, task, clips):
    """What the peer's script reports, or None after saying why there is nothing."""
    arguments = [clips] if task.startswith("mfcc") else []
    finished = on_one_core([python, HERE / SCRIPTS[peer], task, *arguments], PEERS_AT_THEIR_BEST)
    if finished.returncode == 0:
        return json.loads(finished.stdout.splitlines()[-1])
    reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
    print(f"{peer} failed at {task} and is left out: {reason}", file=sys.stderr)
    return None


def compare(task, precision, peer, before, after):
    """One record. Steps are measured in seconds, MFCCs in clips per second."""
    theirs, ours = median(peer["values"]), mean([before["value"], after["value"]])
    record = {"task": task, "peer": peer["peer"], "unit": peer["unit"], "value": theirs, "min": min(peer["values"]),
              "max": max(peer["values"]), "repetitions": len(peer["values"]), "precision": precision,
              "ours": ours, "ratio": theirs / ours if peer["unit"] == "s" else ours / theirs}
    if "share_of_peak" in before:
        record["ours_share_of_peak"] = mean([before["share_of_peak"], after["share_of_peak"]])
        record["share_of_peak"] = record["ours_share_of_peak"] * ours / theirs
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in record.items()}


def line(r):
    task = "/".join(filter(None, (r["task"], r["precision"])))
    share = f"{100 * r['share_of_peak']:.0f}, ours {100 * r['ours_share_of_peak']:.0f}" if "share_of_peak" in r else ""
    return f"{task:<28}{r['peer']:<34}{r['value']:>9.4g}{r['ours']:>9.4g}  {r['unit']:<9}{r['ratio']:>6.2f}  {share}"


def table(records):
    heading = f"{'task':<28}{'peer':<34}{'peer':>9}{'ours':>9}  {'unit':<9}{'ratio':>6}  % of peak"
    return "\n".join([heading, *map(line, records)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("peers", nargs="*", choices=list(SCRIPTS))
    options = parser.parse_args()

    records = []
    with tempfile.TemporaryDirectory() as folder:
        clips = Path(folder) / "clips"
        subprocess.run([options.programs / "make_corpus", clips, "--clips", "2"], check=True, stdout=subprocess.DEVNULL)
        for task, candidates in TASKS.items():
            peers = [peer for peer in candidates if peer in options.peers]
            before = measure_ours(options.programs / "bench", task, folder) if peers else {}
            for name in peers:
                peer = measure_peer(options.environments / name / "bin" / "python", name, task, clips)
                after = measure_ours(options.programs / "bench", task, folder)
                if peer:
                    records += [compare(task, which, peer, before[which], after[which]) for which in after]
                before = after
    options.json.write_text(json.dumps(records, indent=2) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
