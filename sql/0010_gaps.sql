-- SPDX-License-Identifier: Apache-2.0
-- Timelines with holes and late-comers. Owner: mod_matrix/sync, store/sync_stream.c, sync_rooms.c; who writes gaps: mod_matrix/room/outlier*.c

-- Between the event at `ord` and the timeline event before it in order there are events that this server does not have.
create table gap (
    room_nid int8 not null,
    ord      int8 not null,
    primary key (room_nid, ord)
);

-- Events whose position in the stream is not their number: those that were outliers first. Who follows the stream reads them by this
-- index, all others by their primary key. Of events that came in the usual way there is no entry here.
create index event_late on event (ord) where ord > 0 and ord <> nid;

comment on table room_state_log is 'each row is at the position (event.ord) of an event that the timeline shows: who follows the stream finds it there';
