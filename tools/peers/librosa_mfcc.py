"""librosa_mfcc.py TASK FOLDER STORE: MFCCs of the clips in a folder with librosa, on one thread; compared with ours."""
import sys
from pathlib import Path

import librosa

from difference import largest_difference
from measure import report

task, folder, store = sys.argv[1:]
files = sorted(Path(folder).rglob("*.au"))
clips = [librosa.load(file, sr=22050)[0] for file in files]


def features(samples):
    return librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=13, n_fft=2048, hop_length=512, n_mels=128)


def all_clips():
    for k, file in enumerate(files):
        features(clips[k] if task == "mfcc/features" else librosa.load(file, sr=22050)[0])


report(f"librosa {librosa.__version__}", "clips/s", all_clips, clips=len(files),
       largest_difference=largest_difference(store, files, lambda file: features(clips[files.index(file)])))
