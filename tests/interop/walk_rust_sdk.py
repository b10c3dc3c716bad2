#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encrypted talk with the Rust SDK (its Python bindings): room list and timelines by simplified sliding sync, or by /sync.
usage: walk_rust_sdk.py BASE_URL sliding|sync"""
import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.request

import matrix_sdk_python as sdk

BASE, WAY = sys.argv[1:3]
PASSWORD = "correct horse battery"
STAMP = format(int(time.time() * 1000), "x")
AWAY_MESSAGES = 40
Version, ItemId = sdk.SlidingSyncVersionBuilder, sdk.EventOrTransactionId


def step(text):
    print("ok -", text, flush=True)


def call(method, path, body, token=None):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(BASE + "/_matrix/client/v3/" + path, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def until(what, check, seconds=40, told=lambda: ""):
    end = time.monotonic() + seconds
    while True:
        got = check()
        got = await got if asyncio.iscoroutine(got) else got
        if got:
            return got
        if time.monotonic() > end:
            raise SystemExit(f"timed out waiting for {what} {told()}")
        await asyncio.sleep(0.05)


class Items(sdk.TimelineListener, sdk.RoomListEntriesListener):
    """What the SDK's differences make of a list."""

    def __init__(self):
        self.items = []

    def on_update(self, updates):
        for update in updates:
            getattr(self, type(update).__name__.rpartition(".")[2].lower())(update)

    def append(self, update):
        self.items += update.values

    def clear(self, _update):
        self.items.clear()

    def push_front(self, update):
        self.items.insert(0, update.value)

    def push_back(self, update):
        self.items.append(update.value)

    def pop_front(self, _update):
        self.items.pop(0)

    def pop_back(self, _update):
        self.items.pop()

    def insert(self, update):
        self.items.insert(update.index, update.value)

    def set(self, update):
        self.items[update.index] = update.value

    def remove(self, update):
        self.items.pop(update.index)

    def truncate(self, update):
        del self.items[update.length:]

    def reset(self, update):
        self.items[:] = update.values


class Emoji(sdk.SessionVerificationControllerDelegate):
    """One side of a verification: what has happened of it so far."""

    def __init__(self):
        self.request, self.emoji, self.happened = None, None, set()

    def did_receive_verification_request(self, details):
        self.request = details

    def did_receive_verification_data(self, data):
        self.emoji = [e.symbol() for e in data.emojis]

    def did_accept_verification_request(self):
        self.happened.add("accepted")

    def did_start_sas_verification(self):
        self.happened.add("started")

    def did_fail(self):
        self.happened.add("failed")

    def did_cancel(self):
        self.happened.add("cancelled")

    def did_finish(self):
        self.happened.add("finished")


class Quiet(sdk.EnableRecoveryProgressListener, sdk.SyncListenerV2):
    def on_update(self, *_ignored):
        pass


class Device:
    """A device whose databases outlive the client object."""

    def __init__(self, user_id):
        self.user_id, self.folder, self.session, self.timelines = user_id, tempfile.mkdtemp(), None, {}

    async def open(self, name="walk"):
        builder = sdk.ClientBuilder().homeserver_url(BASE).sqlite_store(sdk.SqliteStoreBuilder(self.folder, self.folder))
        builder = builder.sliding_sync_version_builder(Version.DISCOVER_NATIVE if WAY == "sliding" else Version.NONE)
        builder = builder.auto_enable_cross_signing(True).auto_enable_backups(True).threads_enabled(True, False)
        self.client = await builder.build()
        if self.session:
            await self.client.restore_session(self.session)
        else:
            await self.client.login(self.user_id, PASSWORD, name, None)
            self.session = self.client.session()
        await self.start()
        await self.client.encryption().wait_for_e2ee_initialization_tasks()
        return self

    async def start(self):
        if WAY == "sync":
            self.syncing = self.client.sync_v2(sdk.SyncSettingsV2(timeout_ms=10000), Quiet())
            return
        self.syncing = await self.client.sync_service().finish()
        await self.syncing.start()
        self.listed = Items()
        self.room_list = await self.syncing.room_list_service().all_rooms()
        self.entries = self.room_list.entries_with_dynamic_adapters(50, self.listed)
        self.entries.controller().set_filter(sdk.RoomListEntriesDynamicFilterKind.NON_LEFT())

    async def away(self):
        """The app is closed: nothing of it stays in memory."""
        if WAY == "sync":
            self.syncing.cancel()
        else:
            await self.syncing.stop()
        self.client = self.syncing = self.room_list = self.entries = self.listed = None
        self.timelines.clear()

    async def room(self, room_id):
        if WAY == "sliding":
            await until(f"{room_id} in the list", lambda: room_id in [room.id() for room in self.listed.items])
            await self.syncing.room_list_service().subscribe_to_rooms([room_id])
        return await until(f"{self.user_id} to know {room_id}", lambda: self.client.get_room(room_id))

    async def timeline(self, room_id):
        if room_id not in self.timelines:
            timeline, items = await (await self.room(room_id)).timeline(), Items()
            self.timelines[room_id] = timeline, items, await timeline.add_listener(items)
        return self.timelines[room_id]

    async def events(self, room_id):
        return [e for e in (item.as_event() for item in list((await self.timeline(room_id))[1].items)) if e]

    async def messages(self, room_id):
        """Texts of what was decrypted, to their items."""
        found = {}
        for event in await self.events(room_id):
            content = event.content.content if event.content.is_msg_like() else None
            if content and content.kind.is_message():
                found[content.kind.content.body] = event
        return found

    async def say(self, room_id, text):
        timeline = (await self.timeline(room_id))[0]
        await timeline.send(sdk.message_event_content_from_markdown(text))
        return await until(f"{text!r} to be sent", lambda: self.sent(room_id, text))

    async def sent(self, room_id, text):
        event = (await self.messages(room_id)).get(text)
        return event and event.event_or_transaction_id.is_event_id() and event.event_or_transaction_id.event_id

    async def reads(self, room_id, *texts):
        async def lacks():
            read = await self.messages(room_id)
            return [text for text in texts if text not in read]

        async def all_are_there():
            return not await lacks()
        try:
            await until("messages", all_are_there)
        except SystemExit:
            broken = [e for e in await self.events(room_id) if e.content.is_msg_like() and e.content.content.kind.is_unable_to_decrypt()]
            raise SystemExit(f"{self.user_id} {self.session.device_id} lacks {await lacks()}, {len(broken)} not decrypted") from None

    async def goes_back(self, room_id, text):
        """One page towards it. The start may be reached before the sync has told that there is a gap: that says nothing yet."""
        if text not in await self.messages(room_id):
            await (await self.timeline(room_id))[0].paginate_backwards(50)
        return text in await self.messages(room_id)


async def verify_by_emoji(asking, asked, tries=4):
    """Both see the same seven emoji and say so. CS-API: Short Authentication String verification.
    The bindings listen for the emoji only after they have accepted: keys that come sooner they never tell of. Then it begins anew."""
    sides = []
    for device in (asking, asked):
        controller = await device.client.get_session_verification_controller()
        controller.set_delegate(side := Emoji())
        sides.append((controller, side))
    (first, mine), (second, theirs) = sides
    await first.request_device_verification()
    try:
        request = await until("the request to verify", lambda: theirs.request, 5 if tries > 1 else 40)
    except SystemExit:    # the SDK drops requests of a device that it has been told of and not yet asked about
        if tries == 1:
            raise
        await first.cancel_verification()
        return await verify_by_emoji(asking, asked, tries - 1)
    await second.acknowledge_verification_request(request.sender_profile.user_id, request.flow_id)
    await second.accept_verification_request()
    await until("the request to be accepted", lambda: "accepted" in mine.happened)
    await first.start_sas_verification()
    try:
        await until("the emoji", lambda: mine.emoji and theirs.emoji, 5 if tries > 1 else 40, lambda: [vars(mine), vars(theirs)])
    except SystemExit:
        if tries == 1 or "started" not in theirs.happened:
            raise
        await first.cancel_verification()
        await until("the end of what was begun", lambda: "cancelled" in theirs.happened)
        return await verify_by_emoji(asking, asked, tries - 1)
    if mine.emoji != theirs.emoji or len(mine.emoji) != 7:
        raise SystemExit(f"{mine.emoji} is not {theirs.emoji}")
    await asyncio.gather(first.approve_verification(), second.approve_verification())
    await until("the end of the verification", lambda: "finished" in mine.happened and "finished" in theirs.happened)


def is_verified(device):
    return device.client.encryption().verification_state() == sdk.VerificationState.VERIFIED


async def devices_and_trust(ids):
    alice, bob = [await Device(user_id).open() for user_id in ids]
    for device in (alice, bob):
        # The SDK drops requests to verify of somebody who has no profile.
        await device.client.set_display_name(device.user_id[1:4])
        await until("the first device to be verified", lambda device=device: is_verified(device))
    step("two users log in, and their first devices are signed")
    recovery = await alice.client.encryption().enable_recovery(True, None, Quiet())
    alice2, bob2 = [await Device(user_id).open("another") for user_id in ids]
    for asking, asked in ((alice2, alice), (bob2, bob)):
        await verify_by_emoji(asking, asked)
        await until("the second device to be verified", lambda asking=asking: is_verified(asking))
    step("each verifies a second device by emoji")
    return alice, alice2, bob, bob2, recovery


async def make_room(alice, bob, everybody):
    wanted = sdk.CreateRoomParameters(name="Rust", is_encrypted=True, visibility=sdk.RoomVisibility.PRIVATE(),
                                      preset=sdk.RoomPreset.PRIVATE_CHAT, invite=[bob.user_id])
    room_id = await alice.client.create_room(wanted)
    invited = await bob.room(room_id)
    await until("the invitation", lambda: invited.membership() == sdk.Membership.INVITED)
    await invited.join()
    for device in everybody:
        room = await device.room(room_id)
        await until("both members", lambda room=room: room.joined_members_count() == 2)
        if not (await room.latest_encryption_state()).name == "ENCRYPTED" or room.display_name() != "Rust":
            raise SystemExit(f"{device.user_id} has the room as {room.display_name()}")
    for i, device in enumerate(everybody):
        await device.say(room_id, f"message {i}")
        for other in everybody:
            await other.reads(room_id, f"message {i}")
    step("four devices read each other in an encrypted room of their lists")
    return room_id


async def relations(room_id, alice, bob, everybody):
    target = await alice.say(room_id, "a thing")
    await bob.reads(room_id, "a thing")
    await (await bob.timeline(room_id))[0].toggle_reaction(ItemId.EVENT_ID(target), "👍")
    new = sdk.EditedContent.ROOM_MESSAGE(sdk.message_event_content_from_markdown("changed"))
    await (await alice.timeline(room_id))[0].edit(ItemId.EVENT_ID(target), new)
    await (await bob.timeline(room_id))[0].send_reply(sdk.message_event_content_from_markdown("an answer"), target)
    for device in everybody:
        await device.reads(room_id, "changed", "an answer")

        async def shown(device=device):
            item = (await device.messages(room_id))["changed"].content.content
            return item.kind.content.is_edited and [(r.key, [s.sender_id for s in r.senders]) for r in item.reactions] == [("👍", [bob.user_id])]
        await until("the edit and the reaction", shown)
    step("reactions, edits and answers are in every timeline")


async def badges(room_id, alice, bob, bob2):
    """Unread messages, mentions (the SDK's own counts) and the server's count of notifications."""
    async def all_have(*want):
        for device in (bob, bob2):
            room, have = await device.room(room_id), None
            for _ in range(400):
                info = await room.room_info()
                have = info.num_unread_messages, info.num_unread_mentions, info.notification_count
                if have == want:
                    break
                await asyncio.sleep(0.1)
            else:
                raise SystemExit(f"badges of {device.session.device_id} are {have}, wanted {want}")
    for device in (alice, bob):
        await (await device.timeline(room_id))[0].mark_as_read(sdk.ReceiptType.READ)
    await all_have(0, 0, 0)
    await alice.say(room_id, "one")
    mention = {"msgtype": "m.text", "body": "bob!", "m.mentions": {"user_ids": [bob.user_id]}}
    await (await alice.room(room_id)).send_raw("m.room.message", json.dumps(mention))
    await bob2.reads(room_id, "one", "bob!")
    await all_have(2, 1, 2)
    await (await bob2.timeline(room_id))[0].mark_as_read(sdk.ReceiptType.READ)
    await all_have(0, 0, 0)

    async def read_by_bob():
        return any(bob.user_id in e.read_receipts for e in await alice.events(room_id))
    await until("bob's receipt in alice's timeline", read_by_bob)
    step("badges rise and fall alike on both devices, and the receipt is seen")


async def recovered(room_id, alice, bob, recovery, texts):
    await alice.client.encryption().wait_for_backup_upload_steady_state(None)
    third = await Device(alice.user_id).open("third")
    await third.client.encryption().recover(recovery)
    await until("the third device to be verified", lambda: is_verified(third))
    timeline = (await third.timeline(room_id))[0]
    while not await timeline.paginate_backwards(50):
        pass
    await third.reads(room_id, *texts)
    await bob.say(room_id, "to all three")
    for device in (alice, third):
        await device.reads(room_id, "to all three")
    step("a third device recovers the backup and reads what was said before it was")
    return third


async def absence(room_id, alice, bob, sleepers):
    for device in sleepers:
        await device.away()
    missed = [f"away {i}" for i in range(AWAY_MESSAGES)]
    for i, text in enumerate(missed):
        await (alice, bob)[i % 2].say(room_id, text)
        if i % 10 == 9:
            for device in (alice, bob):
                await (await device.room(room_id)).discard_room_key()
    for device in sleepers:
        await device.open()
        await until("the oldest message", lambda device=device: device.goes_back(room_id, missed[0]))
        await device.reads(room_id, *missed)
    for device in sleepers:
        await device.say(room_id, f"back {device.session.device_id}")
    for device in (alice, bob, *sleepers):
        await device.reads(room_id, *(f"back {s.session.device_id}" for s in sleepers))
    step("two devices that were away read all that was said meanwhile, with keys that changed, and are heard again")


async def upgrade(room_id, alice, bob, everybody):
    new = call("POST", f"rooms/{room_id}/upgrade", {"new_version": "12"}, alice.session.access_token)["replacement_room"]
    for device in everybody:
        room = await device.room(room_id)
        await until("the successor", lambda room=room: room.successor_room() and room.successor_room().room_id == new)
    await (await alice.room(new)).invite_user_by_id(bob.user_id)
    await (await bob.room(new)).join()
    for device in everybody:
        room = await device.room(new)
        await until("the new room", lambda room=room: room.joined_members_count() == 2)
        if room.predecessor_room().room_id != room_id:
            raise SystemExit("the new room does not know the old one")
    await alice.say(new, "up here")
    for device in everybody:
        await device.reads(new, "up here")
    step("the room is upgraded, and the talk goes on in the new one")
    return new


async def main():
    ids = [call("POST", "register", {"username": f"{name}-{STAMP}", "password": PASSWORD, "inhibit_login": True,
                                     "auth": {"type": "m.login.dummy"}})["user_id"] for name in ("alice", "bob")]
    alice, alice2, bob, bob2, recovery = await devices_and_trust(ids)
    everybody = [alice, alice2, bob, bob2]
    room_id = await make_room(alice, bob, everybody)
    await relations(room_id, alice, bob, everybody)
    await badges(room_id, alice, bob, bob2)
    third = await recovered(room_id, alice, bob, recovery, ["message 0", "message 3", "changed", "an answer", "one"])
    await absence(room_id, alice, bob, (alice2, bob2))
    new = await upgrade(room_id, alice, bob, everybody)
    await third.client.logout()
    await bob.say(new, "without the third")
    for device in everybody:
        await device.reads(new, "without the third")
    for device in everybody:
        await device.client.logout()
    step("a device logs out, then the others")


asyncio.run(asyncio.wait_for(main(), 300))
os._exit(0)   # threads of the SDK would still call Python while it ends
