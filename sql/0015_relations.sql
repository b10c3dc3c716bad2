-- SPDX-License-Identifier: Apache-2.0
-- Relations as clients ask for them: children of an event, threads of a room, aggregations. Owner: mod_matrix/room/relation.c, bundle.c,
-- thread.c; store/relation.c

create index on event_relation (parent, ord);
create index on event_relation (parent, rel_type, sender_nid, ts);   -- edits, newest last; has this user answered, reacted?

-- What is to be bundled with events (the columns of p_nid …, one row each; p_what: 1 its edits, 2 its thread, 4 what refers to it; 8: it is redacted).
-- CS-API: aggregations of child events. Children that are redacted or of ignored users do not count. History visibility goes by
-- the state before a child, so those of one thread are counted by snapshot: whoever reads it takes the ones that may be seen.
--   kind 1: an edit by the event's own sender and of its type, newest first, at most p_edits of each event
--   kind 2: children in a thread, the newest p_thread of them, that stand on one snapshot; nid and ord of the newest; mine: p_user is
--           among all of the thread
--   kind 4: an event that refers to it, oldest first, at most p_references
-- `room_nid + 0`: no index of rooms shall tempt the planner to go through a whole room to find one event in it.
create function relation_bundles(p_nid int8[], p_room int8[], p_id bytea[], p_sender int8[], p_type int4[], p_what int4[], p_user int8,
                                 p_ignored int8[], p_edits int4, p_thread int4, p_references int4)
returns table (i int4, kind int4, nid int8, ord int8, snap_nid int8, count int8, mine bool, ts int8, event_id bytea) language plpgsql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
begin
    return query
    with q as materialized (
        select u.i::int4 as i, u.nid, u.room, u.id, u.sender, u.type, u.what, o.rel_type as own
        from unnest(p_nid, p_room, p_id, p_sender, p_type, p_what) with ordinality u(nid, room, id, sender, type, what, i)
        left join event_relation o on o.nid = u.nid and u.what & 8 = 0
        where exists (select from event_relation r where r.parent = u.id))
    select q.i, 1, c.nid, c.ord, c.snap_nid, 1::int8, false, c.ts, c.event_id from q cross join lateral (
        select e.nid, e.ord, e.snap_nid, e.ts, e.event_id from event_relation r join event e on e.nid = r.nid
        where r.parent = q.id and r.rel_type = 'm.replace' and r.sender_nid = q.sender and r.is_edit and e.room_nid + 0 = q.room
        and r.type_nid = q.type and e.flags & 15 = 0 and not r.sender_nid = any(p_ignored)
        order by r.ts desc limit p_edits) c
    where q.what & 1 <> 0 and q.own is distinct from 'm.replace'
    union all
    select q.i, 2, g.newest[2], g.newest[1], g.snap_nid, g.n,
        exists (select from event_relation r join event e on e.nid = r.nid where r.parent = q.id and r.rel_type = 'm.thread'
                and r.sender_nid = p_user and e.room_nid + 0 = q.room and e.flags & 15 = 0), 0::int8, null::bytea
    from q cross join lateral (
        select t.snap_nid, count(*) as n, max(array[t.ord, t.nid]) as newest from (
            select e.snap_nid, r.ord, r.nid from event_relation r join event e on e.nid = r.nid
            where r.parent = q.id and r.rel_type = 'm.thread' and e.room_nid + 0 = q.room and e.flags & 15 = 0
            and not r.sender_nid = any(p_ignored) order by r.ord desc limit p_thread) t
        group by t.snap_nid) g
    where q.what & 2 <> 0 and q.own is null
    union all
    select q.i, 4, c.nid, c.ord, c.snap_nid, 1::int8, false, 0::int8, c.event_id from q cross join lateral (
        select e.nid, e.ord, e.snap_nid, e.event_id from event_relation r join event e on e.nid = r.nid
        where r.parent = q.id and r.rel_type = 'm.reference' and e.room_nid + 0 = q.room and e.flags & 15 = 0
        and not r.sender_nid = any(p_ignored) order by r.ord limit p_references) c
    where q.what & 4 <> 0;
end $$;
