/* SPDX-License-Identifier: Apache-2.0 */
/* Directives: the rows of server/settings.def as httpd's command table, read with range checks, merged from main server to vhost. */
#include "glue/glue.h"

#include "base/str.h"

#include <limits.h>
#include <stddef.h>
#include <strings.h>

typedef enum { KIND_INT, KIND_MSEC, KIND_BYTES, KIND_FLAG, KIND_ENUM, KIND_STR } kind_e;

typedef struct directive_t {
    mx_setting_e setting;
    kind_e kind;
    const char *name;
    apr_size_t offset;               /* of the member in mx_settings_t */
    apr_int64_t min, max;
    const char *words;               /* of an enum: "open|token|closed" */
} directive_t;

#define ROW(kind, directive, member, min, max, words) \
    { MX_SETTING_##member, kind, directive, offsetof(mx_settings_t, member), min, max, words },
static const directive_t directives[MX_SETTING_COUNT] = {
#define MX_SET_INT(directive, member, def, min, max, help) ROW(KIND_INT, directive, member, min, max, NULL)
#define MX_SET_MSEC(directive, member, def, min, max, help) ROW(KIND_MSEC, directive, member, min, max, NULL)
#define MX_SET_BYTES(directive, member, def, min, max, help) ROW(KIND_BYTES, directive, member, min, max, NULL)
#define MX_SET_FLAG(directive, member, def, help) ROW(KIND_FLAG, directive, member, 0, 1, NULL)
#define MX_SET_ENUM(directive, member, def, words, help) ROW(KIND_ENUM, directive, member, 0, 0, words)
#define MX_SET_STR(directive, member, def, help) ROW(KIND_STR, directive, member, 0, 0, NULL)
#include "server/settings.def"
#undef MX_SET_INT
#undef MX_SET_MSEC
#undef MX_SET_BYTES
#undef MX_SET_FLAG
#undef MX_SET_ENUM
#undef MX_SET_STR
};

/** How many bytes of mx_settings_t a value of the kind takes. */
static apr_size_t kind_size(kind_e kind)
{
    switch (kind) {
    case KIND_MSEC:
    case KIND_BYTES:
        return sizeof(apr_int64_t);
    case KIND_STR:
        return sizeof(const char *);
    default:
        return sizeof(int);
    }
}

static const char *setting_place(const mx_vhost_t *vhost, const directive_t *d)
{
    return (const char *)&vhost->set + d->offset;
}

static const char *store_number(const directive_t *d, mx_vhost_t *vhost, apr_int64_t value)
{
    char *at = (char *)&vhost->set + d->offset;
    int small = (int)value;
    if (kind_size(d->kind) == sizeof(int))
        memcpy(at, &small, sizeof(small));
    else
        memcpy(at, &value, sizeof(value));
    vhost->given[d->setting] = 1;
    return NULL;
}

/** A unit and how much of the smallest one it is. */
typedef struct unit_t {
    const char *name;
    apr_int64_t factor;
} unit_t;

static const unit_t time_units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "min", 60000 },
                                     { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const unit_t byte_units[] = { { "", 1 }, { "K", 1024 }, { "M", 1048576 }, { "G", 1073741824 }, { NULL, 0 } };
static const unit_t plain_units[] = { { "", 1 }, { NULL, 0 } };

/** Digits and a unit of the list: 0 if the text is anything else or too large. */
static int read_number(apr_int64_t *pout, const char *text, const unit_t *units)
{
    apr_size_t digits = strspn(text, "0123456789");
    apr_int64_t number = 0;
    apr_size_t i;
    if (!digits)
        return 0;
    for (i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, text[i] - '0', &number))
            return 0;
    }
    for (; units->name; units++) {
        if (strcasecmp(text + digits, units->name) == 0)
            return !__builtin_mul_overflow(number, units->factor, pout);
    }
    return 0;
}

static const unit_t *kind_units(kind_e kind)
{
    return kind == KIND_MSEC ? time_units : kind == KIND_BYTES ? byte_units : plain_units;
}

static const char *kind_form(kind_e kind)
{
    switch (kind) {
    case KIND_MSEC:
        return "a time: a number with ms, s, m, h or d (plain: seconds)";
    case KIND_BYTES:
        return "a size: a number, perhaps with K, M or G";
    default:
        return "a whole number";
    }
}

/** A limit as the administrator would write it. */
static const char *show_limit(kind_e kind, apr_int64_t value, apr_pool_t *pool)
{
    const unit_t *unit = NULL, *u;
    for (u = kind_units(kind); u->name; u++) {
        if (value && value % u->factor == 0 && (!unit || u->factor > unit->factor) && (*u->name || kind != KIND_MSEC))
            unit = u;
    }
    return unit ? apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", value / unit->factor, unit->name) : "0";
}

static const char *set_number(cmd_parms *cmd, const directive_t *d, mx_vhost_t *vhost, const char *arg)
{
    apr_int64_t value;
    if (!read_number(&value, arg, kind_units(d->kind)))
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not %s", d->name, arg, kind_form(d->kind));
    if (value < d->min || value > d->max)
        return apr_psprintf(cmd->pool, "%s: %s is out of range, it must be %s to %s", d->name, arg,
                            show_limit(d->kind, d->min, cmd->pool), show_limit(d->kind, d->max, cmd->pool));
    return store_number(d, vhost, value);
}

static const char *set_flag(cmd_parms *cmd, const directive_t *d, mx_vhost_t *vhost, const char *arg)
{
    if (strcasecmp(arg, "on") != 0 && strcasecmp(arg, "off") != 0)
        return apr_psprintf(cmd->pool, "%s: \"%s\" is neither on nor off", d->name, arg);
    return store_number(d, vhost, strcasecmp(arg, "on") == 0);
}

static const char *set_word(cmd_parms *cmd, const directive_t *d, mx_vhost_t *vhost, const char *arg)
{
    const char *p = d->words;
    int value;
    for (value = 0; *p; value++) {
        apr_size_t len = strcspn(p, "|");
        if (strlen(arg) == len && strncasecmp(arg, p, len) == 0)
            return store_number(d, vhost, value);
        p += len + (p[len] ? 1 : 0);
    }
    return apr_psprintf(cmd->pool, "%s: \"%s\" is none of %s", d->name, arg, d->words);
}

static const char *set_text(cmd_parms *cmd, const directive_t *d, mx_vhost_t *vhost, const char *arg)
{
    char *copy = apr_pstrdup(cmd->pool, arg);
    if (!*arg)
        return apr_psprintf(cmd->pool, "%s: the value is empty", d->name);
    if (!mx_str_is_utf8(arg, strlen(arg)))
        return apr_psprintf(cmd->pool, "%s: the value is not UTF-8", d->name);
    memcpy((char *)&vhost->set + d->offset, &copy, sizeof(copy));
    vhost->given[d->setting] = 1;
    return NULL;
}

static const char *set_directive(cmd_parms *cmd, void *dir, const char *arg)
{
    const directive_t *d = cmd->info;
    mx_vhost_t *vhost = mx_glue_vhost(cmd->server);
    switch (d->kind) {
    case KIND_FLAG:
        return set_flag(cmd, d, vhost, arg);
    case KIND_ENUM:
        return set_word(cmd, d, vhost, arg);
    case KIND_STR:
        return set_text(cmd, d, vhost, arg);
    default:
        return set_number(cmd, d, vhost, arg);
    }
}

/*
 * mod_dbd's own directives: httpd gives a directive to every module that has it, so we see what mod_dbd is told and know
 * the database without a second place to write it down.
 */
static const char *see_dbd_driver(cmd_parms *cmd, void *dir, const char *arg)
{
    mx_glue_vhost(cmd->server)->dbd_driver = arg;
    return NULL;
}

static const char *see_dbd_params(cmd_parms *cmd, void *dir, const char *arg)
{
    mx_glue_vhost(cmd->server)->dbd_params = arg;
    return NULL;
}

static const char *see_dbd_max(cmd_parms *cmd, void *dir, const char *arg)
{
    apr_int64_t max;
    if (read_number(&max, arg, plain_units) && max > 0 && max < INT_MAX)
        mx_glue_vhost(cmd->server)->dbd_max = (int)max;
    return NULL;                     /* what else may be wrong with it mod_dbd says */
}

#define COMMAND(directive, member, help) \
    AP_INIT_TAKE1(directive, set_directive, (void *)&directives[MX_SETTING_##member], RSRC_CONF, help),
const command_rec mx_config_commands[] = {
#define MX_SET_INT(directive, member, def, min, max, help) COMMAND(directive, member, help)
#define MX_SET_MSEC MX_SET_INT
#define MX_SET_BYTES MX_SET_INT
#define MX_SET_FLAG(directive, member, def, help) COMMAND(directive, member, help)
#define MX_SET_ENUM(directive, member, def, words, help) COMMAND(directive, member, help)
#define MX_SET_STR(directive, member, def, help) COMMAND(directive, member, help)
#include "server/settings.def"
#undef MX_SET_INT
#undef MX_SET_MSEC
#undef MX_SET_BYTES
#undef MX_SET_FLAG
#undef MX_SET_ENUM
#undef MX_SET_STR
    AP_INIT_TAKE1("DBDriver", see_dbd_driver, NULL, RSRC_CONF, "seen by mod_matrix, read by mod_dbd"),
    AP_INIT_TAKE1("DBDParams", see_dbd_params, NULL, RSRC_CONF, "seen by mod_matrix, read by mod_dbd"),
    AP_INIT_TAKE1("DBDMax", see_dbd_max, NULL, RSRC_CONF, "seen by mod_matrix, read by mod_dbd"),
    { NULL }
};

void *mx_config_create(apr_pool_t *pool, server_rec *s)
{
    mx_vhost_t *vhost = apr_pcalloc(pool, sizeof(*vhost));
    vhost->server = s;
    mx_settings_default(&vhost->set);
    return vhost;
}

/** The name makes a vhost a homeserver, so it alone is not handed down: a site beside it stays a site. */
static int is_inherited(const directive_t *d)
{
    return d->setting != MX_SETTING_server_name;
}

void *mx_config_merge(apr_pool_t *pool, void *base, void *add)
{
    const mx_vhost_t *main_server = base, *own = add;
    mx_vhost_t *vhost = apr_pmemdup(pool, own, sizeof(*own));
    int i;
    for (i = 0; i < MX_SETTING_COUNT; i++) {
        const directive_t *d = &directives[i];
        if (own->given[i] || !main_server->given[i] || !is_inherited(d))
            continue;
        memcpy((char *)&vhost->set + d->offset, setting_place(main_server, d), kind_size(d->kind));
        vhost->given[i] = 1;
    }
    vhost->dbd_driver = own->dbd_driver ? own->dbd_driver : main_server->dbd_driver;
    vhost->dbd_params = own->dbd_params ? own->dbd_params : main_server->dbd_params;
    vhost->dbd_max = own->dbd_max ? own->dbd_max : main_server->dbd_max;
    return vhost;
}

const char *mx_config_directive(mx_setting_e setting)
{
    return directives[setting].name;
}

int mx_config_same(const mx_vhost_t *a, const mx_vhost_t *b, mx_setting_e setting)
{
    const directive_t *d = &directives[setting];
    const char *pa = setting_place(a, d), *pb = setting_place(b, d);
    const char *sa, *sb;
    if (d->kind != KIND_STR)
        return memcmp(pa, pb, kind_size(d->kind)) == 0;
    memcpy(&sa, pa, sizeof(sa));
    memcpy(&sb, pb, sizeof(sb));
    return mx_str_eq(sa, sb);
}
