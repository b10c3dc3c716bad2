# SPDX-License-Identifier: Apache-2.0
# Packages of Debian, and the build below .build.
# Sourced by conf/quickstart, whose variables it uses.

missing_packages() {   # of those named
    local p
    command -v dpkg-query >/dev/null || return 0   # not Debian: configure names what is missing
    for p in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || printf '%s ' "$p"
    done
}

# A development server needs PostgreSQL's programs, not the system-wide cluster that the package makes and starts.
without_system_cluster() {
    local dropin=/etc/postgresql-common/createcluster.d/mod_matrix-quickstart.conf status=0
    mkdir -p "${dropin%/*}"
    echo 'create_main_cluster = false' >"$dropin"
    "$@" || status=$?
    rm -f "$dropin"
    return $status
}

install_packages() {
    local missing log=$BUILD/apt.log
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if ! is_root; then
        say "These Debian packages are missing; as root, run:"
        say "    apt-get install --no-install-recommends $missing"
        exit 1
    fi
    say "Installing Debian packages: $missing"
    mkdir -p "$BUILD"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && without_system_cluster apt-get install -y -qq --no-install-recommends $missing; } \
        >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; die "apt-get failed; all of its output is in $log"; }
}

# A checkout in which somebody ran ./configure cannot also be built from another folder, so it is copied then.
source_dir() {
    [ -e "$REPO/config.status" ] || { printf '%s' "$REPO"; return; }
    mkdir -p "$BUILD/src"
    tar -C "$REPO" -cf - --exclude='*.o' --exclude='*.lo' --exclude='*.la' --exclude=.libs --exclude=.deps \
        --exclude=.dirstamp configure.ac Makefile.am mod_matrix sql tests conf | tar -C "$BUILD/src" -xf -
    printf '%s' "$BUILD/src"
}

make_build() {   # SOURCE OUT LOG [argument of configure]...
    local src=$1 out=$2 log=$3
    shift 3
    if [ ! -x "$src/configure" ]; then
        say "Preparing configure ..."
        (cd "$src" && autoreconf -fi) >>"$log" 2>&1 || return 1
    fi
    if [ ! -f "$out/Makefile" ]; then
        say "Configuring ..."
        (cd "$out" && "$src/configure" -q --with-sql-dir="$REPO/sql" "$@") >>"$log" 2>&1 || return 1
    fi
    [ -f "$out/.libs/mod_matrix.so" ] || say "Building ..."
    make -s -C "$out" -j"$(nproc)" all >>"$log" 2>&1
}

build() {
    local flavour=$1 src out log flags=()
    mkdir -p "$BUILD"
    src=$(source_dir)
    out=$BUILD/out
    [ "$src" = "$REPO" ] || out=$BUILD/out-copy
    case $flavour in
        '') ;;
        asan|tsan) out=$BUILD/$flavour; flags=("--enable-$flavour" CFLAGS='-O1 -g') ;;
        *) die "MX_BUILD=$flavour: asan and tsan are the builds there are" ;;
    esac
    log=$out/build.log
    mkdir -p "$out"
    exec 8>"$BUILD/lock"
    flock 8
    : >"$log"
    if ! make_build "$src" "$out" "$log" ${flags[@]+"${flags[@]}"} 8>&-; then
        grep -E 'error|Error' "$log" | head -n 20 >&2 || true
        die "the build failed; all of its output is in $log"
    fi
    if [ "$flavour" = tsan ] && ! cc -shared -fPIC -O1 -g -fsanitize=thread $(sed -n 's/^APR_CPPFLAGS = //p' "$out/Makefile") \
        -o "$out/tsan_atomics.so" "$REPO/tests/tsan_atomics.c" >>"$log" 2>&1; then die "tests/tsan_atomics.c cannot be built, see $log"; fi
    exec 8>&-
    OUT=$out
}

# A server runs on its own copy of what was built, so that a later build does not pull the module from under it.
take_products() {
    local f
    exec 8>"$BUILD/lock"
    flock 8
    mkdir -p "$DIR/bin"
    for f in .libs/mod_matrix.so matrix-setup; do
        cmp -s "$OUT/$f" "$DIR/bin/${f##*/}" || { cp "$OUT/$f" "$DIR/bin/new" && mv "$DIR/bin/new" "$DIR/bin/${f##*/}"; }
    done
    exec 8>&-
    opt[httpd]=$(sed -n 's/^HTTPD_BIN = //p' "$OUT/Makefile")
    opt[modules]=$(sed -n 's/^HTTPD_MODULES = //p' "$OUT/Makefile")
}
