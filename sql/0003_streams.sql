-- SPDX-License-Identifier: Apache-2.0
-- What /sync tells besides events. Every row carries its stream position. Owner: mod_matrix/sync, store/account_data.c, receipt.c, typing.c

-- room_nid 0: global. Tags, m.fully_read and the like are account data.
create table account_data (
    user_nid int8 not null,
    room_nid int8 not null default 0,
    type     text collate "C" not null,
    content  bytea not null,                     -- JSON object as uploaded
    stream   int8 not null,
    primary key (user_nid, room_nid, type)
) with (fillfactor = 80);
create index on account_data (user_nid, stream);
create index on account_data (stream);

create table receipt (
    room_nid  int8 not null,
    user_nid  int8 not null,
    type      text collate "C" not null,         -- m.read, m.read.private
    thread_id text collate "C" not null default '',   -- '' unthreaded, 'main', or an event id
    event_id  bytea not null,                    -- packed
    nid       int8,                              -- of that event, if we have it
    ts        int8 not null,
    data      bytea,                             -- further JSON members, or null
    stream    int8 not null,
    primary key (room_nid, user_nid, type, thread_id)
) with (fillfactor = 80);
create index on receipt (room_nid, stream);
create index on receipt (stream);

-- who types now: promises nothing, so it need not survive a crash
create unlogged table typing (
    room_nid int8 not null,
    user_nid int8 not null,
    until_ts int8 not null,
    primary key (room_nid, user_nid)
);
create unlogged table typing_room (
    room_nid int8 primary key,
    stream   int8 not null                       -- when the set last changed
);
create index on typing_room (stream);
