-- SPDX-License-Identifier: Apache-2.0
-- Pushers, and how far each has pushed. Owner: mod_matrix/user/pusher.c, workers/push*.c, sync/notified.c; store/pusher.c, push.c, notified.c
--
-- Nothing of it is written by whoever sends an event: a runner follows the stream and marks the pushers that may have something to say.

create table pusher (
    pusher_nid int8 generated always as identity primary key,
    user_nid   int8 not null references account on delete cascade,
    device_nid int8 not null references device on delete cascade,   -- whose token made it: it ends with that
    app_id     text collate "C" not null,
    pushkey    text collate "C" not null,
    url        text not null,
    body       bytea not null,                   -- JSON object as GET /pushers tells it
    changed_ts int8 not null,
    pos        int8 not null,                    -- the cursor: up to here all is pushed, or not to be pushed
    counted    int8 not null default 0,          -- as of when all rooms were counted
    look       int2 not null default 4,          -- why to look at it: 1 events, 2 something was read, 4 count everything anew; 0: no reason
    marked     int8 not null default 0,          -- up to where such reasons were looked for when the last one was found
    due        timestamptz not null default now(),   -- 'infinity' without a reason
    told_unread int8 not null default 0,         -- the counts that the gateway was told last
    told_calls int8 not null default 0,
    fails      int4 not null default 0,          -- in a row
    failing_ts int8,                             -- since when
    unique (app_id, pushkey, user_nid)
) with (fillfactor = 60);
create index on pusher (user_nid);
create index on pusher (device_nid);
create index on pusher (due) where look <> 0;

-- unread notifications of a pusher's user, by rooms that have any, as of `upto`
create table push_count (
    pusher_nid int8 not null references pusher on delete cascade,
    room_nid   int8 not null,
    unread     int8 not null,
    calls      int8 not null,                    -- of them calls
    upto       int8 not null,
    primary key (pusher_nid, room_nid)
) with (fillfactor = 70);

-- up to where the stream was looked through for pushers: one row
create table push_cursor (
    one bool primary key default true check (one),
    pos int8 not null
);
insert into push_cursor (pos) select case when is_called then last_value else last_value - 1 end from stream_seq;

-- POST /pushers/set. Without p_append nobody else has this app and key afterwards. false: the user has p_max pushers. What was sent before is
-- none of a new pusher's business; with no pusher at all there is nothing to look through the stream for.
create function pusher_set(p_user int8, p_device int8, p_app text, p_key text, p_url text, p_body bytea, p_now int8, p_append bool, p_max int4)
returns bool language plpgsql as $$
declare
    last int8;
begin
    if not p_append then
        delete from pusher where app_id = p_app and pushkey = p_key and user_nid <> p_user;
    end if;
    update pusher set device_nid = p_device, url = p_url, body = p_body, changed_ts = p_now, look = look | 4, due = now(), fails = 0, failing_ts = null
        where app_id = p_app and pushkey = p_key and user_nid = p_user;
    if found then
        return true;
    end if;
    if (select count(*) from pusher where user_nid = p_user) >= p_max then
        return false;
    end if;
    select last_value into last from stream_seq;
    update push_cursor set pos = last where pos < last and not exists (select from pusher);
    insert into pusher (user_nid, device_nid, app_id, pushkey, url, body, changed_ts, pos)
        values (p_user, p_device, p_app, p_key, p_url, p_body, p_now, last) on conflict do nothing;
    return true;
end $$;

-- Looks through the stream up to p_upto, p_span positions at most, and marks the pushers of those whom it may concern. Returns how far it came.
-- p_types: of events that a predefined rule notifies of for their type alone; whoever has rules of his own may be told of any.
create function push_mark(p_upto int8, p_span int8, p_types int4[], p_redaction int4, p_member int4) returns int8 language plpgsql as $$
declare
    after int8;
    upto  int8;
begin
    select pos into after from push_cursor for update;
    upto := least(p_upto, after + p_span);
    if upto <= after then
        return after;
    end if;
    with fresh as materialized (
        select nid, room_nid, sender_nid, type_nid, flags from event where nid > after and nid <= upto and ord = nid
        union all
        select nid, room_nid, sender_nid, type_nid, flags from event where ord > after and ord <= upto and ord > 0 and ord <> nid),
    shown as materialized (
        select f.*, p.nid is not null or f.type_nid = any(p_types) as likely from fresh f left join event_push p on p.nid = f.nid
        where f.flags & 135 = 0),
    why as (
        select m.user_nid, case when r.redacted then 3 else 1 end as look
        from (select room_nid, bool_or(likely) as likely, bool_or(type_nid = p_redaction) as redacted from shown group by room_nid) r
        join member m on m.room_nid = r.room_nid and m.local and m.membership = 2
        where r.likely or r.redacted or exists (select from account_data a where a.user_nid = m.user_nid and a.room_nid = 0
                                                and a.type = 'm.push_rules')
        union all
        select s.sender_nid, 2 from shown s
        union all
        select u.user_nid, 3 from fresh f join state_event s on s.nid = f.nid join skey k on k.skey_nid = s.skey_nid
            join mxid u on u.mxid = k.state_key and u.local where f.type_nid = p_member
        union all
        select c.user_nid, 2 from receipt c where c.stream > after and c.stream <= upto
        union all
        select a.user_nid, 4 from account_data a where a.stream > after and a.stream <= upto and a.room_nid = 0
            and a.type in ('m.push_rules', 'm.ignored_user_list'))
    update pusher p set look = p.look | w.look, marked = upto, pos = case when p.look = 0 then greatest(p.pos, after) else p.pos end,
        due = case when p.fails > 0 then p.due else least(p.due, now()) end
    from (select user_nid, bit_or(look)::int2 as look from why group by user_nid) w where p.user_nid = w.user_nid;
    update push_cursor set pos = upto;
    return upto;
end $$;

-- Events in (p_after, p_upto] that a user has not read and that others sent, of all rooms, and invitations: oldest first, p_limit of them.
-- The same events as those of unread_events() (0014_push.sql), found by what moved instead of room by room.
create function push_events(p_user int8, p_after int8, p_upto int8, p_ignored int8[], p_limit int4) returns table (nid int8, pos int8, invite bool)
language sql stable as $$
    with moved as materialized (
        select m.room_nid, greatest(m.joined_stream, p_after) as base from member m join room r on r.room_nid = m.room_nid
        where m.user_nid = p_user and m.local and m.membership = 2 and r.last_stream > p_after),
    floors as materialized (
        select m.room_nid, greatest(m.base, f.whole) as base, greatest(m.base, f.main, o.ord) as main from moved m
        cross join lateral (
            select max(e.ord) filter (where c.thread_id = '') as whole, max(e.ord) filter (where c.thread_id in ('', 'main')) as main
            from receipt c join event e on e.nid = c.nid where c.room_nid = m.room_nid and c.user_nid = p_user) f
        cross join lateral (
            select max(e.ord) as ord from event e left join event_push p on p.nid = e.nid
            where e.room_nid = m.room_nid and e.ord > m.base and e.ord <= p_upto and e.sender_nid = p_user and e.flags & 167 = 0
            and p.thread is null
            and e.type_nid <> coalesce((select t.type_nid from ev_type t where t.type = 'm.room.redaction'), 0)) o),
    threads as materialized (
        select t.room_nid, t.thread, max(t.ord) as ord from (
            select c.room_nid, c.thread_id as thread, e.ord from moved m join receipt c on c.room_nid = m.room_nid and c.user_nid = p_user
                and c.thread_id like '$%' join event e on e.nid = c.nid
            union all
            select p.room_nid, p.thread, p.ord from moved m join event_push p on p.room_nid = m.room_nid and p.thread is not null
                and p.ord > m.base and p.ord <= p_upto join event e on e.nid = p.nid
            where e.sender_nid = p_user and e.flags & 167 = 0) t group by t.room_nid, t.thread)
    select x.nid, x.pos, x.invite from (
        select e.nid, e.ord as pos, false as invite from floors f cross join lateral (
            select v.nid, v.ord, v.room_nid, v.sender_nid from event v
            where v.room_nid = f.room_nid and v.ord > f.base and v.ord <= p_upto and v.flags & 143 = 0) e
        left join event_push p on p.nid = e.nid
        left join threads t on t.room_nid = e.room_nid and t.thread = p.thread
        where e.sender_nid <> p_user and not e.sender_nid = any(p_ignored)
        and case when p.thread is null then e.ord > f.main else e.ord > coalesce(t.ord, 0) end
        union all
        select e.nid, m.stream, true from member m join event e on e.nid = m.nid
        where m.user_nid = p_user and m.local and m.membership = 1 and m.stream > p_after and m.stream <= p_upto and e.flags & 8 = 0
        and e.sender_nid <> p_user and not e.sender_nid = any(p_ignored)) x
    order by x.pos limit p_limit
$$;

-- GET /notifications: the newest p_scan events before p_from that others sent into the rooms of a user, newest first, whatever the push rules
-- say of them; a row without nid says that they are not all. read: there is a receipt for it or for a later one. CS-API: threaded read
-- receipts.
create function notified_events(p_user int8, p_from int8, p_ignored int8[], p_scan int4) returns table (nid int8, ord int8, read bool)
language sql stable as $$
    with newest as materialized (
        select e.nid, e.ord, e.room_nid, e.sender_nid, e.flags from member m join room r on r.room_nid = m.room_nid and r.last_stream > m.joined_stream
        cross join lateral (
            select v.nid, v.ord, v.room_nid, v.sender_nid, v.flags from event v
            where v.room_nid = m.room_nid and v.ord > m.joined_stream and v.ord < p_from order by v.ord desc limit p_scan) e
        where m.user_nid = p_user and m.local and m.membership = 2
        order by e.ord desc limit p_scan)
    select n.nid, n.ord, exists (
        select from receipt c join event e on e.nid = c.nid where c.room_nid = n.room_nid and c.user_nid = p_user and e.ord >= n.ord
        and (c.thread_id = '' or c.thread_id = coalesce((select p.thread from event_push p where p.nid = n.nid), 'main')))
    from newest n where n.flags & 143 = 0 and n.sender_nid <> p_user and not n.sender_nid = any(p_ignored)
    union all
    (select null, min(n.ord), false from newest n having count(*) = p_scan)
    order by 2 desc, 1 nulls last
$$;
