"""Write a tiny Llama with random weights, so that the real server has something to serve.

    python tests/support/tiny_model.py FILE.gguf [SEED]

Half a megabyte, the same bytes for the same seed. Its choices mean nothing, but everything around
them is real: its tokens are the 256 bytes, the printable characters and a few words, so that one
letter has two tokens, some names are one token and others many, and some share their first.

The file is GGUF version 3 (llama.cpp, ``ggml/include/gguf.h``): a header, typed keys and values,
what each tensor is called and how it lies, then the numbers, everything little-endian.
"""

from __future__ import annotations

import string
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, LAYERS, HEADS, KEY_HEADS, INNER, CONTEXT = 64, 2, 4, 2, 128, 8192
ALIGNMENT = 32

SPECIAL = ["<unk>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
WORDS = ["Apple", "App", "Banana", "north", "never", "yes", "ye"]
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6

TEMPLATE = (
    "{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def vocabulary() -> Iterator[tuple[str, float, int]]:
    """Yield every token: its text, how readily pieces of a text are joined to it, and its kind."""
    for text in SPECIAL:
        yield text, 0.0, UNKNOWN if text == "<unk>" else CONTROL
    for byte in range(256):
        yield f"<0x{byte:02X}>", -1000.0, BYTE
    pieces = [*WORDS, "▁", *string.ascii_letters, *string.digits, *string.punctuation]
    for place, text in enumerate(pieces):
        yield text, -10.0 - place / 1000, NORMAL


def values() -> dict[str, Any]:
    """Return what the file says of the model beside its tensors."""
    tokens, scores, kinds = zip(*vocabulary(), strict=True)
    return {
        "general.architecture": "llama",
        "general.name": "tiny random Llama",
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KEY_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": list(tokens),
        "tokenizer.ggml.scores": list(scores),
        "tokenizer.ggml.token_type": list(kinds),
        "tokenizer.ggml.unknown_token_id": SPECIAL.index("<unk>"),
        "tokenizer.ggml.bos_token_id": SPECIAL.index("<|begin_of_text|>"),
        "tokenizer.ggml.eos_token_id": SPECIAL.index("<|eot_id|>"),
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def tensors(seed: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Return the model's numbers: standard normal, scaled so that layers keep sizes as they are."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.asarray(random.standard_normal((rows, columns)) / columns**0.5, np.float32)

    size, keys = len(list(vocabulary())), WIDTH // HEADS * KEY_HEADS
    ones = np.ones(WIDTH, np.float32)
    found = {
        "token_embd.weight": matrix(size, WIDTH) * np.float32(np.sqrt(WIDTH)),
        "output_norm.weight": ones,
        "output.weight": matrix(size, WIDTH) * np.float32(1.5),
    }
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        found[block + "attn_norm.weight"] = ones
        found[block + "ffn_norm.weight"] = ones
        found[block + "attn_q.weight"] = matrix(WIDTH, WIDTH)
        found[block + "attn_k.weight"] = matrix(keys, WIDTH)
        found[block + "attn_v.weight"] = matrix(keys, WIDTH)
        found[block + "attn_output.weight"] = matrix(WIDTH, WIDTH)
        found[block + "ffn_gate.weight"] = matrix(INNER, WIDTH)
        found[block + "ffn_up.weight"] = matrix(INNER, WIDTH)
        found[block + "ffn_down.weight"] = matrix(WIDTH, INNER)
    return found


def packed(value: Any, typed: bool = True) -> bytes:
    """Return a value as GGUF has it, after the number of its type where ``typed``."""
    match value:
        case bool():
            number, data = 7, struct.pack("<?", value)
        case int():
            number, data = 4, struct.pack("<I", value)
        case float():
            number, data = 6, struct.pack("<f", value)
        case str():
            text = value.encode()
            number, data = 8, struct.pack("<Q", len(text)) + text
        case list():
            # The whole numbers of a list are signed, unlike those that stand alone.
            inner = {int: 5, float: 6, str: 8}[type(value[0])]
            data = struct.pack("<IQ", inner, len(value))
            number, data = 9, data + b"".join(packed(item, typed=False) for item in value)
        case _:
            raise TypeError(type(value))
    return (struct.pack("<I", number) if typed else b"") + data


def padding(length: int) -> bytes:
    """Return the zeros that bring a length to the next multiple of the alignment."""
    return bytes(-length % ALIGNMENT)


def model(seed: int = 0) -> bytes:
    """Return the whole file."""
    described, numbers = values(), tensors(seed)
    file = b"GGUF" + struct.pack("<IQQ", 3, len(numbers), len(described))
    for key, value in described.items():
        file += packed(key, typed=False) + packed(value)
    data = b""
    for name, tensor in numbers.items():
        file += packed(name, typed=False) + struct.pack("<I", tensor.ndim)
        file += struct.pack(f"<{tensor.ndim}Q", *reversed(tensor.shape))
        file += struct.pack("<IQ", 0, len(data))  # 0: 32-bit floats
        data += tensor.astype("<f4").tobytes()
        data += padding(len(data))
    return file + padding(len(file)) + data


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_bytes(model(int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    print(f"{path}: {path.stat().st_size:,} bytes")
