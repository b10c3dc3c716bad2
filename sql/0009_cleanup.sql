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
