/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, authentication and tokens by made-up requests: what takes two children, a clock, or flows that no endpoint has. */
#include "database.h"

#include "api/session.h"
#include "store/schema.h"
#include "user/device.h"
#include "user/profile.h"
#include "user/registration.h"
#include "user/user_private.h"

mx_handler_fn mx_client_register, mx_client_login, mx_client_logout, mx_client_refresh, mx_client_delete_devices,
    mx_client_change_password, mx_client_get_token_owner;

#define PASSWORD "a good password"
#define EPOCH_WAIT_US 250000

static mx_settings_t settings;
static apr_time_t clock_now;

/** One child of example.org on the test's database. */
static mx_server_t *child_create(void)
{
    static const unsigned char seed[MX_ED25519_SEED_BYTES] = { 1, 2, 3 };
    mx_server_t *server = apr_pcalloc(pool, sizeof(*server));
    server->name = "example.org";
    server->settings = &settings;
    server->store = store = database_store(pool);
    server->pool = pool;
    mx_ed25519_from_seed(&server->key.key, seed);
    ck_assert_int_eq(mx_server_init(server), APR_SUCCESS);
    ck_assert_int_eq(mx_user_init(server), APR_SUCCESS);
    return server;
}

static mx_server_t *fresh(void)
{
    const char *why = NULL;
    database_sql("set client_min_messages = warning; drop schema public cascade; create schema public");
    ck_assert_msg(mx_schema_apply(&why, database_dsn, MX_SQL_DIR, pool) == APR_SUCCESS, "%s", why);
    mx_settings_default(&settings);
    settings.registration = MX_REGISTRATION_OPEN;
    settings.password_cost = 1;
    clock_now = apr_time_now();
    return child_create();
}

static mx_who_t *who_of(mx_server_t *server, const char *token)
{
    mx_who_t *who = NULL;
    const mx_error_t *err = mx_user_token_lookup(&who, server, token, "127.0.0.1", pool);
    ck_assert_msg(!err, "%s", err ? err->message : "");
    return who;
}

static const mx_error_t *call(mx_json_t **pjson, mx_server_t *server, mx_handler_fn *handler, const char *path, mx_who_t *who,
                              const char *body)
{
    mx_req_t req = { .server = server, .pool = pool, .method = "POST", .path = path, .who = who, .now = clock_now,
                     .remote_ip = "127.0.0.1", .path_params = apr_table_make(pool, 1), .query = apr_table_make(pool, 1),
                     .body = unit_json(body) };
    mx_reply_t reply = { 0 };
    const mx_error_t *err = handler(&reply, &req);
    if (pjson)
        *pjson = err ? err->extra : reply.json;
    return err;
}

static mx_json_t *good(mx_server_t *server, mx_handler_fn *handler, const char *path, mx_who_t *who, const char *body)
{
    mx_json_t *json = NULL;
    const mx_error_t *err = call(&json, server, handler, path, who, body);
    ck_assert_msg(!err, "%s %s: %s", path, body, err ? err->message : "");
    return json;
}

static mx_json_t *bad(mx_server_t *server, mx_handler_fn *handler, const char *path, mx_who_t *who, const char *body, int status,
                      mx_errcode_e code)
{
    mx_json_t *json = NULL;
    const mx_error_t *err = call(&json, server, handler, path, who, body);
    ck_assert_msg(err != NULL, "%s %s: was accepted", path, body);
    ck_assert_msg(err->status == status && err->code == code, "%s %s: %d %s %s", path, body, err->status,
                  mx_errcode_wire(err->code), err->message);
    return json;
}

static mx_json_t *account(mx_server_t *server, const char *name)
{
    return good(server, mx_client_register, "/register", NULL,
                apr_psprintf(pool, "{\"username\":\"%s\",\"password\":\"" PASSWORD "\",\"auth\":{\"type\":\"m.login.dummy\"}}", name));
}

static const char *login(mx_server_t *server, const char *name, const char *more)
{
    return mx_json_get_str(good(server, mx_client_login, "/login", NULL,
                                apr_psprintf(pool, "{\"type\":\"m.login.password\",\"user\":\"%s\",\"password\":\"" PASSWORD "\"%s}",
                                              name, more)),
                           "access_token");
}

static int is_accepted(mx_server_t *server, const char *token)
{
    mx_who_t *who;
    return mx_user_token_lookup(&who, server, token, NULL, pool) == NULL;
}

START_TEST(tokens_are_stored_as_hashes_only)
{
    mx_json_t *json = account(fresh(), "alice");
    const char *token = mx_json_get_str(json, "access_token");
    ck_assert(strncmp(token, "mxa_", 4) == 0 && strlen(token) == 47);
    ck_assert_int_eq(database_number(apr_psprintf(pool, "select count(*) from access_token where token_hash = sha256('%s')", token)), 1);
}
END_TEST

START_TEST(a_token_taken_back_dies_in_other_children_within_250_ms)
{
    mx_server_t *one = fresh(), *two = child_create();
    const char *token = mx_json_get_str(account(one, "alice"), "access_token"), *other = login(one, "alice", "");
    ck_assert(is_accepted(one, token) && is_accepted(two, token) && is_accepted(two, other));
    ck_assert_msg(is_accepted(two, token), "now from the cache");
    good(one, mx_client_logout, "/logout", who_of(one, token), "{}");
    ck_assert_msg(!is_accepted(one, token), "the child that logged it out still accepts it");
    apr_sleep(EPOCH_WAIT_US);
    ck_assert_msg(!is_accepted(two, token), "another child accepts it 250 ms after the answer");
    ck_assert(is_accepted(two, other) && is_accepted(one, other));
}
END_TEST

START_TEST(a_waiting_poll_learns_that_its_token_is_gone)
{
    mx_server_t *one = fresh(), *two = child_create();
    const char *token = mx_json_get_str(account(one, "alice"), "access_token");
    mx_who_t *who = who_of(two, token);
    const mx_error_t *err;
    ck_assert(mx_user_token_recheck(two, who, pool) == NULL);
    good(one, mx_client_logout, "/logout", who_of(one, token), "{}");
    apr_sleep(EPOCH_WAIT_US);
    err = mx_user_token_recheck(two, who, pool);
    ck_assert(err && err->code == MX_E_UNKNOWN_TOKEN);
}
END_TEST

START_TEST(logging_others_out_leaves_a_cached_token_good)
{
    mx_server_t *server = fresh();
    const char *token = mx_json_get_str(account(server, "alice"), "access_token");
    mx_cache_stats_t before, after;
    ck_assert(is_accepted(server, token));
    account(server, "bob");
    good(server, mx_client_logout, "/logout", who_of(server, login(server, "bob", "")), "{}");
    mx_cache_stats(&before, server->user->tokens);
    ck_assert(is_accepted(server, token));
    mx_cache_stats(&after, server->user->tokens);
    ck_assert(after.hits == before.hits + 1 && after.misses == before.misses);
}
END_TEST

START_TEST(a_device_is_noted_as_seen_once_in_ten_minutes)
{
    mx_server_t *server = fresh();
    const char *token = mx_json_get_str(account(server, "alice"), "access_token");
    database_sql("update device set last_seen_ts = 5");
    who_of(server, token);
    ck_assert_int_eq(database_number("select (last_seen_ts > 5)::int from device"), 1);
    database_sql("update device set last_seen_ts = 6");
    who_of(server, token);
    ck_assert_int_eq(database_number("select last_seen_ts from device"), 6);
}
END_TEST

START_TEST(a_refresh_token_is_good_until_what_it_gave_is_used)
{
    mx_server_t *server = fresh();
    mx_json_t *first, *second, *third;
    const char *refresh, *access;
    account(server, "alice");
    first = good(server, mx_client_login, "/login", NULL,
                 "{\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"" PASSWORD "\",\"refresh_token\":true}");
    access = mx_json_get_str(first, "access_token");
    refresh = apr_psprintf(pool, "{\"refresh_token\":\"%s\"}", mx_json_get_str(first, "refresh_token"));
    ck_assert(mx_json_get_int(first, "expires_in_ms", 0) == settings.access_token_ms);

    second = good(server, mx_client_refresh, "/refresh", NULL, refresh);
    ck_assert_msg(is_accepted(server, access), "the old access token must live until the new one is used");
    third = good(server, mx_client_refresh, "/refresh", NULL, refresh);      /* the answer was lost: once more */
    ck_assert_msg(!is_accepted(server, mx_json_get_str(second, "access_token")), "what was never used must be gone");
    ck_assert(is_accepted(server, mx_json_get_str(third, "access_token")));
    bad(server, mx_client_refresh, "/refresh", NULL, refresh, 401, MX_E_UNKNOWN_TOKEN);
    ck_assert(!is_accepted(server, access));

    /* and using the new refresh token ends the old one too */
    second = good(server, mx_client_refresh, "/refresh", NULL,
                  apr_psprintf(pool, "{\"refresh_token\":\"%s\"}", mx_json_get_str(third, "refresh_token")));
    good(server, mx_client_refresh, "/refresh", NULL,
         apr_psprintf(pool, "{\"refresh_token\":\"%s\"}", mx_json_get_str(second, "refresh_token")));
    bad(server, mx_client_refresh, "/refresh", NULL,
        apr_psprintf(pool, "{\"refresh_token\":\"%s\"}", mx_json_get_str(third, "refresh_token")), 401, MX_E_UNKNOWN_TOKEN);
}
END_TEST

START_TEST(an_expired_access_token_is_a_soft_logout)
{
    mx_server_t *server = fresh(), *other = child_create();
    mx_json_t *json;
    mx_who_t *who;
    const mx_error_t *err;
    account(server, "alice");
    json = good(server, mx_client_login, "/login", NULL,
                "{\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"" PASSWORD "\",\"refresh_token\":true}");
    who_of(server, mx_json_get_str(json, "access_token"));
    database_sql("update access_token set expires_ts = 1 where expires_ts is not null; update refresh_token set expires_ts = 1");
    err = mx_user_token_lookup(&who, other, mx_json_get_str(json, "access_token"), NULL, pool);
    ck_assert(err && err->code == MX_E_UNKNOWN_TOKEN && err->status == 401 && mx_json_get_bool(err->extra, "soft_logout", 0));
    json = bad(server, mx_client_refresh, "/refresh", NULL,
               apr_psprintf(pool, "{\"refresh_token\":\"%s\"}", mx_json_get_str(json, "refresh_token")), 401, MX_E_UNKNOWN_TOKEN);
    ck_assert(mx_json_get_bool(json, "soft_logout", 0));
}
END_TEST

/* ---- user-interactive authentication ---- */

static const mx_uia_flow_t two_flows[] = {
    { { MX_UIA_DUMMY, MX_UIA_PASSWORD } },
    { { MX_UIA_DUMMY, MX_UIA_REGISTRATION_TOKEN, MX_UIA_PASSWORD } },
};

static const mx_error_t *run(mx_uia_t **puia, mx_server_t *server, const char *path, const char *body)
{
    mx_uia_call_t uia_call = { .method = "POST", .path = path, .body = unit_json(body), .now = clock_now };
    mx_uia_t *uia = NULL;
    const mx_error_t *err = mx_user_uia_open(&uia, server, &uia_call, pool);
    if (err)
        return err;
    if (puia)
        *puia = uia;
    return mx_user_uia_check(uia, two_flows, 2);
}

static const char *session_of(const mx_error_t *err)
{
    ck_assert(err && err->status == 401);
    ck_assert(mx_json_len(mx_json_get(err->extra, "flows")) == 2 && mx_json_is(mx_json_get(err->extra, "params"), MX_JSON_OBJECT));
    return mx_json_get_str(err->extra, "session");
}

static void completed_is(const mx_error_t *err, const char *json)
{
    ck_assert(mx_json_equal(mx_json_get(err->extra, "completed"), unit_json(json)));
}

static const char *attempt_body(const char *session, const char *auth)
{
    return apr_psprintf(pool, "{\"what\":7,\"auth\":{\"session\":\"%s\"%s}}", session, auth);
}

START_TEST(stages_must_come_in_the_order_of_a_flow)
{
    mx_server_t *server = fresh();
    mx_uia_t *uia;
    const mx_error_t *err;
    const char *session, *password = ",\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"" PASSWORD "\"";
    account(server, "alice");
    err = run(NULL, server, "/x", "{\"what\":7}");
    session = session_of(err);
    ck_assert(err->omit_errcode && !mx_json_get(err->extra, "completed"));
    err = run(NULL, server, "/x", attempt_body(session, password));
    ck_assert_str_eq(session_of(err), session);
    ck_assert(err->code == MX_E_FORBIDDEN && !err->omit_errcode);
    completed_is(err, "[]");
    err = run(NULL, server, "/x", attempt_body(session, ",\"type\":\"m.login.dummy\""));
    ck_assert_str_eq(session_of(err), session);
    ck_assert(err->omit_errcode);
    completed_is(err, "[\"m.login.dummy\"]");
    err = run(NULL, server, "/x", attempt_body(session, ""));       /* asks only how far it got */
    completed_is(err, "[\"m.login.dummy\"]");
    err = run(NULL, server, "/x", attempt_body(session, ",\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"wrong\""));
    completed_is(err, "[\"m.login.dummy\"]");
    ck_assert(err->code == MX_E_FORBIDDEN && err->status == 401);
    ck_assert(run(&uia, server, "/x", attempt_body(session, password)) == NULL);
    ck_assert(mx_user_uia_user_nid(uia) > 0);
}
END_TEST

START_TEST(a_session_belongs_to_one_operation_and_one_body)
{
    mx_server_t *server = fresh();
    const char *session = session_of(run(NULL, server, "/x", "{\"what\":7}"));
    const char *dummy = ",\"type\":\"m.login.dummy\"";
    const mx_error_t *err = run(NULL, server, "/y", attempt_body(session, dummy));
    mx_uia_t *uia;
    ck_assert(err && err->status == 403 && err->code == MX_E_FORBIDDEN);
    err = run(NULL, server, "/x", apr_psprintf(pool, "{\"what\":8,\"auth\":{\"session\":\"%s\"%s}}", session, dummy));
    ck_assert(err && err->status == 403);
    completed_is(run(NULL, server, "/x", attempt_body(session, dummy)), "[\"m.login.dummy\"]");
    /* the body left out: it stands for that of the first call */
    completed_is(run(&uia, server, "/x", apr_psprintf(pool, "{\"auth\":{\"session\":\"%s\"}}", session)), "[\"m.login.dummy\"]");
    ck_assert(mx_json_equal(mx_user_uia_body(uia), unit_json("{\"what\":7}")));
}
END_TEST

START_TEST(a_session_of_an_empty_body_takes_one_until_a_stage_is_passed)
{
    mx_server_t *server = fresh();
    const char *session = session_of(run(NULL, server, "/x", "{}"));
    const mx_error_t *err;
    completed_is(run(NULL, server, "/x", attempt_body(session, ",\"type\":\"m.login.dummy\"")), "[\"m.login.dummy\"]");
    err = run(NULL, server, "/x", apr_psprintf(pool, "{\"what\":8,\"auth\":{\"session\":\"%s\"}}", session));
    ck_assert(err && err->status == 403);
}
END_TEST

START_TEST(an_expired_session_is_unknown_and_is_deleted_with_the_next)
{
    mx_server_t *server = fresh();
    const char *session = session_of(run(NULL, server, "/x", "{\"what\":7}"));
    const mx_error_t *err;
    clock_now += apr_time_from_msec(settings.uia_session_ms);
    err = run(NULL, server, "/x", attempt_body(session, ",\"type\":\"m.login.dummy\""));
    ck_assert_str_ne(session_of(err), session);
    ck_assert(err->code == MX_E_FORBIDDEN && !err->omit_errcode);
    ck_assert_int_eq(database_number("select count(*) from uia_session"), 1);
}
END_TEST

START_TEST(the_database_cannot_read_the_password_of_an_unfinished_registration)
{
    mx_server_t *server = fresh();
    mx_json_t *json = bad(server, mx_client_register, "/register", NULL, "{\"username\":\"alice\",\"password\":\"" PASSWORD "\"}", 401,
                          MX_E_UNAUTHORIZED);
    ck_assert_int_eq(database_number("select position('password' in encode(request, 'escape')) from uia_session"), 0);
    /* only `auth` comes back: the rest is remembered */
    good(server, mx_client_register, "/register", NULL,
         apr_psprintf(pool, "{\"auth\":{\"type\":\"m.login.dummy\",\"session\":\"%s\"}}", mx_json_get_str(json, "session")));
    login(server, "alice", "");
    ck_assert_int_eq(database_number("select count(*) from uia_session"), 0);
}
END_TEST

START_TEST(a_session_of_one_user_is_unknown_to_another)
{
    mx_server_t *server = fresh();
    mx_who_t *alice = who_of(server, mx_json_get_str(account(server, "alice"), "access_token"));
    mx_who_t *bob = who_of(server, mx_json_get_str(account(server, "bob"), "access_token"));
    mx_json_t *json = bad(server, mx_client_delete_devices, "/delete_devices", alice, "{\"devices\":[\"A\"]}", 401, MX_E_UNAUTHORIZED);
    const char *session = mx_json_get_str(json, "session");
    json = bad(server, mx_client_delete_devices, "/delete_devices", bob,
               apr_psprintf(pool, "{\"devices\":[\"A\"],\"auth\":{\"session\":\"%s\",\"type\":\"m.login.password\",\"user\":\"bob\","
                                  "\"password\":\"" PASSWORD "\"}}", session), 401, MX_E_FORBIDDEN);
    ck_assert_str_ne(mx_json_get_str(json, "session"), session);
    /* and alice's stage is not passed by bob's password */
    bad(server, mx_client_delete_devices, "/delete_devices", alice,
        apr_psprintf(pool, "{\"devices\":[\"A\"],\"auth\":{\"session\":\"%s\",\"type\":\"m.login.password\",\"user\":\"bob\","
                           "\"password\":\"" PASSWORD "\"}}", session), 401, MX_E_FORBIDDEN);
}
END_TEST

/* ---- registration tokens ---- */

static long uses(const char *column)
{
    return database_number(apr_psprintf(pool, "select %s from registration_token", column));
}

static mx_json_t *register_with(mx_server_t *server, const char *name, const char *token, int status)
{
    const char *body = apr_psprintf(pool, "{\"username\":\"%s\",\"auth\":{\"type\":\"m.login.registration_token\",\"token\":\"%s\"}}",
                                    name, token);
    return status == 200 ? good(server, mx_client_register, "/register", NULL, body)
                         : bad(server, mx_client_register, "/register", NULL, body, status, MX_E_UNAUTHORIZED);
}

START_TEST(a_registration_token_serves_as_often_as_it_says)
{
    mx_server_t *server = fresh();
    int valid = 0;
    settings.registration = MX_REGISTRATION_TOKEN;
    database_sql("insert into registration_token (token, uses_allowed) values ('tok', 1)");
    register_with(server, "alice", "other", 401);
    ck_assert(!mx_user_registration_token_valid(&valid, server, "tok", clock_now, pool) && valid);
    register_with(server, "alice", "tok", 200);
    ck_assert(uses("pending") == 0 && uses("completed") == 1);
    ck_assert(!mx_user_registration_token_valid(&valid, server, "tok", clock_now, pool) && !valid);
    register_with(server, "bob", "tok", 401);
    ck_assert(uses("pending") == 0 && uses("completed") == 1);
    ck_assert_int_eq(database_number("select count(*) from account"), 1);
}
END_TEST

START_TEST(a_use_reserved_by_a_session_that_expired_is_free_again)
{
    mx_server_t *server = fresh();
    const char *session = session_of(run(NULL, server, "/x", "{\"what\":7}"));
    database_sql("insert into registration_token (token, uses_allowed) values ('tok', 1)");
    run(NULL, server, "/x", attempt_body(session, ",\"type\":\"m.login.dummy\""));
    completed_is(run(NULL, server, "/x", attempt_body(session, ",\"type\":\"m.login.registration_token\",\"token\":\"tok\"")),
                 "[\"m.login.dummy\",\"m.login.registration_token\"]");
    ck_assert_int_eq(uses("pending"), 1);
    clock_now += apr_time_from_msec(settings.uia_session_ms);
    run(NULL, server, "/x", "{\"what\":7}");
    ck_assert_int_eq(uses("pending"), 0);
}
END_TEST

/* ---- passwords ---- */

START_TEST(a_changed_password_ends_the_other_sessions)
{
    mx_server_t *server = fresh();
    const char *mine = mx_json_get_str(account(server, "alice"), "access_token"), *other = login(server, "alice", "");
    ck_assert(is_accepted(server, mine) && is_accepted(server, other));
    good(server, mx_client_change_password, "/account/password", who_of(server, mine),
         "{\"new_password\":\"another password\",\"auth\":{\"type\":\"m.login.password\",\"identifier\":{\"type\":\"m.id.user\","
         "\"user\":\"@alice:example.org\"},\"password\":\"" PASSWORD "\"}}");
    ck_assert(is_accepted(server, mine) && !is_accepted(server, other));
    bad(server, mx_client_login, "/login", NULL, "{\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"" PASSWORD "\"}", 403,
        MX_E_FORBIDDEN);
}
END_TEST

START_TEST(an_unknown_user_takes_as_long_as_a_wrong_password)
{
    mx_server_t *server = fresh();
    apr_time_t known = APR_INT64_MAX, unknown = APR_INT64_MAX;      /* the quickest of each: others work here too */
    settings.password_cost = 5;
    account(server, "alice");
    for (int i = 0; i < 8; i++) {
        apr_time_t began = apr_time_now(), middle, end;
        bad(server, mx_client_login, "/login", NULL, "{\"type\":\"m.login.password\",\"user\":\"alice\",\"password\":\"wrong\"}",
            403, MX_E_FORBIDDEN);
        middle = apr_time_now();
        bad(server, mx_client_login, "/login", NULL, "{\"type\":\"m.login.password\",\"user\":\"alicf\",\"password\":\"wrong\"}",
            403, MX_E_FORBIDDEN);
        end = apr_time_now();
        known = middle - began < known ? middle - began : known;
        unknown = end - middle < unknown ? end - middle : unknown;
    }
    ck_assert_msg(unknown * 2 > known && known * 2 > unknown, "known %ld us, unknown %ld us", (long)known, (long)unknown);
}
END_TEST

DATABASE_MAIN("account", tokens_are_stored_as_hashes_only, a_token_taken_back_dies_in_other_children_within_250_ms,
              a_waiting_poll_learns_that_its_token_is_gone, logging_others_out_leaves_a_cached_token_good,
              a_device_is_noted_as_seen_once_in_ten_minutes, a_refresh_token_is_good_until_what_it_gave_is_used,
              an_expired_access_token_is_a_soft_logout, stages_must_come_in_the_order_of_a_flow,
              a_session_belongs_to_one_operation_and_one_body, a_session_of_an_empty_body_takes_one_until_a_stage_is_passed,
              an_expired_session_is_unknown_and_is_deleted_with_the_next,
              the_database_cannot_read_the_password_of_an_unfinished_registration, a_session_of_one_user_is_unknown_to_another,
              a_registration_token_serves_as_often_as_it_says, a_use_reserved_by_a_session_that_expired_is_free_again,
              a_changed_password_ends_the_other_sessions, an_unknown_user_takes_as_long_as_a_wrong_password)
