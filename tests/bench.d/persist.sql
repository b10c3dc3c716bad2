-- SPDX-License-Identifier: Apache-2.0
-- The store's send statement as pgbench drives it: each client has a room of its own and follows its version.
select ver as v from persist_messages(:base::int8 + :client_id::int8, :v::int8, array[sha256(gen_random_uuid()::text::bytea)],
    array[convert_to(repeat('x', 560) || gen_random_uuid()::text, 'UTF8')], array[1700000000000]::int8[], array[2]::int8[], array[1]::int8[],
    array[1]::int4[], 16, array[1]::int8[], array[gen_random_uuid()::text], array['PUT /rooms/x/send/m.room.message']) \gset
