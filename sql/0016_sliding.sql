-- SPDX-License-Identifier: Apache-2.0
-- What sliding sync remembers of its connections. Owner: mod_matrix/sync/sliding_conn.c, store/sliding.c

-- What a client was told by an answer of one connection: a row of what it has acknowledged, and a few of what it may have received. A client
-- may give up a request that waits, and ask again with the same position: which of the answers it gets, nobody knows before it comes back
-- with one of them.
create table sliding_state (
    device_nid int8 not null references device on delete cascade,
    conn_id    text collate "C" not null,
    version    int8 not null,                    -- part of the position that the client holds; never given twice
    state      bytea not null,                   -- sync/sliding_conn.c
    used_ts    int8 not null,
    base       int8 not null,                    -- the version that it was made from; 0: none
    primary key (device_nid, conn_id, version)
);
create index on sliding_state (used_ts);

-- Adds a version made from p_base (0: a connection begins, so what its name stood for before is gone) and drops all others of the connection
-- but the last p_answers that were made from p_base too; where a connection begins, but those that were made since p_began, when this
-- answer began. Of a device's connections the p_max used last stay. False: there is no p_base any more. A crash that loses it costs the
-- client one answer from the start, so nobody waits for the disk.
create function sliding_put(p_device int8, p_conn text, p_base int8, p_version int8, p_state bytea, p_ts int8, p_max int4, p_began int8,
                            p_answers int4) returns bool
language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    if p_base <> 0 then
        perform from sliding_state where device_nid = p_device and conn_id = p_conn and version = p_base for update;
        if not found then return false; end if;
    end if;
    delete from sliding_state where device_nid = p_device and conn_id = p_conn and version <> p_base
        and (base <> p_base or (p_base = 0 and used_ts < p_began) or version in (
            select s.version from sliding_state s where s.device_nid = p_device and s.conn_id = p_conn and s.base = p_base
                and s.version <> p_base order by s.used_ts desc, s.version offset p_answers - 1));
    insert into sliding_state (device_nid, conn_id, version, state, used_ts, base)
        select device_nid, p_conn, p_version, p_state, p_ts, p_base from device where device_nid = p_device;
    if not found then return false; end if;
    if p_base = 0 then
        delete from sliding_state where device_nid = p_device and conn_id in (
            select conn_id from sliding_state where device_nid = p_device group by conn_id order by max(used_ts) desc, conn_id offset p_max);
    end if;
    return true;
end $$;
