"""keras_step.py TASK: a training step in Keras on TensorFlow, with Adam, on one thread."""
import os
import sys

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
import keras
import numpy as np
import tensorflow as tf

from measure import report
from shapes import BATCH, CLASSES, FRAMES_AND_FEATURES, UNITS

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

frames, features = FRAMES_AND_FEATURES[sys.argv[1]]
model = keras.Sequential([keras.Input((frames, features)), keras.layers.LSTM(UNITS[0], return_sequences=True),
                          keras.layers.LSTM(UNITS[1]), keras.layers.Dense(CLASSES, activation="softmax")])
model.compile("adam", "categorical_crossentropy", jit_compile=False)  # with XLA it is several times slower
random = np.random.default_rng(2018)
x = random.normal(size=(BATCH, frames, features)).astype(np.float32)
y = np.eye(CLASSES, dtype=np.float32)[np.arange(BATCH) % CLASSES]
report(f"Keras {keras.__version__}, TensorFlow {tf.__version__}", "s", lambda: model.train_on_batch(x, y))
