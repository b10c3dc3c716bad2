/* SPDX-License-Identifier: Apache-2.0 */
/* matrix-doctor: looks at what a homeserver has stored, says what is wrong, and with --repair rebuilds what can be rebuilt. */
#include "tools/doctor.h"

#include "base/base64.h"
#include "base/crypto.h"
#include "core/ident.h"
#include "core/sign.h"
#include "store/schema.h"
#include "tools/options.h"

#include <apr_file_io.h>
#include <stdlib.h>

#define EXIT_FINDINGS 1
#define EXIT_NOT_RUN 2
#define KEY_FILE_MAX_BYTES 4096
#define ROOMS_A_QUERY 500

typedef struct options_t {
    const char *dsn, *key_file, *room, *event;
    int all, json;
    mx_doctor_t doctor;
    mx_json_writer_t *writer;        /* of the whole answer, with --json */
    long rooms, unhealthy;           /* examined */
} options_t;

enum { OPT_DATABASE = 256, OPT_SERVER_NAME, OPT_SIGNING_KEY, OPT_KEY, OPT_EVENT, OPT_ROOM, OPT_ALL, OPT_REPAIR, OPT_JSON };

static const apr_getopt_option_t options[] = {
    { "database", OPT_DATABASE, 1, "connection string of the database, as in DBDParams" },
    { "server-name", OPT_SERVER_NAME, 1, "the homeserver's name, as in MatrixServerName (default: the one the database belongs to)" },
    { "signing-key", OPT_SIGNING_KEY, 1, "file of the signing key, as in MatrixSigningKey: to check our own signatures" },
    { "key", OPT_KEY, 1, "public key of a server: server=ed25519:id=base64; may be given many times" },
    { "event", OPT_EVENT, 1, "examine one event" },
    { "room", OPT_ROOM, 1, "examine the room of this id or alias, and all its events" },
    { "all", OPT_ALL, 0, "examine every room" },
    { "repair", OPT_REPAIR, 0, "rebuild cur_state, member, room_server and counters where they are wrong; nothing else is ever changed" },
    { "json", OPT_JSON, 0, "write one JSON object instead of words" },
    MX_TOOLS_OPTIONS
};

static int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mx_tools_options_complain("matrix-doctor", fmt, args);
    va_end(args);
    return EXIT_NOT_RUN;
}

/* ---- keys ---- */

/** server=ed25519:id=base64; 0 if it is not of that form. */
static int take_key(mx_doctor_t *d, const char *text)
{
    char *server = apr_pstrdup(d->pool, text), *key_id = strchr(server, '='), *base64 = key_id ? strchr(key_id + 1, '=') : NULL;
    mx_doctor_key_t *key;
    unsigned char *raw;
    apr_size_t len;
    if (!base64)
        return 0;
    *key_id++ = *base64++ = '\0';
    if (!mx_ident_is_server_name(server) || strncmp(key_id, "ed25519:", 8) != 0 || !key_id[8] ||
        mx_base64_decode(&raw, &len, MX_BASE64_STD, mx_slice_str(base64), d->pool) != APR_SUCCESS || len != MX_ED25519_PUBLIC_BYTES)
        return 0;
    key = apr_array_push(d->keys);
    key->server = server;
    key->key_id = key_id;
    memcpy(key->public_key, raw, len);
    return 1;
}

static int read_signing_key(options_t *o)
{
    mx_doctor_t *d = &o->doctor;
    char reason[120], *text = apr_palloc(d->pool, KEY_FILE_MAX_BYTES + 1);
    const char *err = "unknown error.";
    mx_signing_key_t signing;
    mx_doctor_key_t *key;
    apr_size_t len = 0;
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, o->key_file, APR_FOPEN_READ, 0, d->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(file, text, KEY_FILE_MAX_BYTES, &len);
        apr_file_close(file);
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EOF(rv))
        return fail("The signing key cannot be read from %s: %s.", o->key_file, apr_strerror(rv, reason, sizeof(reason)));
    text[len] = '\0';
    if (mx_signing_key_parse(&signing, &err, text, d->pool) != APR_SUCCESS)
        return fail("The signing key in %s cannot be used: %s", o->key_file, err);
    key = apr_array_push(d->keys);
    key->server = d->server_name;
    key->key_id = signing.key_id;
    memcpy(key->public_key, signing.key.public, sizeof(key->public_key));
    return EXIT_SUCCESS;
}

/* ---- the database ---- */

/** The doctor never brings a schema up to date: what it looks at may be what is wrong. */
static int open_database(options_t *o)
{
    mx_doctor_t *d = &o->doctor;
    mx_store_source_t *source;
    const char *err = "unknown error.", *owner = NULL;
    int found = 0;
    mx_schema_state_e state = mx_schema_check(&found, &err, o->dsn, d->pool);
    if (state == MX_SCHEMA_EMPTY)
        return fail("The database holds no homeserver.");
    if (state == MX_SCHEMA_OLD)
        return fail("The database schema has version %d, this program works with %d: run matrix-setup first.", found, mx_schema_wanted());
    if (state != MX_SCHEMA_CURRENT)
        return fail("%s", err);
    if (mx_schema_owner(&owner, &err, o->dsn, d->pool) != APR_SUCCESS)
        return fail("%s", err);
    if (d->server_name && owner && strcmp(owner, d->server_name) != 0)
        return fail("The database belongs to the server name %s, not to %s.", owner, d->server_name);
    if (!d->server_name)
        d->server_name = owner;
    if (mx_store_source_private(&source, o->dsn, d->pool) != APR_SUCCESS ||
        mx_store_create(&d->store, source, o->dsn, NULL, d->pool) != APR_SUCCESS)
        return fail("The database cannot be used.");
    return EXIT_SUCCESS;
}

/* ---- examinations ---- */

/** Takes the outcome of one examination; an exit status, EXIT_SUCCESS to go on. */
static int take_report(options_t *o, const mx_doctor_report_t *report)
{
    o->rooms++;
    o->unhealthy += mx_doctor_report_left(report) != 0;
    if (o->json)
        mx_doctor_report_write(report, o->writer);
    else
        mx_doctor_report_print(report, stdout);
    return EXIT_SUCCESS;
}

static int examine_room(options_t *o, apr_int64_t room_nid)
{
    mx_doctor_report_t *report;
    apr_pool_t *pool;
    apr_status_t rv;
    int status;
    apr_pool_create(&pool, o->doctor.pool);
    apr_pool_tag(pool, "mx_doctor_room");
    rv = mx_doctor_room_examine(&report, &o->doctor, room_nid, pool);
    if (rv == APR_EINVAL)
        status = fail("A room (number %" APR_INT64_T_FMT ") is of a version that this program does not know.", room_nid);
    else if (rv == MX_STORE_NONE && o->all)
        status = EXIT_SUCCESS;       /* gone since the list was read */
    else
        status = rv == APR_SUCCESS ? take_report(o, report) : fail("The database failed while a room was examined; its log says why.");
    apr_pool_destroy(pool);
    return status;
}

static int examine_all(options_t *o)
{
    apr_int64_t *nids, after = 0;
    int i, n = ROOMS_A_QUERY, status = EXIT_SUCCESS;
    while (n == ROOMS_A_QUERY && status == EXIT_SUCCESS) {
        if (mx_store_doctor_rooms(&nids, &n, o->doctor.store, after, ROOMS_A_QUERY, o->doctor.pool) != APR_SUCCESS)
            return fail("The rooms cannot be read.");
        for (i = 0; i < n && status == EXIT_SUCCESS; i++)
            status = examine_room(o, after = nids[i]);
    }
    return status;
}

static int examine_named(options_t *o)
{
    apr_int64_t room_nid;
    apr_status_t rv = mx_store_doctor_room_find(&room_nid, o->doctor.store, o->room, o->doctor.pool);
    if (rv == MX_STORE_NONE)
        return fail("There is no room %s in this database.", o->room);
    return rv == APR_SUCCESS ? examine_room(o, room_nid) : fail("The database failed while a room was looked for.");
}

static int examine_event(options_t *o)
{
    mx_doctor_report_t *report;
    apr_status_t rv = mx_doctor_room_examine_event(&report, &o->doctor, o->event, o->doctor.pool);
    if (rv == MX_STORE_NONE)
        return fail("There is no event %s in this database, or its room is not there.", o->event);
    if (rv == APR_EINVAL)
        return fail("The room of %s is of a version that this program does not know.", o->event);
    return rv == APR_SUCCESS ? take_report(o, report) : fail("The database failed while the event was examined.");
}

static int examine(options_t *o)
{
    return o->event ? examine_event(o) : o->room ? examine_named(o) : examine_all(o);
}

static int run(options_t *o)
{
    mx_json_writer_t *w = o->writer = mx_jw_create(o->doctor.pool);
    int status = open_database(o);
    if (status == EXIT_SUCCESS && o->key_file)
        status = read_signing_key(o);
    if (status != EXIT_SUCCESS)
        return status;
    mx_jw_object(w);
    mx_jw_key_str(w, "server_name", o->doctor.server_name);
    mx_jw_key_array(w, "rooms");
    status = examine(o);
    mx_jw_end_array(w);
    mx_jw_key_int(w, "examined", o->rooms);
    mx_jw_key_int(w, "unhealthy", o->unhealthy);
    mx_jw_key_bool(w, "complete", status == EXIT_SUCCESS);
    mx_jw_key_bool(w, "healthy", status == EXIT_SUCCESS && !o->unhealthy);
    mx_jw_end_object(w);
    if (o->json) {
        fwrite(w->buf->p, 1, w->buf->len, stdout);
        putchar('\n');
    } else if (o->all)
        printf("%ld rooms examined, %ld not healthy.\n", o->rooms, o->unhealthy);
    return status != EXIT_SUCCESS ? status : o->unhealthy ? EXIT_FINDINGS : EXIT_SUCCESS;
}

/* ---- arguments ---- */

/** Takes one option; returns an exit status, or -1 to go on. */
static int take_option(void *baton, int option, const char *value)
{
    options_t *o = baton;
    switch (option) {
    case OPT_DATABASE: o->dsn = value; break;
    case OPT_SERVER_NAME: o->doctor.server_name = value; break;
    case OPT_SIGNING_KEY: o->key_file = value; break;
    case OPT_EVENT: o->event = value; break;
    case OPT_ROOM: o->room = value; break;
    case OPT_ALL: o->all = 1; break;
    case OPT_REPAIR: o->doctor.repair = 1; break;
    case OPT_JSON: o->json = 1; break;
    case OPT_KEY:
        return take_key(&o->doctor, value) ? -1 : fail("--key must be server=ed25519:id=base64, not %s.", value);
    }
    return -1;
}

/** What the options must say together; NULL if they do. */
static const char *arguments_fault(const void *baton)
{
    const options_t *o = baton;
    if (!o->dsn)
        return "--database is missing.";
    if (!!o->event + !!o->room + o->all != 1)
        return "say what to examine: one of --event, --room, --all.";
    if (o->doctor.server_name && !mx_ident_is_server_name(o->doctor.server_name))
        return "--server-name must be a host name or address, perhaps with :port.";
    if (o->event && o->doctor.repair)
        return "--repair needs --room or --all: events are never changed.";
    return NULL;
}

int main(int argc, const char *const *argv)
{
    options_t o = { NULL };
    const mx_tools_program_t program = {
        .name = "matrix-doctor",
        .usage = "Usage: matrix-doctor --database DSN [--server-name NAME] [--signing-key FILE] [--key SERVER=ID=KEY]...\n"
                 "                     --event ID | --room ID | --all  [--repair] [--json]\n"
                 "Examines events and rooms of a Matrix homeserver: hashes, signatures, authorization, state, and what mirrors it.\n"
                 "Servers may go on running. Nothing is changed without --repair.\n\n",
        .exits = "\nExit status: 0 all is healthy or was repaired, 1 something is wrong, 2 the examination could not be made.\n",
        .options = options, .take = take_option, .fault = arguments_fault, .baton = &o
    };
    int status;
    if (mx_tools_options_start(&o.doctor.pool, &argc, &argv) != APR_SUCCESS)
        return fail("the libraries cannot be initialised");
    o.doctor.keys = apr_array_make(o.doctor.pool, 4, sizeof(mx_doctor_key_t));
    status = mx_tools_options_read(&program, argc, argv, o.doctor.pool);
    if (status >= 0)
        return status;
    status = run(&o);
    return fflush(stdout) != 0 ? EXIT_NOT_RUN : status;
}
