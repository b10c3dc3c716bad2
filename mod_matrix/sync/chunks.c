/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer from the database in chunks of rooms: each is read, written and forgotten before the next, so that what is in memory does
 * not grow with the number of rooms. All chunks tell of the same position, however long it takes to send them.
 */
#include "sync/full.h"
#include "sync/presence.h"
#include "user/push_rules.h"

#define LAZY_MEMBERS 8               /* about so many members are told of a room with lazy loading */
#define OTHER_STATE 12               /* … and other state events */
#define EVENT_BYTES 8192             /* what is allowed for an event, until a first small chunk has shown how long they are */

struct mx_sync_chunks_t {
    mx_sync_full_t full;             /* all rooms; the pool is that of the answer */
    mx_sync_ask_t ask;
    mx_json_writer_t *w;
    int at;                          /* the next room */
    apr_int64_t events, bytes;       /* events_of() the rooms so far, and what they took */
    mx_sync_section_e open;          /* the section that is being written */
    int told;                        /* anything so far */
    apr_pool_t *pool;                /* of the chunk */
};

/* ---- which rooms ---- */

static int is_of(const mx_sync_part_t *part, mx_sync_section_e section)
{
    return part->section == section;
}

/* By section, in the order in which they are written; those of none come last. */
static void sort_parts(mx_sync_full_t *full)
{
    static const mx_sync_section_e order[] = { MX_SECTION_JOIN, MX_SECTION_INVITE, MX_SECTION_KNOCK, MX_SECTION_LEAVE, MX_SECTION_NONE };
    mx_sync_part_t *sorted = apr_palloc(full->pool, sizeof(*sorted) * (apr_size_t)(full->nparts + 1));
    apr_size_t s;
    int i, n = 0;

    for (s = 0; s < sizeof(order) / sizeof(order[0]); s++)
        for (i = 0; i < full->nparts; i++)
            if (is_of(&full->parts[i], order[s])) sorted[n++] = full->parts[i];
    full->parts = sorted;
}

/* About how many events have to be read for a room. */
static apr_int64_t events_of(const mx_sync_full_t *full, const mx_sync_part_t *part)
{
    apr_int64_t n = part->moved ? mx_sync_timeline_limit(full->server, full->filter) : 0;

    if (is_of(part, MX_SECTION_INVITE) || is_of(part, MX_SECTION_KNOCK)) return OTHER_STATE;
    if (part->full) n += OTHER_STATE + (full->filter->state.lazy_load_members ? LAZY_MEMBERS : part->member->joined);
    return n;
}

/* How many events fit into a chunk, if they are as long as those before them. */
static apr_int64_t events_max(const mx_sync_chunks_t *chunks)
{
    apr_int64_t bytes = chunks->full.server->settings->sync_chunk_bytes;

    return chunks->bytes ? (apr_int64_t)((double)bytes * (double)chunks->events / (double)chunks->bytes) : bytes / EVENT_BYTES;
}

/* The next rooms: as many as may be in memory at once, at least one. */
static mx_sync_full_t take_chunk(mx_sync_chunks_t *chunks)
{
    const mx_sync_full_t *full = &chunks->full;
    mx_sync_full_t chunk = *full;
    apr_int64_t max = events_max(chunks), events = 0;
    int end = chunks->at;

    while (end < full->nparts) {
        apr_int64_t more = events_of(full, &full->parts[end]);

        if (events + more > max && end > chunks->at) break;
        events += more;
        chunk.njoined += is_of(&full->parts[end], MX_SECTION_JOIN);
        if (is_of(&full->parts[end], MX_SECTION_LEAVE) && !chunk.nleft++) chunk.left = end - chunks->at;
        end++;
    }
    chunk.parts += chunks->at;
    chunk.nparts = end - chunks->at;
    chunk.later = chunks->at > 0;
    chunk.pool = chunks->pool;
    chunks->at = end;
    chunks->events += events;
    return chunk;
}

/* ---- what stands around the rooms ---- */

/* m.push_rules is what the saved rules make of the predefined ones, and is told when nothing is saved as well. */
static void write_global(mx_sync_chunks_t *chunks, const mx_sync_full_t *full)
{
    mx_json_writer_t *w = chunks->w;
    const char *user_id = full->ask->who->user_id;
    int i, rules_told = !mx_sync_is_initial(full) || !mx_event_filter_allows(&full->filter->account_data, "m.push_rules", NULL, NULL, 0);

    mx_jw_key_object(w, "account_data");
    mx_jw_key_array(w, "events");
    for (i = 0; i < full->nglobal; i++) {
        mx_slice_t content = full->global[i].content;

        if (mx_str_eq(full->global[i].type, "m.push_rules")) {
            content = mx_user_push_rules_for_sync(user_id, content, full->pool);
            rules_told = 1;
        }
        mx_sync_write_account_data(w, full->global[i].type, content);
    }
    if (!rules_told) mx_sync_write_account_data(w, "m.push_rules", mx_user_push_rules_for_sync(user_id, MX_SLICE_NONE, full->pool));
    mx_jw_end_array(w);
    mx_jw_end_object(w);
    if (full->nglobal || mx_sync_is_initial(full)) chunks->told = 1;
}

static void write_head(mx_sync_chunks_t *chunks, const mx_sync_full_t *first)
{
    mx_jw_object(chunks->w);
    mx_jw_key_str(chunks->w, "next_batch", mx_sync_token_format(first->upto, first->pool));
    write_global(chunks, first);
    mx_jw_key_object(chunks->w, "rooms");
}

/* What is told to the device. CS-API: send-to-device messaging, and end-to-end encryption: extensions to /sync. */
static const mx_error_t *write_device(mx_sync_chunks_t *chunks)
{
    mx_sync_full_t *full = &chunks->full;
    const mx_error_t *err;
    int told = 0;

    mx_sync_write_to_device(chunks->w, full->messages, full->nmessages);
    if (!mx_sync_is_initial(full)) {
        mx_jw_key(chunks->w, "device_lists");
        err = mx_sync_device_lists_write(chunks->w, &told, full);
        if (err) return err;
    }
    mx_sync_write_stock(chunks->w, full->stock);
    if (told || full->nmessages || full->stock_moved) chunks->told = 1;
    return NULL;
}

static const mx_error_t *write_tail(mx_sync_chunks_t *chunks)
{
    const mx_error_t *err;

    mx_sync_room_write_section(chunks->w, &chunks->open, MX_SECTION_LEAVE);
    mx_jw_end_object(chunks->w);
    mx_jw_end_object(chunks->w);
    err = mx_sync_presence_write_full(chunks->w, &chunks->told, &chunks->full);
    if (!err) err = write_device(chunks);
    if (err) return err;
    mx_jw_end_object(chunks->w);
    return NULL;
}

/* ---- one after the other ---- */

static const mx_error_t *add_chunk(int *pdone, mx_sync_chunks_t *chunks)
{
    mx_sync_full_t chunk = take_chunk(chunks);
    const mx_error_t *err = mx_sync_full_load(&chunk);
    apr_size_t before = chunks->w->buf->len;
    int done = chunks->at == chunks->full.nparts;

    if (!err && !chunk.later) write_head(chunks, &chunk);
    if (!err) err = mx_sync_room_write_all(chunks->w, &chunks->open, &chunks->told, &chunk);
    if (!err && done) err = write_tail(chunks);
    if (err) return err;
    chunks->bytes += (apr_int64_t)(chunks->w->buf->len - before);
    apr_pool_clear(chunks->pool);
    *pdone = done;
    return NULL;
}

const mx_error_t *mx_sync_chunks_next(int *pdone, mx_sync_chunks_t *rest)
{
    mx_buf_clear(rest->w->buf);
    return add_chunk(pdone, rest);
}

/* Whether it tells anything has to be known before any of it is sent: a client that waits is not answered with nothing. */
const mx_error_t *mx_sync_chunks_begin(mx_sync_answer_t *out, mx_sync_full_t *full)
{
    mx_sync_chunks_t *chunks = apr_pcalloc(full->pool, sizeof(*chunks));
    const mx_error_t *err = NULL;
    int done = 0;

    sort_parts(full);
    chunks->full = *full;
    chunks->ask = *full->ask;
    chunks->full.ask = &chunks->ask;
    chunks->w = mx_jw_create(full->pool);
    apr_pool_create(&chunks->pool, full->pool);
    apr_pool_tag(chunks->pool, "mx_sync_chunk");
    while (!err && !done && !chunks->told) err = add_chunk(&done, chunks);
    if (err) return err;
    *out = (mx_sync_answer_t){ chunks->w->buf, done ? NULL : chunks, full->upto, !chunks->told };
    return NULL;
}
