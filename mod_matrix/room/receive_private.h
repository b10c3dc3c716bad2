/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by receive.c (the way of one event), receive_between.c (events between), receive_fetch.c (outliers, bounds) and
 * receive_ground.c (the event before a gap).
 */
#ifndef MX_ROOM_RECEIVE_PRIVATE_H
#define MX_ROOM_RECEIVE_PRIVATE_H

#include "room/outlier_private.h"
#include "room/receive.h"
#include "room/room_private.h"
#include "store/outlier.h"

#include <apr_tables.h>

/** One call of mx_room_receive(). */
typedef struct mx_room_fetching_t {
    mx_room_received_t *out;
    mx_server_t *server;
    mx_room_t *room;
    mx_room_outlier_room_t as;       /* the room for outliers */
    const mx_room_source_t *source;
    apr_time_t deadline;
    apr_pool_t *pool;
    int asks, events, grounds;       /* so far */
    apr_size_t bytes;
    apr_hash_t *asked;               /* packed ids of events that were asked for: never twice */
} mx_room_fetching_t;

/** 1: another question may be asked; else why not is the trouble. */
int mx_room_fetch_may_ask(mx_room_fetching_t *f);
void mx_room_fetch_trouble(mx_room_fetching_t *f, const mx_error_t *why);
/** What came, cut to `limit`, or nothing if it is past the bounds. */
void mx_room_fetch_count(mx_room_fetching_t *f, mx_room_pdus_t *pdus, int limit);

/** Asks for those of the events that are not there, and for what they are authorised by; stores them as outliers. */
const mx_error_t *mx_room_fetch_outliers(mx_room_fetching_t *f, const mx_slice_t *ids, int n);
/** The auth events of an event: its whole chain at once, then what that lacks. */
const mx_error_t *mx_room_fetch_auth(mx_room_fetching_t *f, const char *event_id, const mx_slice_t *ids, int n);

/** An event that stands between what we have and one that came. */
typedef struct mx_room_pulled_t {
    mx_slice_t text;
    const mx_event_t *event;
} mx_room_pulled_t;
/** Asks what is between; the oldest first. */
const mx_error_t *mx_room_fetch_between(mx_room_pulled_t **ppulled, int *pn, mx_room_fetching_t *f, const mx_event_t *event);

/** Asks for the state before an event, and keeps that event with it. *pdone: it can be followed now. */
const mx_error_t *mx_room_fetch_ground(int *pdone, mx_room_fetching_t *f, const char *event_id);

#endif
