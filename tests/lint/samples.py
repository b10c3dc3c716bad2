# SPDX-License-Identifier: Apache-2.0
"""A small tree in order, and for each rule of lint.py the file that breaks it."""

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"

GOOD = {
    "Makefile.am": "# SPDX-License-Identifier: Apache-2.0\nlist = \\\n\tmod_matrix/client/joining.c \\\n\tmod_matrix/room/member.c\n",
    "mod_matrix/room/member.h": SPDX + "int mx_room_member_join(int a);\n",
    "mod_matrix/room/member.c": SPDX + '#include "room/member.h"\n#include "store/store.h"\n\n'
    'int mx_room_member_join(int a)\n{\n    mx_log(0, MX_LOG_INFO, 0, "MX0001: joined");\n    return a;\n}\n',
    "mod_matrix/client/joining.c": SPDX + '#include "room/member.h"\n\n'
    "int mx_client_join_room_by_id(int a)\n{\n    return mx_room_member_join(a);\n}\n",
    "mod_matrix/glue/routes.def": SPDX
    + 'MX_ROUTE(POST, "/_matrix/client/(r0|v3)/rooms/{roomId}/join", USER, JOIN, OBJECT, mx_client_join_room_by_id)\n',
    "mod_matrix/server/settings.def": SPDX + 'MX_SET_INT("MatrixMaxWaiting", max_waiting, 1, 0, 9, "Polls.")\n',
    "tests/http/test_joining.py": "# SPDX-License-Identifier: Apache-2.0\n"
    'def test_joining_001_join(user):\n    user.call("POST", f"{V3}/rooms/{quote(room)}/join")\n',
}


def c(body, path="mod_matrix/room/broken.c"):
    return {path: SPDX + body}


SAMPLES = {
    "includes_point_downward": c('#include "glue/glue.h"\n'),
    "endpoint_files_do_not_include_each_other": c('#include "client/login.h"\n', "mod_matrix/client/sync.c"),
    "foreign_headers_stay_in_their_file": c("#include <jansson.h>\n"),
    "foreign_calls_stay_in_their_file": c("int x = json_object_size(y);\n"),
    "sql_stays_in_store": c('static const char sql[] = "SELECT nid FROM users";\n'),
    "banned_calls": c("static void f(void)\n{\n    sprintf(a, b);\n}\n"),
    "functions_are_short": c("static void f(void)\n{\n" + "    g();\n" * 100 + "}\n"),
    "files_are_short": c("int a;\n" * 800),
    "symbols_carry_their_address": c("int mx_user_find(void)\n{\n    return 0;\n}\n"),
    "nothing_is_defined_for_nobody": c("int mx_room_broken_thing(void)\n{\n    return 0;\n}\n"),
    "log_tags_are_unique": c('static void f(void)\n{\n    mx_log(0, MX_LOG_INFO, 0, "MX0001: again");\n}\n'),
    "log_calls_have_tags": c('static void f(void)\n{\n    mx_log(0, MX_LOG_ERROR, 0, "no number");\n}\n'),
    "licence_line_first": {"sql/0001_users.sql": "CREATE TABLE users();\n"},
    "lines_are_clean": c("int a; \n"),
    "no_loose_ends": c("/* TO" "DO: later */\n"),
    "routes_have_handlers": {"mod_matrix/glue/routes.def": SPDX
                             + 'MX_ROUTE(GET, "/_matrix/client/(r0|v3)/join", USER, JOIN, NONE, mx_client_nobody)\n'},
    "routes_have_tests": {"mod_matrix/glue/routes.def": SPDX
                          + 'MX_ROUTE(GET, "/_matrix/client/(r0|v3)/rooms/{roomId}/joi", USER, X, NONE, mx_client_join_room_by_id)\n'},
    "directive_pages_are_fresh": {"mod_matrix/server/settings.def": SPDX + 'MX_SET_INT("MatrixOther", other, 1, 0, 9, "x")\n'},
    "documented_directives_exist": {"conf/vhost.conf.in": "# SPDX-License-Identifier: Apache-2.0\n    MatrixMaxSitting 3\n"},
    "sources_are_built": c("int a;\n"),
    "lists_are_sorted": {"Makefile.am": "list = \\\n\tb.c \\\n\ta.c\n"},
    "http_tests_are_numbered": {"tests/http/test_login.py": "# SPDX-License-Identifier: Apache-2.0\ndef test_wrong():\n    pass\n"},
    "only_sources_in_git": {"mod_matrix/room/member.o": "\x7fELF"},
}
