#!/usr/bin/env python3
"""Makes librosa_deltas.h5: first and second differences as librosa.feature.delta has them, in double precision, that
tests/features/test_deltas.cpp compares with. Made with librosa 0.11.0, numpy 2.4.6.

    pip install librosa h5py
    python3 make_deltas_golden.py

/T/features           float64, [T, 3], of T = 9 (the fewest), 10 and 25 frames
/T/first, /T/second   float64, [T, 3]
"""
import pathlib

import h5py
import librosa
import numpy as np

random = np.random.default_rng(2018)

with h5py.File(pathlib.Path(__file__).parent / "librosa_deltas.h5", "w") as store:
    for frames in (9, 10, 25):
        # rounded to float, which our features are
        features = random.normal([-200, 80, 0], [50, 20, 1], (frames, 3)).astype(np.float32).astype(np.float64)
        group = store.create_group(f"{frames}")
        group["features"] = features
        for order, name in ((1, "first"), (2, "second")):
            group[name] = librosa.feature.delta(features.T, width=9, order=order, mode="interp").T
