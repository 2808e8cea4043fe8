#!/usr/bin/env python3
"""Makes librosa_mfcc.h5 and three small audio files: what librosa computes, in double precision, for the cases that
tests/kernels/test_spectral_features.cpp and tests/features compare with. Made with librosa 0.11.0, numpy 2.4.6, libsndfile 1.2.2.

    pip install librosa h5py soundfile soxr
    python3 make_librosa_golden.py

/tables/NAME/{window, mel, dct}   librosa's own tables in double precision; attributes n_fft, hop, mels, sample_rate
/cases/NAME/samples               float32, after loading; attribute `file` where they come from one of the audio files
/cases/NAME/mfcc                  float64, [frames, 20]; attributes tables (a name), reflect (1: padded by reflection)
"""
import pathlib

import h5py
import librosa
import numpy as np
import scipy.fft
import soundfile

HERE = pathlib.Path(__file__).parent
random = np.random.default_rng(2018)


def music(rate, seconds, fundamentals):
    """A few decaying harmonic notes over quiet noise: sound with a wide spectrum and dynamics, in -1 ... 1."""
    time = np.arange(int(rate * seconds)) / rate
    signal = 0.003 * random.standard_normal(len(time))
    for note, hz in enumerate(fundamentals):
        since = time - note * seconds / len(fundamentals)
        for harmonic in range(1, 6):
            if hz * harmonic < rate / 2:
                signal += (since > 0) * 0.2 / harmonic * np.exp(-4 * np.abs(since)) * np.sin(2 * np.pi * hz * harmonic * since)
    return signal


def put(group, name, values):
    group.create_dataset(name, data=values, compression="gzip", compression_opts=9, shuffle=True)


def add_tables(store, name, n_fft, hop, mels, rate=22050):
    group = store.create_group(f"tables/{name}")
    group.attrs.update(n_fft=np.int32(n_fft), hop=np.int32(hop), mels=np.int32(mels), sample_rate=np.int32(rate))
    put(group, "window", librosa.filters.get_window("hann", n_fft, fftbins=True))
    put(group, "mel", librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=mels, dtype=np.float64))
    put(group, "dct", scipy.fft.dct(np.eye(mels), axis=0, type=2, norm="ortho")[:20])


def mfcc(samples, tables, reflect):
    """librosa.feature.mfcc's steps with doubles throughout, [frames, 20]; librosa itself would use single precision."""
    n_fft, hop = int(tables.attrs["n_fft"]), int(tables.attrs["hop"])
    pad_mode = "reflect" if reflect else "constant"
    spectrum = librosa.stft(samples.astype(np.float64), n_fft=n_fft, hop_length=hop, pad_mode=pad_mode)
    decibels = librosa.power_to_db(tables["mel"][:] @ np.abs(spectrum) ** 2, ref=1.0, amin=1e-10, top_db=80.0)
    return scipy.fft.dct(decibels, axis=0, type=2, norm="ortho")[:20].T


def add_case(store, name, samples, tables="usual", reflect=False, file=None, same_samples_as=None):
    group = store.create_group(f"cases/{name}")
    group.attrs.update(tables=tables, reflect=np.int32(reflect))
    if file:
        group.attrs["file"] = file
    if same_samples_as:
        group["samples"] = store[f"cases/{same_samples_as}/samples"]  # a link
    else:
        put(group, "samples", samples.astype(np.float32))
    put(group, "mfcc", mfcc(samples.astype(np.float32), store[f"tables/{tables}"], reflect))


with h5py.File(HERE / "librosa_mfcc.h5", "w") as store:
    soundfile.write(HERE / "librosa_plain.au", music(22050, 0.8, [220, 277.2, 329.6]), 22050, subtype="PCM_16", endian="BIG")
    stereo = np.stack([music(44100, 0.4, [110, 660]), music(44100, 0.4, [440])], axis=1)
    soundfile.write(HERE / "librosa_stereo.wav", stereo, 44100, subtype="PCM_16")
    soundfile.write(HERE / "librosa_8khz.flac", music(8000, 0.5, [196, 392]), 8000, subtype="PCM_16")

    add_tables(store, "usual", n_fft=2048, hop=512, mels=128)
    add_tables(store, "other", n_fft=1024, hop=441, mels=40)  # hop divides nothing; 512 is no power of four

    # librosa.load: mean of channels, soxr_hq to 22050 Hz
    load = lambda file: librosa.load(HERE / file)[0]
    plain = load("librosa_plain.au")
    add_case(store, "plain", plain, file="librosa_plain.au")
    add_case(store, "reflect", plain, file="librosa_plain.au", reflect=True, same_samples_as="plain")
    add_case(store, "other_sizes", plain[:9000], tables="other")
    add_case(store, "stereo", load("librosa_stereo.wav"), file="librosa_stereo.wav")
    add_case(store, "8khz", load("librosa_8khz.flac"), file="librosa_8khz.flac")
    silence_first = plain[:11025].copy()
    silence_first[:5000] = 0
    add_case(store, "silence_first", silence_first)
    add_case(store, "all_zero", np.zeros(4096))
    add_case(store, "shorter_than_a_frame", plain[3000:3100])
