"""page.py FOLDER: writes FOLDER/README.md from the records of bench (bench.json) and of bench_peers (peers.json, which
may be missing) there. What has no records has no section."""
import json
import sys
from pathlib import Path

SCALED = {"units": "units of the first layer (the second has a quarter)", "frames": "frames", "batch": "batch",
          "runs": "runs side by side"}
PIECES = {"forward_product": "recurrent + input product, forward", "forward_cell": "cell, forward",
          "backward_cell": "cell, backward", "transposed_product": "transposed product, backward",
          "weight_gradient": "weight gradient", "dense_and_loss": "dense layer and loss", "adam": "Adam",
          "rest": "the rest: packing, input, reading the clock", "whole_step": "the step"}
TRAINING = ("train_step/paper", "train_step/short", "forward/paper", "evaluation/paper", "epoch/paper")

HEAD = """# Benchmarks

What this machine allows, what we reach of it, and what others reach who do the same work. One command measures all of
it anew and writes this page; the machine should do nothing else meanwhile:

    tools/bench_peers

`bench` alone measures without the others; `bench --list` names what there is, `bench --only train_step` takes a part,
`bench --json FILE` writes the records, and with `--update` keeps those that are not measured anew: `bench.json` and,
for the others, `peers.json` are those of this page. What the paper's protocol gives on real music is on
[another page](real-music/README.md).

Every value is the median of its repetitions, with their range in brackets. What runs on one core is measured by its
processor time, what runs on several by the clock on the wall. The peak is that of fp32 multiply-adds, measured on the
same cores just before and after each repetition; bf16 is not compared with it. The kernels of training and of MFCCs are
compared with the definition on a short input before they are timed.
"""
OTHERS = """## Others, one core

One thread pinned to one core, the same shapes, the same clips, all in fp32, in turns with ours: `ours` is the mean of
just before and just after. A ratio above 1 says that ours is so many times faster. The peers are at their best: with
glibc's allocator told to keep its memory, and in PyTorch with denormal numbers flushed to zero. MFCCs are those of the
same clips; the last column has the largest difference of any coefficient from ours.

"""
TRAINING_HEAD = """## Training, one core

The paper's network: 13 coefficients → LSTM 128 → LSTM 32 → 6 classes, 35 clips of 1293 frames a step (short: 33
coefficients, 128 frames). A step is forward, loss, backward and Adam; an evaluation is forward and loss of 60 clips; an
epoch is 420 clips to train on, 120 to validate and 60 to test. MB are what the LSTM's state holds, and in `epoch` all
that a run holds.

"""
PIECES_HEAD = """## Where a step's time goes

The paper's step in fp32 on the interleaved kernels, all time steps of both layers, each kernel call timed in its place
by the clock on the wall, unless another program came between; the step in processor time. All rows are of one step, the
shortest of fifteen. The recurrent and the input product are one by design: [h, x, 1] · [recurrent kernel; kernel;
bias]. There are no such rows for bf16.

"""
GRID_HEAD = """## The paper's whole grid

Seven numbers of epochs, 5 to 400, in four trials, with validation and test: 3,140 epochs `independent`, 1,600 in
`snapshots`. From three measurements of five epochs on each worker, on made-up clips; both modes of a precision are
reckoned from the same ones.

"""
SCALING_HEAD = """## How time grows

One training step when one thing is varied and all others stay the paper's.

"""
FEATURES_HEAD = """## MFCC

13 coefficients of 30 s clips at 22050 Hz (n_fft 2048, hop 512, 128 mels) of the built-in corpus: from samples, from .au
files in the page cache, and from a folder of 200 such files to the finished feature store. features33 are the same
coefficients with spectral centroid, chroma and spectral contrast, from samples.

"""
LIMITS_HEAD = """## The machine's limits

The arrays in memory are together four times as large as the last cache, so that little of them is found there. The
triad is a = b + factor · c, counted as three arrays.

"""


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def with_range(record, factor=1):
    value, low, high = (number(record[key] * factor) for key in ("value", "min", "max"))
    return value if low == high else f"{value} ({low} … {high})"


def percent(record, key="share_of_peak"):
    return f"{100 * record[key]:.0f} %" if key in record else ""


def megabytes(record):
    return number(record["megabytes"]) if "megabytes" in record else ""


def table(heading, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [heading, ["---"] * len(heading), *rows]) + "\n"


def section(head, heading, rows, tail=""):
    return head + table(heading, rows) + tail if rows else ""


class Page:
    """The sections of the page, each a table of those records that are there."""

    def __init__(self, records, peers):
        self.machine, *rest = records
        self.records = {record["name"]: record for record in rest}
        self.peers = peers

    def named(self, prefix):
        return [record for name, record in self.records.items() if name.startswith(prefix)]

    def about_the_machine(self):
        m = self.machine
        until = f" to {m['until']}" if m.get("until", m["time"]) != m["time"] else ""
        load = "unknown" if m["load"] is None else f"{m['load']:.1f}"
        precisions = "; ".join(f"{name} on {p['target']}, {p['algorithm']}" for name, p in m["precisions"].items())
        return (f"Measured on {m['time']}{until}, commit {m['commit']}: {m['processor']}, {m['value']} cores;\n"
                f"{precisions}; {m['libraries']}; load average before: {load}.\n")

    def others(self):
        rows = []
        for r in self.peers:
            ours = {"value": r["ours"], "min": r["ours_min"], "max": r["ours_max"]}
            difference = f"{r['largest_difference']:.1g} dB" if "largest_difference" in r else ""
            rows.append([r["task"], r["peer"], with_range(r), with_range(ours), r["unit"], f"**{r['ratio']:.2f}**",
                         percent(r), difference])
        times = {}
        for r in self.peers:
            times.setdefault((r["commit"], r["processor"]), set()).add(r["time"])
        tail = "".join(f"\nMeasured on {' to '.join(sorted({min(when), max(when)}))}, commit {commit}: {processor}.\n"
                       for (commit, processor), when in times.items())
        return section(OTHERS, ["", "peer", "peer's", "ours", "unit", "ratio", "peer's part of the peak", "difference"],
                       rows, tail)

    def training(self):
        rows = [[r["name"], with_range(r), percent(r), megabytes(r)]
                for what in TRAINING for r in self.named(what + "/")]
        tail = "".join(f"\nIn turns with fp32, {r['name'].split('/')[2]} takes the paper's step {with_range(r)} "
                       "times as fast.\n" for r in self.named("speedup/paper/"))
        return section(TRAINING_HEAD, ["", "seconds", "of the peak", "MB"], rows, tail)

    def pieces(self):
        pieces = {name: self.records.get(f"pieces/{name}/fp32/1core") for name in PIECES}
        if None in pieces.values():
            return ""  # parts of nothing
        step = pieces["whole_step"]["value"]
        rows = [[PIECES[name], f"{number(1000 * r['value'])}", f"{100 * r['value'] / step:.1f} %", percent(r)]
                for name, r in pieces.items()]
        return section(PIECES_HEAD, ["", "ms", "of the step", "of the peak"], rows)

    def grid(self):
        return section(GRID_HEAD, ["", "hours"], [[r["name"], with_range(r)] for r in self.named("grid")])

    def scaling(self):
        rows = []
        for what, label in SCALED.items():
            for r in self.named(f"scaling/{what}/"):
                _, _, value, precision, cores = r["name"].split("/")
                rows.append([label, value, precision, cores.replace("core", " core"), with_range(r), percent(r),
                             megabytes(r)])
        return section(SCALING_HEAD, ["what is varied", "", "precision", "cores", "seconds", "of the peak", "MB"], rows)

    def features(self):
        records = self.named("mfcc") + self.named("features33")
        return section(FEATURES_HEAD, ["", "clips/s"], [[r["name"], with_range(r)] for r in records])

    def limits(self):
        records = self.named("fma_peak") + self.named("memory")
        rows = [[r["name"], with_range(r), r["unit"], megabytes(r)] for r in records]
        return section(LIMITS_HEAD, ["", "value", "unit", "MB of arrays"], rows)

    def text(self):
        sections = [HEAD, self.about_the_machine(), self.others(), self.training(), self.pieces(), self.grid(),
                    self.scaling(), self.features(), self.limits()]
        return "\n".join(filter(None, sections))


def main():
    if len(sys.argv) != 2:
        sys.exit("error: page.py takes one folder, e.g. benchmarks")
    folder = Path(sys.argv[1])
    bench, peers = folder / "bench.json", folder / "peers.json"
    try:
        page = Page(json.loads(bench.read_text()), json.loads(peers.read_text()) if peers.exists() else [])
        text = page.text()
    except OSError as error:
        sys.exit(f"error: {error}. Write it with bench --json {bench}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"error: {bench} or {peers} does not hold the records of this version "
                 f"({type(error).__name__}: {error}). Measure anew with tools/bench_peers")
    (folder / "README.md").write_text(text)


if __name__ == "__main__":
    main()
