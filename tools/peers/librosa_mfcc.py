"""librosa_mfcc.py TASK FOLDER: MFCCs of the clips in a folder with librosa, on one thread."""
import sys
from pathlib import Path

import librosa

from measure import report

task, folder = sys.argv[1:]
files = sorted(Path(folder).rglob("*.au"))
clips = [librosa.load(file, sr=22050)[0] for file in files]


def features(samples):
    return librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=13, n_fft=2048, hop_length=512, n_mels=128)


def all_clips():
    for k, file in enumerate(files):
        features(clips[k] if task == "mfcc/features" else librosa.load(file, sr=22050)[0])


report(f"librosa {librosa.__version__}", "clips/s", all_clips, clips=len(files))
