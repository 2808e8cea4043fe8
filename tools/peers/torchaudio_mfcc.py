"""torchaudio_mfcc.py TASK FOLDER STORE: MFCCs of the clips in a folder with torchaudio, on one thread; compared with
ours. Files are decoded by soundfile (libsndfile, as librosa and we do)."""
import sys
from pathlib import Path

import soundfile
import torch
import torchaudio

from difference import largest_difference
from measure import report

torch.set_num_threads(1)
torch.set_num_interop_threads(1)
task, folder, store = sys.argv[1:]
files = sorted(Path(folder).rglob("*.au"))
mfcc = torchaudio.transforms.MFCC(sample_rate=22050, n_mfcc=13, melkwargs={
    "n_fft": 2048, "hop_length": 512, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"})


def load(file):
    return torch.from_numpy(soundfile.read(file, dtype="float32")[0])


clips = [load(file) for file in files]


def all_clips():
    for k, file in enumerate(files):
        mfcc(clips[k] if task == "mfcc/features" else load(file))


report("torchaudio " + torchaudio.__version__.split("+")[0], "clips/s", all_clips, clips=len(files),
       largest_difference=largest_difference(store, files, lambda file: mfcc(load(file))))
