"""torchaudio_mfcc_gpu.py: MFCCs of 1,000 clips of 30 s in the host's memory by torchaudio on a GPU, with copies."""
import torch
import torchaudio

from measure_gpu import report

CLIPS, TOGETHER, SAMPLES = 1000, 20, 661500
mfcc = torchaudio.transforms.MFCC(sample_rate=22050, n_mfcc=13, melkwargs={
    "n_fft": 2048, "hop_length": 512, "n_mels": 128, "norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"})
mfcc = mfcc.cuda()
samples = (0.1 * torch.randn(TOGETHER, SAMPLES)).pin_memory()
streams = [torch.cuda.Stream(), torch.cuda.Stream()]
results = [torch.empty(TOGETHER, 13, 1 + SAMPLES // 512, pin_memory=True) for _ in streams]


def all_clips():
    for batch in range(CLIPS // TOGETHER):
        with torch.cuda.stream(streams[batch % 2]):
            results[batch % 2].copy_(mfcc(samples.cuda(non_blocking=True)), non_blocking=True)


report("torchaudio " + torchaudio.__version__.split("+")[0], "clips/s", all_clips, clips=CLIPS)
