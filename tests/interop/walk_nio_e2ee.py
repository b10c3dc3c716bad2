#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encrypted talk with matrix-nio and olm: two users with two devices each share a room; every device reads what any of the others
sends, also one that was away meanwhile.   usage: walk_nio_e2ee.py BASE_URL"""
import asyncio
import sys
import tempfile
import time

import nio

BASE = sys.argv[1]
PASSWORD = "correct horse battery"
STAMP = format(int(time.time() * 1000), "x")
CONFIG = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)


def step(text):
    print("ok -", text, flush=True)


def good(response, kind):
    if not isinstance(response, kind):
        raise SystemExit(f"expected {kind.__name__}, got {response!r}")
    return response


async def device(user_id, name):
    client = nio.AsyncClient(BASE, user_id, store_path=tempfile.mkdtemp(), config=CONFIG)
    good(await client.login(PASSWORD, name), nio.LoginResponse)
    client.seen, client.unread = [], []
    client.add_event_callback(lambda room, event: client.seen.append(event.body), nio.RoomMessageText)
    client.add_event_callback(lambda room, event: client.unread.append(event), nio.MegolmEvent)
    return client


async def sync(*clients, rounds=3):
    """What a client does after each answer: upload, query, claim, share."""
    for _ in range(rounds):
        for client in clients:
            good(await client.sync(timeout=0), nio.SyncResponse)
            if client.should_upload_keys:
                good(await client.keys_upload(), nio.KeysUploadResponse)
            if client.should_query_keys:
                good(await client.keys_query(), nio.KeysQueryResponse)
            await client.send_to_device_messages()


async def say(sender, room_id, text):
    sent = await sender.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": text}, ignore_unverified_devices=True)
    good(sent, nio.RoomSendResponse)


async def verify_by_emoji(asking, asked):
    """Both see the same emoji and say so. CS-API: Short Authentication String verification (nio begins it without a request)."""
    device = asking.device_store[asked.user_id][asked.device_id]
    good(await asking.start_key_verification(device), nio.ToDeviceResponse)
    await sync(asked, rounds=1)
    (txn, theirs), = asked.key_verifications.items()
    good(await asked.accept_key_verification(txn), nio.ToDeviceResponse)
    await sync(asking, asked)
    mine = asking.key_verifications[txn]
    assert mine.get_emoji() == theirs.get_emoji() and len(mine.get_emoji()) == 7
    for client in (asking, asked):
        good(await client.confirm_short_auth_string(txn), nio.ToDeviceResponse)
    await sync(asking, asked)
    assert mine.verified and theirs.verified
    assert asking.device_store[asked.user_id][asked.device_id].verified and asked.device_store[asking.user_id][asking.device_id].verified


async def main():
    names = [f"{n}-{STAMP}" for n in ("alice", "bob")]
    ids = []
    for name in names:
        registration = nio.AsyncClient(BASE)
        ids.append(good(await registration.register(name, PASSWORD, "first"), nio.RegisterResponse).user_id)
        await registration.close()
    alice, alice2 = [await device(ids[0], f"a{i}") for i in range(2)]
    bob, bob2 = [await device(ids[1], f"b{i}") for i in range(2)]
    everybody = [alice, alice2, bob, bob2]
    await sync(*everybody)
    encryption = [{"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
    room_id = good(await alice.room_create(invite=[ids[1]], initial_state=encryption), nio.RoomCreateResponse).room_id
    good(await bob.join(room_id), nio.JoinResponse)
    await sync(*everybody)
    assert all(c.rooms[room_id].encrypted for c in everybody)
    step("four devices are in an encrypted room")

    for client, text in ((alice, "one"), (bob, "two"), (alice2, "three"), (bob2, "four")):
        await say(client, room_id, text)
        await sync(*everybody)
    for client in everybody:
        assert set(client.seen) == {"one", "two", "three", "four"} and not client.unread, (client.user_id, client.seen, client.unread)
    step("every device has read what each of them sent")

    await verify_by_emoji(alice, bob)
    await verify_by_emoji(bob2, alice2)
    step("devices verify each other by emoji")

    last = (await bob.room_messages(room_id, bob.next_batch, limit=1)).chunk[0].event_id
    good(await bob.room_read_markers(room_id, fully_read_event=last, read_event=last), nio.RoomReadMarkersResponse)
    await sync(*everybody)
    assert all(c.rooms[room_id].read_receipts[ids[1]].event_id == last for c in (alice, alice2))
    assert bob2.rooms[room_id].fully_read_marker == last and bob2.rooms[room_id].unread_notifications == 0
    step("a receipt and a marker reach the others, and the badge falls")

    for i in range(120):
        await say(alice if i % 2 else bob, room_id, f"away {i}")
        if i % 20 == 0:
            await sync(alice, bob, rounds=1)
    await sync(alice2, bob2)
    for client in (alice2, bob2):
        assert not client.unread, client.unread
    step("devices that were away read what they missed of")

    third = await device(ids[1], "b3")
    await sync(third, *everybody)
    await say(alice, room_id, "to the new one")
    await sync(third, *everybody)
    assert "to the new one" in third.seen and "to the new one" in bob2.seen, (third.seen, third.unread)
    step("a new device is told of and reads on")

    good(await bob2.logout(), nio.LogoutResponse)
    await sync(alice, bob, third)
    assert bob2.device_id not in {d.id for d in alice.device_store.active_user_devices(ids[1])}
    await say(alice, room_id, "last")
    await sync(alice, bob, third)
    assert "last" in bob.seen and "last" in third.seen
    step("a device that logged out is no longer written to")
    for client in (*everybody, third):
        await client.close()


asyncio.run(asyncio.wait_for(main(), 200))
