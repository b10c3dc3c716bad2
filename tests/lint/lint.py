#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Style rules that a script can check. Prints file:line and the rule for each finding, and closes with
"lint: N passed, N failed", a check being one rule over the whole tree.   usage: lint.py [FOLDER] | --self-test

--self-test (also part of every run) gives each rule a small tree that breaks it and demands that it is found.
"""
import collections
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
MAX_FUNCTION_LINES = 100
MAX_FILE_LINES = 800
MAX_COLUMNS = 140   # 120 is the aim; a prototype may need a little more
MAX_SHOWN = 20       # findings of one rule

LOW = ["base", "core", "store", "server"]
MIDDLE = ["room", "user", "sync"]
# What a folder may include, itself apart.
MAY_INCLUDE = {
    "base": [], "core": ["base"], "store": ["base", "core"], "server": ["base", "core", "store"],
    "room": LOW + MIDDLE, "user": LOW + MIDDLE, "sync": LOW + MIDDLE,
    "api": LOW + MIDDLE, "client": LOW + MIDDLE + ["api"], "workers": LOW + MIDDLE,
    "glue": LOW + MIDDLE + ["api", "client", "workers"], "tools": LOW + MIDDLE,
}
# Header of a foreign library: the places that may include it.
FOREIGN = [
    (r"jansson\.h", r"base/json\.c"),
    (r"(openssl/.*|sodium\.h|crypt\.h)", r"base/crypto\.c"),
    (r"zstd\.h", r"base/zip\.c"),
    (r"libpq-fe\.h", r"store/(pg\w*|rows|listen|source_private)\.[ch]"),
    (r"apr_dbd\.h|mod_dbd\.h", r"glue/\w+\.c"),
    (r"(httpd|http_\w+|ap_\w+|util_\w+|mpm_common|scoreboard|mod_\w+)\.h", r"glue/\w+\.[ch]"),
]
BANNED = {
    "malloc": r"base/.*", "calloc": r"base/.*", "realloc": r"base/.*", "strdup": "", "asprintf": "", "sprintf": "", "vsprintf": "",
    "strcpy": "", "strcat": "", "gets": "", "atoi": "", "strtok": "", "alloca": "", "apr_sleep": r"workers/.*", "usleep": "",
    "sleep": "", "system": "", "popen": "", "rand": "", "random": "",
}
SOURCE = (".c", ".h", ".def")


class Tree:
    """Files of a project: path from its root to text."""

    def __init__(self, files):
        self.files = files

    @classmethod
    def of_folder(cls, root):
        listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                                stdout=subprocess.PIPE, text=True, check=True).stdout.split("\0")
        files = {}
        for path in filter(None, listed):
            full = os.path.join(root, path)
            if os.path.isfile(full) and not os.path.islink(full):
                with open(full, "rb") as f:
                    files[path] = f.read().decode("utf-8", "replace")
        return cls(files)

    def matching(self, pattern):
        for path in sorted(self.files):
            if re.fullmatch(pattern, path):
                yield path, self.files[path]

    def sources(self, suffixes=SOURCE):
        """mod_matrix/<folder>/<file> as (folder, file, path, text)."""
        for path, text in self.matching(r"mod_matrix/\w+/\w+\.\w+"):
            if path.endswith(suffixes):
                _, folder, name = path.split("/")
                yield folder, name, path, text


def strip_code(text, strings=True):
    """C without comments (and the insides of strings), line numbers kept."""
    def blank(match):
        piece = match.group(0)
        if piece.startswith("/"):
            return re.sub(r"[^\n]", " ", piece)
        return piece[0] + " " * (len(piece) - 2) + piece[-1] if strings else piece
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def functions(text):
    """(name, first line, lines, is static) of each function; its braces stand in column 0."""
    lines = strip_code(text).split("\n")
    found, start = [], None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            head, j = "", start - 1
            while j >= 0 and lines[j].strip() and not lines[j].rstrip().endswith((";", "}")) and not lines[j].startswith("#"):
                head = lines[j] + " " + head
                j -= 1
            name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head))
            if name:
                found.append((name.group(1), j + 2, i - start + 1, bool(re.search(r"\bstatic\b", head))))
            start = None
    return found


# ---------------------------------------------------------------------- rules: each yields (path, line, what)
RULES = []


def rule(function):
    RULES.append(function)
    return function


@rule
def includes_point_downward(tree):
    for folder, name, path, text in tree.sources():
        for match in re.finditer(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
            target = match.group(1)
            to = target.split("/")[0] if "/" in target else None
            line = line_of(text, match.start())
            if to is None or target.startswith("."):
                yield path, line, f'"{target}": includes are written from mod_matrix/, as "folder/file.h"'
            elif to != folder and to not in MAY_INCLUDE.get(folder, []):
                yield path, line, f"{folder}/ may not include {target}"


@rule
def endpoint_files_do_not_include_each_other(tree):
    for folder, name, path, text in tree.sources():
        if folder == "client":
            for match in re.finditer(r'^\s*#\s*include\s+"client/(\w+)\.h"', text, re.M):
                if match.group(1) not in ("client", name.split(".")[0]):
                    yield path, line_of(text, match.start()), f"client/{match.group(1)}.h: endpoint files share api/ only"


@rule
def foreign_headers_stay_in_their_file(tree):
    for folder, name, path, text in tree.sources():
        for match in re.finditer(r"^\s*#\s*include\s+<([^>]+)>", text, re.M):
            for header, places in FOREIGN:
                if re.fullmatch(header, match.group(1)) and not re.fullmatch(places, f"{folder}/{name}"):
                    yield path, line_of(text, match.start()), f"<{match.group(1)}> belongs to {places} alone"


@rule
def foreign_calls_stay_in_their_file(tree):
    for folder, name, path, text in tree.sources((".c", ".h")):
        code, place = strip_code(text), f"{folder}/{name}"
        if place not in ("base/json.c", "base/json.h"):
            for match in re.finditer(r"(?<![\w])json_(?!t\b)[a-z_]+\s*\(", code):
                yield path, line_of(code, match.start()), f"{match.group(0)}): jansson is base/json.c's"
        if folder != "store":
            for match in re.finditer(r"\bPQ[a-z]\w+\s*\(", code):
                yield path, line_of(code, match.start()), f"{match.group(0)}): libpq is store/'s"


@rule
def sql_stays_in_store(tree):
    pattern = r'"[^"\n]*\b(SELECT\s+[\w*(]|INSERT\s+INTO\s|DELETE\s+FROM\s|UPDATE\s+\w+\s+SET\s|CREATE\s+TABLE\s)[^"\n]*"'
    for folder, name, path, text in tree.sources():
        if folder != "store":
            code = strip_code(text, strings=False)
            for match in re.finditer(pattern, code):
                yield path, line_of(code, match.start()), "SQL outside store/"


@rule
def banned_calls(tree):
    names = "|".join(BANNED)
    for folder, name, path, text in tree.sources((".c", ".h")):
        code = strip_code(text)
        for match in re.finditer(rf"(?<![\w.>])({names})\s*\(", code):
            allowed = BANNED[match.group(1)]
            if not (allowed and re.fullmatch(allowed, f"{folder}/{name}")):
                yield path, line_of(code, match.start()), f"{match.group(1)}() is banned here"


@rule
def functions_are_short(tree):
    for path, text in tree.matching(r"(mod_matrix|tests)/.*\.c"):
        for name, line, length, _ in functions(text):
            if length > MAX_FUNCTION_LINES:
                yield path, line, f"{name}() has {length} lines, the limit is {MAX_FUNCTION_LINES}"


@rule
def files_are_short(tree):
    for path, text in tree.matching(r"(mod_matrix|tests|conf|admin-ui)/.*"):
        if path.endswith((".c", ".h", ".py", ".js", ".mjs")) or path == "conf/quickstart":
            lines = text.count("\n")
            if lines > MAX_FILE_LINES:
                yield path, lines, f"{lines} lines, the limit is {MAX_FILE_LINES}"


@rule
def symbols_carry_their_address(tree):
    for folder, name, path, text in tree.sources((".c",)):
        short = "mx_" if folder in ("base", "core", "tools") else "mx_" + re.split(r"[._]", name)[0].rstrip("s")
        for function, line, _, static in functions(text):
            if not static and not function.startswith((short, f"mx_{folder}_")) and function != "main":
                yield path, line, f"{function}() is not static, so its name starts with mx_{folder}_ or {short}"


@rule
def nothing_is_defined_for_nobody(tree):
    used = collections.Counter()
    for path, text in tree.matching(r"(mod_matrix|tests)/.*\.(c|h|def)"):
        if path.endswith(".h"):   # a declaration is no use; a macro or an inline function is
            text = "\n".join(line for line in text.split("\n") if re.match(r"\s+|#define|static inline", line))
        used.update(re.findall(r"\bmx_\w+", strip_code(text)))
    for folder, name, path, text in tree.sources((".c",)):
        own = collections.Counter(re.findall(r"\bmx_\w+", strip_code(text)))
        for function, line, _, static in functions(text):
            if not static and function.startswith("mx_") and used[function] == own[function] == 1:
                yield path, line, f"{function}() is used nowhere"


@rule
def log_tags_are_unique(tree):
    seen = {}
    for folder, name, path, text in tree.sources((".c", ".h")):
        for match in re.finditer(r'"(MX\d{4}): ', text):
            line = line_of(text, match.start())
            if match.group(1) in seen:
                yield path, line, f"{match.group(1)} is also at {seen[match.group(1)]}"
            seen.setdefault(match.group(1), f"{path}:{line}")


@rule
def log_calls_have_tags(tree):
    call = r'\b(mx_log|ap_log_\w?error|ap_log_error|ap_log_perror)\s*\(([^;]*?)("[^"]*")'
    for folder, name, path, text in tree.sources((".c",)):
        code = strip_code(text, strings=False)
        for match in re.finditer(call, code, re.S):
            loud = re.search(r"MX_LOG_(ERROR|WARNING|INFO)|APLOG_(EMERG|ALERT|CRIT|ERR|WARNING|NOTICE|INFO)\b", match.group(2))
            if loud and not re.match(r'"MX\d{4}: ', match.group(3)):
                yield path, line_of(code, match.start()), f"a message of level info or above without its MX number: {match.group(3)[:50]}"


@rule
def licence_line_first(tree):
    kinds = r".*\.(c|h|def|py|js|mjs|css|sql|sh|ac|am)|conf/quickstart|tests/(run|bench)|\.ci/run|conf/.*\.in"
    for path, text in tree.matching(kinds):
        lines = text.split("\n", 2)
        if lines[0].startswith("#!"):
            lines = lines[1:]
        if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
            yield path, 1, "the first line (after #!) is the SPDX licence line"


@rule
def lines_are_clean(tree):
    for path, text in tree.matching(r"(mod_matrix|tests|sql|conf)/.*|configure\.ac"):
        if not path.endswith((".c", ".h", ".def", ".py", ".sql", ".ac")) or path.startswith(("tests/fuzz/corpus", "tests/data")):
            continue
        for i, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield path, i, "white space at the end of the line"
            if "\t" in line and "'\t'" not in line and '"' not in line:
                yield path, i, "a tab"
            if len(line) > MAX_COLUMNS and path.endswith((".c", ".h")) and not re.search(r'"[^"]{60,}"', line):
                yield path, i, f"{len(line)} columns, the limit is {MAX_COLUMNS}"


@rule
def no_loose_ends(tree):
    for path, text in tree.matching(r"(mod_matrix|sql|conf|admin-ui)/.*"):
        if path.endswith(".md"):
            continue
        for match in re.finditer(r"\b(TODO|FIXME|XXX|HACK)\b", text):
            yield path, line_of(text, match.start()), f"{match.group(1)} in the code"


def routes(tree):
    for path, text in tree.matching(r"mod_matrix/glue/\w+\.def"):
        for match in re.finditer(r'^MX_ROUTE\((\w+),\s*"([^"]+)"(.*)\)\s*$', text, re.M):
            yield path, line_of(text, match.start()), match.group(1), match.group(2), match.group(3).split(",")[-1].strip()


@rule
def routes_have_handlers(tree):
    defined = {f[0] for _, _, _, text in tree.sources((".c",)) for f in functions(text)}
    for path, line, method, target, handler in routes(tree):
        if handler not in defined:
            yield path, line, f"{handler}() is defined nowhere"


def spelled_out(text):
    """A test's strings with its plain constants put in (BASE + "/x", f"{path}/x"), any other {expression} as {}."""
    known, out = {}, []
    for line in text.split("\n"):
        line = re.sub(r"\{(\w+)\}", lambda m: known.get(m.group(1), m.group(0)), line)
        line = re.sub(r'\b(\w+) \+ f?"', lambda m: '"' + known[m.group(1)] if m.group(1) in known else m.group(0), line)
        constant = re.match(r'\s*(\w+) = f?"([^"]*)"$', line)
        if constant:
            known[constant.group(1)] = constant.group(2)
        out.append(re.sub(r"\{[^{}]*\}", "{}", line))
    return "\n".join(out)


@rule
def routes_have_tests(tree):
    everything = "\n".join(spelled_out(text) for _, text in tree.matching(r"tests/(http|interop)/.*\.(py|mjs|js)"))
    for path, line, method, target, handler in routes(tree):
        tail = re.sub(r"^/_matrix/client/(\([^)]*\)|\w+)", "", target) or target
        pattern = re.sub(r"\\\{\w+\\\}", lambda m: r"[^/\"'\s]*", re.escape(tail))
        if not re.search(pattern + r"(?=[\"'`?\\])", everything):
            yield path, line, f"no test mentions {method} {target}"


def directives(tree):
    found = {}
    for path, text in tree.matching(r"mod_matrix/\w+/\w+\.def"):
        for match in re.finditer(r'^MX_(?:SET|CONF|DIRECTIVE)\w*\("(Matrix\w+)"', text, re.M):
            found[match.group(1)] = (path, line_of(text, match.start()))
    return found


def directive_pages(tree):
    """What conf/make-directives would write for this tree."""
    loader = importlib.machinery.SourceFileLoader("make_directives", os.path.join(HERE, "../../conf/make-directives"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_directives", loader))
    loader.exec_module(module)
    settings = tree.files.get("mod_matrix/server/settings.def", "")
    return {path: make(settings) for path, make in module.OUTPUTS.items()}


@rule
def directive_pages_are_fresh(tree):
    for path, text in directive_pages(tree).items():
        if tree.files.get(path) != text:
            yield path, 1, "is not what conf/make-directives writes: run it"


@rule
def documented_directives_exist(tree):
    known = directives(tree)
    if not known:
        return
    for path, text in tree.matching(r"(conf/.*|README\.md|CONTRIBUTING\.md|mod_matrix/\w+\.md|tests/http/.*\.py)"):
        for match in re.finditer(r"^[\s#'\"]*(Matrix[A-Z]\w+)(?= \S)", text, re.M):
            if match.group(1) not in known and "NoSuch" not in match.group(1):
                yield path, line_of(text, match.start()), f"there is no directive {match.group(1)}"


@rule
def sources_are_built(tree):
    make = tree.files.get("Makefile.am", "")
    for path, _ in tree.matching(r"mod_matrix/\w+/\w+\.c|tests/(unit/test|fuzz/fuzz)_\w+\.c"):
        wanted = path if path.startswith("mod_matrix") else path[:-2]
        if not re.search(rf"(?<![\w/]){re.escape(wanted)}(?![\w.])", make):
            yield path, 1, "is not in Makefile.am"


@rule
def lists_are_sorted(tree):
    make = tree.files.get("Makefile.am", "")
    for match in re.finditer(r"^(\w+) = \\\n((?:\t\S+ \\\n)*\t\S+)$", make, re.M):
        names = re.findall(r"\t(\S+)", match.group(2))
        if names != sorted(names):
            yield "Makefile.am", line_of(make, match.start()), f"{match.group(1)} is not sorted"


@rule
def http_tests_are_numbered(tree):
    for path, text in tree.matching(r"tests/http/test_\w+\.py"):
        stem, seen = re.match(r".*/(test_\w+)\.py", path).group(1), {}
        for match in re.finditer(r"^def (test_\w+)\(", text, re.M):
            line = line_of(text, match.start())
            number = re.match(rf"{stem}_(\d{{3}})_\w", match.group(1))
            if not number:
                yield path, line, f"{match.group(1)}: the name is {stem}_<nnn>_<what>"
            elif number.group(1) in seen:
                yield path, line, f"{number.group(1)} is used twice"
            else:
                seen[number.group(1)] = line


@rule
def only_sources_in_git(tree):
    for path in tree.files:
        if re.search(r"\.(o|lo|la|so|a|log|pyc|core|orig|rej)$|(^|/)core\.\d+$", path) or "\0" in tree.files[path] \
                and not path.startswith(("tests/fuzz/corpus/", "tests/data/")):
            yield path, 1, "is not a source"


# ---------------------------------------------------------------------- running
def self_test():
    """Each rule against the tree that breaks it, and against one in order."""
    sys.path.insert(0, HERE)
    from samples import GOOD, SAMPLES
    failed = 0
    GOOD.update(directive_pages(Tree(GOOD)))
    for check in RULES:
        name = check.__name__
        if name not in SAMPLES:
            print(f"tests/lint/samples.py:1: no sample breaks {name}")
            failed += 1
            continue
        if not list(check(Tree({**GOOD, **SAMPLES[name]}))):
            print(f"tests/lint/samples.py:1: {name} does not find its sample")
            failed += 1
        for path, line, what in check(Tree(GOOD)):
            print(f"tests/lint/samples.py:1: {name} finds a fault where none is: {path}:{line}: {what}")
            failed += 1
    return failed


def main():
    failed = 1 if self_test() else 0
    passed = 1 - failed
    if "--self-test" not in sys.argv:
        tree = Tree.of_folder(next((a for a in sys.argv[1:] if not a.startswith("-")), os.path.join(HERE, "..", "..")))
        for check in RULES:
            findings = list(check(tree))
            for path, line, what in findings[:MAX_SHOWN]:
                print(f"{path}:{line}: {what} [{check.__name__}]")
            if len(findings) > MAX_SHOWN:
                print(f"... and {len(findings) - MAX_SHOWN} more [{check.__name__}]")
            failed, passed = failed + bool(findings), passed + (not findings)
    print(f"lint: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
