"""The training steps that are compared: batch, frames and features; LSTM 128 and LSTM 32; six classes."""
BATCH, UNITS, CLASSES = 35, (128, 32), 6
FRAMES_AND_FEATURES = {"train_step/paper": (1293, 13), "train_step/short": (128, 33)}
