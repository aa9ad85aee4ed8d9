#!/usr/bin/env python3
"""Write Sources/Domain/Embeddings/UnicodeTableData.swift: what the reference BERT tokenizer does to each scalar.

Usage: make_unicode_table.py > Sources/Domain/Embeddings/UnicodeTableData.swift

Nothing is taken from a Unicode database: every scalar is run through the `tokenizers` wheel's own normalizer and
pre-tokenizer, so that the table has exactly its Unicode version. UnicodeTable.swift describes the notation.
"""

import sys
import unicodedata

import tokenizers
from tokenizers import normalizers, pre_tokenizers

NORMALIZER = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
CLEANER = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
NFD = normalizers.NFD()
PRE_TOKENIZER = pre_tokenizers.BertPreTokenizer()
OVERLAY, IOTA = "\u0334", "\u0345"  # combining classes 1 and 240: everything that can be reordered is so around them
SCALARS = [point for point in range(0x80, 0x110000) if not 0xD800 <= point < 0xE000]


def is_starter(text):
    """Whether canonical ordering stops at it, in the reference's Unicode version."""
    return NFD.normalize_str(IOTA + text + OVERLAY) == IOTA + text + OVERLAY


def action(point):
    """(operator, targets) of one scalar; None where it stays as it is."""
    text = chr(point)
    result = NORMALIZER.normalize_str(text)
    if 0xAC00 <= point <= 0xD7A3 or result == text:
        return None  # Hangul is decomposed by arithmetic
    if result == " ":
        return ("_", ())
    if result == "":
        cleaned = CLEANER.normalize_str(text) == ""
        return ("~", ()) if cleaned or not is_starter(text) else ("!", ())
    if result[0] == " " and result[-1] == " " and len(result) > 2:
        return ("^", tuple(map(ord, result[1:-1])))
    return ("=", tuple(map(ord, result)))


def mark_class(point):
    text = chr(point)
    if action(point) is not None or is_starter(text) or NFD.normalize_str(text) != text:
        return None
    return ("@", (unicodedata.combining(text),))


def punctuation(point):
    pieces = PRE_TOKENIZER.pre_tokenize_str("a" + chr(point) + "a")
    return ("p", ()) if len(pieces) == 3 else None


def runs(function):
    """Entries `first-last/step operator targets`; a target either stays or moves along with the scalar (`+`)."""
    table = [(point, entry) for point in SCALARS if (entry := function(point)) is not None]
    index = 0
    while index < len(table):
        first, (operator, targets) = table[index]
        best = (1, 0, False)
        for step in (1, 2):
            for moves in (False, True):
                count = 1
                while index + count < len(table):
                    point, (other, values) = table[index + count]
                    wanted = tuple(value + step * count for value in targets) if moves else targets
                    if point != first + step * count or other != operator or values != wanted:
                        break
                    count += 1
                if count > best[0]:
                    best = (count, step, moves)
        count, step, moves = best
        text = f"{first:x}"
        if count > 1:
            text += f"-{first + step * (count - 1):x}" + ("/2" if step == 2 else "")
        # Ideographs stand for themselves so often that `^` alone says so.
        if not (operator == "^" and targets == (first,)):
            operator, values = ("+" if moves and operator == "=" else operator), ".".join(f"{v:x}" for v in targets)
            if operator == "^" and count > 1:
                values += "+" if moves else ""
            yield text + operator + values
        else:
            assert count == 1 or moves
            yield text + "^"
        index += count


def main():
    entries = [entry for function in (action, mark_class, punctuation) for entry in runs(function)]
    lines, line = [], ""
    for entry in entries:
        if len(line) + len(entry) > 110:
            lines.append(line)
            line = ""
        line += entry + " "
    lines.append(line)
    print(f"// Made by tools/make_unicode_table.py from tokenizers {tokenizers.__version__}; do not edit.\n")
    print("/// What the reference tokenizer does to each scalar beyond ASCII; `UnicodeTable` explains the notation.")
    print('let unicodeTableText: StaticString = """')
    print("".join(f"    {line}\\\n" for line in lines[:-1]) + f"    {lines[-1].rstrip()}")
    print('    """')
    print(f"{len(entries)} entries, {len(lines)} lines", file=sys.stderr)


main()
