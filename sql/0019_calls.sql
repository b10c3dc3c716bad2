-- SPDX-License-Identifier: Apache-2.0
-- What calls need: events that are sent later, events that all clients are told of for a while.

-- Events that are sent later (MSC4140). Owner: mod_matrix/room/delayed.c, store/delayed.c
-- All times here are the database's own: hosts may disagree on theirs.

create table delayed_event (
    nid          int8 generated always as identity primary key,
    delay_id     text collate "C" not null unique,       -- also the transaction id that the event is sent under: once, whoever sends
    user_nid     int8 not null references account on delete cascade,
    device_nid   int8 not null,                          -- who scheduled it: of txn_id
    txn_id       text collate "C",                       -- null: none
    scope        text collate "C",
    room_id      text collate "C" not null,
    type         text collate "C" not null,
    state_key    text collate "C",                       -- null: no state event
    content      bytea not null,
    sticky_ms    int8,                                   -- null: not sticky
    delay_ms     int8 not null,
    scheduled_ts int8 not null,                          -- or restarted
    attempting   bool not null default false,            -- somebody sends it just now, until attempt_ts
    attempt_ts   int8 not null default 0,                -- nobody tries before
    tries        int4 not null default 0,                -- since it was scheduled
    finalised_ts int8,                                   -- null: still scheduled
    event_id     bytea,                                  -- finalised: what it became …
    error        bytea                                   -- … or why not (JSON); neither: its user cancelled it
);
create index delayed_event_due on delayed_event (greatest(scheduled_ts + delay_ms, attempt_ts), nid) where finalised_ts is null;
create index on delayed_event (user_nid, finalised_ts);
create index on delayed_event (finalised_ts) where finalised_ts is not null;
create unique index on delayed_event (device_nid, scope, txn_id) where txn_id is not null;

create function delayed_now() returns int8 language sql volatile as $$
    select floor(extract(epoch from clock_timestamp()) * 1000)::int8;
$$;

-- The background task is due then. A row that its holder has, or that waits after a failure, is seen to by who gives it back.
create function delayed_due(p_ts int8) returns void language sql as $$
    update lease set due = to_timestamp(p_ts / 1000.0)
        where name = 'room.delayed' and fails = 0 and due > to_timestamp(p_ts / 1000.0);
$$;

-- The id under which it is scheduled: p_id, or what the same transaction was given before. Null: the user has as many as allowed, and
-- wait_ms says when the next one of them goes. The account's row keeps two of one user from counting at the same time.
create function delayed_schedule(
    p_user int8, p_device int8, p_txn text, p_scope text, p_id text, p_room text, p_type text, p_state_key text, p_content bytea,
    p_sticky int8, p_delay int8, p_max int4, p_kept int4, out id text, out wait_ms int8) language plpgsql as $$
declare
    now_ms int8;
    n      int4;
begin
    perform from account where user_nid = p_user for no key update;
    now_ms := delayed_now();
    if p_txn is not null then
        select d.delay_id into id from delayed_event d where d.device_nid = p_device and d.scope = p_scope and d.txn_id = p_txn;
        if found then
            return;
        end if;
    end if;
    select count(*), min(d.scheduled_ts + d.delay_ms) - now_ms into n, wait_ms
        from delayed_event d where d.user_nid = p_user and d.finalised_ts is null;
    if n >= p_max then
        return;
    end if;
    insert into delayed_event (delay_id, user_nid, device_nid, txn_id, scope, room_id, type, state_key, content, sticky_ms, delay_ms, scheduled_ts)
        values (p_id, p_user, p_device, p_txn, p_scope, p_room, p_type, p_state_key, p_content, p_sticky, p_delay, now_ms);
    delete from delayed_event d where d.user_nid = p_user and d.finalised_ts <= (
        select o.finalised_ts from delayed_event o where o.user_nid = p_user and o.finalised_ts is not null
        order by o.finalised_ts desc offset p_kept limit 1);
    perform delayed_due(now_ms + p_delay);
    id := p_id;
end $$;

-- What one that was tried before has become, if its sender ended before it could say so.
create function delayed_settle(p_id text) returns void language sql as $$
    update delayed_event d set finalised_ts = delayed_now(), attempting = false, event_id = e.event_id
        from txn t join event e on e.nid = t.nid
        where d.delay_id = p_id and d.finalised_ts is null and d.tries > 0 and not (d.attempting and d.attempt_ts > delayed_now())
        and t.device_nid = 0 and t.txn_id = p_id;
$$;

-- Cancels, or begins the delay anew. 0: done, or it was cancelled before; 1: the user has no such event; 2: it has ended otherwise;
-- 3: it is being sent.
create function delayed_change(p_id text, p_user int8, p_restart bool) returns int4 language plpgsql as $$
declare
    d      delayed_event;
    now_ms int8;
begin
    perform from delayed_event where delay_id = p_id and user_nid = p_user for no key update;
    if not found then
        return 1;
    end if;
    perform delayed_settle(p_id);
    now_ms := delayed_now();
    select * into d from delayed_event where delay_id = p_id;
    if d.finalised_ts is not null then
        return case when d.event_id is null and not p_restart then 0 else 2 end;
    end if;
    if d.attempting and d.attempt_ts > now_ms then
        return 3;
    end if;
    if p_restart then
        update delayed_event set scheduled_ts = now_ms, attempting = false, attempt_ts = 0, tries = 0 where nid = d.nid;
        perform delayed_due(now_ms + d.delay_ms);
    else
        update delayed_event set finalised_ts = now_ms, attempting = false where nid = d.nid;
    end if;
    return 0;
end $$;

-- Sticky events (MSC4354): until when all clients of their rooms are told of them. Owner: mod_matrix/sync/sticky.c, store/sticky.c
create table sticky (
    nid      int8 primary key,
    room_nid int8 not null,
    until_ts int8 not null,      -- ms, by the clock of the host that received the event
    failed   bool not null       -- soft-failed: asked again while it is sticky
);
create index on sticky (room_nid, nid);
create index on sticky (until_ts);
create index on sticky (nid) where failed;

-- A soft-failed event that the room's state of that version allows comes into the timeline, as if it had come now. False: nothing was done.
create function sticky_restore(p_nid int8, p_room int8, p_ver int8) returns bool language plpgsql as $$
declare
    at int8;
begin
    perform from room where room_nid = p_room and ver = p_ver for no key update;
    if not found then
        return false;
    end if;
    update sticky set failed = false where nid = p_nid and failed;
    if not found then
        return false;
    end if;
    at := (stream_next_n(1))[1];
    update event set flags = flags & ~2, ord = at where nid = p_nid and room_nid = p_room and flags & 2 <> 0;
    update room set ver = room.ver + 1, last_stream = at where room_nid = p_room;
    return true;
end $$;
