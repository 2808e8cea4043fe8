"""How a peer is measured: the processor time of all its threads, which share one core."""
import json
import time


def report(peer, unit, work, repetitions=7, clips=None, **more):
    """Prints one JSON object: the peer's name and version, seconds or clips per second of each repetition, and more."""
    for _ in range(2):
        work()
    values = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        seconds = time.process_time() - start
        values.append(clips / seconds if clips else seconds)
    print(json.dumps({"peer": peer, "unit": unit, "values": values, **more}))
