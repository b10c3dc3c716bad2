-- SPDX-License-Identifier: Apache-2.0
-- Unread events found by one plan for all rooms that are asked for. Owner: mod_matrix/sync/unread.c; store/unread.c

-- As in 0014_push.sql, whose comment says what it answers; in a language that the planner puts into the statement that calls it: as
-- long as no argument is a sub-select, a room costs what its index scans cost, not a call that starts five statements of its own. What the
-- user sent last is looked for from the end: in a room that is read it is near.
create or replace function unread_events(p_user int8, p_room int8, p_upto int8, p_types int4[], p_all bool, p_ignored int8[])
returns table (nid int8, thread text, type_nid int4, marks int4) language sql stable as $$
    select x.* from (
        select f.base, greatest(f.main, (
            select e.ord from event e left join event_push p on p.nid = e.nid
            where e.room_nid = p_room and e.ord > f.main and e.ord <= p_upto and e.sender_nid = p_user and e.flags & 167 = 0
            and p.thread is null and e.type_nid <> coalesce((select t.type_nid from ev_type t where t.type = 'm.room.redaction'), 0)
            order by e.ord desc limit 1)) as main
        from (
            select greatest(m.joined_stream, r.every) as base, greatest(m.joined_stream, r.main) as main
            from member m cross join lateral (
                select max(e.ord) filter (where r.thread_id = '') as every, max(e.ord) filter (where r.thread_id in ('', 'main')) as main
                from receipt r join event e on e.nid = r.nid where r.room_nid = p_room and r.user_nid = p_user) r
            where m.room_nid = p_room and m.user_nid = p_user and m.membership = 2 and m.joined_stream is not null offset 0) f
        offset 0) b
    cross join lateral (
        select e.nid, null::text, e.type_nid, coalesce(p.marks | case when p_user = any(p.mentions) then 8 else 0 end, 0)
        from event e left join event_push p on p.nid = e.nid
        where e.room_nid = p_room and e.ord > b.main and e.ord <= p_upto and e.flags & 143 = 0 and e.sender_nid <> p_user
        and (p_all or e.type_nid = any(p_types) or p.nid is not null) and p.thread is null and not e.sender_nid = any(p_ignored)
        union all
        (with floors as materialized (
            select f.thread, max(f.ord) as ord from (
                select r.thread_id as thread, e.ord from receipt r join event e on e.nid = r.nid
                where r.room_nid = p_room and r.user_nid = p_user and r.thread_id like '$%'
                union all
                select p.thread, e.ord from event_push p join event e on e.nid = p.nid
                where p.room_nid = p_room and p.thread is not null and p.ord > b.base and p.ord <= p_upto
                and e.sender_nid = p_user and e.flags & 167 = 0) f group by f.thread)
        select e.nid, p.thread, e.type_nid, p.marks | case when p_user = any(p.mentions) then 8 else 0 end
        from event_push p join event e on e.nid = p.nid left join floors f on f.thread = p.thread
        where p.room_nid = p_room and p.thread is not null and p.ord > b.base and p.ord <= p_upto and p.ord > coalesce(f.ord, 0)
        and e.flags & 143 = 0 and e.sender_nid <> p_user and not e.sender_nid = any(p_ignored))) x
$$;
