/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of sliding sync share. One answer: sliding_conn.c says what the client was told, sliding_list.c which rooms it asks
 * for, sliding.c what of them is news, sliding_rooms.c and sliding_state.c read it, sliding_write.c and sliding_ext.c write.
 */
#ifndef MX_SYNC_SLIDING_PRIVATE_H
#define MX_SYNC_SLIDING_PRIVATE_H

#include "sync/full.h"
#include "sync/sliding.h"

/* ---- what the client was told (sliding_conn.c) ---- */

#define MX_SLIDING_NEVER (-1)
#define MX_SLIDING_LIVE 0            /* up to the position that the client holds */

typedef enum { MX_SLIDING_ROOM, MX_SLIDING_RECEIPTS, MX_SLIDING_DATA, MX_SLIDING_WHATS } mx_sliding_what_e;

/** One room. */
typedef struct mx_sliding_told_t {
    apr_int64_t room_nid;
    apr_int64_t upto[MX_SLIDING_WHATS];  /* a position, MX_SLIDING_LIVE or MX_SLIDING_NEVER */
    int membership;                  /* the reader's, as told */
    int timeline_limit;              /* so many of the newest events of then were told */
    int config;                      /* its required_state: number in `configs` of the state */
    apr_int64_t *members;            /* nids of users whose member events were told lazily, ascending */
    int nmembers;
} mx_sliding_told_t;

/** A version of a connection's state. Whoever changes it copies what he changes. */
typedef struct mx_sliding_conn_t {
    apr_int64_t version;             /* 0: nothing was told */
    mx_sliding_told_t *rooms;        /* in the order of room_nid */
    int nrooms;
    apr_array_header_t *configs;     /* of mx_sliding_config_t (keys and lazy), each once */
} mx_sliding_conn_t;

/** M_UNKNOWN_POS. In `pool`. */
const mx_error_t *mx_sliding_conn_load(mx_sliding_conn_t *out, mx_server_t *server, const mx_sliding_ask_t *ask, apr_pool_t *pool);
/** Stores it under a new version, which `conn` then has; `began`: when the answer did. */
const mx_error_t *mx_sliding_conn_store(mx_sliding_conn_t *conn, mx_server_t *server, const mx_sliding_ask_t *ask, apr_time_t began,
                                        apr_pool_t *pool);
/** The bytes that are stored, in `pool`. */
mx_slice_t mx_sliding_conn_encode(const mx_sliding_conn_t *conn, apr_pool_t *pool);
/** 0: these are no bytes of ours. */
int mx_sliding_conn_decode(mx_sliding_conn_t *out, mx_slice_t bytes, apr_pool_t *pool);
/** NULL: the room is not there. */
mx_sliding_told_t *mx_sliding_conn_find(const mx_sliding_conn_t *conn, apr_int64_t room_nid);
/** The number of a required_state. */
int mx_sliding_conn_config(mx_sliding_conn_t *conn, const mx_sliding_config_t *config);
mx_cache_t *mx_sliding_conn_cache_create(apr_size_t max_bytes, apr_pool_t *pool);

/* ---- required_state (sliding_config.c) ---- */

/** Adds what `more` asks for. In `pool`. */
void mx_sliding_config_merge(mx_sliding_config_t *config, const mx_sliding_config_t *more, apr_pool_t *pool);
int mx_sliding_config_same_state(const mx_sliding_config_t *a, const mx_sliding_config_t *b);
/** 1 if the state event is asked for by a pattern; lazily told members are not. */
int mx_sliding_config_wants(const mx_sliding_config_t *config, const char *type, const char *state_key);
/** 1 if it cannot be told from the patterns alone which keys they mean. */
int mx_sliding_config_is_wild(const mx_sliding_config_t *config);

/* ---- the user's rooms (sliding_list.c, sliding_filter.c) ---- */

/** A room of the user. */
typedef struct mx_sliding_entry_t {
    mx_sync_member_row_t member;
    apr_int64_t activity;            /* position of the last event, or of the membership of who is not in it */
    unsigned expelled : 1;           /* left or banned by another */
    unsigned known : 1;              /* the next two are */
    unsigned encrypted : 1;
    unsigned counted : 1;            /* the last two are, by the settings that `rooms` names */
    unsigned direct : 1;             /* in m.direct, where `rooms` knows it */
    unsigned read_known : 1;         /* the next one is */
    apr_int64_t read_at;             /* position of the user's newest receipt there; 0: none */
    const char *room_type;           /* NULL: none */
    apr_int64_t notified, highlighted;
} mx_sliding_entry_t;

/** What is kept between answers: as of `upto`, the latest activity first. */
typedef struct mx_sliding_rooms_t {
    apr_int64_t upto;
    mx_sliding_entry_t *entries;
    int n;
    int direct_known;
    apr_int64_t rules_stream, ignored_stream;    /* of the settings that unread events were counted by (user/push_settings.h) */
} mx_sliding_rooms_t;

mx_cache_t *mx_sliding_list_cache_create(apr_size_t max_bytes, apr_pool_t *pool);
struct mx_sliding_t;
/** What was found of the rooms is remembered. */
void mx_sliding_list_keep(const struct mx_sliding_t *s);
/** Fills `rooms` and `upto`. */
const mx_error_t *mx_sliding_list_read(struct mx_sliding_t *s);
/** Afterwards it is known of rooms that were told before when the user has read in them last. */
const mx_error_t *mx_sliding_list_reads(struct mx_sliding_t *s);
/** Fills `wanted` and the lists' counts. */
const mx_error_t *mx_sliding_list_choose(struct mx_sliding_t *s);

/* ---- state events (sliding_rows.c) ---- */

/** A state event that a child remembers, with what patterns ask for. */
typedef struct mx_sliding_row_event_t {
    mx_event_row_t row;
    const char *type, *state_key;
} mx_sliding_row_event_t;

/** One to be read. */
typedef struct mx_sliding_nid_t {
    apr_int64_t nid;
    apr_int64_t redacted;            /* state_redacted of its room (store/sync.h); MX_SLIDING_NEVER: not known, so nothing is remembered */
} mx_sliding_nid_t;

mx_cache_t *mx_sliding_rows_cache_create(apr_size_t max_bytes, apr_pool_t *pool);
/** Adds the events to `rows` (nid -> mx_sliding_row_event_t): at most one query. With lazy set members are left out. */
const mx_error_t *mx_sliding_rows_read(apr_hash_t *rows, mx_sync_full_t *full, const apr_array_header_t *nids, int lazy);

/* ---- one answer ---- */

/** A room that the client asks for. */
typedef struct mx_sliding_wanted_t {
    mx_sliding_entry_t *entry;
    mx_sliding_config_t config;
    apr_array_header_t *lists;       /* of int: numbers of the lists that it is in */
    int subscribed;
    const mx_sliding_told_t *before; /* NULL: it is new to the connection */
    apr_int64_t since;               /* told up to there; MX_SYNC_INITIAL */
    unsigned initial : 1, expanded : 1;
    unsigned state_grew : 1;         /* required_state means more than what was told */
    unsigned read : 1;               /* the user has read something: the counts may be others */
    unsigned skips : 1;              /* events happened that are not told, as no timeline is asked for */
    unsigned tell : 1;               /* there is, or may be, something to tell */
    unsigned told : 1;               /* it is in the answer */
    mx_sync_part_t *part;            /* of those to tell */
    /* what is told of it */
    apr_array_header_t *state;       /* of const mx_event_row_t * */
    apr_array_header_t *members;     /* of apr_int64_t: users whose member events are told lazily */
    const mx_event_row_t *name, *avatar;     /* NULL: not told */
    const mx_room_summary_t *summary;
    unsigned members_moved : 1, name_moved : 1, avatar_moved : 1, name_gone : 1, avatar_gone : 1;
    apr_int64_t bump;                /* 0: not told */
    int live;                        /* num_live */
} mx_sliding_wanted_t;

typedef struct mx_sliding_t {
    mx_server_t *server;
    const mx_sliding_ask_t *ask;
    apr_pool_t *pool;
    apr_time_t now;
    apr_int64_t upto;                /* the answer's position */
    mx_sliding_conn_t conn;          /* what was told before */
    mx_sliding_rooms_t rooms;
    int *counts;                     /* of the lists */
    mx_sliding_wanted_t *wanted;     /* in the order of room_nid */
    int nwanted;
    mx_sync_full_t full;             /* parts of the rooms to tell, as sync/full.h has them */
    mx_sliding_wanted_t **telling;   /* of those parts */
    apr_hash_t *heroes;              /* "room nid, user nid" -> const mx_event_row_t * */
    mx_room_view_t *view;            /* of all timelines' rows */
    int told;                        /* the answer tells something */
    int changed;                     /* the connection's state is another than before */
} mx_sliding_t;

/** Afterwards it is known which rooms are direct. */
const mx_error_t *mx_sliding_list_direct(mx_sliding_t *s);

/** Reads timelines, state and the rest of the rooms to tell. */
const mx_error_t *mx_sliding_rooms_load(mx_sliding_t *s);
const mx_error_t *mx_sliding_state_load(mx_sliding_t *s);
/** Fills the rooms' summaries: at most two queries. They come in the order of room_nid. */
const mx_error_t *mx_sliding_summaries_read(mx_sliding_t *s, mx_sliding_wanted_t **wanted, int n);
mx_cache_t *mx_sliding_summary_cache_create(apr_size_t max_bytes, apr_pool_t *pool);
/** `rooms` of the answer. */
const mx_error_t *mx_sliding_write_rooms(mx_json_writer_t *w, mx_sliding_t *s);
/** `extensions` of the answer; sets s->told if they tell something. */
const mx_error_t *mx_sliding_ext_write(mx_json_writer_t *w, mx_sliding_t *s);
/** 1 if the extension tells of the room. */
int mx_sliding_ext_means(const mx_sliding_scope_t *scope, const mx_sliding_t *s, const mx_sliding_wanted_t *wanted);

#endif
