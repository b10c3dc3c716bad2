/* SPDX-License-Identifier: Apache-2.0 */
/* Events of another server that stand on what we do not have. SS-API: PDUs, backfilling and retrieving missing events. */
#include "other_server.h"

#include "room/receive.h"

static mx_room_received_t got;
static const char *telling = "";      /* the lie of the moment */
static const char *const outcomes[] = { "stored", "known", "soft-failed", "rejected", "waits", "refused" };
static const char *const versions[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12" };

static const char *trouble(void)
{
    return got.trouble ? got.trouble->message : "no trouble";
}

static const char *receive_until(const mx_event_t *event, apr_time_t deadline)
{
    const mx_error_t *err = mx_room_receive(&got, server, room_id, event->pdu, &far_source, deadline, pool);
    ck_assert_msg(err == NULL, "%s / %s", err ? err->message : "", err && err->detail ? err->detail : "");
    return outcomes[got.pdu.outcome];
}

static const char *receive(const mx_event_t *event)
{
    return receive_until(event, apr_time_now() + apr_time_from_sec(60));
}

#define expect(outcome, got_) do { const char *g_ = (got_); ck_assert_msg(strcmp(outcome, g_) == 0, "%s: %s, not %s: %s / %s", telling, \
                                   g_, outcome, got.pdu.why ? got.pdu.why->message : "", trouble()); } while (0)

static far_line_t *fresh(const char *version)
{
    return far_fresh(version);
}

static mx_event_row_t *row_of(const char *event_id)
{
    mx_event_row_t *row;
    ck_assert_int_eq(mx_store_event_by_id(&row, server->store, event_id, pool), APR_SUCCESS);
    return row;
}

static int is_stored(const char *event_id)
{
    mx_event_row_t *row;
    return mx_store_event_by_id(&row, server->store, event_id, pool) == APR_SUCCESS;
}

static long shown(void)
{
    return database_number("select count(*) from event where flags & 7 = 0");
}

static long gaps(void)
{
    return database_number("select count(*) from gap");
}

static const char *head(int i)
{
    return mx_store_event_id_unpack(room_now()->priv->head_ids[i], pool);
}

START_TEST(what_lies_between_is_fetched_and_shown_in_order)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]);
        const mx_event_t *first, *second, *third, *last;
        long before = shown();
        first = far_say(line, "one");
        second = far_add(line, "@v:far", "m.room.member", "@v:far", "{\"membership\":\"join\"}");
        third = far_say(line, "three");
        last = far_say(line, "four");
        expect("stored", receive(last));
        ck_assert_int_eq(got.between, 3);
        ck_assert_int_eq(got.outliers, 0);
        ck_assert_int_eq(shown(), before + 4);
        ck_assert_int_lt(row_of(first->event_id)->ord, row_of(second->event_id)->ord);
        ck_assert_int_lt(row_of(second->event_id)->ord, row_of(third->event_id)->ord);
        ck_assert_int_lt(row_of(third->event_id)->ord, row_of(last->event_id)->ord);
        ck_assert_int_eq(far.asked_missing, 1);
        ck_assert_int_eq(far.asked_state, 0);
        ck_assert_int_eq(gaps(), 0);
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        ck_assert_str_eq(head(0), last->event_id);
        ck_assert_int_eq(room_now()->joined, 3);
        check_mirrors();
    }
}
END_TEST

START_TEST(an_event_that_lacks_nothing_asks_for_nothing)
{
    far_line_t *line = fresh("11");
    const mx_event_t *event = far_say(line, "one");
    expect("stored", receive(event));
    expect("known", receive(event));
    ck_assert_int_eq(far.asked_missing + far.asked_events + far.asked_auth + far.asked_state, 0);
}
END_TEST

START_TEST(several_rounds_are_asked_for_a_longer_absence)
{
    far_line_t *line = fresh("11");
    long before = shown();
    int i, n = MX_RECEIVE_MISSING_LIMIT * 3 + 5;
    for (i = 0; i < n; i++)
        far_say(line, "x");
    expect("stored", receive(far_say(line, "last")));
    ck_assert_int_eq(got.between, n);
    ck_assert_int_eq(far.asked_missing, 4);
    ck_assert_int_eq(shown(), before + n + 1);
    ck_assert_int_eq(gaps(), 0);
}
END_TEST

/* Forks on the other side, several previous events: all of it comes, whatever the order of the answer. */
START_TEST(forks_that_lie_between_join_again)
{
    far_line_t *left = fresh("11"), *right = far_fork(left);
    const mx_event_t *a, *b, *last;
    far_say(left, "left");
    a = far_add(left, "@u:far", "m.room.message", NULL, "{\"n\":1}");
    b = far_say(right, "right");
    left->prev[0] = a->event_id;
    left->prev[1] = b->event_id;
    left->nprev = 2;
    last = far_say(left, "both");
    expect("stored", receive(last));
    ck_assert_int_eq(got.between, 3);
    ck_assert_int_eq(room_now()->priv->nheads, 1);
    ck_assert_str_eq(head(0), last->event_id);
}
END_TEST

/** A line that was away so long that its newest event is all that get_missing_events tells. */
static const mx_event_t *after_long_absence(far_line_t *line, const mx_event_t **pbefore)
{
    const mx_event_t *last;
    far_say(line, "lost");
    far_add(line, "@v:far", "m.room.member", "@v:far", "{\"membership\":\"join\"}");
    *pbefore = far_say(line, "before");
    last = far_say(line, "last");
    far.only = last->event_id;
    return last;
}

START_TEST(a_gap_that_stays_takes_the_state_from_the_other_server)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]);
        const mx_event_t *before, *last = after_long_absence(line, &before), *next;
        mx_event_row_t *row;
        long shown_before = shown();
        expect("stored", receive(last));
        ck_assert_int_eq(got.gaps, 1);
        ck_assert_int_eq(got.outliers, 2);       /* @v's join, and the event before the gap's end */
        ck_assert_int_eq(shown(), shown_before + 1);
        row = row_of(before->event_id);
        ck_assert_int_eq(row->flags, MX_EVENT_FLAG_SOFT_FAILED | MX_EVENT_FLAG_AFTER_GAP);
        ck_assert_int_ne(row->snap_nid, 0);
        ck_assert_int_eq(row->snap_nid, row_of(last->event_id)->snap_nid);
        ck_assert_int_eq(row_of(far_state(line, "m.room.member", "@v:far")->event_id)->flags, MX_EVENT_FLAG_OUTLIER | MX_EVENT_FLAG_STATE);
        /* the gap is before `last`, once */
        ck_assert_int_eq(gaps(), 1);
        ck_assert_int_eq(database_number(apr_psprintf(pool, "select count(*) from gap where ord = %" APR_INT64_T_FMT,
                                                      row_of(last->event_id)->ord)), 1);
        /* what we had stays a head beside it, and the state is that of both */
        ck_assert_int_eq(room_now()->priv->nheads, 2);
        ck_assert_int_eq(room_now()->joined, 3);
        check_mirrors();
        next = far_say(line, "next");
        expect("stored", receive(next));
        ck_assert_int_eq(gaps(), 1);
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
        ck_assert_int_eq(room_now()->priv->nheads, 1);
        check_mirrors();
    }
}
END_TEST

/* The event before the gap is itself a state event: what follows it stands on the state with it. */
START_TEST(a_state_event_before_a_gap_counts)
{
    far_line_t *line = fresh("11");
    const mx_event_t *topic, *last, *found;
    far_say(line, "lost");
    homeserver_send(server, room_id, "@creator:h", "m.room.power_levels", "", "{\"users\":{\"@creator:h\":100,\"@u:far\":50}}");
    line = far_line_of_room();
    far_say(line, "lost");
    topic = far_add(line, "@u:far", "m.room.topic", "", "{\"topic\":\"new\"}");
    last = far_say(line, "last");
    far.only = last->event_id;
    expect("stored", receive(last));
    ck_assert_int_eq(row_of(topic->event_id)->flags, MX_EVENT_FLAG_SOFT_FAILED | MX_EVENT_FLAG_AFTER_GAP | MX_EVENT_FLAG_STATE);
    ck_assert_int_ne(row_of(topic->event_id)->snap_after, row_of(topic->event_id)->snap_nid);
    ck_assert_int_eq(row_of(last->event_id)->snap_nid, row_of(topic->event_id)->snap_after);
    ck_assert_ptr_null(mx_room_state_get(&found, server, room_now(), "m.room.topic", "", pool));
    ck_assert_ptr_nonnull(found);
    ck_assert_str_eq(found->event_id, topic->event_id);
    check_mirrors();
}
END_TEST

/* The event after the gap soft-fails: the gap is said at the first one that is shown. */
START_TEST(a_gap_is_said_where_the_timeline_goes_on)
{
    far_line_t *line = fresh("11");
    const mx_event_t *before, *late, *shown_one;
    far_line_t *banned;
    far_say(line, "lost");
    far_member(line, "@v:far", "join");
    before = far_say(line, "before");
    banned = far_fork(line);
    late = far_add(banned, "@w:far", "m.room.member", "@w:far", "{\"membership\":\"join\"}");
    homeserver_send(server, room_id, "@creator:h", "m.room.member", "@w:far", "{\"membership\":\"ban\"}");
    far.only = late->event_id;
    expect("soft-failed", receive(late));
    ck_assert_int_eq(row_of(late->event_id)->flags & MX_EVENT_FLAG_AFTER_GAP, MX_EVENT_FLAG_AFTER_GAP);
    ck_assert_int_eq(gaps(), 0);
    shown_one = far_say(banned, "shown");
    expect("stored", receive(shown_one));
    ck_assert_int_eq(gaps(), 1);
    ck_assert_int_eq(database_number(apr_psprintf(pool, "select count(*) from gap where ord = %" APR_INT64_T_FMT,
                                                  row_of(shown_one->event_id)->ord)), 1);
    ck_assert_ptr_nonnull(before);
    check_mirrors();
}
END_TEST

START_TEST(missing_auth_events_come_as_outliers_with_their_chain)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]), *hidden = far_fork(line);
        const mx_event_t *invite, *join;
        mx_event_t *says;
        /* @v was invited and joined on a branch that nobody tells us about; its message follows what we have */
        invite = far_add(hidden, "@u:far", "m.room.member", "@v:far", "{\"membership\":\"invite\"}");
        join = far_member(hidden, "@v:far", "join");
        far_set(line, join);
        says = far_make(line, "@v:far", "m.room.message", NULL, "{\"body\":\"x\"}", NULL);
        far_know(line, says);
        /* by its auth events it may, by the state before it it may not */
        expect("rejected", receive(says));
        ck_assert_int_eq(row_of(invite->event_id)->flags, MX_EVENT_FLAG_OUTLIER | MX_EVENT_FLAG_STATE);
        ck_assert_int_eq(row_of(join->event_id)->flags, MX_EVENT_FLAG_OUTLIER | MX_EVENT_FLAG_STATE);
        ck_assert_int_lt(row_of(invite->event_id)->nid, row_of(join->event_id)->nid);
        ck_assert_int_eq(far.asked_auth, 1);
        ck_assert_int_eq(far.asked_missing, 0);
        ck_assert_int_eq(gaps(), 0);
        check_mirrors();
    }
}
END_TEST

/* event_auth fails: the auth events are asked for one by one, and theirs after them. */
START_TEST(auth_events_are_asked_for_by_id_where_the_chain_is_not_to_be_had)
{
    far_line_t *line = fresh("11"), *hidden = far_fork(line);
    const mx_event_t *invite, *join;
    mx_event_t *says;
    invite = far_add(hidden, "@u:far", "m.room.member", "@v:far", "{\"membership\":\"invite\"}");
    join = far_member(hidden, "@v:far", "join");
    far_set(line, join);
    says = far_make(line, "@v:far", "m.room.message", NULL, "{\"body\":\"x\"}", NULL);
    far_know(line, says);
    far.auth = LIE_FAIL;
    expect("rejected", receive(says));
    ck_assert(is_stored(invite->event_id) && is_stored(join->event_id));
    ck_assert_int_eq(far.asked_events, 2);
    check_mirrors();
}
END_TEST

START_TEST(nothing_is_asked_past_the_deadline)
{
    far_line_t *line = fresh("11");
    const mx_event_t *before, *last = after_long_absence(line, &before);
    expect("waits", receive_until(last, apr_time_now() - 1));
    ck_assert_int_eq(far.asked_missing + far.asked_events + far.asked_auth + far.asked_state, 0);
    ck_assert_str_eq(trouble(), "Time is up.");
    ck_assert(!is_stored(last->event_id));
    expect("stored", receive(last));
}
END_TEST

/* Events that are missing because they were refused: what follows them goes on after a gap. */
START_TEST(what_cannot_be_taken_between_leaves_a_gap)
{
    far_line_t *line = fresh("11");
    mx_event_t *bad = far_make(line, "@u:far", "m.room.message", NULL, "{\"body\":\"bad\"}", &far_wrong_key);
    const mx_event_t *after, *last;
    far_know(line, bad);
    line->prev[0] = bad->event_id;
    line->depth++;
    after = far_say(line, "after");
    last = far_say(line, "last");
    /* the bad one is not to be had, nor can what follows it be shown; what comes then can, after a gap */
    expect("stored", receive(last));
    ck_assert(!is_stored(bad->event_id));
    ck_assert_int_eq(row_of(after->event_id)->flags, MX_EVENT_FLAG_SOFT_FAILED | MX_EVENT_FLAG_AFTER_GAP);
    ck_assert_int_eq(row_of(last->event_id)->flags, 0);
    ck_assert_int_eq(gaps(), 1);
    check_mirrors();
}
END_TEST

/* ---- lies ---- */

typedef struct lie_t {
    const char *name;
    far_lie_e missing, events, auth, state;
    const char *outcome;
    int gaps;
    const char *tells;               /* in the trouble; NULL: what is not asked for is passed over in silence */
} lie_t;

static const lie_t lies[] = {
    { "none", LIE_NONE, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, NULL },
    { "get_missing_events fails", LIE_FAIL, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, "does not answer" },
    { "get_missing_events gives garbage", LIE_GARBAGE, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, NULL },
    { "get_missing_events gives nothing", LIE_NOTHING, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, NULL },
    { "get_missing_events gives events of another room", LIE_OTHER_ROOM, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, "another room" },
    { "get_missing_events gives badly signed events", LIE_BAD_SIGNATURE, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, NULL },
    { "get_missing_events gives what nothing here follows", LIE_UNASKED, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, NULL },
    { "get_missing_events does not stop", LIE_ENDLESS, LIE_NONE, LIE_NONE, LIE_NONE, "stored", 1, NULL },
    { "state_ids fails", LIE_NONE, LIE_NONE, LIE_NONE, LIE_FAIL, "waits", 0, "does not answer" },
    { "the state is empty", LIE_NONE, LIE_NONE, LIE_NONE, LIE_NOTHING, "waits", 0, "empty" },
    { "the state has no create event", LIE_NONE, LIE_NONE, LIE_NONE, LIE_NO_CREATE, "waits", 0, "no create event" },
    { "the state has a key twice", LIE_NONE, LIE_NONE, LIE_NONE, LIE_TWICE, "waits", 0, "the same type" },
    { "the state has an event that is no state event", LIE_NONE, LIE_NONE, LIE_NONE, LIE_NO_STATE_EVENT, "waits", 0, "no state event" },
    { "the state is of events that do not exist", LIE_NONE, LIE_NONE, LIE_NONE, LIE_UNKNOWN, "waits", 0, "not to be had" },
    { "the state is that of another room", LIE_NONE, LIE_NONE, LIE_NONE, LIE_OTHER_ROOM, "waits", 0, NULL },
    { "the state has another room's create event", LIE_NONE, LIE_NONE, LIE_NONE, LIE_OTHER_CREATE, "waits", 0, NULL },
    { "the state is too large", LIE_NONE, LIE_NONE, LIE_NONE, LIE_TOO_MANY, "waits", 0, "too large" },
    { "events fail", LIE_NONE, LIE_FAIL, LIE_NONE, LIE_NONE, "waits", 0, "does not answer" },
    { "events are garbage", LIE_NONE, LIE_GARBAGE, LIE_NONE, LIE_NONE, "waits", 0, "" },
    { "events are others than those asked for", LIE_NONE, LIE_UNASKED, LIE_NONE, LIE_NONE, "waits", 0, NULL },
    { "events do not stop", LIE_NONE, LIE_ENDLESS, LIE_NONE, LIE_NONE, "waits", 0, NULL },
    { "events are badly signed", LIE_NONE, LIE_BAD_SIGNATURE, LIE_NONE, LIE_NONE, "waits", 0, "signature" },
    { "everything fails", LIE_FAIL, LIE_FAIL, LIE_FAIL, LIE_FAIL, "waits", 0, "does not answer" },
};

/** A line of a room that only the other server is in. */
static far_line_t *other_room(const mx_room_version_t *version)
{
    far_line_t *line = far_line(version);
    if (!version->room_id_is_create_hash)
        line->room_id = "!other:far";
    far_add(line, "@u:far", "m.room.create", "", "{\"creator\":\"@u:far\"}");
    far_member(line, "@u:far", "join");
    return line;
}

static void tell(const lie_t *lie, const char *version)
{
    far_line_t *line = fresh(version), *aside = far_fork(line);
    const mx_event_t *before, *last = after_long_absence(line, &before), *joined = far_state(line, "m.room.member", "@v:far");
    long before_lie;
    mx_room_t *room = room_now();
    far.other = lie->missing == LIE_UNASKED || lie->missing == LIE_ENDLESS ? aside : other_room(line->version);
    far.missing = lie->missing;
    far.events = lie->events;
    far.auth = lie->auth;
    far.state = lie->state;
    if (lie->missing != LIE_NONE)
        far.only = NULL;
    if (lie->state == LIE_TWICE) {      /* a second topic of @v's own making under a key that is there */
        far_line_t *twice = far_fork(line);
        far.only = far_member(twice, "@v:far", "leave")->event_id;
    }
    if (lie->state == LIE_NO_STATE_EVENT)
        far.only = before->event_id;
    if (lie->state == LIE_TWICE || lie->state == LIE_NO_STATE_EVENT)
        far.missing = LIE_FAIL;
    before_lie = shown();
    expect(lie->outcome, receive(last));
    ck_assert_int_eq(got.gaps, lie->gaps);
    ck_assert_int_eq(gaps(), lie->gaps);
    ck_assert_int_eq(shown(), before_lie + lie->gaps);
    ck_assert_int_le(far.asked_missing, MX_RECEIVE_ROUNDS_MAX);
    ck_assert_int_le(far.asked_events, 10);
    ck_assert_int_le(far.asked_state, MX_RECEIVE_GAPS_MAX);
    if (lie->tells)
        ck_assert_msg(got.trouble && strstr(got.trouble->message, lie->tells), "%s: %s", lie->name, trouble());
    ck_assert_int_eq(database_number("select count(distinct room_nid) from event"), 1);
    ck_assert_int_eq(database_number("select count(*) from room"), 1);
    if (!lie->gaps) {
        ck_assert(!is_stored(last->event_id));
        ck_assert_int_eq(room_now()->ver, room->ver);
        ck_assert_int_eq(room_now()->snap_nid, room->snap_nid);
        /* nothing stays spoilt: the truth is taken afterwards */
        far.missing = far.events = far.auth = far.state = LIE_NONE;
        far.only = last->event_id;
        expect("stored", receive(last));
        ck_assert_int_eq(gaps(), 1);
    }
    ck_assert(is_stored(joined->event_id));
    check_mirrors();
}

static void tell_all(const char *version)
{
    int i;
    for (i = 0; i < UNIT_COUNT(lies); i++) {
        telling = lies[i].name;
        tell(&lies[i], version);
    }
}

START_TEST(no_lie_gets_in)
{
    tell_all("11");
}
END_TEST

START_TEST(no_lie_gets_into_a_room_whose_id_names_its_create_event)
{
    tell_all("12");
}
END_TEST

START_TEST(no_lie_gets_in_where_servers_choose_event_ids)
{
    tell_all("1");
}
END_TEST

/* ---- an event that was an outlier ---- */

START_TEST(an_outlier_that_comes_as_an_event_is_shown_then)
{
    int v;
    for (v = 0; v < UNIT_COUNT(versions); v++) {
        far_line_t *line = fresh(versions[v]), *hidden = far_fork(line);
        const mx_event_t *join = far_member(hidden, "@v:far", "join");
        mx_event_row_t *outlier, *now;
        mx_event_t *says;
        mx_event_row_t *range;
        int n;
        long events;
        far_set(line, join);
        says = far_make(line, "@v:far", "m.room.message", NULL, "{\"body\":\"x\"}", NULL);
        far_know(line, says);
        expect("rejected", receive(says));
        outlier = row_of(join->event_id);
        ck_assert_int_eq(outlier->ord, 0);
        homeserver_send(server, room_id, "@creator:h", "m.room.message", NULL, "{}");
        events = database_number("select count(*) from event");
        expect("stored", receive(join));
        now = row_of(join->event_id);
        ck_assert_int_eq(database_number("select count(*) from event"), events);
        ck_assert_int_eq(now->nid, outlier->nid);
        ck_assert_int_eq(now->flags, MX_EVENT_FLAG_STATE);
        ck_assert_int_gt(now->ord, row_of(head(0))->nid > now->nid ? row_of(head(0))->nid : now->nid);
        ck_assert_int_eq(room_now()->last_stream, now->ord);
        ck_assert_int_ne(now->snap_nid, 0);
        ck_assert_int_ne(now->snap_after, now->snap_nid);
        /* it is the newest of the timeline */
        ck_assert_int_eq(mx_store_event_range(&range, &n, server->store, now->room_nid, 0, APR_INT64_MAX, MX_DIR_BACKWARD, 1, pool),
                         APR_SUCCESS);
        ck_assert_int_eq(n, 1);
        ck_assert_int_eq(range->nid, now->nid);
        /* and in the room's state, its log and its members, at that position */
        ck_assert_int_eq(room_now()->joined, 3);
        ck_assert_int_eq(database_number("select max(stream) from room_state_log"), now->ord);
        ck_assert_int_eq(database_number("select max(stream) from member"), now->ord);
        check_mirrors();
        expect("known", receive(join));
    }
}
END_TEST

START_TEST(an_outlier_whose_own_auth_events_refuse_it_stays_rejected)
{
    far_line_t *line = fresh("11"), *hidden = far_fork(line);
    mx_event_t *bad, *says;
    /* @v joins by the word of a member event of its own that no rule allows */
    bad = far_make(hidden, "@v:far", "m.room.member", "@w:far", "{\"membership\":\"join\"}", NULL);
    far_know(hidden, bad);
    far_set(line, bad);
    says = far_make(line, "@w:far", "m.room.message", NULL, "{\"body\":\"x\"}", NULL);
    far_know(line, says);
    expect("rejected", receive(says));
    ck_assert_int_eq(row_of(bad->event_id)->flags, MX_EVENT_FLAG_OUTLIER | MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_STATE);
    expect("rejected", receive(bad));
    ck_assert_int_eq(row_of(bad->event_id)->flags, MX_EVENT_FLAG_REJECTED | MX_EVENT_FLAG_STATE);
    ck_assert_int_eq(row_of(bad->event_id)->snap_after, 0);
    check_mirrors();
}
END_TEST

/* A redaction found its target as an outlier: that stays redacted when it gets its place. */
START_TEST(a_redacted_outlier_stays_redacted)
{
    far_line_t *line = fresh("11"), *hidden = far_fork(line);
    const mx_event_t *join = far_add(hidden, "@v:far", "m.room.member", "@v:far", "{\"membership\":\"join\",\"displayname\":\"secret\"}");
    mx_event_t *says;
    mx_event_row_t *row;
    far_set(line, join);
    says = far_make(line, "@v:far", "m.room.message", NULL, "{\"body\":\"x\"}", NULL);
    far_know(line, says);
    expect("rejected", receive(says));
    homeserver_send(server, room_id, "@creator:h", "m.room.redaction", NULL, apr_psprintf(pool, "{\"redacts\":\"%s\"}", join->event_id));
    line = far_line_of_room();
    expect("stored", receive(far_add(line, "@u:far", "m.room.redaction", NULL,
                                     apr_psprintf(pool, "{\"redacts\":\"%s\"}", join->event_id))));
    row = row_of(join->event_id);
    ck_assert_int_eq(row->flags & MX_EVENT_FLAG_REDACTED, MX_EVENT_FLAG_REDACTED);
    expect("stored", receive(join));
    row = row_of(join->event_id);
    ck_assert_int_eq(row->flags, MX_EVENT_FLAG_STATE | MX_EVENT_FLAG_REDACTED);
    ck_assert_ptr_null(strstr(apr_pstrmemdup(pool, row->pdu.p, row->pdu.len), "secret"));
    check_mirrors();
}
END_TEST

/* Local users write while events come in after a gap: nothing is lost on either side. */
START_TEST(a_room_that_moves_meanwhile_loses_nothing)
{
    far_line_t *line = fresh("11");
    const mx_event_t *before, *last = after_long_absence(line, &before);
    mx_server_t *other = homeserver_child(NULL, pool);
    int i;
    expect("stored", receive(last));
    for (i = 0; i < 5; i++) {
        homeserver_send(other, room_id, "@creator:h", "m.room.message", NULL, "{}");
        expect("stored", receive(far_say(line, "x")));
    }
    homeserver_send(other, room_id, "@creator:h", "org.example.state", "", "{}");
    check_mirrors();
    ck_assert_int_eq(gaps(), 1);
}
END_TEST

DATABASE_MAIN("receive", what_lies_between_is_fetched_and_shown_in_order, an_event_that_lacks_nothing_asks_for_nothing,
              several_rounds_are_asked_for_a_longer_absence, forks_that_lie_between_join_again,
              a_gap_that_stays_takes_the_state_from_the_other_server, a_state_event_before_a_gap_counts,
              a_gap_is_said_where_the_timeline_goes_on, missing_auth_events_come_as_outliers_with_their_chain,
              auth_events_are_asked_for_by_id_where_the_chain_is_not_to_be_had, nothing_is_asked_past_the_deadline,
              what_cannot_be_taken_between_leaves_a_gap, no_lie_gets_in,
              no_lie_gets_into_a_room_whose_id_names_its_create_event, no_lie_gets_in_where_servers_choose_event_ids,
              an_outlier_that_comes_as_an_event_is_shown_then,
              an_outlier_whose_own_auth_events_refuse_it_stays_rejected, a_redacted_outlier_stays_redacted,
              a_room_that_moves_meanwhile_loses_nothing)
