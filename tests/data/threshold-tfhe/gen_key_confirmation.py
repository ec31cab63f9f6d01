#!/usr/bin/env python3
"""Writes key_confirmation.json: value and compact list of the test ciphertext of key confirmation, from docs/key_confirmation.md
alone. Schoolbook arithmetic; needs the package `cryptography` for AES."""
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

WORD = 1 << 64


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def mask_stream(record, size):
    blocks = [record[at:at + 16].ljust(16, b"\0") for at in range(0, len(record), 16)]
    blocks.append((8 * len(record)).to_bytes(16, "little"))
    state, previous = bytes(16), bytes(16)
    for block in blocks:
        previous, state = state, aes(bytes(16), bytes(a ^ b for a, b in zip(state, block)))
    offset = int.from_bytes(previous, "little")
    counters = b"".join(((offset + i) % (1 << 128)).to_bytes(16, "little") for i in range(size // 16 + 1))
    return aes(state, counters)[:size]


def product(a, bits):
    """a * r in Z/2^64[X]/(X^n+1), r binary."""
    n, out = len(a), [0] * len(a)
    for j, bit in enumerate(bits):
        if bit:
            for i in range(n):
                at = i + j
                out[at % n] = (out[at % n] + (a[i] if at < n else -a[i])) % WORD
    return out


def words(label, count):
    return [int.from_bytes(hashlib.sha256(f"{label} {i}".encode()).digest()[:8], "little") for i in range(count)]


def to_hex(values):
    return b"".join(value.to_bytes(8, "little") for value in values).hex()


def case(key_id, n, bound_log2):
    stream = mask_stream(b"WITCONF_" + key_id, 8 + n + 8 * (n + 32))
    at = 0

    def take(size):
        nonlocal at
        at += size
        return stream[at - size:at]

    def noise():
        bits = bound_log2 + 2
        r = int.from_bytes(take((bits + 7) // 8), "little") % (1 << bits)
        return (r >> 1) + (r & 1) - (1 << bound_log2)

    value = int.from_bytes(take(8), "little")
    r = [byte & 1 for byte in take(n)]
    mask_key, body_key = words(f"A {n}", n), words(f"B {n}", n)
    mask = [(word + noise()) % WORD for word in product(mask_key, r)]
    masked = product(body_key, r)
    bodies = [(masked[n - 1 - i] + noise() + ((value >> 2 * i) % 4 << 59)) % WORD for i in range(32)]
    return {"key_id": key_id.hex(), "lwe_dimension": n, "noise_bound_log2": bound_log2,
            "public_key": to_hex(mask_key + body_key), "value": value, "list": to_hex(mask + bodies)}


def main():
    cases = [case(bytes(range(1, 33)), 64, 4), case(bytes([4] + [0] * 30 + [1]), 512, 17),
             case(hashlib.sha256(b"key").digest(), 32, 0)]
    pathlib.Path(__file__).with_name("key_confirmation.json").write_text(json.dumps(cases, indent=1) + "\n")


main()
