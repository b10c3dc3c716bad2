-- SPDX-License-Identifier: Apache-2.0
-- The homeserver this database belongs to. Owner: mod_matrix/store/schema.c

create table instance (
    one         bool primary key default true check (one),   -- a single row
    server_name text collate "C" not null,
    created_ts  int8 not null
);

-- The first position ever drawn must be greater than the lock key that stream_next() takes before it, which is 1 on a
-- sequence that has given nothing yet: give that one to nobody.
select nextval('stream_seq') from pg_sequences
where schemaname = current_schema() and sequencename = 'stream_seq' and last_value is null;
