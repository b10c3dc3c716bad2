/* SPDX-License-Identifier: Apache-2.0 */
/*
 * B12: state resolution and auth checks in memory. usage: state_res members conflicts version [file]
 * Prints "resolve_ms N check_us N"; with a file also writes the events and the two states there, for another implementation.
 */
#include "core/state_res.h"

#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 7
#define BATCH_MAX 200000
#define NKEYS_FIXED 3

typedef struct made_t {
    mx_event_t *event;
    apr_int64_t skey;
    apr_int64_t auth[MX_AUTH_KEYS_MAX];
    int nauth;
} made_t;

static apr_pool_t *pool;
static const mx_room_version_t *version;
static made_t made[BATCH_MAX];           /* by nid - 1 */
static int nmade;
static apr_int64_t *current;             /* by skey: nid in the common state */
static int members;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* skeys: 1 create, 2 power levels, 3 join rules, then a member each, the creator first */
static apr_int64_t skey_of(const char *type, const char *state_key)
{
    if (!*state_key)
        return type[7] == 'c' ? 1 : type[7] == 'p' ? 2 : 3;
    return state_key[1] == 'c' ? NKEYS_FIXED + 1 : NKEYS_FIXED + 2 + atoi(state_key + 2);
}

static apr_int64_t add(const apr_int64_t *state, const char *sender, const char *type, const char *state_key, const char *content)
{
    made_t *m = &made[nmade];
    mx_state_key_t keys[MX_AUTH_KEYS_MAX];
    const char *auth[MX_AUTH_KEYS_MAX];
    const char *prev[] = { nmade ? made[nmade - 1].event->event_id : NULL };
    mx_json_t *json = NULL;
    mx_event_draft_t d = { .version = version, .sender = sender, .type = type, .state_key = state_key, .content = mx_slice_str(content),
                           .depth = nmade + 1, .origin_server_ts = 1000 + nmade, .auth_events = auth, .origin = "h", .prev_events = prev,
                           .nprev = nmade != 0 };
    int i, n;
    if (nmade)
        d.room_id = made[0].event->room_id;
    else if (!version->room_id_is_create_hash)
        d.room_id = "!r:h";
    mx_json_parse(&json, NULL, content, strlen(content), NULL, pool);
    n = mx_auth_keys(keys, version, type, sender, state_key, json, pool);
    for (i = 0; i < n; i++) {
        apr_int64_t nid = state[skey_of(keys[i].type, keys[i].state_key)];
        if (!nid)
            continue;
        auth[d.nauth++] = made[nid - 1].event->event_id;
        m->auth[m->nauth++] = nid;
    }
    if (mx_event_build(&m->event, &d, pool) != NULL)
        exit(1);
    mx_event_content(m->event);
    m->skey = skey_of(type, state_key);
    return ++nmade;
}

static const char *user(int i)
{
    return apr_psprintf(pool, "@u%d:h", i);
}

static void common_state(void)
{
    int i;
    current[1] = add(current, "@c:h", "m.room.create", "", "{\"creator\":\"@c:h\",\"room_version\":\"11\"}");
    current[NKEYS_FIXED + 1] = add(current, "@c:h", "m.room.member", "@c:h", "{\"membership\":\"join\"}");
    current[2] = add(current, "@c:h", "m.room.power_levels", "",
                     version->privileged_creators ? "{\"users\":{\"@u0:h\":50}}" : "{\"users\":{\"@c:h\":100,\"@u0:h\":50}}");
    current[3] = add(current, "@c:h", "m.room.join_rules", "", "{\"join_rule\":\"public\"}");
    for (i = 0; i < members; i++)
        current[NKEYS_FIXED + 2 + i] = add(current, user(i), "m.room.member", user(i), "{\"membership\":\"join\"}");
}

/* ---- the source ---- */

static const mx_error_t *events(void *baton, const mx_event_t **out, const apr_int64_t *nids, int n)
{
    int i;
    for (i = 0; i < n; i++)
        out[i] = made[nids[i] - 1].event;
    return NULL;
}

static const mx_error_t *skeys(void *baton, apr_int64_t *out, const mx_state_key_t *keys, int n)
{
    int i;
    for (i = 0; i < n; i++)
        out[i] = skey_of(keys[i].type, keys[i].state_key);
    return NULL;
}

static const mx_error_t *entries(void *baton, apr_int64_t *out, const apr_int64_t *asked, int n)
{
    int i;
    for (i = 0; i < n; i++)
        out[i] = current[asked[i]];
    return NULL;
}

/* ---- auth checks ---- */

static const mx_event_t *own(void *baton, const char *type, const char *state_key)
{
    const made_t *m = baton;
    int i;
    for (i = 0; i < m->nauth; i++) {
        const mx_event_t *ev = made[m->auth[i] - 1].event;
        if (mx_event_is(ev, type, state_key))
            return ev;
    }
    return version->room_id_is_create_hash && mx_event_type_is(type, MX_TYPE_CREATE) ? made[0].event : NULL;
}

static double check_us(void)
{
    apr_pool_t *scratch;
    double began;
    int i, refused = 0;
    apr_pool_create(&scratch, pool);
    began = now_ms();
    for (i = 1; i < nmade; i++) {
        mx_auth_state_t state = { own, &made[i], NULL };
        refused += mx_auth_check(made[i].event, &state, scratch) != NULL;
        if (i % 64 == 0)
            apr_pool_clear(scratch);
    }
    if (refused)
        exit(2);
    return (now_ms() - began) * 1e3 / nmade;
}

static void write_events(const char *path, const mx_state_res_item_t *base, const mx_state_res_change_t *changes, int n)
{
    FILE *f = fopen(path, "w");
    int i;
    for (i = 0; i < nmade; i++)
        fprintf(f, "%s %.*s\n", made[i].event->event_id, (int)made[i].event->pdu.len, made[i].event->pdu.p);
    for (i = 1; i < NKEYS_FIXED + 2 + members; i++)
        fprintf(f, "%s both\n", made[current[i] - 1].event->event_id);
    for (i = 0; i < n; i++)
        fprintf(f, "%s a\n%s b\n", made[base[i].nid - 1].event->event_id, made[changes[i].nid - 1].event->event_id);
    fclose(f);
}

int main(int argc, char **argv)
{
    mx_state_res_source_t source = { events, skeys, entries, NULL };
    mx_state_res_input_t in = { .nsets = 2 };
    mx_state_res_item_t *base, *out;
    mx_state_res_change_t *changes;
    mx_auth_dag_t *dag;
    double best = 1e9;
    int conflicts, i, round, n;
    apr_initialize();
    mx_json_init();
    mx_crypto_init();
    apr_pool_create(&pool, NULL);
    if (argc < 4 || (members = atoi(argv[1])) + 2 * (conflicts = atoi(argv[2])) + 4 > BATCH_MAX
            || conflicts > members || !(version = mx_room_version_find(argv[3])))
        return 2;
    current = apr_pcalloc(pool, sizeof(*current) * (apr_size_t)(members + NKEYS_FIXED + 2));
    common_state();
    base = apr_palloc(pool, sizeof(*base) * (apr_size_t)(conflicts + 1));
    changes = apr_palloc(pool, sizeof(*changes) * (apr_size_t)(conflicts + 1));
    for (i = 0; i < conflicts; i++)        /* each user changes her name on one side; on the other too, or is banned there */
        base[i] = (mx_state_res_item_t){ NKEYS_FIXED + 2 + i, add(current, user(i), "m.room.member", user(i),
                "{\"displayname\":\"x\",\"membership\":\"join\"}") };
    for (i = 0; i < conflicts; i++)
        changes[i] = (mx_state_res_change_t){ 1, NKEYS_FIXED + 2 + i,
                                              i % 4 == 3 ? add(current, "@c:h", "m.room.member", user(i), "{\"membership\":\"ban\"}")
                                                         : add(current, user(i), "m.room.member", user(i),
                                                                 "{\"displayname\":\"y\",\"membership\":\"join\"}") };
    dag = mx_auth_dag_create((apr_uint32_t)nmade, (apr_uint32_t)nmade * MX_AUTH_KEYS_MAX, pool);
    for (i = 0; i < nmade; i++)
        mx_auth_dag_append(dag, i + 1, made[i].skey, made[i].auth, made[i].nauth);
    in = (mx_state_res_input_t){ .version = version, .dag = dag, .nsets = 2, .base = base, .nbase = conflicts,
            .changes = changes, .nchanges = conflicts };
    for (round = 0; round < ROUNDS; round++) {
        apr_pool_t *own_pool;
        double began = now_ms(), took;
        apr_pool_create(&own_pool, pool);
        if (mx_state_res_run(&out, &n, &in, &source, own_pool) || n < conflicts)
            return 3;
        apr_pool_destroy(own_pool);
        took = now_ms() - began;
        best = took < best ? took : best;
    }
    printf("resolve_ms %.3f check_us %.3f\n", best, check_us());
    if (argc > 4)
        write_events(argv[4], base, changes, conflicts);
    return 0;
}
