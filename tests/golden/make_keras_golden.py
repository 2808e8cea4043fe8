#!/usr/bin/env python3
"""Writes keras_lstm.h5: what Keras makes of a small two-layer LSTM classifier.  pip install keras tensorflow-cpu h5py

Each case is a group: x [T, B, F], labels [B], masks [D] (dropout only) and, as flat vectors in the order of
Keras's get_weights() (kernel, recurrent kernel, bias of each LSTM, then of the dense layer), the weights, the
gradient of the mean loss, and the weights after each of three updates by Adam and after three by RMSprop and by SGD
with momentum.
"""
import os
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0",
                  TF_CPP_MIN_LOG_LEVEL="3")
import h5py
import keras
import numpy as np
import tensorflow as tf

BATCH, FRAMES, INPUTS, UNITS, CLASSES = 4, 12, 4, (7, 5), 3
# Keras 3 adds RMSprop's epsilon under the root, Keras 2 (which we follow) beside it: with 1e-30 both are the same.
# It rounds the momentum to single precision: 0.875 is exact there.
OPTIMISERS = {
    "adam": lambda: keras.optimizers.Adam(0.01, epsilon=1e-7),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, rho=0.875, epsilon=1e-30),
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.875),
}


def keras2_hard_sigmoid(x):
    """tensorflow_backend.hard_sigmoid of Keras 2."""
    return tf.clip_by_value(x * tf.constant(0.2, x.dtype) + tf.constant(0.5, x.dtype), tf.constant(0, x.dtype),
                            tf.constant(1, x.dtype))


GATES = {"sigmoid": "sigmoid", "hard_sigmoid": keras2_hard_sigmoid, "hard_sigmoid_keras3": "hard_sigmoid"}


def clipped_loss(labels, probabilities):
    """tensorflow_backend.categorical_crossentropy of Keras 2, mean over the batch."""
    p = probabilities / tf.reduce_sum(probabilities, axis=-1, keepdims=True)
    limit = tf.constant(1e-7, p.dtype)
    chosen = tf.gather(tf.clip_by_value(p, limit, 1 - limit), labels, batch_dims=1)
    return -tf.reduce_mean(tf.math.log(chosen))


def flat(arrays):
    return np.concatenate([np.ravel(a) for a in arrays])


def make_case(file, name, dtype, gate, dropout=None):
    keras.backend.set_floatx(dtype)
    keras.utils.clear_session()
    rates = dict(dropout=dropout[0], recurrent_dropout=dropout[1]) if dropout else {}
    layers = [keras.layers.LSTM(n, return_sequences=n != UNITS[-1], recurrent_activation=GATES[gate], **rates)
              for n in UNITS]
    dense = keras.layers.Dense(CLASSES)
    model = keras.Sequential([keras.Input((FRAMES, INPUTS)), *layers, dense])

    random = np.random.default_rng(2018)
    weights = [random.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()]
    x = random.normal(0, 1, (BATCH, FRAMES, INPUTS)).astype(np.float32)
    labels = random.integers(0, CLASSES, BATCH).astype(np.int32)
    masks = []
    if dropout:
        for layer, inputs in zip(layers, (INPUTS, *UNITS)):
            pair = [(random.random((4, BATCH, width)) >= rate) / (1 - rate)
                    for rate, width in ((dropout[0], inputs), (dropout[1], layer.units))]
            masks += pair

    def forward():
        h = tf.constant(x, dtype)
        for number, layer in enumerate(layers):
            if dropout:  # Keras forgets the masks after each call
                layer.cell._dropout_mask = [tf.constant(m, dtype) for m in masks[2 * number]]
                layer.cell._recurrent_dropout_mask = [tf.constant(m, dtype) for m in masks[2 * number + 1]]
            h = layer(h, training=dropout is not None)
        logits = dense(h)
        return h, tf.nn.softmax(logits), logits

    group = file.create_group(name)
    group["x"] = np.transpose(x, (1, 0, 2)).copy()
    group["labels"] = labels
    group["weights"] = flat(weights)
    if dropout:
        group["masks"] = flat(masks)
    model.set_weights(weights)
    for kind in ("clipped", "logits"):
        with tf.GradientTape() as tape:
            h, probabilities, logits = forward()
            loss = (clipped_loss(labels, probabilities) if kind == "clipped" else
                    tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)))
        group[f"{kind}/loss"] = loss.numpy()
        group[f"{kind}/gradient"] = flat([g.numpy() for g in tape.gradient(loss, model.trainable_variables)])
    group["h"], group["probabilities"] = h.numpy(), probabilities.numpy()
    if dropout:
        return
    for optimiser_name, make_optimiser in OPTIMISERS.items():
        model.set_weights(weights)
        optimiser = make_optimiser()
        for step in (1, 2, 3):
            with tf.GradientTape() as tape:
                loss = clipped_loss(labels, forward()[1])
            optimiser.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
            if optimiser_name == "adam" or step == 3:
                group[f"{optimiser_name}/weights{step}"] = flat(model.get_weights())


def make_losses(file):
    """Both losses of saturated rows, where the clipped one has no gradient."""
    logits = np.array([[30, -30, 0], [0, 0, 0], [-5, 12, 3], [0, 18, 0]], np.float64)
    labels = np.array([1, 0, 1, 1], np.int32)
    group = file.create_group("saturated")
    group["z"], group["labels"] = logits, labels
    z = tf.constant(logits)
    for kind in ("clipped", "logits"):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = (clipped_loss(labels, tf.nn.softmax(z)) if kind == "clipped" else
                    tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z)))
        group[f"{kind}/loss"], group[f"{kind}/gradient"] = loss.numpy(), tape.gradient(loss, z).numpy()


with h5py.File(Path(__file__).with_name("keras_lstm.h5"), "w") as output:
    output.attrs["made_by"] = f"keras {keras.__version__}, tensorflow {tf.__version__}"
    for precision in ("float32", "float64"):
        for gate_name in GATES:
            make_case(output, f"{gate_name}_{precision}", precision, gate_name)
        make_case(output, f"dropout_{precision}", precision, "sigmoid", dropout=(0.05, 0.35))
    make_losses(output)
