-- SPDX-License-Identifier: Apache-2.0
-- Silent events (store/event.h: MX_EVENT_FLAG_SILENT, 128), which no client is shown. Owner: mod_matrix/room/heads.c, sync/unread.c

-- Those of before. Where no event of the type ever was, nothing is looked at.
do $$
declare
    v_type int4 := (select type_nid from ev_type where type = 'org.matrix.dummy_event');
begin
    if v_type is not null then
        update event e set flags = flags | 128 where type_nid = v_type and flags & 160 = 0;
    end if;
end $$;

-- The events of a room that a user has not read and that may count, up to p_upto. CS-API: receiving notifications, marking
-- notifications as read. Receipts name events; the further of public and private counts, a threaded one for its thread. Who sends a
-- message has read what stood before it in that thread. p_all: of every type. Silent events neither count nor say that their sender has
-- read anything.
create or replace function unread_events(p_user int8, p_room int8, p_upto int8, p_types int4[], p_all bool, p_ignored int8[])
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
