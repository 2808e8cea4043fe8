"""How far a peer's MFCCs are from ours."""
import h5py
import numpy as np


def largest_difference(store, files, coefficients_of):
    """max |theirs - ours| over all coefficients and frames, dB. store: our features of the same files.
    coefficients_of(file) gives theirs, [coefficients, frames]."""
    with h5py.File(store) as ours:
        features, lengths = ours["features"][:], ours["lengths"][:]
        places = {track: place for place, track in enumerate(ours["tracks"].asstr()[:])}
    worst = 0.0
    for file in files:
        place = places[file.stem]
        frames = min(lengths[place], features.shape[1])
        theirs = np.asarray(coefficients_of(file)).T[:frames]
        worst = max(worst, float(np.abs(theirs - features[place, :frames]).max()))
    return worst
