/* SPDX-License-Identifier: Apache-2.0 */
/* Background work of two children on one database: leases, wakes, failures, the end; and what the clean-up deletes. */
#include "homeserver.h"

#include "server/cleanup.h"
#include "server/runner.h"
#include "store/cleanup.h"
#include "store/lease.h"

#define LEASE_MS 400
#define SOON_MS 4000                     /* whatever is waited for comes sooner by far */

static int runs, at_once, most_at_once, told_to_stop, cut_off, hold, fails;      /* atomic */

static int load(int *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static int add(int *counter, int n)
{
    return __atomic_add_fetch(counter, n, __ATOMIC_ACQ_REL);
}

static void wait_for(int *counter, int least)
{
    apr_time_t end = apr_time_now() + SOON_MS * 1000;
    while (load(counter) < least && apr_time_now() < end)
        apr_sleep(2000);
    ck_assert_int_ge(load(counter), least);
}

/** Works until it is told to return, or at once. */
static const mx_error_t *work(mx_runner_job_t *job, apr_pool_t *p)
{
    int together = add(&at_once, 1), most = load(&most_at_once);
    while (together > most && !__atomic_compare_exchange_n(&most_at_once, &most, together, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
    add(&runs, 1);
    while (load(&hold) && mx_runner_rest(job, 5000)) {
    }
    if (load(&hold))
        add(&told_to_stop, 1);
    add(&at_once, -1);
    return NULL;
}

/** Sleeps without asking whether it may, far past its lease. */
static const mx_error_t *oversleep(mx_runner_job_t *job, apr_pool_t *p)
{
    int first = add(&runs, 1) == 1;
    if (!first)
        return NULL;
    apr_sleep(LEASE_MS * 3 * 1000);
    if (!mx_runner_go_on(job))
        add(&cut_off, 1);
    return NULL;
}

static const mx_error_t *cannot(mx_runner_job_t *job, apr_pool_t *p)
{
    add(&fails, 1);
    return mx_error_internal(p, MX_STORE_RETRY, "a task that cannot");
}

static mx_server_t *child(const mx_runner_task_t *task)
{
    mx_server_t *server = homeserver_child(NULL, pool);
    ((mx_settings_t *)server->settings)->task_lease_ms = LEASE_MS;
    ck_assert_int_eq(mx_runner_init(server), APR_SUCCESS);
    if (task)
        ck_assert_int_eq(mx_runner_add(server, task), APR_SUCCESS);
    return server;
}

static void begin(void)
{
    homeserver_reset();
    store = database_store(pool);
    runs = at_once = most_at_once = told_to_stop = cut_off = hold = fails = 0;
}

/** Two children with the same task. */
static void begin_two(mx_server_t **pa, mx_server_t **pb, const mx_runner_task_t *task)
{
    begin();
    *pa = child(task);
    *pb = child(task);
}

START_TEST(no_thread_and_no_connection_before_the_first_write)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 1000, .run = work };
    lender_t *lender;
    mx_server_t *server;
    begin();
    server = homeserver_child(&lender, pool);
    mx_runner_init(server);
    mx_runner_add(server, &task);
    apr_sleep(50000);
    ck_assert_int_eq(lender->lent, 0);
    mx_server_stream_moved(server);
    wait_for(&runs, 1);
    mx_runner_stop(server);
    ck_assert_int_gt(lender->lent, 0);
    mx_server_stream_moved(server);      /* the end is the end */
    apr_sleep(50000);
    ck_assert_int_eq(load(&runs), 1);
}
END_TEST

START_TEST(the_thread_ends_when_nothing_is_written_and_comes_again)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 50, .slice_ms = 1000, .run = work };
    lender_t *lender;
    mx_server_t *server;
    long lent;
    begin();
    server = homeserver_child(&lender, pool);
    mx_runner_init(server);
    mx_runner_add(server, &task);
    mx_server_stream_moved(server);
    wait_for(&runs, 1);
    apr_sleep(1200000);                  /* two intervals and the longest jitter of a sleep, with room */
    lent = lender->lent;
    apr_sleep(600000);
    ck_assert_int_eq(lender->lent, lent);
    add(&runs, -load(&runs));
    mx_server_stream_moved(server);
    wait_for(&runs, 1);
    mx_runner_stop(server);
}
END_TEST

START_TEST(a_task_is_done_by_one_child_at_a_time)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 1, .slice_ms = 1000, .run = work };
    mx_server_t *a, *b;
    begin_two(&a, &b, &task);
    mx_server_stream_moved(a);
    mx_server_stream_moved(b);
    while (load(&runs) < 30) {
        mx_runner_wake(a, &task);
        mx_runner_wake(b, &task);
        apr_sleep(1000);
    }
    mx_runner_stop(a);
    mx_runner_stop(b);
    ck_assert_int_eq(load(&most_at_once), 1);
    ck_assert_int_eq(database_number("select count(*) from lease where holder is not null"), 0);
}
END_TEST

START_TEST(a_long_run_keeps_its_lease_and_a_stop_hands_it_on_at_once)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 60000, .run = work };
    mx_server_t *a, *b;
    apr_time_t stopped;
    begin_two(&a, &b, &task);
    hold = 1;
    mx_server_stream_moved(a);
    wait_for(&runs, 1);
    mx_server_stream_moved(b);
    apr_sleep(LEASE_MS * 3 * 1000);
    ck_assert_int_eq(load(&runs), 1);
    stopped = apr_time_now();
    mx_runner_stop(a);
    ck_assert_int_lt(apr_time_now() - stopped, 200000);
    ck_assert_int_eq(load(&told_to_stop), 1);
    wait_for(&runs, 2);
    mx_runner_stop(b);
}
END_TEST

START_TEST(the_lease_of_a_child_that_was_killed_is_taken_over_when_it_ran_out)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 1000, .run = work };
    mx_server_t *a;
    begin();
    database_sql("insert into lease (name, holder, until, due) values ('t', 'dead', now() + interval '700 ms', 'infinity')");
    a = child(&task);
    mx_server_stream_moved(a);
    apr_sleep(300000);
    ck_assert_int_eq(load(&runs), 0);
    wait_for(&runs, 1);
    mx_runner_stop(a);
    ck_assert_int_eq(database_number("select count(*) from lease where due > now() + interval '59 minutes'"), 1);
}
END_TEST

START_TEST(a_run_that_outlives_its_lease_learns_it_and_spoils_nothing)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 60000, .run = oversleep };
    mx_server_t *a, *b;
    begin_two(&a, &b, &task);
    mx_server_stream_moved(a);
    wait_for(&runs, 1);
    mx_server_stream_moved(b);
    wait_for(&runs, 2);                  /* b, while a sleeps */
    ck_assert_int_eq(load(&cut_off), 0);
    wait_for(&cut_off, 1);
    mx_runner_stop(a);
    mx_runner_stop(b);
    ck_assert_int_eq(load(&runs), 2);
    ck_assert_int_eq(database_number("select count(*) from lease where holder is null and fails = 0 and due > now() + interval '59 minutes'"), 1);
}
END_TEST

START_TEST(work_that_comes_while_a_run_is_under_way_is_done_after_it)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 60000, .run = work };
    mx_server_t *a, *b;
    begin_two(&a, &b, &task);
    hold = 1;
    mx_server_stream_moved(a);
    wait_for(&runs, 1);
    mx_runner_wake(b, &task);
    apr_sleep(100000);
    __atomic_store_n(&hold, 0, __ATOMIC_RELEASE);
    wait_for(&runs, 2);
    mx_runner_stop(a);
    mx_runner_stop(b);
    ck_assert_int_eq(load(&runs), 2);
}
END_TEST

START_TEST(a_wake_is_answered_at_once)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 60000, .run = work };
    mx_server_t *a;
    apr_time_t woken;
    begin();
    a = child(&task);
    mx_server_stream_moved(a);
    wait_for(&runs, 1);
    apr_sleep(300000);                   /* it sleeps by now */
    woken = apr_time_now();
    mx_runner_wake(a, &task);
    wait_for(&runs, 2);
    ck_assert_int_lt(apr_time_now() - woken, 200000);
    mx_runner_stop(a);
}
END_TEST

START_TEST(a_task_that_fails_waits_longer_each_time_whoever_wakes_it)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 10, .slice_ms = 60000, .run = cannot };
    mx_server_t *a;
    int i;
    begin();
    a = child(&task);
    for (i = 0; i < 40; i++) {
        mx_runner_wake(a, &task);
        apr_sleep(50000);
    }
    mx_runner_stop(a);
    ck_assert_int_ge(load(&fails), 2);   /* after 0.5 to 1 s, then 1 to 2 s more */
    ck_assert_int_le(load(&fails), 3);
    ck_assert_int_eq(database_number("select fails from lease"), load(&fails));
}
END_TEST

START_TEST(a_database_that_is_away_is_waited_for)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 1000, .run = work };
    mx_server_t *a;
    begin();
    database_sql("alter table lease rename to away");
    a = child(&task);
    mx_server_stream_moved(a);
    apr_sleep(200000);
    database_sql("alter table away rename to lease");
    wait_for(&runs, 1);
    mx_runner_stop(a);
}
END_TEST

/* ---- what waits for its time ---- */

static int waiting, asked;           /* atomic */
static apr_time_t due, came;

static apr_status_t is_waiting(int *pwaiting, mx_server_t *server, apr_pool_t *p)
{
    *pwaiting = load(&waiting);
    add(&asked, 1);
    return APR_SUCCESS;
}

/** Comes again at `due`, and then no more. */
static const mx_error_t *at_its_time(mx_runner_job_t *job, apr_pool_t *p)
{
    apr_time_t now = apr_time_now();
    if (add(&runs, 1) > 1 && now >= due) {
        came = now;
        __atomic_store_n(&waiting, 0, __ATOMIC_RELEASE);
    } else
        job->next_ms = (due - now + 999) / 1000;
    return NULL;
}

START_TEST(what_waits_for_its_time_begins_with_the_child_and_comes_then)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 1000, .run = at_its_time,
                                           .is_waiting = is_waiting };
    mx_server_t *server;
    begin();
    server = child(&task);
    waiting = 1;
    asked = 0;
    due = apr_time_now() + 700000;
    mx_runner_begin(server);             /* nothing is written */
    wait_for(&runs, 2);
    mx_runner_stop(server);
    ck_assert_int_ge(came, due);
    ck_assert_int_lt(came, due + 150000);
}
END_TEST

/* MSC4140 lets a server add to the delay what its batches need; a clean-up is none of them. */
START_TEST(what_waits_for_its_time_does_not_wait_for_the_slice_of_another_task)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 1000, .run = at_its_time,
                                           .is_waiting = is_waiting },
                                  slow = { .name = "slow", .interval_ms = 3600000, .slice_ms = 10000, .run = work };
    mx_server_t *server;
    begin();
    server = child(&task);
    ck_assert_int_eq(mx_runner_add(server, &slow), APR_SUCCESS);
    database_sql("insert into lease (name, due) values ('slow', now() + interval '100 ms')");
    waiting = hold = 1;                  /* whatever is slow works until it is told to return */
    due = apr_time_now() + 500000;
    mx_server_stream_moved(server);
    apr_sleep(700000);
    ck_assert_int_eq(load(&waiting), 0);
    ck_assert_int_lt(came, due + 150000);
    ck_assert_int_ge(load(&told_to_stop), 1);
    __atomic_store_n(&hold, 0, __ATOMIC_RELEASE);
    mx_runner_stop(server);
}
END_TEST

START_TEST(a_child_where_nothing_waits_has_no_thread_after_a_look)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 50, .slice_ms = 1000, .run = work, .is_waiting = is_waiting };
    mx_server_t *server;
    begin();
    server = child(&task);
    waiting = asked = 0;
    mx_runner_begin(server);
    wait_for(&asked, 1);
    apr_sleep(300000);
    ck_assert_int_eq(load(&asked), 1);
    ck_assert_int_eq(load(&runs), 0);
    mx_server_stream_moved(server);      /* the first write starts it all the same */
    wait_for(&runs, 1);
    mx_runner_stop(server);
}
END_TEST

START_TEST(a_due_time_that_was_moved_is_seen_at_once)
{
    static const mx_runner_task_t task = { .name = "t", .interval_ms = 3600000, .slice_ms = 1000, .run = work };
    mx_server_t *server;
    apr_time_t began;
    begin();
    server = child(&task);
    mx_server_stream_moved(server);
    wait_for(&runs, 1);
    apr_sleep(100000);
    database_sql("update lease set due = clock_timestamp() + interval '300 ms'");
    began = apr_time_now();
    mx_runner_look(server);
    wait_for(&runs, 2);
    ck_assert_int_ge(apr_time_now() - began, 250000);
    ck_assert_int_lt(apr_time_now() - began, 600000);
    mx_runner_stop(server);
}
END_TEST

START_TEST(a_task_that_waits_for_other_servers_holds_up_no_other)
{
    static const mx_runner_task_t waits = { .name = "out", .interval_ms = 3600000, .slice_ms = 60000, .run = work, .outgoing = 1 },
                                  other = { .name = "t", .interval_ms = 3600000, .slice_ms = 60000, .run = cannot };
    mx_server_t *a;
    begin();
    a = child(&waits);
    mx_runner_add(a, &other);
    hold = 1;
    mx_server_stream_moved(a);
    wait_for(&runs, 1);
    wait_for(&fails, 1);                 /* while the first goes on */
    ck_assert_int_eq(load(&at_once), 1);
    mx_runner_stop(a);
    ck_assert_int_eq(load(&told_to_stop), 1);
}
END_TEST

START_TEST(writes_wake_a_task_that_follows_once_in_a_while)
{
    static const mx_runner_task_t follows = { .name = "f", .interval_ms = 3600000, .slice_ms = 60000, .run = work, .follows = 1 };
    mx_server_t *a;
    apr_time_t end = apr_time_now() + 2500000;
    begin();
    a = child(&follows);
    while (apr_time_now() < end) {
        mx_server_stream_moved(a);
        apr_sleep(2000);
    }
    mx_runner_stop(a);
    ck_assert_int_ge(load(&runs), 2);
    ck_assert_int_le(load(&runs), 4);
}
END_TEST

/* ---- what is deleted ---- */

static const char old_and_new_rows[] =
    "insert into txn (device_nid, txn_id, scope, nid, day) select 1, 'a' || i, '', i, current_date - 31 from generate_series(1, 1200) i;"
    "insert into txn (device_nid, txn_id, scope, nid, day) select 1, 'b' || i, '', 2000 + i, current_date - 29 from generate_series(1, 7) i;"
    "insert into registration_token (token, pending) values ('r', 2);"
    "insert into uia_session (session, operation, request, registration_token, created_ts) values ('old', '', '', 'r', 1),"
    " ('new', '', '', 'r', (extract(epoch from now()) * 1000)::int8);"
    "insert into stres_memo (room_nid, key, result, day) values (1, 'a', 1, current_date - 31), (3, 'b', 1, current_date - 29),"
    " (1, 'gone', 1, current_date);"
    "insert into server (name) values ('h'); insert into mxid (mxid, server_nid, local) values ('@u:h', 1, true);"
    "insert into account (user_nid, created_ts) values (1, 0); insert into device (user_nid, device_id, created_ts) values (1, 'D', 0);"
    "insert into refresh_token (token_hash, device_nid, expires_ts) values ('old', 1, 1), ('new', 1, null), ('kept', 1, 1);"
    "insert into access_token (token_hash, device_nid, user_nid, expires_ts, refresh_nid) values ('old', 1, 1, 1, 1), ('ever', 1, 1, null, 3),"
    " ('new', 1, 1, (extract(epoch from now()) * 1000)::int8 - 1000, 2);"
    "insert into room (room_id, version, ver, snap_nid) values ('!r', 12, 1, null);"
    "insert into snapshot (room_nid, idx, anc, size, hash, delta) values (1, 1, '', 1, '0123456789abcdef', delta_of(array[1::int8], array[5::int8]));"
    "insert into snapshot_waste values (1, now()), (2, now());"
    "insert into sticky (nid, room_nid, until_ts, failed) values (1, 1, 1, false), (2, 1, (extract(epoch from now()) * 1000)::int8 + 60000, true);"
    "insert into delayed_event (delay_id, user_nid, device_nid, room_id, type, content, delay_ms, scheduled_ts, finalised_ts)"
    " select 'd' || d, 1, 1, '!r', 't', '{}', 1, 1, (extract(epoch from now()) * 1000)::int8 - d * 86400000 from generate_series(6, 8) d;"
    "insert into delayed_event (delay_id, user_nid, device_nid, room_id, type, content, delay_ms, scheduled_ts)"
    " values ('waits', 1, 1, '!r', 't', '{}', 1, 1)";

START_TEST(what_has_served_its_time_goes_and_the_rest_stays)
{
    mx_server_t *server;
    begin();
    database_sql(old_and_new_rows);
    server = child(NULL);
    ((mx_settings_t *)server->settings)->cleanup_interval_ms = 1000;
    ck_assert_int_eq(mx_server_cleanup_init(server), APR_SUCCESS);
    mx_server_stream_moved(server);
    apr_sleep(2500000);
    mx_runner_stop(server);
    ck_assert_int_eq(database_number("select count(*) from txn"), 7);
    ck_assert_int_eq(database_number("select count(*) from uia_session"), 1);
    ck_assert_int_eq(database_number("select pending from registration_token"), 1);
    ck_assert_int_eq(database_number("select (count(*) + sum(room_nid)) from stres_memo"), 1 + 3);
    ck_assert_int_eq(database_number("select count(*) from access_token where token_hash in ('ever', 'new')"), 2);
    ck_assert_int_eq(database_number("select count(*) from access_token"), 2);
    ck_assert_int_eq(database_number("select count(*) from refresh_token where token_hash in ('new', 'kept')"), 2);
    ck_assert_int_eq(database_number("select count(*) from refresh_token"), 2);
    ck_assert_int_eq(database_number("select count(*) from snapshot"), 0);
    ck_assert_int_eq(database_number("select (select count(*) from snapshot_waste) + (select count(*) from snapshot_sweep)"), 0);
    ck_assert_int_eq(database_number("select count(*) from lease where holder is null and fails = 0"), 8);
    ck_assert_int_eq(database_number("select sum(nid) from sticky"), 2);
    ck_assert_int_eq(database_number("select count(*) from delayed_event where delay_id in ('d6', 'waits')"), 2);
    ck_assert_int_eq(database_number("select count(*) from delayed_event"), 2);
}
END_TEST

DATABASE_MAIN("runner", no_thread_and_no_connection_before_the_first_write, the_thread_ends_when_nothing_is_written_and_comes_again,
              a_task_is_done_by_one_child_at_a_time, a_long_run_keeps_its_lease_and_a_stop_hands_it_on_at_once,
              the_lease_of_a_child_that_was_killed_is_taken_over_when_it_ran_out,
              a_run_that_outlives_its_lease_learns_it_and_spoils_nothing,
              work_that_comes_while_a_run_is_under_way_is_done_after_it, a_wake_is_answered_at_once,
              a_task_that_fails_waits_longer_each_time_whoever_wakes_it, a_database_that_is_away_is_waited_for,
              what_waits_for_its_time_begins_with_the_child_and_comes_then,
              what_waits_for_its_time_does_not_wait_for_the_slice_of_another_task, a_child_where_nothing_waits_has_no_thread_after_a_look,
              a_due_time_that_was_moved_is_seen_at_once,
              a_task_that_waits_for_other_servers_holds_up_no_other, writes_wake_a_task_that_follows_once_in_a_while,
              what_has_served_its_time_goes_and_the_rest_stays)
