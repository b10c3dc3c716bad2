-- SPDX-License-Identifier: Apache-2.0
-- Snapshots packed: lists of numbers as bytes. How they are made, read by the key, and taken away. Owner: mod_matrix/store/state*.c
--
-- A number (nid) takes 5 bytes, big-endian, so that packed numbers sort as bytes do. An entry is a skey and the nid of
-- its event (0: removed): 10 bytes. A delta is its entries, newest first; where a key comes twice the first one says what holds. So a
-- delta that spans several others is those in a row, newest first: bytes are copied, nothing is decoded or sorted.
-- A snapshot without ancestors is stored whole: sorted by skey, no key twice, no removals.
--
-- idx counts the changes since the room began. A snapshot's parent is the one whose index is the same without its lowest bit
-- (5 = 101b, 4 = 100b), so a change is repeated in 8 deltas on average among 100,000, and a state is 17 rows at most.

create function number_pack(n int8) returns bytea language sql immutable strict
    return substr(int8send(n), 4);
create function number_at(packed bytea, at int4) returns int8 language sql immutable strict
    return (get_byte(packed, at)::int8 << 32) + (get_byte(packed, at + 1)::int8 << 24)
        + ((get_byte(packed, at + 2) << 16) + (get_byte(packed, at + 3) << 8) + get_byte(packed, at + 4));

-- The snapshots whose deltas make a state, root first: its ancestors and itself.
create function snapshot_chain(anc bytea, snap int8) returns int8[] language plpgsql immutable strict as $$
declare
    chain int8[] := '{}';
begin
    for i in 0..octet_length(anc) / 5 - 1 loop
        chain := chain || number_at(anc, i * 5);
    end loop;
    return chain || snap;
end $$;

-- Where a state is looked for: 24 bits of the hash below the room, in one number to keep the index small.
create function snapshot_slot(room int8, hash bytea) returns int8 language sql immutable strict
    return (room << 24) + ((get_byte(hash, 0) << 16) + (get_byte(hash, 1) << 8) + get_byte(hash, 2));

-- ------------------------------------------------------------------------------------------------ what is there already
create function delta_pack(delta int8[]) returns bytea language sql immutable
    return (select coalesce(string_agg(number_pack(u.skey) || number_pack(u.nid), ''::bytea order by u.skey), '')
            from unnest(delta[:cardinality(delta) / 2], delta[cardinality(delta) / 2 + 1:]) u(skey, nid));
create function chain_pack(anc int8[]) returns bytea language sql immutable
    return (select coalesce(string_agg(number_pack(u.snap), ''::bytea order by u.o), '')
            from unnest(anc) with ordinality u(snap, o));
drop index snapshot_room_nid_hash_idx;
drop function snapshot_add(int8, int8, int8[], int8[], int4, bytea);
drop function snapshot_merge(int8[], int8[], int8[], bool);
drop function snapshot_parent(int4);
drop function delta_entry(int8[], int8);
alter table snapshot alter column anc type bytea using chain_pack(anc), alter column delta type bytea using delta_pack(delta);
alter table snapshot alter column delta set storage external;       -- numbers do not compress, and parts are read without the rest
alter table snapshot alter column anc set storage main;
drop function delta_pack(int8[]);
drop function chain_pack(int8[]);
create index snapshot_slot_idx on snapshot (snapshot_slot(room_nid, hash));

-- ------------------------------------------------------------------------------------------------------------- writing
-- The entries as they are written; the last of the lists is the newest.
create function delta_of(skeys int8[], nids int8[]) returns bytea language plpgsql immutable as $$
declare
    packed bytea := '';
begin
    for i in 1..cardinality(skeys) loop
        if skeys[i] <= 0 or skeys[i] >> 40 <> 0 or nids[i] >> 40 <> 0 then
            raise exception 'entry (%, %) of a state cannot be packed', skeys[i], nids[i];
        end if;
        packed := substr(int8send(skeys[i]), 4) || substr(int8send(nids[i]), 4) || packed;
    end loop;
    return packed;
end $$;

-- The whole state that deltas in a row (newest first) make.
create function delta_whole(deltas bytea) returns bytea language sql immutable
    return (select coalesce(string_agg(substr(deltas, at, 10), ''::bytea order by skey), '')
            from (select distinct on (skey) skey, at
                  from (select at, substr(deltas, at, 5) as skey from generate_series(1, octet_length(deltas), 10) at) every
                  order by skey, at) newest
            where substr(deltas, at + 5, 5) <> '\x0000000000');

-- Stores the state that is `pred` (0: empty) with some entries changed, and returns its nid. `size` and `hash` are those of
-- the whole. A state that the room has had before, on whatever branch, is the snapshot it was then. To be called by whoever holds
-- the lock of the room's row.
create function snapshot_add(p_room int8, pred int8, skeys int8[], nids int8[], p_size int4, p_hash bytea) returns int8
language plpgsql as $$
declare
    packed  bytea;
    chain   bytea := '';        -- pred and its ancestors
    new_idx int4 := 1;
    kept    int4 := 0;          -- how many of the chain are ancestors of the new one
    idxs    int4[];             -- of the chain
    sizes   int4[];             -- entries of its deltas
    entries int4;
    made    int8;
begin
    select snap_nid into made from snapshot
        where snapshot_slot(room_nid, hash) = snapshot_slot(p_room, p_hash) and room_nid = p_room and hash = p_hash and size = p_size limit 1;
    if found and snapshot_marks(p_room, array[made]) then
        return made;
    end if;
    packed := delta_of(skeys, nids);
    entries := cardinality(skeys);
    if pred <> 0 then
        select idx + 1, anc || number_pack(snap_nid) into new_idx, chain from snapshot where snap_nid = pred;
        if not found or not snapshot_marks(p_room, array[pred]) then
            raise exception using errcode = 'serialization_failure', message = 'the state before is gone';
        end if;
        kept := octet_length(chain) / 5;
        if new_idx % 2 = 0 then      -- else pred is the parent
            select array_agg(s.idx order by s.idx), array_agg(octet_length(s.delta) / 10 order by s.idx) into idxs, sizes
                from snapshot s where s.snap_nid = any(snapshot_chain(substr(chain, 1, octet_length(chain) - 5), pred));
            -- The root stays, even where one stored whole has cut off those below it.
            while kept > 1 and idxs[kept] > (new_idx & (new_idx - 1)) loop
                entries := entries + sizes[kept];
                kept := kept - 1;
            end loop;
        end if;
        if entries > p_size / 2 then      -- whole is hardly bigger, and quicker to read
            kept := 0;
        end if;
        if kept < octet_length(chain) / 5 then
            select packed || coalesce(string_agg(s.delta, ''::bytea order by s.idx desc), '') into packed
                from snapshot s where s.snap_nid = any(snapshot_chain(substr(chain, kept * 5 + 1, octet_length(chain) - kept * 5 - 5), pred));
        end if;
    end if;
    if kept = 0 then
        packed := delta_whole(packed);
    end if;
    insert into snapshot (room_nid, idx, anc, size, hash, delta)
        values (p_room, new_idx, substr(chain, 1, kept * 5), p_size, p_hash, packed) returning snap_nid into made;
    return made;
end $$;

-- ------------------------------------------------------------------------------------------------- reading by the key
-- A key's newest entry of a delta; null if there is none. `whole`: the delta is sorted.
create function delta_entry(delta bytea, skey bytea, whole bool) returns bytea language plpgsql immutable as $$
declare
    low  int4 := 0;
    high int4 := octet_length(delta) / 10;
    mid  int4;
    flat bytea;
begin
    if not whole then
        flat := delta || '';         -- read once, if it was stored out of line
        return (select substr(flat, at, 10) from generate_series(1, octet_length(flat), 10) at where substr(flat, at, 5) = skey limit 1);
    end if;
    while low < high loop            -- of what is stored out of line only the parts looked at are read
        mid := (low + high) / 2;
        if substr(delta, mid * 10 + 1, 5) < skey then
            low := mid + 1;
        else
            high := mid;
        end if;
    end loop;
    flat := substr(delta, low * 10 + 1, 10);
    return case when substr(flat, 1, 5) = skey then flat end;
end $$;

-- ------------------------------------------------------------------------------------------------------- taking away
-- A clean-up goes over a room in small steps (snapshot_collect()) and lets writers work between them. It marks the snapshots that
-- events, the log and the room name, with their ancestors, and then deletes those without a mark that were there when it began.
-- Why nothing is lost that a writer uses meanwhile:
--  * What is named when it begins is marked when it sweeps, for a reference that goes meanwhile (an event is deleted) ends the clean-up
--    by a trigger, and the next one begins anew.
--  * Writers hold the lock of the room's row and compare its version, which moves with such a deletion. So a snapshot that they know
--    of is one that is still named, unless it is found again by its hash (snapshot_add()) or is given from a memory of the writer's own
--    (snapshot_keep()). Both mark it before the sweeping, and refuse it after that: its ancestors may be gone before it.
--  * Steps hold the lock of the room's row too.
create table snapshot_sweep (
    room_nid int8 primary key,
    upto     int8 not null,          -- snapshots after this one are not looked at
    step     int2 not null default 0,          -- 0 events, 1 state events, 2 log, 3 sweeping, 4 marks go
    at       int8 not null default -9223372036854775808,    -- how far the step is: its order …
    at_nid   int8 not null default 0                        -- … and what tells equals apart
);
create table snapshot_mark (
    room_nid int8 not null,
    snap_nid int8 not null,
    primary key (room_nid, snap_nid)
);

-- Marks snapshots and their ancestors, if a clean-up of the room is under way. False: it has got to the sweeping, and one of
-- them is among those that go, in whole or in part gone already.
create function snapshot_marks(p_room int8, snaps int8[]) returns bool language plpgsql as $$
declare
    sweep snapshot_sweep;
begin
    select * into sweep from snapshot_sweep where room_nid = p_room;
    if not found or sweep.step > 3 then
        return true;
    end if;
    if sweep.step = 3 then
        return not exists (select from unnest(snaps) u(snap) where u.snap > 0 and u.snap <= sweep.upto
            and not exists (select from snapshot_mark m where m.room_nid = p_room and m.snap_nid = u.snap));
    end if;
    insert into snapshot_mark (room_nid, snap_nid)
        select distinct p_room, c.snap from snapshot s, unnest(snapshot_chain(s.anc, s.snap_nid)) c(snap)
        where s.snap_nid = any(snaps) and not exists (select from snapshot_mark m where m.room_nid = p_room and m.snap_nid = s.snap_nid)
        on conflict do nothing;
    return true;
end $$;

-- For a writer that names snapshots which it remembers, and did not read at the version of the room that it compares: they
-- stay from now on, or it is told that one is gone. References below 1 are passed over. The caller holds the lock of the room's row.
create function snapshot_keep(p_room int8, snaps int8[]) returns void language plpgsql as $$
begin
    if exists (select from unnest(snaps) u(snap) where u.snap > 0 and not exists (select from snapshot s where s.snap_nid = u.snap))
       or not snapshot_marks(p_room, snaps) then
        raise exception using errcode = 'serialization_failure', message = 'a state that was remembered is gone';
    end if;
end $$;

-- One step of the clean-up of a room, over at most p_limit rows. done: there is nothing more to do. The room may be gone; what named
-- its snapshots must be, too.
create function snapshot_collect(p_room int8, p_limit int4, out done bool, out removed int4) language plpgsql as $$
declare
    sweep  snapshot_sweep;
    named  int8[];
    seen   int4;
    low    int8 := snapshot_slot(p_room, '\x000000');
begin
    done := false;
    removed := 0;
    perform from room where room_nid = p_room for no key update;
    select * into sweep from snapshot_sweep where room_nid = p_room for update;
    if not found then
        insert into snapshot_sweep (room_nid, upto) select p_room, coalesce(max(snap_nid), 0) from snapshot returning * into sweep;
        delete from snapshot_mark where room_nid = p_room;       -- of one that was ended
        perform snapshot_marks(p_room, array(select snap_nid from room where room_nid = p_room));
    end if;
    if sweep.step = 0 then
        select array_agg(distinct snap_nid) filter (where snap_nid is not null), count(*),
            (array_agg(ord order by ord desc, nid desc))[1], (array_agg(nid order by ord desc, nid desc))[1]
            into named, seen, sweep.at, sweep.at_nid
            from (select ord, nid, snap_nid from event where room_nid = p_room and (ord, nid) > (sweep.at, sweep.at_nid)
                  order by ord, nid limit p_limit) e;
    elsif sweep.step = 1 then
        select array_agg(distinct snap_after) filter (where snap_after is not null), count(*), max(nid) into named, seen, sweep.at
            from (select nid, snap_after from state_event where room_nid = p_room and nid > sweep.at order by nid limit p_limit) s;
    elsif sweep.step = 2 then
        select array_agg(distinct snap_nid), count(*), max(stream) into named, seen, sweep.at
            from (select stream, snap_nid from room_state_log where room_nid = p_room and stream > sweep.at order by stream limit p_limit) l;
    elsif sweep.step = 3 then
        with look as (select snap_nid, snapshot_slot(room_nid, hash) as slot from snapshot
                      where snapshot_slot(room_nid, hash) between greatest(low, sweep.at) and low + 16777215
                      and (snapshot_slot(room_nid, hash), snap_nid) > (sweep.at, sweep.at_nid)
                      order by snapshot_slot(room_nid, hash), snap_nid limit p_limit),
        gone as (delete from snapshot s using look where s.snap_nid = look.snap_nid and s.snap_nid <= sweep.upto
                 and not exists (select from snapshot_mark m where m.room_nid = p_room and m.snap_nid = s.snap_nid) returning s.snap_nid)
        select count(*), (array_agg(slot order by slot desc, snap_nid desc))[1], (array_agg(snap_nid order by slot desc, snap_nid desc))[1],
            (select count(*) from gone) into seen, sweep.at, sweep.at_nid, removed from look;
    else
        with gone as (delete from snapshot_mark where (room_nid, snap_nid) in (select room_nid, snap_nid from snapshot_mark
                          where room_nid = p_room order by snap_nid limit p_limit) returning 1)
        select count(*) into seen from gone;
        done := seen < p_limit;
    end if;
    perform snapshot_marks(p_room, named);
    if done then
        delete from snapshot_sweep where room_nid = p_room;
    elsif seen < p_limit then
        update snapshot_sweep set step = sweep.step + 1, at = -9223372036854775808, at_nid = 0 where room_nid = p_room;
    else
        update snapshot_sweep set at = sweep.at, at_nid = coalesce(sweep.at_nid, 0) where room_nid = p_room;
    end if;
end $$;

create function snapshot_named_less() returns trigger language plpgsql as $$
begin
    delete from snapshot_sweep where step < 3 and room_nid in (select distinct room_nid from gone);
    update room set ver = ver + 1 where room_nid in (select distinct room_nid from gone);
    return null;
end $$;
create trigger snapshot_named_less after delete on event referencing old table as gone
    for each statement execute function snapshot_named_less();
create trigger snapshot_named_less after delete on state_event referencing old table as gone
    for each statement execute function snapshot_named_less();
create trigger snapshot_named_less after delete on room_state_log referencing old table as gone
    for each statement execute function snapshot_named_less();
create function snapshot_named_otherwise() returns trigger language plpgsql as $$
begin
    delete from snapshot_sweep where step < 3 and room_nid = old.room_nid;
    return null;
end $$;
create trigger snapshot_named_otherwise after update on event for each row
    when (old.snap_nid is distinct from new.snap_nid and old.snap_nid is not null) execute function snapshot_named_otherwise();
create trigger snapshot_named_otherwise after update on state_event for each row
    when (old.snap_after is distinct from new.snap_after and old.snap_after is not null) execute function snapshot_named_otherwise();
