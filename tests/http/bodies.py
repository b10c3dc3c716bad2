# SPDX-License-Identifier: Apache-2.0
"""Event bodies as they stand in the database: packed by zstd with the server's own dictionary (mod_matrix/store/body.h), or plain."""
import ctypes
import functools
import pathlib
import re

DICTIONARY = pathlib.Path(__file__).resolve().parent.parent.parent / "mod_matrix/store/body_dict.c"
BODY_MAX = 65536


@functools.cache
def _zstd():
    lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_createDCtx.restype = ctypes.c_void_p
    lib.ZSTD_decompress_usingDict.restype = ctypes.c_size_t
    lib.ZSTD_decompress_usingDict.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
                                              ctypes.c_char_p, ctypes.c_size_t]
    numbers = re.search(r"= \{.*?\*/(.*?)\}", DICTIONARY.read_text(), re.S).group(1)
    return lib, lib.ZSTD_createDCtx(), bytes(int(n) for n in numbers.replace("\n", "").split(",") if n.strip())


def unpack(stored):
    """The canonical PDU."""
    if stored.startswith(b"{"):
        return stored
    lib, context, dictionary = _zstd()
    out = ctypes.create_string_buffer(BODY_MAX)
    n = lib.ZSTD_decompress_usingDict(context, out, BODY_MAX, stored, len(stored), dictionary, len(dictionary))
    assert n <= BODY_MAX, "the body is no zstd frame of ours"
    return out.raw[:n]
