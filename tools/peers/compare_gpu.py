"""PyTorch and torchaudio on the GPU beside what `bench --gpu` measured there.

  compare_gpu.py --bench FILE --json FILE

Prints a table and writes one JSON record for each of our records that PyTorch has a counterpart for. Each peer runs in
a process of its own; one that fails is named and left out; exit code 1 if none is left. Called by tools/gpu_session.
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent


def counterpart(name):
    """The script and its arguments for one of our records, or None."""
    if re.fullmatch(r"mfcc/features/cuda/\d+queues", name):
        return ["torchaudio_mfcc_gpu.py"]
    if match := re.fullmatch(r"(train_step/paper|train_step/short|epoch/paper|nodes7/in_turn|nodes7/together|"
                             r"runs28/in_turn|runs28/together)/(fp32|bf16|fp32-cudnn|tf32-cudnn)/cuda", name):
        task, precision = match.groups()  # torch's LSTM with fp32 weights is fastest in tf32: bf16 is held against that
        return ["torch_gpu.py", task, "fp32" if precision.startswith("fp32") else "tf32"]
    return None


def measure(command):
    """What a peer's script reports, or None after saying why there is nothing."""
    finished = subprocess.run([sys.executable, HERE / command[0], *command[1:]], text=True, capture_output=True)
    if finished.returncode == 0:
        return json.loads(finished.stdout.splitlines()[-1])
    reason = (finished.stderr.strip().splitlines() or ["no message"])[-1]
    print(f"{' '.join(command)} failed and is left out: {reason}", file=sys.stderr)
    return None


def compare(ours, peer):
    """One record; a ratio above 1 says that ours is so many times faster."""
    theirs = median(peer["values"])
    ratio = theirs / ours["value"] if peer["unit"] == "s" else ours["value"] / theirs
    return {"task": ours["name"], "peer": peer["peer"], "unit": peer["unit"], "value": theirs,
            "min": min(peer["values"]), "max": max(peer["values"]), "repetitions": len(peer["values"]),
            "ours": ours["value"], "ratio": float(f"{ratio:.4g}")}


def line(r):
    return f"{r['task']:<32}{r['peer']:<28}{r['value']:>10.4g}{r['ours']:>10.4g}  {r['unit']:<9}{r['ratio']:>6.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, required=True, help="records of bench --gpu")
    parser.add_argument("--json", type=Path, required=True, help="write the records here")
    options = parser.parse_args()
    try:
        ours = json.loads(options.bench.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {options.bench} cannot be read ({error}). Write it with bench --gpu --json {options.bench}")
    import torch
    if not torch.cuda.is_available():
        print("left out: PyTorch finds no GPU with CUDA", file=sys.stderr)
        sys.exit(77)
    print(f"{'task':<32}{'peer':<28}{'peer':>10}{'ours':>10}  {'unit':<9}{'ratio':>6}")
    measured, records = {}, []
    for record in ours:
        command = counterpart(record["name"])
        if command is None:
            continue
        key = tuple(command)
        if key not in measured:
            measured[key] = measure(command)
        if measured[key]:
            records.append(compare(record, measured[key]))
            print(line(records[-1]), flush=True)
    if not records:
        sys.exit(f"error: nothing was measured: {len(measured)} peers failed, of {len(ours)} records. See above")
    options.json.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
