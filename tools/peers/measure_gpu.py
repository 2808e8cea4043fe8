"""How a peer is measured on a GPU: the clock on the wall, until all that was given to the GPU is done."""
import json
import time

import torch


def report(peer, unit, work, repetitions=7, each=1, clips=None):
    """Prints one JSON object as measure.report does. `each`: how many steps `work` takes."""
    values = []
    for repetition in range(repetitions + 2):  # two to warm up
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - start) / each
        if repetition >= 2:
            values.append(clips / seconds if clips else seconds)
    print(json.dumps({"peer": peer, "unit": unit, "values": values}))
