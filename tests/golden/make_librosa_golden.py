#!/usr/bin/env python3
"""Makes librosa_features.h5 and three small audio files: what librosa computes, in double precision, for the cases that
tests/kernels/test_spectral_features.cpp and tests/features compare with. Made with librosa 0.11.0, numpy 2.4.6,
libsndfile 1.2.2.

    pip install librosa h5py soundfile soxr
    python3 make_librosa_golden.py

/tables/NAME/{window, mel, dct}   librosa's own tables in double precision; attributes n_fft, hop, mels, sample_rate,
                                  first_pitch_bin, end_pitch_bin (where librosa.piptrack looks for peaks)
/tables/NAME/contrast             int32, [7, 3]: first bin, end, and how many extremes of each contrast band
/tables/NAME/chroma/T             float32, [bins, 12], the chroma bank of each tuning, T / 100 - 0.5, that a case has
/cases/NAME/samples               float32, after loading; attribute `file` where they come from one of the audio files
/cases/NAME/{mel, log_mel}        float32, [frames, mels]; attributes tables (a name), reflect (1: padded by reflection)
/cases/NAME/mfcc                  float64, [frames, 20]
/cases/NAME/{centroid, chroma, contrast}   float64, [frames, 1 | 12 | 7]
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
    hz = librosa.fft_frequencies(sr=rate, n_fft=n_fft)
    pitch_bins = np.flatnonzero((hz >= 150) & (hz < 4000))
    group.attrs.update(first_pitch_bin=np.int32(pitch_bins[0]), end_pitch_bin=np.int32(pitch_bins[-1] + 1))
    put(group, "contrast", contrast_bands(hz))


def contrast_bands(hz):
    """The bins that librosa.feature.spectral_contrast takes for its bands."""
    edges, bands = [0] + [200 * 2**octave for octave in range(7)], []
    for band in range(7):
        inside = np.flatnonzero((hz >= edges[band]) & (hz <= edges[band + 1]))
        first = inside[0] - (band > 0)
        last = len(hz) - 1 if band == 6 else inside[-1]
        bands.append([first, last + (band == 6), max(1, int(np.rint(0.02 * (last + 1 - first))))])
    return np.array(bands, np.int32)


def put_features(group, tables):
    """librosa's steps with doubles throughout; librosa itself would use single precision."""
    n_fft, hop, rate = (int(tables.attrs[key]) for key in ("n_fft", "hop", "sample_rate"))
    pad_mode = "reflect" if group.attrs["reflect"] else "constant"
    samples = group["samples"][:].astype(np.float64)
    spectrum = np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop, pad_mode=pad_mode))
    mel = tables["mel"][:] @ spectrum**2
    decibels = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=80.0)
    put(group, "mel", mel.T.astype(np.float32))
    put(group, "log_mel", decibels.T.astype(np.float32))
    put(group, "mfcc", scipy.fft.dct(decibels, axis=0, type=2, norm="ortho")[:20].T)
    put(group, "centroid", librosa.feature.spectral_centroid(S=spectrum, sr=rate, n_fft=n_fft).T)
    put(group, "chroma", librosa.feature.chroma_stft(S=spectrum**2, sr=rate, n_fft=n_fft).T)
    put(group, "contrast", librosa.feature.spectral_contrast(S=spectrum, sr=rate, n_fft=n_fft).T)
    tuning = librosa.estimate_tuning(S=spectrum**2, sr=rate, n_fft=n_fft)
    place = f"chroma/{round((tuning + 0.5) * 100)}"
    if place not in tables:
        put(tables, place, librosa.filters.chroma(sr=rate, n_fft=n_fft, tuning=tuning).T)


def add_case(store, name, samples, tables="usual", reflect=False, file=None, same_samples_as=None):
    group = store.create_group(f"cases/{name}")
    group.attrs.update(tables=tables, reflect=np.int32(reflect))
    if file:
        group.attrs["file"] = file
    if same_samples_as:
        group["samples"] = store[f"cases/{same_samples_as}/samples"]  # a link
    else:
        put(group, "samples", samples.astype(np.float32))
    put_features(group, store[f"tables/{tables}"])


with h5py.File(HERE / "librosa_features.h5", "w") as store:
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
    add_case(store, "out_of_tune", music(22050, 0.4, [224.2, 336.3]))  # a third of a semitone above A, and a fifth
