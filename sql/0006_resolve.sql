-- SPDX-License-Identifier: Apache-2.0
-- State resolution. Owner: mod_matrix/room/resolve.c, store/resolve.c

-- Which snapshot several resolve to. A cache: rows may be missing or name a snapshot that is gone, whoever cleans up may delete any.
create table stres_memo (
    room_nid int8  not null,
    key      bytea not null,                     -- hash of the snapshots, sorted (store/resolve.c)
    result   int8  not null,                     -- snap_nid
    primary key (room_nid, key)
);
