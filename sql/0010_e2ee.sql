-- SPDX-License-Identifier: Apache-2.0
-- End-to-end encryption: keys of devices and users, to-device messages, key backups, dehydrated devices.
-- Owner: mod_matrix/user, mod_matrix/sync; store/device_keys.c, key_claim.c, key_query.c, cross_signing.c, to_device.c, sync_devices.c, key_backup.c, dehydrated.c

-- Identity keys of a device: canonical JSON as uploaded, without signatures and unsigned.
create table device_key (
    device_nid int8 primary key references device on delete cascade,
    body       bytea not null
);

-- A key that was given out stays as a row without body: an upload that is sent again must not bring it back.
create table one_time_key (
    device_nid int8 not null references device on delete cascade,
    algorithm  text collate "C" not null,
    key_id     text collate "C" not null,
    seq        int8 not null generated always as identity,
    digest     bytea not null,                   -- 16 bytes of the SHA-256 of what was uploaded
    body       bytea,                            -- JSON; null: given out
    primary key (device_nid, algorithm, key_id)
);
create index on one_time_key (device_nid, algorithm, seq) where body is not null;

create table fallback_key (
    device_nid int8 not null references device on delete cascade,
    algorithm  text collate "C" not null,
    key_id     text collate "C" not null,
    body       bytea not null,
    used       bool not null default false,
    primary key (device_nid, algorithm)
);

-- when the number of a device's one-time keys, or the use of its fallback keys, last changed
create table key_stock (
    device_nid int8 primary key references device on delete cascade,
    stream     int8 not null
) with (fillfactor = 80);
create index on key_stock (stream);

-- When a user's devices or cross-signing keys last changed: one row, in however many rooms the user is. viewer_nid 0: for all
-- who share a room; else for that user alone (a signature that only its maker may see).
create table device_change (
    user_nid   int8 not null,
    viewer_nid int8 not null default 0,
    stream     int8 not null,
    primary key (user_nid, viewer_nid)
) with (fillfactor = 80);
create index on device_change (stream);

-- Cross-signing keys. usage: 0 master, 1 self_signing, 2 user_signing
create table cross_key (
    user_nid   int8 not null references mxid,
    usage      int2 not null,
    public_key text collate "C" not null,        -- unpadded base64: also the key's id behind "ed25519:"
    body       bytea not null,                   -- canonical JSON without signatures and unsigned
    primary key (user_nid, usage)
);

-- Signatures of device keys and cross-signing keys. key_id: device id, or public key of a cross-signing key
create table key_signature (
    user_nid   int8 not null,
    key_id     text collate "C" not null,
    signer_nid int8 not null,
    signer_key text collate "C" not null,        -- "ed25519:…"
    device_nid int8 references device on delete cascade,   -- of a device's key
    signature  text not null,
    primary key (user_nid, key_id, signer_nid, signer_key)
);
create index on key_signature (device_nid) where device_nid is not null;

-- Messages that a device has not acknowledged.
create table to_device (
    device_nid int8 not null references device on delete cascade,
    stream     int8 not null,
    sender_nid int8 not null,
    type       text collate "C" not null,
    content    bytea not null,                   -- JSON object
    primary key (device_nid, stream)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.01);
create index on to_device (stream, device_nid);

create table to_device_txn (
    device_nid int8 not null references device on delete cascade,
    txn_id     text collate "C" not null,
    type       text collate "C" not null,
    day        date not null default current_date,
    primary key (device_nid, txn_id, type)
);

-- Key backups. A version that was deleted stays as a row: its number is not given again.
create table backup_version (
    user_nid  int8 not null references account on delete cascade,
    version   int8 not null,
    algorithm text collate "C" not null,
    auth_data bytea not null,                    -- JSON object
    etag      int8 not null default 0,           -- +1 with every change of the keys
    keys      int8 not null default 0,
    deleted   bool not null default false,
    primary key (user_nid, version)
);

create table backup_key (
    user_nid      int8 not null,
    version       int8 not null,
    room_id       text collate "C" not null,
    session_id    text collate "C" not null,
    first_message int8 not null,
    forwarded     int8 not null,
    verified      bool not null,
    session_data  bytea not null,                -- JSON object
    primary key (user_nid, version, room_id, session_id),
    foreign key (user_nid, version) references backup_version on delete cascade
);

-- MSC3814: a device that nobody is logged in to, and what is needed to take it up
create table dehydrated_device (
    user_nid    int8 primary key references account on delete cascade,
    device_nid  int8 not null unique references device on delete cascade,
    device_data bytea not null                   -- JSON object
);

-- The user's devices are told anew to all who may see them: one row. Returns the position.
create function device_changed(changed int8, viewer int8) returns int8 language plpgsql as $$
declare
    position int8 := stream_next();
begin
    insert into device_change (user_nid, viewer_nid, stream) values (changed, viewer, position)
    on conflict (user_nid, viewer_nid) do update set stream = greatest(device_change.stream, excluded.stream);
    return position;
end $$;
