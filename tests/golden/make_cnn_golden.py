#!/usr/bin/env python3
"""Writes keras_cnn.h5: what Keras makes of a small CNN of odd sizes.  pip install keras tensorflow-cpu h5py

Each case is a group: x [T, B, F] features, labels [B], masks [B, D] (dropout only: each stage's output, then the hidden
layer's, row-major), probabilities, loss and, as flat vectors in the order of Keras's get_weights(), the weights and the
gradient of the mean loss. Attributes: frames, bands, channels, units, filters, pools.
"""
import os
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0",
                  TF_CPP_MIN_LOG_LEVEL="3")
import h5py
import keras
import numpy as np
import tensorflow as tf

BATCH, CLASSES, DROPOUT = 3, 3, 0.25
# name: frames, bands and channels of the image; (filters, pool) of the stages; hidden units
CASES = {
    "three_stages": ((19, 13, 2), ((3, 4), (5, 2), (2, 2)), 4),
    "thin": ((9, 2, 5), ((4, 3), (3, 2)), 5),
    "dropout": ((10, 7, 1), ((3, 2), (2, 2)), 6),
}


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


keras.backend.set_floatx("float64")
with h5py.File(Path(__file__).with_name("keras_cnn.h5"), "w") as output:
    output.attrs["made_by"] = f"keras {keras.__version__}, tensorflow {tf.__version__}"
    for name, ((frames, bands, channels), stages, units) in CASES.items():
        convolutions = [keras.layers.Conv2D(filters, 4, padding="same", activation="relu") for filters, _ in stages]
        pools = [keras.layers.MaxPooling2D(k, padding="same") for _, k in stages]
        hidden, last = keras.layers.Dense(units, activation="relu"), keras.layers.Dense(CLASSES)
        model = keras.Sequential([keras.Input((frames, bands, channels)),
                                  *[layer for pair in zip(convolutions, pools) for layer in pair],
                                  keras.layers.Flatten(), hidden, last])
        random = np.random.default_rng(2018)
        weights = [random.normal(0, 0.3, w.shape).astype(np.float32).astype(np.float64) for w in model.get_weights()]
        model.set_weights(weights)
        x = random.normal(0, 1, (frames + channels - 1, BATCH, bands)).astype(np.float32)
        labels = random.integers(0, CLASSES, BATCH).astype(np.int32)
        # channel c of frame t is frame t + c
        image = np.stack([x[c:c + frames].transpose(1, 0, 2) for c in range(channels)], axis=-1).astype(np.float64)

        masks = []

        def mask(values):
            if name != "dropout":
                return values
            masks.append((random.random(values.shape) >= DROPOUT) / (1 - DROPOUT))
            return values * masks[-1]

        with tf.GradientTape() as tape:
            a = tf.constant(image)
            for convolution, pool in zip(convolutions, pools):
                a = mask(pool(convolution(a)))
            logits = last(mask(hidden(tf.reshape(a, (BATCH, -1)))))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        group = output.create_group(name)
        group.attrs.update(frames=frames, bands=bands, channels=channels, units=units)
        group["filters"] = np.array([filters for filters, _ in stages], np.int64)
        group["pools"] = np.array([k for _, k in stages], np.int64)
        group["x"], group["labels"], group["weights"] = x, labels, flat(weights)
        if masks:
            group["masks"] = np.concatenate([m.reshape(BATCH, -1) for m in masks], axis=1)
        group["probabilities"], group["loss"] = tf.nn.softmax(logits).numpy(), loss.numpy()
        group["gradient"] = flat([g.numpy() for g in tape.gradient(loss, model.trainable_variables)])
