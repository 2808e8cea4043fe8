"""torch_step.py TASK: a training step in PyTorch, with Adam, on one thread."""
import sys

import numpy as np
import torch

from measure import report
from shapes import BATCH, CLASSES, FRAMES_AND_FEATURES, UNITS

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
# Over 1293 frames gradients fade to denormal numbers, on which processors are slow. TensorFlow and we flush them to
# zero as a matter of course.
torch.set_flush_denormal(True)


class Classifier(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.first = torch.nn.LSTM(features, UNITS[0])
        self.second = torch.nn.LSTM(UNITS[0], UNITS[1])
        self.dense = torch.nn.Linear(UNITS[1], CLASSES)

    def forward(self, x):
        return self.dense(self.second(self.first(x)[0])[0][-1])


frames, features = FRAMES_AND_FEATURES[sys.argv[1]]
random = np.random.default_rng(2018)
x = torch.from_numpy(random.normal(size=(frames, BATCH, features)).astype(np.float32))  # its fastest order
y = torch.arange(BATCH) % CLASSES
model = Classifier(features)
optimiser = torch.optim.Adam(model.parameters())
loss = torch.nn.CrossEntropyLoss()


def step():
    optimiser.zero_grad()
    loss(model(x), y).backward()
    optimiser.step()


report("PyTorch " + torch.__version__.split("+")[0], "s", step)
