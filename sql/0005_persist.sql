-- SPDX-License-Identifier: Apache-2.0
-- How events get into a room: one call, one transaction. Owner: mod_matrix/room, store/persist.c, store/state.c
--
-- Whoever stores has built events on top of a room as it was at version `p_ver`; the call locks the room's row and
-- compares. Nothing is decided here: which events are allowed, what the state becomes and who is a member of what is
-- said by the caller. Here rows get their numbers.
--
-- References. A caller cannot know the nids of what it stores. Where a parameter is called a reference, a positive
-- number is a nid, a negative one -i stands for the i-th event (or snapshot) of the same call, 0 for none.

alter table room add column state_redacted int8 not null default 0;
comment on column room.state_redacted is 'nid of the last redaction of a state event: what was cached of the state is then worn';

-- Keys that never leave the database but for the server's own memory.
create table secret (
    name  text collate "C" primary key,
    value bytea not null
);
-- keys the hash of snapshots, so that nobody can build two states with one hash
insert into secret values ('snapshot_hash', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

create function of_batch(ref int8, made int8[]) returns int8 language sql immutable
    return case when ref < 0 then made[-ref] else ref end;
create function of_batch_or_null(ref int8, made int8[]) returns int8 language sql immutable
    return case when ref < 0 then made[-ref] when ref > 0 then ref end;
create function of_batch_all(refs int8[], made int8[]) returns int8[] language sql immutable
    return array(select case when r < 0 then made[-r] else r end from unnest(refs) with ordinality u(r, i) order by i);

-- n stream positions, in ascending order
create function stream_next_n(n int4) returns int8[] language plpgsql as $$
declare
    nids int8[] := array[stream_next()];
begin
    for i in 2..n loop
        nids[i] := nextval('stream_seq');
    end loop;
    return nids;
end $$;

-- ------------------------------------------------------------------------------------------------------- snapshots
-- A snapshot is a list of ancestors and a difference to the last of them. delta holds n skey nids and then their n
-- event nids (0 removes), sorted by skey. idx counts the changes since the room began; in base 4, a snapshot's parent is the
-- one whose index is the same with the lowest digit that is not 0 cleared. So a state is never more than 3 rows a digit.

-- The index of the parent.
create function snapshot_parent(idx int4) returns int4 language plpgsql immutable as $$
declare
    p int4 := 1;
begin
    while (idx / p) % 4 = 0 loop
        p := p * 4;
    end loop;
    return idx - (idx / p) % 4 * p;
end $$;

-- Stores the state that is `pred` (0: empty) with some entries changed, and returns its nid. `size` and `hash` are those of
-- the whole. A state that the room has had before, on whatever branch, is the snapshot it was then.
create function snapshot_add(p_room int8, pred int8, skeys int8[], nids int8[], p_size int4, p_hash bytea) returns int8
language plpgsql as $$
declare
    before  record;
    chain   int8[] := '{}';     -- pred and its ancestors, root first
    new_idx int4 := 1;
    kept    int4 := 0;          -- how many of the chain are ancestors of the new one
    merged  int8[];
    made    int8;
begin
    select snap_nid into made from snapshot where room_nid = p_room and hash = p_hash and size = p_size limit 1;
    if found then
        return made;
    end if;
    if pred <> 0 then
        select idx, anc || snap_nid as chain into strict before from snapshot where snap_nid = pred;
        chain := before.chain;
        new_idx := before.idx + 1;
        -- The parent is in the chain, unless a snapshot stored whole has cut that off: then the one stored whole takes its place.
        select greatest(count(*) filter (where s.idx <= snapshot_parent(new_idx)), case when snapshot_parent(new_idx) > 0 then 1 else 0 end)
            into kept from snapshot s where s.snap_nid = any(chain);
    end if;
    merged := snapshot_merge(chain[kept + 1:], skeys, nids, kept > 0);
    if kept > 0 and cardinality(merged) > p_size then      -- more than half of the state: whole is as small and quicker to read
        merged := snapshot_merge(chain, skeys, nids, false);
        kept := 0;
    end if;
    insert into snapshot (room_nid, idx, anc, size, hash, delta)
        values (p_room, new_idx, chain[1:kept], p_size, p_hash, merged) returning snap_nid into made;
    return made;
end $$;

-- The deltas of the snapshots (oldest first) and then one more, newest wins, as one delta; removals are kept or carried out.
create function snapshot_merge(snaps int8[], skeys int8[], nids int8[], keep_removals bool) returns int8[]
language plpgsql as $$
declare
    merged int8[];
begin
    if cardinality(skeys) = 1 and cardinality(snaps) = 0 and (keep_removals or nids[1] <> 0) then
        return skeys || nids;
    end if;
    select array_agg(skey order by skey) || array_agg(nid order by skey) into merged
    from (select distinct on (skey) skey, nid
          from (select o, u.skey, u.nid
                from unnest(snaps) with ordinality c(snap, o)
                join snapshot s on s.snap_nid = c.snap,
                unnest(s.delta[:cardinality(s.delta) / 2], s.delta[cardinality(s.delta) / 2 + 1:]) u(skey, nid)
                union all
                select 2147483647, u.skey, u.nid from unnest(skeys, nids) u(skey, nid)) every
          order by skey, o desc) newest
    where keep_removals or nid <> 0;
    return coalesce(merged, '{}');
end $$;

-- One entry of a delta; null if the delta says nothing of the key.
create function delta_entry(delta int8[], skey int8) returns int8 language plpgsql immutable as $$
declare
    at int4 := array_position(delta, skey);
begin
    return case when at <= cardinality(delta) / 2 then delta[at + cardinality(delta) / 2] end;
end $$;

-- ------------------------------------------------------------------------------------------------- storing a batch
-- status   0 stored; 1 the room has moved on: ver and what follows say where to; 2 some transaction ids are known:
--          known_at (their places in the batch) and known_id (the events they made); 3 no such room; 4 the alias is taken
-- Whatever is not 0 has stored nothing.

create type persisted as (
    status int4, room_nid int8, ver int8, snap_nid int8, depth int8, heads int8[], head_ids bytea[],
    joined int4, invited int4, state_redacted int8,
    nids int8[],                 -- of the events
    snaps int8[],                -- of the snapshots
    known_at int4[], known_id bytea[]
);

-- persist_messages(): plain messages on top of the room's state, each following the one before. In 0011_persist_many.sql.
-- persist_batch(): anything. In 0012_outliers.sql.

-- Status 2 and the events already made, if one of the transaction ids is known.
create function txn_known(r persisted, p_device int8[], p_txn text[], p_scope text[]) returns persisted language plpgsql as $$
begin
    select array_agg(u.o::int4 order by u.o), array_agg(e.event_id order by u.o) into r.known_at, r.known_id
        from unnest(p_device, p_txn, p_scope) with ordinality u(device, txn, scope, o),
        lateral (select t.nid from txn t where t.device_nid = u.device and t.txn_id = u.txn and t.scope = u.scope limit 1) t,
        lateral (select x.event_id from event x where x.nid = t.nid limit 1) e
        where u.txn is not null;
    if r.known_at is not null then
        r.status := 2;
    end if;
    return r;
end $$;

-- A room that begins. ver 0: the batch that follows makes it 1. Null if the alias is taken.
create function room_begin(p_room_id text, p_version int4, p_published bool, p_alias text, p_creator int8, p_now int8) returns int8
language plpgsql as $$
declare
    made int8;
begin
    if p_alias is not null and exists (select from room_alias where alias = p_alias) then
        return null;
    end if;
    insert into room (room_id, version, published) values (p_room_id, p_version, p_published) returning room_nid into made;
    if p_alias is not null then
        insert into room_alias (alias, room_nid, creator_nid, created_ts) values (p_alias, made, p_creator, p_now);
    end if;
    return made;
end $$;

-- Mirrors of the current state: cur_state, and for each user whose membership changed the member row, the counters of the
-- room and those of the servers in it. Membership numbers: core/history_visibility.h (1 invite, 2 join, 3 knock).
create function mirror_state(p_room int8, p_skey int8[], p_nid int8[]) returns void language plpgsql as $$
begin
    insert into cur_state (room_nid, skey_nid, nid)
        select p_room, u.skey, u.nid from unnest(p_skey, p_nid) u(skey, nid) where u.nid <> 0
        on conflict (room_nid, skey_nid) do update set nid = excluded.nid;
    if 0 = any(p_nid) then
        delete from cur_state c using unnest(p_skey, p_nid) u(skey, nid) where u.nid = 0 and c.room_nid = p_room and c.skey_nid = u.skey;
    end if;
end $$;

create function mirror_members(p_room int8, p_user int8[], p_membership int4[], p_nid int8[], p_stream int8[]) returns void
language plpgsql as $$
declare
    server record;
begin
    for server in
        with new as materialized (
            select u.user_nid, u.membership, u.nid, u.stream, x.server_nid, x.local, m.membership as was
            from unnest(p_user, p_membership, p_nid, p_stream) u(user_nid, membership, nid, stream)
            join mxid x on x.user_nid = u.user_nid
            left join member m on m.room_nid = p_room and m.user_nid = u.user_nid),
        put as (
            insert into member (room_nid, user_nid, membership, nid, stream, local)
                select p_room, user_nid, membership, nid, stream, local from new
                on conflict (room_nid, user_nid) do update set membership = excluded.membership, nid = excluded.nid,
                    stream = excluded.stream, forgotten = member.forgotten and excluded.membership not in (1, 2, 3))
        select server_nid, bool_or(local) as local,
            count(*) filter (where membership = 2) - count(*) filter (where was = 2) as joined,
            count(*) filter (where membership = 1) - count(*) filter (where was = 1) as invited
        from new group by server_nid
    loop
        continue when server.joined = 0 and server.invited = 0;
        update room set joined = joined + server.joined, invited = invited + server.invited,
            local_joined = local_joined + case when server.local then server.joined else 0 end where room_nid = p_room;
        continue when server.joined = 0;
        insert into room_server (server_nid, room_nid, joined) values (server.server_nid, p_room, server.joined)
            on conflict (server_nid, room_nid) do update set joined = room_server.joined + excluded.joined;
        delete from room_server where server_nid = server.server_nid and room_nid = p_room and joined <= 0;
    end loop;
end $$;
