-- SPDX-License-Identifier: Apache-2.0
-- Events known outside the DAG, and holes in it. Owner: mod_matrix/room/outlier*.c, receive*.c, store/outlier.c

-- Between the event at `ord` and the timeline event before it in order there are events that this server does not have.
create table gap (
    room_nid int8 not null,
    ord      int8 not null,
    primary key (room_nid, ord)
);

-- These two are called with a few hundred events, again and again while the tables grow: each lookup goes by its index, with all columns of
-- it, whatever the tables were when the plan was made ("offset 0" and "limit 1" keep a lookup from becoming a join).

-- Names of many events at once, sorted so that two writers do not wait for each other crosswise. State keys of members are users.
create function intern_all(p_user text[], p_server text[], p_our_server text, p_type text[], p_skey_type text[], p_skey text[]) returns void
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    insert into server (name)
        select distinct u.name from unnest(p_server) u(name) where not exists (select from server s where s.name = u.name)
        order by 1 on conflict do nothing;
    insert into mxid (mxid, server_nid, local)
        select distinct u.id, s.server_nid, u.name = p_our_server from unnest(p_user, p_server) u(id, name) join server s on s.name = u.name
        where not exists (select from mxid x where x.mxid = u.id offset 0) order by 1 on conflict do nothing;
    insert into ev_type (type)
        select distinct u.type from unnest(p_type) u(type) where not exists (select from ev_type t where t.type = u.type)
        order by 1 on conflict do nothing;
    insert into skey (type_nid, state_key)
        select distinct t.type_nid, u.key from unnest(p_skey_type, p_skey) u(type, key) join ev_type t on t.type = u.type
        where not exists (select from skey k where k.type_nid = t.type_nid and k.state_key = u.key offset 0) order by 1, 2 on conflict do nothing;
end $$;

-- Stores events without a place: no state, order 0. Auth events come before what they authorise, in the list or in the table; their
-- numbers are smaller for it. What is there already stays as it is. Names are interned before. Returns how many are new.
-- The room's row is locked because numbers of state events of a room must become visible in their order (room/auth_dag.c).
create function outliers_add(
    p_room int8, p_id bytea[], p_pdu bytea[], p_ts int8[], p_depth int8[], p_sender text[], p_type text[], p_state_key text[],
    p_flags int4[], p_auth bytea[], p_auth_end int4[]) returns int4
language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    fresh int4[];
    drawn int8[];
    nids  int8[];                -- of the events; null for one that is there
begin
    perform from room where room_nid = p_room for no key update;
    fresh := array(select u.i::int4 from unnest(p_id) with ordinality u(id, i)
                   where not exists (select from event e where e.event_id = u.id offset 0) order by u.i);
    if cardinality(fresh) = 0 then
        return 0;
    end if;
    drawn := stream_next_n(cardinality(fresh));
    nids := array_fill(null::int8, array[cardinality(p_id)]);
    for i in 1..cardinality(fresh) loop
        nids[fresh[i]] := drawn[i];
    end loop;
    insert into event (nid, room_nid, ord, ts, sender_nid, depth, type_nid, flags, event_id, pdu)
        select u.nid, p_room, 0, u.ts, x.user_nid, u.depth, t.type_nid, u.flags, u.id, u.pdu
        from unnest(nids, p_id, p_pdu, p_ts, p_depth, p_sender, p_type, p_flags) u(nid, id, pdu, ts, depth, sender, type, flags)
        join mxid x on x.mxid = u.sender join ev_type t on t.type = u.type where u.nid is not null;
    insert into state_event (nid, room_nid, skey_nid, auth_nids)
        select u.nid, p_room, k.skey_nid,
            array(select e.nid from unnest(p_auth[coalesce(p_auth_end[u.i - 1], 0) + 1:u.auth_end]) with ordinality a(id, o)
                  join event e on e.event_id = a.id and e.room_nid = p_room order by a.o)
        from unnest(nids, p_type, p_state_key, p_auth_end) with ordinality u(nid, type, state_key, auth_end, i)
        join ev_type t on t.type = u.type,
        lateral (select skey_nid from skey where type_nid = t.type_nid and state_key = u.state_key limit 1) k
        where u.nid is not null and u.state_key is not null;
    return cardinality(fresh);
end $$;

-- An outlier gets the state that another server says was there before it: others may follow it, it is not shown. False: it is no
-- outlier any more.
create function outlier_ground(p_room int8, p_nid int8, p_flags int4, p_before int8, p_after int8, p_replaces int8) returns bool
language plpgsql as $$
begin
    perform from room where room_nid = p_room for no key update;
    perform snapshot_keep(p_room, array[p_before, p_after]);
    update event set snap_nid = p_before, flags = (flags & ~4) | p_flags where nid = p_nid and room_nid = p_room and flags & 4 <> 0;
    if not found then
        return false;
    end if;
    update state_event set snap_after = nullif(p_after, 0), replaces = nullif(p_replaces, 0) where nid = p_nid;
    return true;
end $$;

-- A room of other servers, of which nothing is known yet but the name; or the one that is there.
create function room_expect(p_room_id text, p_version int4) returns int8 language plpgsql as $$
begin
    insert into room (room_id, version)
        select p_room_id, p_version where not exists (select from room where room_id = p_room_id) on conflict do nothing;
    return (select room_nid from room where room_id = p_room_id);
end $$;

-- The list newest first, as before; a long one (a state from outside) is not copied again for each of its entries.
create or replace function delta_of(skeys int8[], nids int8[]) returns bytea language plpgsql immutable as $$
declare
    packed bytea := '';
begin
    for i in 1..cardinality(skeys) loop
        if skeys[i] <= 0 or skeys[i] >> 40 <> 0 or nids[i] >> 40 <> 0 then
            raise exception 'entry (%, %) of a state cannot be packed', skeys[i], nids[i];
        end if;
        if cardinality(skeys) <= 16 then
            packed := substr(int8send(skeys[i]), 4) || substr(int8send(nids[i]), 4) || packed;
        end if;
    end loop;
    if cardinality(skeys) <= 16 then
        return packed;
    end if;
    return (select string_agg(substr(int8send(u.skey), 4) || substr(int8send(u.nid), 4), ''::bytea order by u.i desc)
            from unnest(skeys, nids) with ordinality u(skey, nid, i));
end $$;

-- Anything: state, memberships, redactions, new rooms, several heads. p_room 0 makes the room (the p_begin_* say how). Snapshots that a
-- caller remembers are kept from a clean-up, or refused (SQLSTATE 40001).
-- An event with the outlier's flag (4) is one that is stored as an outlier. Its row gets a place: state and an order of its own, a new
-- position of the stream; its number stays, for other events name it as their auth event.
-- Lists of lists travel flat: x and where each list ends in it (x_end).
create or replace function persist_batch(
    p_room int8, p_ver int8,
    p_id bytea[], p_pdu bytea[], p_ts int8[], p_depth int8[], p_sender int8[], p_type int4[], p_flags int4[],
    p_before int8[],                                                -- the state before each event: snapshot references
    p_device int8[], p_txn text[], p_scope text[],
    p_skey int8[], p_replaces int8[], p_after int8[],               -- state events; skey 0: none. References to event and snapshot
    p_auth int8[], p_auth_end int4[],                               -- event references
    p_snap_pred int8[], p_snap_size int4[], p_snap_hash bytea[],    -- new snapshots
    p_change_skey int8[], p_change_nid int8[], p_change_end int4[], -- what each changes; event references
    p_heads int8[], p_head_ids bytea[], p_head_depth int8,          -- the room afterwards: event references …
    p_snap int8,                                                    -- … and a snapshot reference
    p_log_event int8[], p_log_snap int8[],                          -- room_state_log: since which event which snapshot was current
    p_cur_skey int8[], p_cur_nid int8[],
    p_user int8[], p_membership int4[], p_member_event int8[], p_member_since int8[],
    p_redacted int8[], p_redacted_pdu bytea[], p_redacted_by int8[],
    p_begin_id text, p_begin_version int4, p_begin_published bool, p_begin_alias text, p_begin_creator int8, p_begin_ts int8)
returns persisted language plpgsql as $$
declare
    r       persisted;
    n       int4 := cardinality(p_id);
    v_room  int8 := p_room;
    from_at int4 := 1;
    ords    int8[];              -- positions of the events; r.nids: their numbers
    named   int8[];
begin
    if v_room = 0 then
        v_room := room_begin(p_begin_id, p_begin_version, p_begin_published, p_begin_alias, p_begin_creator, p_begin_ts);
        if v_room is null then
            r.status := 4;
            return r;
        end if;
    end if;
    select 0, room_nid, room.ver, room.snap_nid, room.depth, room.heads, room.head_ids, room.joined, room.invited, room.state_redacted
        into r from room where room_nid = v_room for no key update;
    if r.room_nid is null then
        r.status := 3;
        return r;
    end if;
    if cardinality(p_txn) > 0 then
        r := txn_known(r, p_device, p_txn, p_scope);
    end if;
    if r.status = 0 and r.ver <> p_ver then
        r.status := 1;
    end if;
    if r.status <> 0 then
        return r;
    end if;

    -- What the caller names by memory, which is neither the current snapshot (the row that is locked names it) nor made here.
    named := array(select u.snap from unnest(p_before || p_after || p_log_snap || p_snap) u(snap)
                   where u.snap > 0 and u.snap is distinct from r.snap_nid);
    if cardinality(named) > 0 then
        perform snapshot_keep(v_room, named);
    end if;

    ords := stream_next_n(n);
    r.nids := ords;
    for i in 1..n loop
        if p_flags[i] & 4 <> 0 then
            r.nids[i] := coalesce((select nid from event where event_id = p_id[i] and room_nid = v_room and flags & 4 <> 0), ords[i]);
        end if;
    end loop;
    r.snaps := '{}';
    for i in 1..cardinality(p_snap_pred) loop
        r.snaps[i] := snapshot_add(v_room, of_batch(p_snap_pred[i], r.snaps), p_change_skey[from_at:p_change_end[i]],
                                   of_batch_all(p_change_nid[from_at:p_change_end[i]], r.nids), p_snap_size[i], p_snap_hash[i]);
        from_at := p_change_end[i] + 1;
    end loop;

    insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, flags, event_id, pdu)
        select u.nid, v_room, u.ord, u.ts, of_batch_or_null(u.before, r.snaps), u.sender, u.depth, u.type, u.flags, u.id, u.pdu
        from unnest(r.nids, ords, p_ts, p_before, p_sender, p_depth, p_type, p_flags, p_id, p_pdu)
            u(nid, ord, ts, before, sender, depth, type, flags, id, pdu)
        on conflict (nid) do update set ord = excluded.ord, snap_nid = excluded.snap_nid, flags = (excluded.flags & ~4) | (event.flags & 8),
            pdu = case when event.flags & 8 <> 0 then event.pdu else excluded.pdu end;
    insert into state_event (nid, room_nid, skey_nid, auth_nids, replaces, snap_after)
        select u.nid, v_room, u.skey, of_batch_all(p_auth[coalesce(p_auth_end[u.i - 1], 0) + 1:u.auth_end], r.nids),
            of_batch_or_null(u.replaces, r.nids), of_batch_or_null(u.after, r.snaps)
        from unnest(r.nids, p_skey, p_replaces, p_after, p_auth_end) with ordinality u(nid, skey, replaces, after, auth_end, i)
        where u.skey <> 0
        on conflict (nid) do update set replaces = excluded.replaces, snap_after = excluded.snap_after;
    insert into txn (device_nid, txn_id, scope, nid)
        select u.device, u.txn, u.scope, u.nid from unnest(p_device, p_txn, p_scope, r.nids) u(device, txn, scope, nid)
        where u.txn is not null;

    r.snap_nid := of_batch_or_null(p_snap, r.snaps);
    r.heads := of_batch_all(p_heads, r.nids);
    update room set ver = room.ver + 1, snap_nid = r.snap_nid, depth = p_head_depth, heads = r.heads, head_ids = p_head_ids,
        last_stream = ords[n] where room_nid = v_room;
    insert into room_state_log (room_nid, stream, snap_nid)
        select v_room, of_batch(u.event, ords), of_batch(u.snap, r.snaps) from unnest(p_log_event, p_log_snap) u(event, snap);
    if cardinality(p_cur_skey) > 0 then
        perform mirror_state(v_room, p_cur_skey, of_batch_all(p_cur_nid, r.nids));
    end if;
    if cardinality(p_user) > 0 then
        perform mirror_members(v_room, p_user, p_membership, of_batch_all(p_member_event, r.nids), of_batch_all(p_member_since, ords));
    end if;
    if cardinality(p_redacted) > 0 then
        update event e set pdu = u.pdu, flags = e.flags | 8, redacted_by = of_batch(u.by_event, r.nids)
            from unnest(p_redacted, p_redacted_pdu, p_redacted_by) u(nid, pdu, by_event)
            where e.nid = u.nid and e.room_nid = v_room and e.redacted_by is null;
        update room set state_redacted = ords[n] where room_nid = v_room
            and exists (select from state_event s where s.nid = any(p_redacted));
    end if;
    select room.ver, room.depth, room.head_ids, room.joined, room.invited, room.state_redacted
        into r.ver, r.depth, r.head_ids, r.joined, r.invited, r.state_redacted from room where room_nid = v_room;
    return r;
end $$;
