#!/usr/bin/env python3
"""Writes keras_weights/: one network in the files that Keras 2 and Keras 3 make.  pip install keras tensorflow-cpu h5py

The Keras 3 files are Keras's own. The Keras 2 files have the layout of keras/engine/saving.py, save_weights_to_hdf5_group,
of Keras 2.2 (it has no release for this Python), with everything that differs between its versions: texts of fixed and
variable length, names of layers in parts (layer_names0, …), a layer without weights. expected.h5 holds the input
x [N, T, F], and for each file as a group of its name the weights, flat in the order of get_weights(), and the
probabilities [N, C] that Keras computes with them.
"""
import json
import os
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0",
                  TF_CPP_MIN_LOG_LEVEL="3")
import h5py
import keras
import numpy as np

CLIPS, FRAMES, INPUTS, UNITS, CLASSES = 6, 15, 5, (7, 4, 3), 3
FOLDER = Path(__file__).parent / "keras_weights"
random = np.random.default_rng(2018)
X = random.normal(0, 1, (CLIPS, FRAMES, INPUTS)).astype(np.float32)


def keras2_hard_sigmoid(x):
    """tensorflow_backend.hard_sigmoid of Keras 2."""
    return keras.ops.clip(0.2 * x + 0.5, 0, 1)


def network(gate, functional=False):
    """The stack, with weights large enough to bring the gates into saturation."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    layers = []
    for number, units in enumerate(UNITS):
        layers.append(keras.layers.LSTM(units, return_sequences=number + 1 < len(UNITS), recurrent_activation=gate))
        layers.append(keras.layers.Dropout(0.2))
    if functional:
        layers += [keras.layers.Dense(CLASSES, name="zz_out"), keras.layers.Activation("softmax", name="a_last")]
        x = start = keras.Input((FRAMES, INPUTS), name="music")
        for layer in layers:
            x = layer(x)
        model = keras.Model(start, x)
    else:
        layers.append(keras.layers.Dense(CLASSES, activation="softmax"))
        model = keras.Sequential([keras.Input((FRAMES, INPUTS)), *layers])
    model.set_weights([random.normal(0, 0.6, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def expect(file, name, model):
    group = file.create_group(name)
    group["weights"] = np.concatenate([np.ravel(w) for w in model.get_weights()])
    group["probabilities"] = model.predict(X, verbose=0)


def to_cudnn(kernel, recurrent, bias):
    """_convert_rnn_weights of keras/engine/saving.py, Keras 2.2, from LSTM to CuDNNLSTM."""
    per_gate = lambda matrix, change: np.hstack([change(gate) for gate in np.hsplit(matrix, 4)])
    kernel = per_gate(kernel, lambda gate: gate.T.reshape(gate.shape, order="C"))
    half = random.normal(0, 1, bias.shape).astype(np.float32)  # how much of it is in which of the two does not matter
    return [kernel, per_gate(recurrent, np.transpose), np.concatenate([half, bias - half])]


def keras2_layers(model, kind="LSTM"):
    """(name, class, settings, names and values of weights) for each layer."""
    weights, layers = model.get_weights(), []
    for number, units in enumerate(UNITS):
        own = weights[3 * number:3 * number + 3]
        settings = dict(units=units, return_sequences=number + 1 < len(UNITS), go_backwards=False, use_bias=True)
        if kind == "LSTM":
            settings.update(activation="tanh", recurrent_activation="hard_sigmoid", implementation=1)
        else:
            own = to_cudnn(*own)
        if number == 0:
            settings["batch_input_shape"] = [None, FRAMES, INPUTS]
        name = f"{kind.lower()}_{number + 1}"
        layers.append((name, kind, settings, list(zip(("kernel", "recurrent_kernel", "bias"), own))))
        layers.append((f"dropout_{number + 1}", "Dropout", dict(rate=0.2), []))
    settings = dict(units=CLASSES, activation="softmax", use_bias=True)
    layers.append(("genres", "Dense", settings, list(zip(("kernel", "bias"), weights[-2:]))))
    return layers


def write_keras2(group, layers, version, in_parts):
    texts = (lambda names: np.array(names, dtype=object)) if in_parts else (lambda names: np.array(names, dtype="S"))
    group.attrs["backend"], group.attrs["keras_version"] = np.bytes_("tensorflow"), np.bytes_(version)
    names = [name for name, *_ in layers]
    if in_parts:
        for part, start in enumerate(range(0, len(names), 3)):
            group.attrs[f"layer_names{part}"] = texts(names[start:start + 3])
    else:
        group.attrs["layer_names"] = texts(names)
    for name, _, _, weights in layers:
        layer = group.create_group(name)
        layer.attrs["weight_names"] = texts([f"{name}/{weight}:0" for weight, _ in weights]) if weights else []
        for weight, value in weights:
            layer[f"{name}/{weight}:0"] = value


def model_config(layers):
    config = [dict(class_name=kind, config=dict(name=name, trainable=True, **settings))
              for name, kind, settings, _ in layers]
    return np.bytes_(json.dumps(dict(class_name="Sequential", config=config)))


def main():
    FOLDER.mkdir(exist_ok=True)
    with h5py.File(FOLDER / "expected.h5", "w") as expected:
        expected["x"] = X

        model = network("sigmoid")
        model.compile("sgd", "categorical_crossentropy")  # so that the file has an optimizer too
        model.fit(X, np.eye(CLASSES)[np.arange(CLIPS) % CLASSES], verbose=0)
        model.save_weights(FOLDER / "keras3.weights.h5")
        expect(expected, "keras3.weights.h5", model)
        with h5py.File(FOLDER / "keras2_cudnn.h5", "w") as file:
            layers = keras2_layers(model, "CuDNNLSTM")
            file.attrs["model_config"] = model_config(layers)
            write_keras2(file.create_group("model_weights"), layers, "2.2.4", in_parts=False)
        expect(expected, "keras2_cudnn.h5", model)

        model = network("hard_sigmoid", functional=True)
        model.save(FOLDER / "keras3_full.h5")
        expect(expected, "keras3_full.h5", model)

        model = network(keras2_hard_sigmoid)
        with h5py.File(FOLDER / "keras2_full.h5", "w") as file:
            layers = keras2_layers(model)
            file.attrs["model_config"] = model_config(layers)
            write_keras2(file.create_group("model_weights"), layers, "2.1.3", in_parts=False)
        expect(expected, "keras2_full.h5", model)
        with h5py.File(FOLDER / "keras2_weights.h5", "w") as file:
            write_keras2(file, keras2_layers(model), "2.1.3", in_parts=True)
        expect(expected, "keras2_weights.h5", model)


if __name__ == "__main__":
    main()
