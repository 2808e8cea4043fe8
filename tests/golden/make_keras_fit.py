#!/usr/bin/env python3
"""Writes keras_fit.h5: the history that Keras's own fit() reports.  pip install keras tensorflow-cpu h5py

A two-layer LSTM classifier is trained for four epochs without shuffling, with a partial last batch in training (11 clips
in batches of 4) and validation (6). Weights are flat vectors in the order of Keras's get_weights(): kernel, recurrent
kernel and bias of each LSTM, then of the dense layer. x is [clips, frames, inputs]; the first 11 clips are for training.
"""
import os
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0",
                  TF_CPP_MIN_LOG_LEVEL="3")
import h5py
import keras
import numpy as np

TRAIN, VALIDATION, FRAMES, INPUTS, UNITS, CLASSES = 11, 6, 10, 5, (6, 4), 3

random = np.random.default_rng(2018)
labels = random.integers(0, CLASSES, TRAIN + VALIDATION)
x = random.normal(0, 1, (TRAIN + VALIDATION, FRAMES, INPUTS)) + labels[:, None, None] * 0.5
x = x.astype(np.float32)

model = keras.Sequential([keras.Input((FRAMES, INPUTS)), keras.layers.LSTM(UNITS[0], return_sequences=True),
                          keras.layers.LSTM(UNITS[1]), keras.layers.Dense(CLASSES, activation="softmax")])
before = [random.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()]
model.set_weights(before)
model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x[:TRAIN], labels[:TRAIN], batch_size=4, epochs=4, shuffle=False, verbose=0,
                    validation_data=(x[TRAIN:], labels[TRAIN:]), validation_batch_size=4).history

with h5py.File(Path(__file__).with_name("keras_fit.h5"), "w") as file:
    file.attrs["keras"] = keras.__version__
    file["x"], file["labels"] = x, labels.astype(np.int32)
    file["weights"] = np.concatenate([w.ravel() for w in before])
    file["trained_weights"] = np.concatenate([w.ravel() for w in model.get_weights()])
    for name, values in history.items():
        file["history/" + name] = values
