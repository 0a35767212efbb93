"""The small residual network from plain JAX, exported by jax2onnx."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from data import Digits, split_digits
from extents import CLASSES
from jax import Array
from jax2onnx import to_onnx
from model_file import save_model

SEED = 0
OPSET = 21
PIXELS, WIDTH = 64, 48
EPOCHS, BATCH = 60, 64

Weights = dict[str, Array]


def initial_weights() -> Weights:
    """Return matrices drawn to keep the scale of what they multiply, and zero biases."""
    shapes = {"enter": (PIXELS, WIDTH), "mix": (WIDTH, WIDTH), "leave": (WIDTH, CLASSES)}
    weights: Weights = {"scale": jnp.ones(WIDTH)}
    for key, (name, (inputs, outputs)) in zip(
        jax.random.split(jax.random.key(SEED), len(shapes)), shapes.items(), strict=True
    ):
        weights[name] = jax.random.normal(key, (inputs, outputs)) / jnp.sqrt(inputs)
        weights[f"{name}_bias"] = jnp.zeros(outputs)
    return weights


def classify(weights: Weights, pixels: Array) -> Array:
    """Return logarithms of probabilities for flat images, shape (batch, 64)."""
    x = jnp.tanh(pixels @ weights["enter"] + weights["enter_bias"])
    energy = jnp.mean(x * x, axis=-1, keepdims=True)
    normed = weights["scale"] * x / jnp.sqrt(energy + 1e-5)
    x = x + jax.nn.swish(normed @ weights["mix"] + weights["mix_bias"])
    return jax.nn.log_softmax(x @ weights["leave"] + weights["leave_bias"])


def train(digits: Digits) -> Weights:
    """Return the weights after Adam with decaying steps."""
    steps = len(digits.labels) // BATCH
    optimizer = optax.adamw(optax.cosine_decay_schedule(5e-3, EPOCHS * steps), weight_decay=1e-2)

    def loss(weights: Weights, pixels: Array, labels: Array) -> Array:
        return -jnp.mean(classify(weights, pixels)[jnp.arange(BATCH), labels])

    @jax.jit
    def step(
        weights: Weights, state: optax.OptState, pixels: Array, labels: Array
    ) -> tuple[Weights, optax.OptState]:
        updates, state = optimizer.update(jax.grad(loss)(weights, pixels, labels), state, weights)
        return optax.apply_updates(weights, updates), state

    pixels = digits.pixels.reshape(-1, PIXELS)
    weights = initial_weights()
    state = optimizer.init(weights)
    rng = np.random.default_rng(SEED)
    for _ in range(EPOCHS):
        order = rng.permutation(len(digits.labels))[: steps * BATCH].reshape(steps, BATCH)
        for batch in order:
            weights, state = step(weights, state, pixels[batch], digits.labels[batch])
    return weights


def main(folder: Path) -> None:
    """Train, close over the weights and export with the first axis left open."""
    digits, _ = split_digits()
    weights = train(digits)
    model = to_onnx(
        lambda pixels: classify(weights, pixels),
        inputs=[("batch", PIXELS)],
        input_names=["pixels"],
        output_names=["log_probabilities"],
        model_name="digits_net",
        opset=OPSET,
    )
    save_model(model, folder / "digits_net_jax.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
