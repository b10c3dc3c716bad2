-- SPDX-License-Identifier: Apache-2.0
-- Rooms, events and state. Owner: mod_matrix/room, store/room.c, event.c, state.c, member.c, alias.c

-- One sequence gives stream positions to everything that /sync tells (cache 1: a position is drawn inside its transaction).
create sequence stream_seq cache 1;

create table ev_type (
    type_nid int4 generated always as identity primary key,
    type     text collate "C" not null unique
);

-- (type, state_key) pairs
create table skey (
    skey_nid  int8 generated always as identity primary key,
    type_nid  int4 not null references ev_type,
    state_key text collate "C" not null,
    unique (type_nid, state_key)
);

create table room (
    room_nid    int8 generated always as identity primary key,
    room_id     text collate "C" not null unique,
    version     int2 not null,                   -- number of core/room_versions.def
    published   bool not null default false,     -- in the public room directory
    ver         int8 not null default 0,         -- compare-and-set counter: +1 with every stored batch
    snap_nid    int8,                            -- current (resolved) state
    heads       int8[] not null default '{}',    -- forward extremities: nids …
    head_ids    bytea[] not null default '{}',   -- … and their packed ids, in the same order
    depth       int8 not null default 0,         -- greatest depth of the heads
    last_stream int8 not null default 0,         -- position of the newest event
    joined      int4 not null default 0,         -- members by membership, of the current state
    invited     int4 not null default 0,
    local_joined int4 not null default 0
) with (fillfactor = 60);                        -- updates stay HOT: no index on a column that changes
create index on room (room_nid) where published;

-- Every event once. event_id is packed (store/event_id.h). pdu: the canonical bytes that were hashed, without unsigned.
create table event (
    nid         int8 primary key,                -- also its stream position
    room_nid    int8 not null,
    ord         int8 not null,                   -- timeline order: nid for live events, negative per room for back-filled ones
    ts          int8 not null,                   -- origin_server_ts
    snap_nid    int8,                            -- state BEFORE the event; null for outliers and for the create event
    sender_nid  int8 not null,
    depth       int8 not null,
    type_nid    int4 not null,
    flags       int4 not null default 0,         -- store/event.h: MX_EVENT_FLAG_*
    redacted_by int8,                            -- nid of the redaction; pdu is then the redacted form
    event_id    bytea not null unique,
    pdu         bytea not null
);
alter table event alter column pdu set storage external;
create index on event (room_nid, ord);

-- what a state event adds to its row in event
create table state_event (
    nid        int8 primary key references event,
    room_nid   int8 not null,
    skey_nid   int8 not null,
    auth_nids  int8[] not null,
    replaces   int8,                             -- the state event it took the place of in the state before it
    snap_after int8                              -- null if rejected
);
create index on state_event (room_nid, nid);

-- State snapshots with skip deltas (never change once written).
create table snapshot (
    snap_nid int8 generated always as identity primary key,
    room_nid int8 not null,
    idx      int4 not null,
    anc      int8[] not null,                    -- ancestors, root first, parent last; their deltas make the state
    size     int4 not null,                      -- entries of the whole state
    hash     bytea not null,                     -- 16 bytes: equal for equal states of a room (additive multiset hash)
    delta    int8[] not null                     -- skey nids, then as many event nids; 0 removes
);
create index on snapshot (room_nid, hash);

-- the room's current snapshot as of a stream position: the newest row at or below it
create table room_state_log (
    room_nid int8 not null,
    stream   int8 not null,
    snap_nid int8 not null,
    primary key (room_nid, stream)
);

-- mirrors of the current snapshot for joins in SQL, written in the same transaction
create table cur_state (
    room_nid int8 not null,
    skey_nid int8 not null,
    nid      int8 not null,
    primary key (room_nid, skey_nid)
) with (fillfactor = 80);

create table member (
    room_nid   int8 not null,
    user_nid   int8 not null,
    membership int2 not null,                    -- core/history_visibility.h: mx_membership_e
    nid        int8 not null,                    -- the member event
    stream     int8 not null,                    -- when it became current
    local      bool not null,
    forgotten  bool not null default false,      -- POST /forget
    primary key (room_nid, user_nid)
) with (fillfactor = 80);
create index on member (user_nid, membership) where local;
create index on member (user_nid, stream) where local;

create table room_server (
    server_nid int4 not null,
    room_nid   int8 not null,
    joined     int4 not null,
    primary key (server_nid, room_nid)
);

-- transaction ids of sends: the same id of the same device gives the same event
create table txn (
    device_nid int8 not null,
    txn_id     text collate "C" not null,
    scope      text collate "C" not null,        -- method and path without the id: /send/{type} and /redact differ
    nid        int8 not null,
    day        date not null default current_date,
    primary key (device_nid, txn_id, scope)
);
create index on txn (nid);

create table room_alias (
    alias       text collate "C" primary key,
    room_nid    int8 not null references room,
    creator_nid int8 not null,
    created_ts  int8 not null
);
create index on room_alias (room_nid);

-- Takes a stream position in a way that readers can wait for: see store/stream.h. Call it in the transaction that stores the row.
create function stream_next() returns int8 language plpgsql as $$
declare
    seen int8;
begin
    select last_value into seen from stream_seq;
    perform pg_advisory_xact_lock_shared((77::int8 << 48) | seen);
    return nextval('stream_seq');
end $$;
