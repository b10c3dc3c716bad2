-- SPDX-License-Identifier: Apache-2.0
-- Redactions that came before what they redact. Owner: mod_matrix/room/accept_redaction.c, store/redaction.c

-- Written with the redaction's event; gone with the arrival of its target, in the same transaction.
create table redaction_wait (
    target   bytea not null,                     -- packed event id
    nid      int8 not null,                      -- the redaction
    room_nid int8 not null,
    primary key (target, nid)
);
create index on redaction_wait (room_nid);
