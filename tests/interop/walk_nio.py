#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The walk with matrix-nio: two users register, create, invite, join, talk, and see each other's messages by their own
sync loops.   usage: walk_nio.py BASE_URL"""
import asyncio
import sys
import time

import nio

BASE = sys.argv[1]
PASSWORD = "correct horse battery"
STAMP = format(int(time.time() * 1000), "x")


def step(text):
    print("ok -", text, flush=True)


def good(response, kind):
    if not isinstance(response, kind):
        raise SystemExit(f"expected {kind.__name__}, got {response!r}")
    return response


async def member(name):
    client = nio.AsyncClient(BASE)
    registered = good(await client.register(f"{name}-{STAMP}", PASSWORD, "walk"), nio.RegisterResponse)
    await client.logout()
    client = nio.AsyncClient(BASE, registered.user_id)
    good(await client.login(PASSWORD, "walk again"), nio.LoginResponse)
    client.seen = []
    client.invites = []
    client.add_event_callback(lambda room, event: client.seen.append((event.sender, event.body)), nio.RoomMessageText)
    client.add_event_callback(lambda room, event: client.invites.append(room.room_id), nio.InviteMemberEvent)
    return client


async def until(what, check, seconds=15):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            raise SystemExit(f"timed out waiting for {what}")
        await asyncio.sleep(0.02)


async def main():
    alice, bob = await member("alice"), await member("bob")
    step("two users registered, logged out and logged in")
    loops = [asyncio.create_task(c.sync_forever(timeout=20000, full_state=True)) for c in (alice, bob)]

    created = good(await alice.room_create(name="Walk", topic="two people talking"), nio.RoomCreateResponse)
    good(await alice.room_invite(created.room_id, bob.user_id), nio.RoomInviteResponse)
    await until("the invite", lambda: created.room_id in bob.invites)
    step("the invited user sees the invite")
    good(await bob.join(created.room_id), nio.JoinResponse)
    await until("both as members", lambda: created.room_id in alice.rooms and len(alice.rooms[created.room_id].users) == 2)
    step("the inviter sees the join")

    want = []
    for i in range(5):
        for client in (alice, bob):
            body = f"from {client.user_id} {i}"
            good(await client.room_send(created.room_id, "m.room.message", {"msgtype": "m.text", "body": body}), nio.RoomSendResponse)
            want.append((client.user_id, body))
    for client in (alice, bob):
        await until("ten messages", lambda client=client: len(client.seen) >= len(want))
        if client.seen != want:
            raise SystemExit(f"{client.user_id} saw {client.seen}, wanted {want}")
    step("both see all messages, once, in order")

    put = good(await alice.room_put_state(created.room_id, "tld.project.foo", {"baz": "qux"}, "bar"), nio.RoomPutStateResponse)
    got = good(await bob.room_get_state_event(created.room_id, "tld.project.foo", "bar"), nio.RoomGetStateEventResponse)
    if got.content != {"baz": "qux"}:
        raise SystemExit(f"custom state came back as {got.content}")
    good(await bob.room_get_event(created.room_id, put.event_id), nio.RoomGetEventResponse)
    back = good(await bob.room_messages(created.room_id, bob.next_batch, limit=50), nio.RoomMessagesResponse)
    if sum(isinstance(e, nio.RoomMessageText) for e in back.chunk) != len(want):
        raise SystemExit("history does not hold every message")
    step("custom state, single events and history come back as sent")

    good(await bob.room_leave(created.room_id), nio.RoomLeaveResponse)
    await until("the leave", lambda: len(alice.rooms[created.room_id].users) == 1)
    step("the leave is seen")
    for loop in loops:
        loop.cancel()
    for client in (alice, bob):
        await client.logout()
        await client.close()


asyncio.run(main())
