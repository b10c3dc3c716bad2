-- SPDX-License-Identifier: Apache-2.0
-- Timelines with late-comers, and rooms whose members change without an event. Owner: mod_matrix/sync, store/sync_stream.c, sync_devices.c

-- Events whose position in the stream is not their number: those that were outliers first. Who follows the stream reads them by this
-- index, all others by their primary key. Of events that came in the usual way there is no entry here.
create index event_late on event (ord) where ord > 0 and ord <> nid;

comment on table room_state_log is 'each row is at the position (event.ord) of an event that the timeline shows: who follows the stream finds it there';

-- Whose membership of a room changed since: for /sync, whose clients then ask for the user's devices or forget them.
create index on member (room_nid, stream);
