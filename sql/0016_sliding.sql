-- SPDX-License-Identifier: Apache-2.0
-- What sliding sync remembers of its connections. Owner: mod_matrix/sync/sliding_conn.c, store/sliding.c

-- What a client was told by an answer of one connection: two rows at most, of what it has acknowledged and of what it may have received.
create table sliding_state (
    device_nid int8 not null references device on delete cascade,
    conn_id    text collate "C" not null,
    version    int8 not null,                    -- part of the position that the client holds; never given twice
    state      bytea not null,                   -- sync/sliding_conn.c
    used_ts    int8 not null,
    primary key (device_nid, conn_id, version)
);
create index on sliding_state (used_ts);

-- Adds a version made from p_base (0: a connection begins, so what its name stood for before is gone) and drops all others of the connection;
-- of a device's connections the p_max used last stay. False: there is no p_base any more. A crash that loses it costs the client one answer
-- from the start, so nobody waits for the disk.
create function sliding_put(p_device int8, p_conn text, p_base int8, p_version int8, p_state bytea, p_ts int8, p_max int4) returns bool
language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    if p_base <> 0 then
        perform from sliding_state where device_nid = p_device and conn_id = p_conn and version = p_base for update;
        if not found then return false; end if;
    end if;
    delete from sliding_state where device_nid = p_device and conn_id = p_conn and version <> p_base;
    insert into sliding_state (device_nid, conn_id, version, state, used_ts)
        select device_nid, p_conn, p_version, p_state, p_ts from device where device_nid = p_device;
    if not found then return false; end if;
    if p_base = 0 then
        delete from sliding_state where device_nid = p_device and conn_id in (
            select conn_id from sliding_state where device_nid = p_device group by conn_id order by max(used_ts) desc, conn_id offset p_max);
    end if;
    return true;
end $$;
