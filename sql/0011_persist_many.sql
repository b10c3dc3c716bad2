-- SPDX-License-Identifier: Apache-2.0
-- Messages of several rooms in one transaction. Owner: mod_matrix/room, store/persist*.c

-- Plain messages on top of the room's state, each following the one before. Few statements: each costs more to start than to run.
create or replace function persist_messages(
    p_room int8, p_ver int8, p_id bytea[], p_pdu bytea[], p_ts int8[], p_depth int8[], p_sender int8[], p_type int4[], p_flags int4,
    p_device int8[], p_txn text[], p_scope text[]) returns persisted language plpgsql as $$
declare
    r    persisted;
    n    int4 := cardinality(p_id);
    last int8;
begin
    select 0, room_nid, room.ver, room.snap_nid, room.depth, room.heads, room.head_ids, room.joined, room.invited, room.state_redacted
        into r from room where room_nid = p_room for no key update;
    if r.room_nid is null then
        r.status := 3;
        return r;
    end if;
    if cardinality(p_txn) > 0 and exists (
        select from unnest(p_device, p_txn, p_scope) u(device, txn, scope),
        lateral (select from txn t where t.device_nid = u.device and t.txn_id = u.txn and t.scope = u.scope limit 1) t) then
        return txn_known(r, p_device, p_txn, p_scope);
    end if;
    if r.ver <> p_ver then
        r.status := 1;
        return r;
    end if;
    -- as stream_next_n(), without the calls: this is the path that every message takes
    perform pg_advisory_xact_lock_shared((77::int8 << 48) | last_value) from stream_seq;
    for i in 1..n loop
        r.nids[i] := nextval('stream_seq');
    end loop;
    last := r.nids[n];
    insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, flags, event_id, pdu)
        select u.nid, p_room, u.nid, u.ts, r.snap_nid, u.sender, u.depth, u.type, p_flags, u.id, u.pdu
        from unnest(r.nids, p_ts, p_sender, p_depth, p_type, p_id, p_pdu) u(nid, ts, sender, depth, type, id, pdu);
    if cardinality(p_txn) > 0 then
        insert into txn (device_nid, txn_id, scope, nid)
            select u.device, u.txn, u.scope, u.nid from unnest(p_device, p_txn, p_scope, r.nids) u(device, txn, scope, nid)
            where u.txn is not null;
    end if;
    r.ver := r.ver + 1;
    r.depth := p_depth[n];
    r.heads := array[last];
    r.head_ids := p_id[n:n];
    update room set ver = r.ver, depth = r.depth, heads = r.heads, head_ids = r.head_ids, last_stream = last where room_nid = p_room;
    return r;
end $$;

-- persist_messages() for several rooms at once: one row for each, in their order. A room that has moved on, or where a transaction
-- id is known, stores nothing and says so; the others do not mind. p_room ascends, each room once: so nobody waits in a circle.
-- p_at: the place of each event's room; p_end: where a room's events end. Joins must find rows by key, however small the tables
-- are when the plan is made: it is kept.
create function persist_messages_many(
    p_room int8[], p_ver int8[], p_flags int4[], p_end int4[], p_at int4[],
    p_id bytea[], p_pdu bytea[], p_ts int8[], p_depth int8[], p_sender int8[], p_type int4[],
    p_device int8[], p_txn text[], p_scope text[]) returns setof persisted language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    r       persisted;
    gone    persisted;
    again   int4[];                     -- places of rooms where a transaction id is known
    at      int4 := 0;
    from_at int4;
    to_at   int4;
    nids    int8[];                     -- of all events; null where none is stored
    snaps   int8[];                     -- by place
    stored  int4 := 0;                  -- events
begin
    gone.status := 3;
    -- Before the rooms are locked: an id that comes up in between came with a new version of its room, and that is seen.
    if cardinality(p_txn) > 0 then
        select array_agg(u.at) into again from unnest(p_at, p_device, p_txn, p_scope) u(at, device, txn, scope),
            lateral (select from txn t where t.device_nid = u.device and t.txn_id = u.txn and t.scope = u.scope limit 1) t;
    end if;
    for r in select 0, room_nid, room.ver, room.snap_nid, room.depth, room.heads, room.head_ids, room.joined, room.invited,
                 room.state_redacted from room where room_nid = any(p_room) order by room_nid for no key update loop
        at := at + 1;
        while p_room[at] < r.room_nid loop
            return next gone;
            at := at + 1;
        end loop;
        from_at := coalesce(p_end[at - 1], 0) + 1;
        to_at := p_end[at];
        if at = any(again) then
            r := txn_known(r, p_device[from_at:to_at], p_txn[from_at:to_at], p_scope[from_at:to_at]);
        elsif r.ver <> p_ver[at] then
            r.status := 1;
        else
            if stored = 0 then
                nids := array_fill(null::int8, array[cardinality(p_id)]);
                snaps := array_fill(null::int8, array[cardinality(p_room)]);
                perform pg_advisory_xact_lock_shared((77::int8 << 48) | last_value) from stream_seq;
            end if;
            for i in from_at..to_at loop
                nids[i] := nextval('stream_seq');
            end loop;
            snaps[at] := r.snap_nid;
            stored := stored + 1 + to_at - from_at;
            r.nids := nids[from_at:to_at];
            r.ver := r.ver + 1;
            r.depth := p_depth[to_at];
            r.heads := array[nids[to_at]];
            r.head_ids := p_id[to_at:to_at];
        end if;
        return next r;
    end loop;
    while at < cardinality(p_room) loop
        return next gone;
        at := at + 1;
    end loop;
    if stored = 0 then
        return;
    end if;
    insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, flags, event_id, pdu)
        select u.nid, p_room[u.at], u.nid, u.ts, snaps[u.at], u.sender, u.depth, u.type, p_flags[u.at], u.id, u.pdu
        from unnest(nids, p_at, p_ts, p_sender, p_depth, p_type, p_id, p_pdu) u(nid, at, ts, sender, depth, type, id, pdu)
        where u.nid is not null;
    if cardinality(p_txn) > 0 then
        insert into txn (device_nid, txn_id, scope, nid)
            select u.device, u.txn, u.scope, u.nid from unnest(p_device, p_txn, p_scope, nids) u(device, txn, scope, nid)
            where u.txn is not null and u.nid is not null;
    end if;
    update room set ver = room.ver + 1, depth = p_depth[u.last], heads = array[nids[u.last]], head_ids = p_id[u.last:u.last],
        last_stream = nids[u.last]
        from unnest(p_room, p_end) u(room, last) where room.room_nid = u.room and nids[u.last] is not null;
end $$;
