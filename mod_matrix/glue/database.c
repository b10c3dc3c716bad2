/* SPDX-License-Identifier: Apache-2.0 */
/* The questions to a database before it is used. */
#include "glue/database.h"

#include "server/runner.h"

#include "store/schema.h"

#include <ap_mpm.h>
#include <mpm_common.h>
#include <apr_atomic.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES 1024
#define ANSWER_WAIT_SECONDS 60       /* an upgrade of a large database takes longer: then the children's 503 covers it */
#define READY_RETRY_US APR_TIME_C(1000000)

static const char *describe(const mx_host_t *host, mx_schema_state_e state, int found, const char *why, apr_pool_t *pool)
{
    switch (state) {
    case MX_SCHEMA_UNREACHABLE:
        return apr_psprintf(pool, "DBDParams of MatrixServerName %s: %s", host->name, why ? why : "The database cannot be reached.");
    case MX_SCHEMA_EMPTY:
        return apr_psprintf(pool, "DBDParams of MatrixServerName %s: the database has no schema: run matrix-setup, or set MatrixSchemaUpgrade on",
                            host->name);
    case MX_SCHEMA_OLD:
        return apr_psprintf(pool, "DBDParams of MatrixServerName %s: the database has schema %d and this module needs %d: run matrix-setup, "
                            "or set MatrixSchemaUpgrade on", host->name, found, mx_schema_wanted());
    case MX_SCHEMA_TOO_NEW:
        return apr_psprintf(pool, "DBDParams of MatrixServerName %s: the database has schema %d, newer than the %d this module knows: install "
                            "the newer module", host->name, found, mx_schema_wanted());
    default:
        return NULL;
    }
}

/** An old schema is no fault where we may upgrade it; it is done in MX_DATABASE_PREPARE. */
static const char *ask_schema(const mx_host_t *host, mx_database_e how, apr_pool_t *pool)
{
    const char *dsn = host->vhost->dbd_params, *why = NULL;
    int found = 0;
    mx_schema_state_e state = mx_schema_check(&found, &why, dsn, pool);
    if ((state == MX_SCHEMA_EMPTY || state == MX_SCHEMA_OLD) && host->vhost->set.schema_upgrade) {
        if (how == MX_DATABASE_LOOK)
            return NULL;
        if (mx_schema_apply(&why, dsn, MX_SQL_DIR, pool))
            return apr_psprintf(pool, "MatrixSchemaUpgrade of MatrixServerName %s failed: %s", host->name, why ? why : "unknown reason");
        state = mx_schema_check(&found, &why, dsn, pool);
    }
    return describe(host, state, found, why, pool);
}

static const char *ask_owner(const mx_host_t *host, mx_database_e how, apr_pool_t *pool)
{
    const char *dsn = host->vhost->dbd_params, *why = NULL, *owner = NULL;
    apr_status_t rv;
    if (how == MX_DATABASE_PREPARE) {
        rv = mx_schema_claim(&why, dsn, host->name, pool);
        return rv ? apr_psprintf(pool, "MatrixServerName %s: %s", host->name, why ? why : "its database cannot be claimed") : NULL;
    }
    rv = mx_schema_owner(&owner, &why, dsn, pool);
    if (rv)                          /* an empty database that will be upgraded has no owner yet */
        return host->vhost->set.schema_upgrade ? NULL : apr_psprintf(pool, "MatrixServerName %s: %s", host->name, why ? why : "");
    if (owner && strcmp(owner, host->name) != 0)
        return apr_psprintf(pool, "MatrixServerName %s: the database of its DBDParams belongs to %s", host->name, owner);
    return NULL;
}

const char *mx_database_ask(const mx_host_t *host, mx_database_e how, apr_pool_t *pool)
{
    const char *err = ask_schema(host, how, pool);
    return err ? err : ask_owner(host, how, pool);
}

static void answer_and_exit(int fd, const mx_host_t *host, mx_database_e how, apr_pool_t *pool) __attribute__((noreturn));
static void answer_and_exit(int fd, const mx_host_t *host, mx_database_e how, apr_pool_t *pool)
{
    const char *err;
    ssize_t written;
    if (ap_run_drop_privileges(pool, host->server))
        err = "the user of httpd's children cannot be taken on";
    else
        err = mx_database_ask(host, how, pool);
    written = err ? write(fd, err, strnlen(err, ANSWER_MAX_BYTES)) : 0;
    _exit(written < 0);              /* not exit(): the parent's cleanups are the parent's */
}

/** Reads until the other end closes; -1 if that takes too long or fails. */
static ssize_t read_answer(int fd, char *buf, apr_size_t max)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(ANSWER_WAIT_SECONDS);
    apr_size_t len = 0;
    for (;;) {
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        apr_time_t left = until - apr_time_now();
        ssize_t n;
        int ready = left > 0 ? poll(&pfd, 1, (int)(left / 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return -1;
        n = read(fd, buf + len, max - len);
        if (n <= 0)
            return n < 0 ? -1 : (ssize_t)len;
        len += (apr_size_t)n;
        if (len == max)
            return (ssize_t)len;
    }
}

const char *mx_database_ask_as_child(const mx_host_t *host, mx_database_e how, apr_pool_t *pool)
{
    char answer[ANSWER_MAX_BYTES + 1];
    ssize_t len;
    int fds[2], status = 0;
    pid_t pid;
    if (pipe(fds))
        return apr_psprintf(pool, "the database of MatrixServerName %s was not asked: no pipe", host->name);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        answer_and_exit(fds[1], host, how, pool);
    }
    close(fds[1]);
    len = pid > 0 ? read_answer(fds[0], answer, ANSWER_MAX_BYTES) : -1;
    close(fds[0]);
    if (pid > 0) {
        if (len < 0)
            kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    if (len < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
        return apr_psprintf(pool, "DBDParams of MatrixServerName %s: the database gave no answer in %d seconds", host->name, ANSWER_WAIT_SECONDS);
    answer[len] = '\0';
    return len ? apr_pstrdup(pool, answer) : NULL;
}

/** One thread asks, the others go on as they are. */
static void ask_again(mx_home_t *home, apr_pool_t *pool)
{
    apr_time_t now = apr_time_now();
    const char *err;
    if (home->ready || now - home->ready_tried < READY_RETRY_US)
        return;
    err = mx_database_ask(home->host, MX_DATABASE_PREPARE, pool);
    home->ready_tried = apr_time_now();
    apr_atomic_set32(&home->asked, 1);
    if (err)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, home->host->server, "MX0503: %s", err);
    else {
        apr_atomic_set32(&home->ready, 1);
        mx_runner_begin(&home->server);
    }
}

int mx_database_ready(mx_home_t *home, apr_pool_t *pool)
{
    apr_status_t rv;
    if (apr_atomic_read32(&home->ready))
        return 1;
    /* Until the first answer nobody knows, so all wait for it: a new child of a graceful restart refuses no one. */
    rv = apr_atomic_read32(&home->asked) ? apr_thread_mutex_trylock(home->ready_mutex) : apr_thread_mutex_lock(home->ready_mutex);
    if (!rv) {
        ask_again(home, pool);
        apr_thread_mutex_unlock(home->ready_mutex);
    }
    return apr_atomic_read32(&home->ready) != 0;
}
