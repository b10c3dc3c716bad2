-- SPDX-License-Identifier: Apache-2.0
-- Background work by leases, and the clean-up that it does. Owner: mod_matrix/server/runner.c, cleanup.c; store/lease.c, cleanup.c, state_gc.c

-- Who does which background work. One holder at a time, for as long as `until` says; one that ran out is anybody's.
create table lease (
    name   text collate "C" primary key,
    holder text collate "C",                     -- null: nobody
    until  timestamptz not null default '-infinity',
    due    timestamptz not null default now(),   -- when it is to be done next; 'infinity' while somebody does it, unless more came
    fails  int4 not null default 0               -- in a row
) with (fillfactor = 50);                        -- updates stay HOT

-- Rooms that may have snapshots which nothing names, and when to look. Written by whatever takes names away.
create table snapshot_waste (
    room_nid int8 primary key,
    due      timestamptz not null
);
create index on snapshot_waste (due);

-- ------------------------------------------------------------------------------------------- what gives snapshots up
create or replace function snapshot_named_less() returns trigger language plpgsql as $$
begin
    delete from snapshot_sweep where step < 3 and room_nid in (select distinct room_nid from gone);
    insert into snapshot_waste (room_nid, due) select distinct room_nid, now() from gone on conflict do nothing;
    update room set ver = ver + 1 where room_nid in (select distinct room_nid from gone);
    return null;
end $$;
create or replace function snapshot_named_otherwise() returns trigger language plpgsql as $$
begin
    delete from snapshot_sweep where step < 3 and room_nid = old.room_nid;
    insert into snapshot_waste (room_nid, due) values (old.room_nid, now()) on conflict do nothing;
    return null;
end $$;

-- A state by itself, for events that are not stored yet. If they never are, nothing names it: looked for a day later.
create function snapshot_add_alone(p_room int8, pred int8, skeys int8[], nids int8[], p_size int4, p_hash bytea) returns int8
language plpgsql as $$
declare
    newest int8;
    made   int8;
begin
    perform from room where room_nid = p_room for no key update;
    if not found then
        return null;
    end if;
    select coalesce(max(snap_nid), 0) into newest from snapshot;
    made := snapshot_add(p_room, pred, skeys, nids, p_size, p_hash);
    if made > newest then
        insert into snapshot_waste (room_nid, due) values (p_room, now() + interval '1 day') on conflict do nothing;
    end if;
    return made;
end $$;

-- ---------------------------------------------------------------------------------------------------- taking away
-- True for a snapshot that a clean-up is about to delete: its ancestors may be gone before it, and it reads as another state. Whoever
-- has read a snapshot that nothing names asks this afterwards, and that the snapshot is still there.
create function snapshot_is_going(p_room int8, snap int8) returns bool language sql stable
    return exists (select from snapshot_sweep s where s.room_nid = p_room and s.step = 3 and snap <= s.upto
        and not exists (select from snapshot_mark m where m.room_nid = p_room and m.snap_nid = snap));

-- One step (snapshot_collect()) in the next room that needs it: one that was begun, or else the one that waits longest. room: null if
-- there is none. A room's note goes in the transaction that begins its clean-up, so that no crash loses it.
create function snapshot_collect_next(p_limit int4, out room int8, out done bool, out removed int4) language plpgsql as $$
begin
    select s.room_nid into room from snapshot_sweep s order by s.room_nid limit 1;
    if room is null then
        select w.room_nid into room from snapshot_waste w where w.due <= now() order by w.due limit 1;
        if room is null then
            return;
        end if;
        perform from room r where r.room_nid = room for no key update;      -- before the note, as whoever writes one does
        delete from snapshot_waste w where w.room_nid = room;
        if not found then        -- another has begun it meanwhile
            done := false;
            removed := 0;
            return;
        end if;
    end if;
    select c.done, c.removed into done, removed from snapshot_collect(room, p_limit) c;
    if done then         -- results that are remembered and are no more
        delete from stres_memo m where m.room_nid = room and not exists (select from snapshot s where s.snap_nid = m.result);
    end if;
end $$;

-- Results of resolutions are remembered for some time only.
alter table stres_memo add column day date not null default current_date;
create index on stres_memo (day);

-- -------------------------------------------------------------------------------------------------------- storing
-- As in 0005_persist.sql, and snapshots that a caller remembers are kept from a clean-up, or refused (SQLSTATE 40001).
-- Anything: state, memberships, redactions, new rooms, several heads. p_room 0 makes the room (the p_begin_* say how).
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

    r.nids := stream_next_n(n);
    r.snaps := '{}';
    for i in 1..cardinality(p_snap_pred) loop
        r.snaps[i] := snapshot_add(v_room, of_batch(p_snap_pred[i], r.snaps), p_change_skey[from_at:p_change_end[i]],
                                   of_batch_all(p_change_nid[from_at:p_change_end[i]], r.nids), p_snap_size[i], p_snap_hash[i]);
        from_at := p_change_end[i] + 1;
    end loop;

    insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, flags, event_id, pdu)
        select u.nid, v_room, u.nid, u.ts, of_batch_or_null(u.before, r.snaps), u.sender, u.depth, u.type, u.flags, u.id, u.pdu
        from unnest(r.nids, p_ts, p_before, p_sender, p_depth, p_type, p_flags, p_id, p_pdu)
            u(nid, ts, before, sender, depth, type, flags, id, pdu);
    insert into state_event (nid, room_nid, skey_nid, auth_nids, replaces, snap_after)
        select u.nid, v_room, u.skey, of_batch_all(p_auth[coalesce(p_auth_end[u.i - 1], 0) + 1:u.auth_end], r.nids),
            of_batch_or_null(u.replaces, r.nids), of_batch_or_null(u.after, r.snaps)
        from unnest(r.nids, p_skey, p_replaces, p_after, p_auth_end) with ordinality u(nid, skey, replaces, after, auth_end, i)
        where u.skey <> 0;
    insert into txn (device_nid, txn_id, scope, nid)
        select u.device, u.txn, u.scope, u.nid from unnest(p_device, p_txn, p_scope, r.nids) u(device, txn, scope, nid)
        where u.txn is not null;

    r.snap_nid := of_batch_or_null(p_snap, r.snaps);
    r.heads := of_batch_all(p_heads, r.nids);
    update room set ver = room.ver + 1, snap_nid = r.snap_nid, depth = p_head_depth, heads = r.heads, head_ids = p_head_ids,
        last_stream = r.nids[n] where room_nid = v_room;
    insert into room_state_log (room_nid, stream, snap_nid)
        select v_room, of_batch(u.event, r.nids), of_batch(u.snap, r.snaps) from unnest(p_log_event, p_log_snap) u(event, snap);
    if cardinality(p_cur_skey) > 0 then
        perform mirror_state(v_room, p_cur_skey, of_batch_all(p_cur_nid, r.nids));
    end if;
    if cardinality(p_user) > 0 then
        perform mirror_members(v_room, p_user, p_membership, of_batch_all(p_member_event, r.nids), of_batch_all(p_member_since, r.nids));
    end if;
    if cardinality(p_redacted) > 0 then
        update event e set pdu = u.pdu, flags = e.flags | 8, redacted_by = of_batch(u.by_event, r.nids)
            from unnest(p_redacted, p_redacted_pdu, p_redacted_by) u(nid, pdu, by_event)
            where e.nid = u.nid and e.room_nid = v_room and e.redacted_by is null;
        update room set state_redacted = r.nids[n] where room_nid = v_room
            and exists (select from state_event s where s.nid = any(p_redacted));
    end if;
    select room.ver, room.depth, room.head_ids, room.joined, room.invited, room.state_redacted
        into r.ver, r.depth, r.head_ids, r.joined, r.invited, r.state_redacted from room where room_nid = v_room;
    return r;
end $$;
