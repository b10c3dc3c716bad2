-- SPDX-License-Identifier: Apache-2.0
-- People, their devices and what opens their account. Owner: mod_matrix/user, store/user.c, device.c, token.c, profile.c
-- Integers named *_nid stand for strings everywhere else; the strings live here once, in byte order (COLLATE "C").

create table server (
    server_nid int4 generated always as identity primary key,
    name       text collate "C" not null unique
);

-- every user id ever seen, local or not
create table mxid (
    user_nid   int8 generated always as identity primary key,
    mxid       text collate "C" not null unique,
    server_nid int4 not null references server,
    local      bool not null
);

-- local accounts
create table account (
    user_nid      int8 primary key references mxid,
    password_hash text,                          -- crypt(3); null: no password login
    kind          int2 not null default 0,       -- 0 user, 1 guest
    admin         bool not null default false,
    deactivated   bool not null default false,
    erased        bool not null default false,   -- deactivated with "erase"
    created_ts    int8 not null                  -- ms, as every *_ts
);

create table device (
    device_nid   int8 generated always as identity primary key,
    user_nid     int8 not null references account on delete cascade,
    device_id    text collate "C" not null,
    display_name text,
    created_ts   int8 not null,
    last_seen_ts int8,
    last_seen_ip text,
    unique (user_nid, device_id)
);

-- Tokens are stored as SHA-256 only.
create table refresh_token (
    refresh_nid int8 generated always as identity primary key,
    token_hash  bytea not null unique,
    device_nid  int8 not null references device on delete cascade,
    expires_ts  int8,
    next_nid    int8                             -- the token this one was exchanged for
);
create index on refresh_token (device_nid);
create index on refresh_token (next_nid) where next_nid is not null;

create table access_token (
    token_hash  bytea primary key,
    device_nid  int8 not null references device on delete cascade,
    user_nid    int8 not null,
    expires_ts  int8,
    refresh_nid int8 references refresh_token on delete cascade
);
create index on access_token (device_nid);
create index on access_token (user_nid);
create index on access_token (refresh_nid) where refresh_nid is not null;

-- What makes cached tokens of other processes stale: whoever takes tokens back adds one to the row of their user (user_nid & 63)
-- in the same transaction, and nobody trusts a cached token without having read these rows within the last 200 ms.
create table token_epoch (
    shard int2 primary key,
    epoch int8 not null
) with (fillfactor = 10);                        -- updates stay HOT
insert into token_epoch select i, 1 from generate_series(0, 63) i;

create table registration_token (
    token        text collate "C" primary key,
    uses_allowed int4,                           -- null: without limit
    pending      int4 not null default 0,        -- sessions that named it and have not finished
    completed    int4 not null default 0,
    expires_ts   int8
);

-- user-interactive authentication: what a session was opened for and which stages it has passed
create table uia_session (
    session    text collate "C" primary key,
    operation  text collate "C" not null,        -- method and path
    user_nid   int8,
    request    bytea not null,                   -- the body of the first call without auth, sealed: it may hold a new password
    stages     text[] not null default '{}',
    registration_token text collate "C" references registration_token on delete set null,  -- counted in its `pending`
    created_ts int8 not null
);
create index on uia_session (created_ts);
create index on uia_session (registration_token) where registration_token is not null;

create table profile (
    user_nid int8 not null references mxid,
    field    text collate "C" not null,
    value    bytea not null,                     -- JSON
    primary key (user_nid, field)
);

create table filter (
    user_nid  int8 not null references account on delete cascade,
    filter_id int8 not null,
    hash      bytea not null,
    body      bytea not null,                    -- JSON as uploaded, canonical
    primary key (user_nid, filter_id),
    unique (user_nid, hash)
);
