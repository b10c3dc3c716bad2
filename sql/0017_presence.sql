-- SPDX-License-Identifier: Apache-2.0
-- Presence. CS-API: presence. Owner: mod_matrix/sync/presence.c; store/presence.c
--
-- Who is online is of the moment: the two tables of it are not in the write-ahead log, and empty after a crash of the database, when
-- those who are there say so again within seconds. What a user wrote about himself is kept like all else.
-- All times are milliseconds. Whoever writes rows of presence_device holds the lock on their users' rows of `presence`, taken in the order
-- of user_nid.

create unlogged table presence (
    user_nid  int8 primary key,
    stream    int8 not null default 0,               -- when what others are told changed last; 0: never
    state     int2 not null default 0,               -- store/presence.h: mx_presence_e
    active    bool not null default false,           -- currently_active
    active_ts int8 not null default 0,               -- last activity; 0: none
    due_ts    int8                                   -- when time alone will change something; null: never
) with (fillfactor = 60);
create index on presence (stream);
create index on presence (due_ts) where due_ts is not null;

create unlogged table presence_device (
    device_nid int8 primary key,
    user_nid   int8 not null,
    state      int2 not null,                        -- as its client says
    said_ts    int8 not null,                        -- when that was
    until_ts   int8 not null,                        -- so long it counts as connected
    active_ts  int8 not null
) with (fillfactor = 60);
create index on presence_device (user_nid);

create table presence_status (
    user_nid   int8 primary key,
    status_msg text not null
);

create function presence_lock(p_users int8[]) returns void language plpgsql as $$
begin
    insert into presence (user_nid) select distinct u from unnest(p_users) u order by 1 on conflict do nothing;
    perform from presence where user_nid = any(p_users) order by user_nid for update;
end $$;

-- What these users' devices come to now. Users in p_told are told in any case. `moved`: how many others hear of; `due`: when somebody's
-- presence changes next. The users' rows are locked.
create function presence_settle(p_users int8[], p_told int8[], p_now int8, p_active_ms int8, p_idle_ms int8, out moved int8, out due int8)
language plpgsql as $$
begin
    with device as (
        select user_nid, max(active_ts) as active_ts, coalesce(max(state) filter (where until_ts > p_now), 0) as state,
            min(until_ts) filter (where until_ts > p_now) as until_ts
        from presence_device where user_nid = any(p_users) group by user_nid),
    summed as (
        select p.user_nid, p.state as was, p.active as was_active, greatest(p.active_ts, d.active_ts) as active_ts,
            coalesce(d.state, 0) as said, d.until_ts
        from presence p left join device d on d.user_nid = p.user_nid where p.user_nid = any(p_users)),
    judged as (
        select *, case when said = 2 and active_ts + p_idle_ms <= p_now then 1 else said end as state,
            said = 2 and active_ts + p_active_ms > p_now as active
        from summed),
    stored as (
        update presence p set state = j.state, active = j.active, active_ts = j.active_ts,
            due_ts = least(j.until_ts, case when j.active then j.active_ts + p_active_ms when j.state = 2 then j.active_ts + p_idle_ms end),
            stream = case when j.state <> j.was or j.active <> j.was_active or p.user_nid = any(p_told) then stream_next() else p.stream end
        from judged j where p.user_nid = j.user_nid
        returning j.state <> j.was or j.active <> j.was_active or p.user_nid = any(p_told) as told)
    select count(*) filter (where told) into moved from stored;
    delete from presence_device where user_nid = any(p_users) and until_ts <= p_now;
    select min(due_ts) into due from presence;
end $$;

-- Devices (one row of the first six arrays each) that were seen: until when they count as connected, what their clients say and since when,
-- when they were active (0: not since). One that comes, or goes online, is active by that.
create function presence_touch(p_device int8[], p_user int8[], p_state int4[], p_said int8[], p_until int8[], p_active int8[],
                               p_told int8[], p_now int8, p_active_ms int8, p_idle_ms int8, out moved int8, out due int8)
language plpgsql as $$
begin
    perform presence_lock(p_user);
    insert into presence_device as d (device_nid, user_nid, state, said_ts, until_ts, active_ts)
        select u.device, u.owner, u.state, u.said, u.until,
            greatest(u.active, case when u.state = 2 and u.said > coalesce(e.said_ts, 0) and (e.state is distinct from 2 or e.until_ts <= p_now)
                then u.said else 0 end)
        from unnest(p_device, p_user, p_state, p_said, p_until, p_active) u(device, owner, state, said, until, active)
        left join presence_device e on e.device_nid = u.device
        on conflict (device_nid) do update set
            -- CS-API: idle timeout: activity makes one who is unavailable online
            state = case when excluded.active_ts > greatest(d.said_ts, excluded.said_ts)
                and (case when excluded.said_ts > d.said_ts then excluded.state else d.state end) = 1 then 2
                when excluded.said_ts > d.said_ts then excluded.state else d.state end,
            said_ts = greatest(d.said_ts, excluded.said_ts,
                case when excluded.active_ts > d.said_ts and d.state = 1 then excluded.active_ts else 0 end),
            until_ts = greatest(d.until_ts, excluded.until_ts),
            active_ts = greatest(d.active_ts, excluded.active_ts);
    select s.moved, s.due into moved, due from presence_settle(p_user, p_told, p_now, p_active_ms, p_idle_ms) s;
end $$;

-- Those whose time has come, at most p_limit.
create function presence_sweep(p_limit int4, p_now int8, p_active_ms int8, p_idle_ms int8, out moved int8, out due int8)
language plpgsql as $$
declare
    users int8[] := array(select user_nid from presence where due_ts <= p_now order by due_ts limit p_limit for update skip locked);
begin
    if users = '{}' then
        moved := 0;
        select min(due_ts) into due from presence;
        return;
    end if;
    select s.moved, s.due into moved, due from presence_settle(users, '{}', p_now, p_active_ms, p_idle_ms) s;
end $$;
