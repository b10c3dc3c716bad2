-- SPDX-License-Identifier: Apache-2.0
-- What events relate to and whom they concern: relations, threads, unread counts. Owner: mod_matrix/room/marks.c, sync/unread.c;
-- store/mark.c, unread.c
--
-- Nothing here is per member of a room. A plain message leaves no row; what has a relation, a thread or a mention leaves one or two, in
-- the transaction that stores the event. Unread counts are counted when they are read: by index, from where the reader has read to.

-- content.m.relates_to of events that are in a timeline
create table event_relation (
    nid      int8 primary key,                   -- the child
    room_nid int8 not null,
    ord      int8 not null,                      -- of the child
    parent   bytea not null,                     -- packed event id; may not be here (yet)
    rel_type text collate "C" not null,
    key      text collate "C",                   -- of an annotation
    is_edit  bool not null default false,        -- m.replace that can replace something: has m.new_content or is encrypted, is no state
    sender_nid int8 not null,                    -- of the child, as what follows: who looks for a certain one needs no other table for all
    type_nid int4 not null,
    ts       int8 not null
);
create index on event_relation (parent, rel_type, ord);
create index on event_relation (room_nid, ord) where rel_type = 'm.thread';

-- what the predefined push rules look at, of events where that is not what their type says
create table event_push (
    nid      int8 primary key,
    room_nid int8 not null,
    ord      int8 not null,
    thread   text collate "C",                   -- event id of the root; null: main timeline
    marks    int4 not null,                      -- core/push_eval.h: MX_PUSH_MARK_*
    mentions int8[] not null                     -- local users in m.mentions
);
create index on event_push (room_nid, ord) where thread is not null;

-- Relations and marks of a batch that was just stored (p_nids null: it was not), for the events at p_at. p_mention_end: where each
-- one's mentions end. Whoever relates to an event in a thread is in that thread. Events that no timeline shows have none.
create function persist_marks(p_room int8, p_nids int8[], p_at int4[], p_parent bytea[], p_rel text[], p_key text[], p_edit int4[],
                              p_thread text[], p_marks int4[], p_mention text[], p_mention_end int4[]) returns void language plpgsql as $$
begin
    if p_nids is null then
        return;
    end if;
    insert into event_relation (nid, room_nid, ord, parent, rel_type, key, is_edit, sender_nid, type_nid, ts)
        select e.nid, p_room, e.ord, u.parent, u.rel, u.key, u.edit <> 0, e.sender_nid, e.type_nid, e.ts
        from unnest(p_at, p_parent, p_rel, p_key, p_edit) u(at, parent, rel, key, edit)
        join event e on e.nid = p_nids[u.at] and e.flags & 7 = 0 where u.parent is not null;
    insert into event_push (nid, room_nid, ord, thread, marks, mentions)
        select e.nid, p_room, e.ord, x.thread, x.marks, x.mentions
        from (select p_nids[u.at] as nid, u.marks,
                     coalesce(u.thread, (select p.thread from event e join event_push p on p.nid = e.nid
                                         where u.parent is not null and e.event_id = u.parent and e.room_nid = p_room)) as thread,
                     array(select m.user_nid from mxid m where m.local
                           and m.mxid = any(p_mention[coalesce(p_mention_end[u.i - 1], 0) + 1:u.mention_end])) as mentions
              from unnest(p_at, p_parent, p_thread, p_marks, p_mention_end) with ordinality u(at, parent, thread, marks, mention_end, i)) x
        join event e on e.nid = x.nid and e.flags & 7 = 0
        where x.thread is not null or x.marks <> 0 or cardinality(x.mentions) > 0;
end $$;

-- since when a member is joined without a break: profile changes move `stream`, not this
alter table member add column joined_stream int8;
update member set joined_stream = stream where local and membership = 2;
create function member_joins() returns trigger language plpgsql as $$
begin
    new.joined_stream := case when tg_op = 'UPDATE' and old.membership = 2 then old.joined_stream else new.stream end;
    return new;
end $$;
create trigger member_joins before insert or update on member for each row
    when (new.local and new.membership = 2) execute function member_joins();

-- The events of a room that a user has not read and that may count, up to p_upto. CS-API: receiving notifications, marking
-- notifications as read. Receipts name events; the further of public and private counts, a threaded one for its thread. Who sends a
-- message has read what stood before it in that thread. p_all: of every type. Silent events neither count nor say that their sender has
-- read anything.
create function unread_events(p_user int8, p_room int8, p_upto int8, p_types int4[], p_all bool, p_ignored int8[])
returns table (nid int8, thread text, type_nid int4, marks int4) language plpgsql stable as $$
#variable_conflict use_column
declare
    base int8;
    main int8;
begin
    select m.joined_stream into base from member m where m.room_nid = p_room and m.user_nid = p_user and m.membership = 2;
    if base is null then
        return;
    end if;
    select greatest(base, max(e.ord) filter (where r.thread_id = '')), greatest(base, max(e.ord) filter (where r.thread_id in ('', 'main')))
        into base, main from receipt r join event e on e.nid = r.nid where r.room_nid = p_room and r.user_nid = p_user;
    select greatest(main, max(e.ord)) into main
        from event e left join event_push p on p.nid = e.nid
        where e.room_nid = p_room and e.ord > main and e.ord <= p_upto and e.sender_nid = p_user and e.flags & 167 = 0 and p.thread is null
        and e.type_nid <> coalesce((select t.type_nid from ev_type t where t.type = 'm.room.redaction'), 0);
    return query
        select e.nid, null::text, e.type_nid, coalesce(p.marks | case when p_user = any(p.mentions) then 8 else 0 end, 0)
        from event e left join event_push p on p.nid = e.nid
        where e.room_nid = p_room and e.ord > main and e.ord <= p_upto and e.flags & 143 = 0 and e.sender_nid <> p_user
        and (p_all or e.type_nid = any(p_types) or p.nid is not null) and p.thread is null and not e.sender_nid = any(p_ignored);
    return query
        with floors as (
            select f.thread, max(f.ord) as ord from (
                select r.thread_id as thread, e.ord from receipt r join event e on e.nid = r.nid
                where r.room_nid = p_room and r.user_nid = p_user and r.thread_id like '$%'
                union all
                select p.thread, e.ord from event_push p join event e on e.nid = p.nid
                where p.room_nid = p_room and p.thread is not null and p.ord > base and p.ord <= p_upto
                and e.sender_nid = p_user and e.flags & 167 = 0) f group by f.thread)
        select e.nid, p.thread, e.type_nid, p.marks | case when p_user = any(p.mentions) then 8 else 0 end
        from event_push p join event e on e.nid = p.nid left join floors f on f.thread = p.thread
        where p.room_nid = p_room and p.thread is not null and p.ord > base and p.ord <= p_upto and p.ord > coalesce(f.ord, 0)
        and e.flags & 143 = 0 and e.sender_nid <> p_user and not e.sender_nid = any(p_ignored);
end $$;
