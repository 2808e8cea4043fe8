"""torch_gpu.py TASK PRECISION: training steps with PyTorch's nn.LSTM (cuDNN) and Adam on a GPU, as of bench --gpu.

TASK: train_step/paper, train_step/short, epoch/paper, nodes7/… or runs28/… (in_turn, together: each run on a stream and
a thread of its own). PRECISION: fp32 or tf32.
"""
import sys
import threading

import torch

from measure_gpu import report
from shapes import BATCH, CLASSES, FRAMES_AND_FEATURES, UNITS

task, precision = sys.argv[1:]
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
STEPS = 12  # given together, as bench does
frames, features = FRAMES_AND_FEATURES["train_step/short" if task == "train_step/short" else "train_step/paper"]


class Run:
    """A network with a batch of its own on the GPU, and a stream."""

    def __init__(self):
        self.stream = torch.cuda.Stream()
        self.first = torch.nn.LSTM(features, UNITS[0]).cuda()
        self.second = torch.nn.LSTM(UNITS[0], UNITS[1]).cuda()
        self.dense = torch.nn.Linear(UNITS[1], CLASSES).cuda()
        parameters = [p for part in (self.first, self.second, self.dense) for p in part.parameters()]
        self.optimiser = torch.optim.Adam(parameters, fused=True)
        self.loss = torch.nn.CrossEntropyLoss()
        self.x = torch.randn(frames, BATCH, features, device="cuda")
        self.y = (torch.arange(BATCH) % CLASSES).cuda()

    def forward(self, x):
        return self.dense(self.second(self.first(x)[0])[0][-1])

    def step(self):
        self.optimiser.zero_grad()
        self.loss(self.forward(self.x), self.y).backward()
        self.optimiser.step()

    def steps(self, count=STEPS):
        with torch.cuda.stream(self.stream):
            for _ in range(count):
                self.step()

    def evaluate(self, x, y):
        with torch.cuda.stream(self.stream), torch.no_grad():
            self.loss(self.forward(x), y)


peer = "PyTorch " + torch.__version__.split("+")[0]
runs = [Run() for _ in range({"nodes7": 7, "runs28": 28}.get(task.split("/")[0], 1))]
torch.cuda.synchronize()
if task == "epoch/paper":
    x = torch.randn(frames, 60, features, device="cuda")
    y = (torch.arange(60) % CLASSES).cuda()
    torch.cuda.synchronize()

    def epoch():
        runs[0].steps()  # 420 clips
        for _ in range(3):  # 120 and 60 clips
            runs[0].evaluate(x, y)

    report(peer, "s", epoch)
elif task.endswith("/together"):
    def together():
        threads = [threading.Thread(target=run.steps) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    report(peer, "s", together, each=STEPS)
else:
    def in_turn():
        for run in runs:
            run.steps()
            run.stream.synchronize()

    report(peer, "s", in_turn, each=STEPS)
