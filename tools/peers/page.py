"""page.py FOLDER: writes FOLDER/README.md from the records of bench (bench.json) and bench_peers (peers.json) there."""
import json
import sys
from pathlib import Path

SCALED = {"units": "units of the first layer (the second has a quarter)", "frames": "frames", "batch": "batch",
          "runs": "runs side by side"}
PIECES = {"forward_product": "recurrent + input product, forward", "forward_cell": "cell, forward",
          "backward_cell": "cell, backward", "transposed_product": "transposed product, backward",
          "weight_gradient": "weight gradient", "dense_and_loss": "dense layer and loss", "adam": "Adam"}
TRAINING = ("train_step/paper", "train_step/short", "forward/paper", "evaluation/paper", "epoch/paper")

HEAD = """# Benchmarks

What this machine allows, what we reach of it, and what others reach who do the same work. One command measures all of
it anew and writes this page; the machine should do nothing else meanwhile:

    tools/bench_peers

`bench` alone measures without the others; `bench --list` names what there is, `bench --only train_step` takes a part,
`bench --json FILE` writes the records: `bench.json` and, for the others, `peers.json` are those of this page. What the
paper's protocol gives on real music is on [another page](real-music/README.md).

Every value is the median of its repetitions, with their range in brackets. What runs on one core is measured by its
processor time, what runs on several by the clock on the wall. The peak is that of fp32 multiply-adds, measured on the
same cores just before and after each repetition. Every kernel is compared with the definition before it is timed.
"""
OTHERS = """## Others, one core

One thread pinned to one core, the same shapes, the same clips, in turns with ours: `ours` is the mean of just before
and just after. A ratio above 1 says that ours is so many times faster. The peers are at their best: with glibc's
allocator told to keep its memory, and in PyTorch with denormal numbers flushed to zero; as it comes, its step of 1293
frames takes several times as long.

"""
TRAINING_HEAD = """## Training, one core

The paper's network: 13 coefficients → LSTM 128 → LSTM 32 → 6 classes, 35 clips of 1293 frames a step (short: 33
coefficients, 128 frames). A step is forward, loss, backward and Adam; an evaluation is forward and loss of 70 clips; an
epoch is 420 clips to train on, 120 to validate and 60 to test. MB are what the LSTM's state holds, and in `epoch` all
that a run holds.

"""
PIECES_HEAD = """## Where a step's time goes

The paper's step in fp32, all time steps of both layers, each kernel call timed in its place.

"""
GRID_HEAD = """## The paper's whole grid

Seven numbers of epochs, 5 to 400, in four trials, with validation and test: 3,140 epochs `independent`, 1,600 in
`snapshots`. From three measurements of five epochs on each worker, on made-up clips.

"""
SCALING_HEAD = """## How time grows

One training step when one thing is varied and all others stay the paper's.

"""
FEATURES_HEAD = """## MFCC

13 coefficients of 30 s clips at 22050 Hz (n_fft 2048, hop 512, 128 mels) of the built-in corpus: from samples, from .au
files in the page cache, and from a folder of 200 such files to the finished feature store.

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
        return (f"Measured on {m['time']}, commit {m['commit']}: {m['processor']}, {m['value']} cores, instruction set "
                f"{m['target']}; {m['libraries']};\nload average before {m['load']:.1f}.\n")

    def others(self):
        rows = []
        for r in self.peers:
            ours = number(r["ours"]) + (f" ({r['precision']})" if r["precision"] else "")
            rows.append([r["task"], r["peer"], with_range(r), ours, r["unit"], f"**{r['ratio']:.2f}**", percent(r)])
        return OTHERS + table(["", "peer", "peer's", "ours", "unit", "ratio", "peer's part of the peak"], rows)

    def training(self):
        rows = [[r["name"], with_range(r), percent(r), megabytes(r)]
                for what in TRAINING for r in self.named(what + "/")]
        return TRAINING_HEAD + table(["", "seconds", "of the peak", "MB"], rows)

    def pieces(self):
        step = self.records["train_step/paper/fp32/1core"]["value"]
        pieces = [(label, self.records[f"pieces/{name}/fp32/1core"]) for name, label in PIECES.items()]
        rest = step - sum(record["value"] for _, record in pieces)
        rows = [[label, with_range(r, 1000), f"{100 * r['value'] / step:.1f} %", percent(r)] for label, r in pieces]
        rows.append(["the step's time less all of these: packing, input", f"{1000 * rest:.1f}",
                     f"{100 * rest / step:.1f} %", ""])
        return PIECES_HEAD + table(["", "ms", "of the step", "of the peak"], rows)

    def grid(self):
        return GRID_HEAD + table(["", "hours"], [[r["name"], with_range(r)] for r in self.named("grid")])

    def scaling(self):
        rows = []
        for what, label in SCALED.items():
            for r in self.named(f"scaling/{what}/"):
                _, _, value, precision, cores = r["name"].split("/")
                rows.append([label, value, precision, cores.replace("core", " core"), with_range(r), percent(r),
                             megabytes(r)])
        return SCALING_HEAD + table(["what is varied", "", "precision", "cores", "seconds", "of the peak", "MB"], rows)

    def features(self):
        return FEATURES_HEAD + table(["", "clips/s"], [[r["name"], with_range(r)] for r in self.named("mfcc")])

    def limits(self):
        records = self.named("fma_peak") + self.named("memory")
        rows = [[r["name"], with_range(r), r["unit"], megabytes(r)] for r in records]
        return LIMITS_HEAD + table(["", "value", "unit", "MB of arrays"], rows)

    def text(self):
        return "\n".join([HEAD, self.about_the_machine(), self.others(), self.training(), self.pieces(), self.grid(),
                          self.scaling(), self.features(), self.limits()])


def main():
    folder = Path(sys.argv[1])
    page = Page(*(json.loads((folder / name).read_text()) for name in ("bench.json", "peers.json")))
    (folder / "README.md").write_text(page.text())


if __name__ == "__main__":
    main()
