#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Marks a shared library's need of GLIBC_2.38 as weak (VER_FLG_WEAK), so that an older glibc loads it. Little-endian ELF64.
usage: older_glibc.py LIBRARY"""
import struct
import sys

SHT_GNU_VERNEED, VER_FLG_WEAK = 0x6FFFFFFE, 2


def section_headers(data):
    offset, = struct.unpack_from("<Q", data, 40)
    size, n = struct.unpack_from("<HH", data, 58)
    return [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(n)]


def needed_versions(data):
    """Where each version that is needed stands, and its name."""
    sections = section_headers(data)
    needs = next(s for s in sections if s[1] == SHT_GNU_VERNEED)
    at, strings = needs[4], sections[needs[6]][4]
    for _ in range(needs[7]):
        _, n, _, first, following = struct.unpack_from("<HHIII", data, at)
        one = at + first
        for _ in range(n):
            _, _, _, name, step = struct.unpack_from("<IHHII", data, one)
            yield one, data[strings + name:data.index(0, strings + name)].decode()
            one += step
        at += following


def main(path):
    with open(path, "rb") as f:
        data = bytearray(f.read())
    for at, name in needed_versions(data):
        if name == "GLIBC_2.38":
            struct.pack_into("<H", data, at + 4, struct.unpack_from("<H", data, at + 4)[0] | VER_FLG_WEAK)
    with open(path, "wb") as f:
        f.write(data)


main(sys.argv[1])
