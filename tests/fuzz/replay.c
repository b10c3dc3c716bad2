/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target that is built without libFuzzer: runs the target on each file of its corpus, so that every
 * `make check` replays it and no clang is needed. Arguments are files or folders; without any, the corpus is
 * $MX_FUZZ_CORPUS/<name of the program without fuzz_>. Ends with "replayed N inputs".
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Optional in a target, as with libFuzzer. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *pargc, char ***pargv);

static int replayed;

static int replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1); /* an exact block, so that ASan sees a read past the end */
    int ok = f && data && fread(data, 1, size, f) == size;

    if (ok) {
        LLVMFuzzerTestOneInput(data, size);
        replayed++;
    }
    else {
        fprintf(stderr, "cannot read %s\n", path);
    }
    free(data);
    if (f) fclose(f);
    return ok;
}

static int replay(const char *path)
{
    struct stat st;
    struct dirent *entry;
    DIR *dir;
    int ok = 1;

    if (stat(path, &st)) return 1;   /* a target without a corpus replays nothing */
    if (!S_ISDIR(st.st_mode)) return replay_file(path, (size_t)st.st_size);
    if (!(dir = opendir(path))) return 0;
    while (ok && (entry = readdir(dir))) {
        char *child;

        if (entry->d_name[0] == '.') continue;
        if (asprintf(&child, "%s/%s", path, entry->d_name) < 0) abort();
        ok = replay(child);
        free(child);
    }
    closedir(dir);
    return ok;
}

static int replay_own_corpus(const char *program)
{
    const char *root = getenv("MX_FUZZ_CORPUS"), *name = strrchr(program, '/');
    char *path;
    int ok;

    name = name ? name + 1 : program;
    if (!strncmp(name, "lt-", 3)) name += 3;   /* libtool's wrapper runs lt-<name> */
    if (!strncmp(name, "fuzz_", 5)) name += 5;
    if (asprintf(&path, "%s/%s", root ? root : "tests/fuzz/corpus", name) < 0) abort();
    ok = replay(path);
    free(path);
    return ok;
}

int main(int argc, char **argv)
{
    int i, ok = 1;

    if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&argc, &argv);
    if (argc < 2) ok = replay_own_corpus(argv[0]);
    for (i = 1; i < argc && ok; i++) ok = replay(argv[i]);
    printf("replayed %d inputs\n", replayed);
    return ok ? 0 : 1;
}
