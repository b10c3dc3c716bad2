/* SPDX-License-Identifier: Apache-2.0 */
/* matrix-setup: what a homeserver needs before httpd starts: schema, claim, signing key, administrator. May be run again. */
#include "base/crypto.h"
#include "core/ident.h"
#include "core/sign.h"
#include "server/server.h"
#include "store/schema.h"
#include "store/setup.h"
#include "tools/options.h"

#include <apr_file_io.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES 4096          /* of a key file or password file */
#define PASSWORD_MAX_BYTES 512
#define PASSWORD_RANDOM_CHARS 24

typedef struct setup_t {
    const char *dsn, *server_name, *key_file, *sql_dir, *admin, *password_file;
    apr_pool_t *pool;
} setup_t;

enum { OPT_DATABASE = 256, OPT_SERVER_NAME, OPT_SIGNING_KEY, OPT_SQL_DIR, OPT_CREATE_ADMIN, OPT_PASSWORD_FILE };

static const apr_getopt_option_t options[] = {
    { "database", OPT_DATABASE, 1, "connection string of the database, as in DBDParams" },
    { "server-name", OPT_SERVER_NAME, 1, "the homeserver's name, as in MatrixServerName" },
    { "signing-key", OPT_SIGNING_KEY, 1, "file of the signing key, as in MatrixSigningKey; made if it does not exist" },
    { "sql-dir", OPT_SQL_DIR, 1, "where the schema's files are (default " MX_SQL_DIR ")" },
    { "create-admin", OPT_CREATE_ADMIN, 1, "make this user an administrator; the account is made if it does not exist" },
    { "password-file", OPT_PASSWORD_FILE, 1, "the administrator's password: a file (made with a random one if it does not exist), or -" },
    MX_TOOLS_OPTIONS
};

static int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mx_tools_options_complain("matrix-setup", fmt, args);
    va_end(args);
    return EXIT_FAILURE;
}

static const char *reason_of(apr_status_t rv, apr_pool_t *pool)
{
    char reason[120];
    return apr_pstrdup(pool, apr_strerror(rv, reason, sizeof(reason)));
}

/* ---------------------------------------------------------------- files */

/** The content of a small file, NUL-terminated; "-" is standard input. */
static apr_status_t file_read(char **ptext, const char *path, apr_pool_t *pool)
{
    char *text = apr_palloc(pool, FILE_MAX_BYTES + 1);
    apr_size_t len = 0;
    apr_file_t *file;
    apr_status_t rv = strcmp(path, "-") == 0 ? apr_file_open_stdin(&file, pool) : apr_file_open(&file, path, APR_FOPEN_READ, 0, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_file_read_full(file, text, FILE_MAX_BYTES, &len);
    apr_file_close(file);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EOF(rv))
        return rv;
    text[len] = '\0';
    *ptext = text;
    return APR_SUCCESS;
}

/** A new file that only its owner may read, on disk when this returns. Never overwrites. */
static apr_status_t file_write_secret(const char *path, const char *text, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                                    APR_FPROT_UREAD | APR_FPROT_UWRITE, pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_file_write_full(file, text, strlen(text), NULL);
    if (rv == APR_SUCCESS)
        rv = apr_file_sync(file);
    apr_file_close(file);
    if (rv != APR_SUCCESS)
        apr_file_remove(path, pool);
    return rv;
}

static int file_exists(const char *path, apr_pool_t *pool)
{
    apr_finfo_t info;
    return apr_stat(&info, path, APR_FINFO_TYPE, pool) == APR_SUCCESS;
}

static void warn_if_readable(const char *path, apr_pool_t *pool)
{
    apr_finfo_t info;
    if (apr_stat(&info, path, APR_FINFO_PROT, pool) == APR_SUCCESS && (info.protection & (APR_FPROT_GREAD | APR_FPROT_WREAD)))
        printf("Others than its owner can read %s: chmod 600 it (httpd reads it as root, before it gives up its rights).\n", path);
}

/* ---------------------------------------------------------------- steps */

static int setup_schema(const setup_t *setup)
{
    const char *err = "unknown error.", *command;
    int found = 0;
    mx_schema_state_e state = mx_schema_check(&found, &err, setup->dsn, setup->pool);
    if (state == MX_SCHEMA_TOO_NEW)
        return fail("%s", err);
    if (state == MX_SCHEMA_UNREACHABLE) {
        command = mx_store_setup_createdb(setup->dsn, setup->pool);
        return command ? fail("The database does not exist. Create it, then run this again:\n  %s", command) : fail("%s", err);
    }
    if (state != MX_SCHEMA_CURRENT && mx_schema_apply(&err, setup->dsn, setup->sql_dir, setup->pool) != APR_SUCCESS)
        return fail("%s", err);
    if (state == MX_SCHEMA_CURRENT)
        printf("The database schema already has version %d.\n", mx_schema_wanted());
    else if (state == MX_SCHEMA_EMPTY)
        printf("Created the database schema, version %d.\n", mx_schema_wanted());
    else
        printf("Upgraded the database schema from version %d to %d.\n", found, mx_schema_wanted());
    return EXIT_SUCCESS;
}

static int setup_claim(const setup_t *setup)
{
    const char *err = "unknown error.";
    if (mx_schema_claim(&err, setup->dsn, setup->server_name, setup->pool) != APR_SUCCESS)
        return fail("%s", err);
    printf("The database belongs to the homeserver %s.\n", setup->server_name);
    return EXIT_SUCCESS;
}

static int key_parse(mx_signing_key_t *key, const char *text, const setup_t *setup)
{
    const char *err = "unknown error.";
    if (mx_signing_key_parse(key, &err, text, setup->pool) != APR_SUCCESS)
        return fail("The signing key in %s cannot be used: %s", setup->key_file, err);
    return EXIT_SUCCESS;
}

static int setup_key(const setup_t *setup)
{
    mx_signing_key_t key;
    char *text;
    apr_status_t rv;
    int made = !file_exists(setup->key_file, setup->pool), status;
    if (made) {
        text = mx_signing_key_generate(setup->pool);
        rv = file_write_secret(setup->key_file, text, setup->pool);
        if (rv != APR_SUCCESS)
            return fail("The signing key cannot be written to %s: %s.", setup->key_file, reason_of(rv, setup->pool));
    } else {
        rv = file_read(&text, setup->key_file, setup->pool);
        if (rv != APR_SUCCESS)
            return fail("The signing key cannot be read from %s: %s.", setup->key_file, reason_of(rv, setup->pool));
    }
    status = key_parse(&key, text, setup);
    if (status != EXIT_SUCCESS)
        return status;
    if (made)
        printf("Wrote a new signing key, %s, to %s. Keep a copy: other servers know this homeserver by it.\n", key.key_id, setup->key_file);
    else {
        printf("Kept the signing key %s in %s.\n", key.key_id, setup->key_file);
        warn_if_readable(setup->key_file, setup->pool);
    }
    return EXIT_SUCCESS;
}

/** The first line of the file, or a random password that is then written to it. */
static int read_password(const char **ppassword, const setup_t *setup, const mx_settings_t *settings)
{
    char *text;
    apr_status_t rv;
    if (strcmp(setup->password_file, "-") != 0 && !file_exists(setup->password_file, setup->pool)) {
        text = mx_random_string(mx_alphabet_alnum, PASSWORD_RANDOM_CHARS, setup->pool);
        rv = file_write_secret(setup->password_file, apr_pstrcat(setup->pool, text, "\n", NULL), setup->pool);
        if (rv != APR_SUCCESS)
            return fail("The password cannot be written to %s: %s.", setup->password_file, reason_of(rv, setup->pool));
        printf("Wrote a random password to %s.\n", setup->password_file);
        *ppassword = text;
        return EXIT_SUCCESS;
    }
    rv = file_read(&text, setup->password_file, setup->pool);
    if (rv != APR_SUCCESS)
        return fail("The password cannot be read from %s: %s.", setup->password_file, reason_of(rv, setup->pool));
    text[strcspn(text, "\r\n")] = '\0';
    if (strlen(text) < (apr_size_t)settings->password_min || strlen(text) > PASSWORD_MAX_BYTES)
        return fail("The password must have %d to %d bytes.", settings->password_min, PASSWORD_MAX_BYTES);
    *ppassword = text;
    return EXIT_SUCCESS;
}

static apr_status_t store_admin(int *pcreated, const setup_t *setup, const mx_settings_t *settings, const char *user_id, const char *hash)
{
    mx_server_t server = { .name = setup->server_name, .settings = settings, .pool = setup->pool };
    mx_store_source_t *source;
    apr_int64_t user_nid;
    apr_status_t rv = mx_store_source_private(&source, setup->dsn, setup->pool);
    if (rv == APR_SUCCESS)
        rv = mx_store_create(&server.store, source, setup->dsn, NULL, setup->pool);
    if (rv == APR_SUCCESS)
        rv = mx_server_init(&server);
    if (rv == APR_SUCCESS)
        rv = mx_server_user_nid(&user_nid, &server, user_id, setup->pool);
    if (rv == APR_SUCCESS)
        rv = mx_store_setup_admin(pcreated, server.store, user_nid, hash, apr_time_as_msec(apr_time_now()), setup->pool);
    return rv;
}

static int setup_admin(const setup_t *setup)
{
    const char *user_id = apr_psprintf(setup->pool, "@%s:%s", setup->admin, setup->server_name), *password = NULL;
    mx_settings_t settings;
    char *hash;
    int created = 0, status;
    mx_settings_default(&settings);
    if (!mx_ident_is_new_localpart(setup->admin) || !mx_ident_is_user_id(user_id))
        return fail("%s is no name for a user: use a-z, 0-9 and . _ = - / + only.", setup->admin);
    status = read_password(&password, setup, &settings);
    if (status != EXIT_SUCCESS)
        return status;
    if (mx_password_hash(&hash, password, settings.password_cost, setup->pool) != APR_SUCCESS)
        return fail("The password cannot be hashed.");
    if (store_admin(&created, setup, &settings, user_id, hash) != APR_SUCCESS)
        return fail("The administrator's account could not be stored.");
    printf(created ? "Created the administrator %s.\n" : "Made %s an administrator with the password given.\n", user_id);
    return EXIT_SUCCESS;
}

/* ---------------------------------------------------------------- arguments */

/** Takes one option; returns an exit status, or -1 to go on. */
static int take_option(void *baton, int option, const char *value)
{
    setup_t *setup = baton;
    switch (option) {
    case OPT_DATABASE: setup->dsn = value; break;
    case OPT_SERVER_NAME: setup->server_name = value; break;
    case OPT_SIGNING_KEY: setup->key_file = value; break;
    case OPT_SQL_DIR: setup->sql_dir = value; break;
    case OPT_CREATE_ADMIN: setup->admin = value; break;
    case OPT_PASSWORD_FILE: setup->password_file = value; break;
    }
    return -1;
}

/** What the options must say together; NULL if they do. */
static const char *arguments_fault(const void *baton)
{
    const setup_t *setup = baton;
    if (!setup->dsn)
        return "--database is missing.";
    if (setup->server_name && !mx_ident_is_server_name(setup->server_name))
        return "--server-name must be a host name or address, perhaps with :port.";
    if (setup->admin && (!setup->server_name || !setup->password_file))
        return "--create-admin needs --server-name and --password-file.";
    if (setup->password_file && !setup->admin)
        return "--password-file needs --create-admin.";
    if (setup->key_file && !setup->server_name)
        return "--signing-key needs --server-name.";
    return NULL;
}

static int run_setup(const setup_t *setup)
{
    int status = setup_schema(setup);
    if (status == EXIT_SUCCESS && setup->server_name)
        status = setup_claim(setup);
    if (status == EXIT_SUCCESS && setup->key_file)
        status = setup_key(setup);
    if (status == EXIT_SUCCESS && setup->admin)
        status = setup_admin(setup);
    return status;
}

int main(int argc, const char *const *argv)
{
    setup_t setup = { .sql_dir = MX_SQL_DIR };
    const mx_tools_program_t program = {
        .name = "matrix-setup",
        .usage = "Usage: matrix-setup --database DSN [--server-name NAME [--signing-key FILE] [--create-admin USER --password-file FILE]]\n"
                 "Brings the database of a Matrix homeserver up to date and makes what is missing. May be run again at any time.\n\n",
        .exits = "\nExit status: 0 all is done, 1 something failed (a sentence says what), 2 wrong arguments.\n",
        .options = options, .take = take_option, .fault = arguments_fault, .baton = &setup
    };
    int status;
    if (mx_tools_options_start(&setup.pool, &argc, &argv) != APR_SUCCESS)
        return fail("the libraries cannot be initialised");
    status = mx_tools_options_read(&program, argc, argv, setup.pool);
    if (status >= 0)
        return status;
    status = run_setup(&setup);
    if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
        status = EXIT_FAILURE;
    return status;
}
