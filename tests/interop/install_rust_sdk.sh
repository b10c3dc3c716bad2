#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Python bindings of the Rust SDK below FOLDER. Its wheel asks for glibc 2.38, for two functions that an older one has
# under another name: there the wish is marked as weak, and shim.so, to be preloaded, has the two.   usage: install_rust_sdk.sh FOLDER
set -euo pipefail
VERSION=0.18.0 HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
folder=$1 machine=$(uname -m)

[ "$(cat "$folder/complete" 2>/dev/null)" != "$VERSION" ] || exit 0
rm -rf "$folder"
/usr/bin/python3 -m pip --version >/dev/null
/usr/bin/python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: --target "$folder" \
    --platform "manylinux_2_38_$machine" --platform "manylinux_2_34_$machine" "matrix-sdk-python==$VERSION"
/usr/bin/python3 "$HERE/older_glibc.py" "$folder/matrix_sdk_python/_generated/libmatrix_sdk_ffi.so"
gcc -shared -fPIC -O1 -x c -o "$folder/shim.so" - <<'SHIM'
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
long __isoc23_strtol(const char *s, char **end, int base) { return strtol(s, end, base); }
int __isoc23_sscanf(const char *s, const char *format, ...)
{
    va_list list;
    int n;
    va_start(list, format);
    n = vsscanf(s, format, list);
    va_end(list);
    return n;
}
SHIM
echo "$VERSION" >"$folder/complete"
