// SPDX-License-Identifier: Apache-2.0
// Encrypted talk with matrix-js-sdk and its Rust crypto: two users with two devices each verify one another by emoji, sign, back up and
// restore keys, react, edit, thread, read, go away and come back, upgrade their room and log out.   usage: node walk_js_e2ee.mjs BASE_URL [NODE_MODULES]
import { authenticate, away, bodies, events, expectSame, login, reads, register, sdk, seesSigned, start, step, until, verifyByEmoji }
    from "./js_client.mjs";

const { Highlight, Total } = sdk.NotificationCountType;
const AWAY_MESSAGES = 60, ROTATION = 7;

// ---------------------------------------------------------------------- devices and trust
const [aliceSession, bobSession] = [await register("alice"), await register("bob")];
const [alice, bob] = [await start(aliceSession), await start(bobSession)];
for (const client of [alice, bob])
    await client.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: authenticate(client.getUserId()) });
for (const client of [alice, bob]) await seesSigned(client, client);
step("two users have cross-signing keys, and their devices are signed");

const recovery = await alice.getCrypto().createRecoveryKeyFromPassphrase();
await alice.getCrypto().bootstrapSecretStorage({ createSecretStorageKey: async () => recovery, setupNewKeyBackup: true, setupNewSecretStorage: true });
const ready = async (client) => (await client.getCrypto().getCrossSigningStatus()).privateKeysCachedLocally;
let alice2 = await start(await login(alice.getUserId()));
let bob2 = await start(await login(bob.getUserId()));
for (const [first, second] of [[alice, alice2], [bob, bob2]]) {
    await second.getCrypto().userHasCrossSigningKeys(first.getUserId(), true);
    await verifyByEmoji(second, await second.getCrypto().requestOwnUserVerification(), first);
    await seesSigned(first, second);
    await until("the private keys to come over", async () => Object.values(await ready(second)).every(Boolean));
}
step("each verifies a second device by emoji, and it is given the private keys");

const { room_id: roomId } = await alice.createRoom({
    preset: "private_chat", invite: [bob.getUserId()],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2", rotation_period_msgs: ROTATION } }] });
await until("the invitation", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
await bob.joinRoom(roomId);
const everybody = () => [alice, alice2, bob, bob2];
for (const client of everybody()) await until("both members", () => client.getRoom(roomId)?.getJoinedMemberCount() === 2);
for (const client of everybody()) for (const other of everybody()) await seesSigned(client, other);
const said = [];
const say = async (client, text) => { said.push(text); return (await client.sendTextMessage(roomId, text)).event_id; };
for (const [i, client] of everybody().entries()) {
    await say(client, `message ${i}`);
    for (const other of everybody()) await reads(other, roomId, `message ${i}`);
}
step("four devices read each other in an encrypted room");

await verifyByEmoji(alice, await alice.getCrypto().requestVerificationDM(bob.getUserId(), roomId), bob);
const trusts = (client, other) => until(`${client.getDeviceId()} to trust ${other.getUserId()}`, async () => {
    await client.getCrypto().getUserDeviceInfo([other.getUserId()], true);
    return (await client.getCrypto().getUserVerificationStatus(other.getUserId())).isCrossSigningVerified();
});
for (const [mine, theirs] of [[[alice, alice2], bob], [[bob, bob2], alice]]) for (const client of mine) await trusts(client, theirs);
expectSame("alice of bob's second device",
    (await alice.getCrypto().getDeviceVerificationStatus(bob.getUserId(), bob2.getDeviceId())).crossSigningVerified, true);
step("the users verify each other by emoji in the room, and all their devices trust it");

// ---------------------------------------------------------------------- backup
const sessionsOf = async (client) => new Set((await client.getCrypto().exportRoomKeys()).map((k) => k.session_id)).size;
await until("the backup to hold the keys", async () =>
    (await alice.http.authedRequest("GET", "/room_keys/version")).count >= await sessionsOf(alice));
const third = await start(await login(alice.getUserId()));
third.secrets.key = recovery.privateKey;
await third.getCrypto().userHasCrossSigningKeys(alice.getUserId(), true);
await third.getCrypto().bootstrapCrossSigning({});
await third.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
const restored = await third.getCrypto().restoreKeyBackup();
await third.getCrypto().checkKeyBackupAndEnable();
expectSame("keys restored", restored.imported, restored.total);
await reads(third, roomId, ...said);
await seesSigned(bob, third);
await say(bob, "to all three");
for (const client of [alice, alice2, third]) await reads(client, roomId, "to all three");
step("a third device restores the backup, reads what was said before it was, and is trusted by its signature");

// ---------------------------------------------------------------------- reactions, edits, threads
const seen = async (client, id) => (await events(client, roomId)).find((e) => e.getId() === id);
const relate = (client, rel, content) => client.sendEvent(roomId, "m.room.message", { ...content, "m.relates_to": rel });
const target = await say(alice, "a thing to react to");
await reads(bob2, roomId, "a thing to react to");
await bob2.sendEvent(roomId, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: target, key: "👍" } });
await relate(alice2, { rel_type: "m.replace", event_id: target }, { "msgtype": "m.text", "body": "* changed", "m.new_content": { msgtype: "m.text", body: "changed" } });
for (const client of [alice, bob, third]) {
    await until("the edit", async () => (await seen(client, target))?.getContent().body === "changed");
    const reactions = () => client.getRoom(roomId).relations.getChildEventsForEvent(target, "m.annotation", "m.reaction");
    await until("the reaction", () => reactions()?.getSortedAnnotationsByKey()?.[0]?.[0] === "👍");
}
step("reactions and edits are seen by every device");

const root = await say(alice, "the root");
const inThread = { rel_type: "m.thread", event_id: root, is_falling_back: true, "m.in_reply_to": { event_id: root } };
for (const text of ["reply 1", "reply 2", "reply 3"]) await relate(text === "reply 2" ? alice2 : alice, inThread, { msgtype: "m.text", body: text });
for (const client of [bob, bob2]) {
    const thread = await until("the thread", () => client.getRoom(roomId).getThread(root));
    await until("the replies", async () => { await events(client, roomId); return thread.length === 3 && thread.replyToEvent?.getContent().body === "reply 3"; });
}
await reads(bob, roomId, "reply 1", "reply 2", "reply 3");
const listed = await bob.createThreadListMessagesRequest(roomId, null, 10, sdk.Direction.Backward);
expectSame("threads of the room", listed.chunk.map((e) => [e.event_id, e.unsigned["m.relations"]["m.thread"].count]), [[root, 3]]);
step("a thread has its replies, its count and its place in the list of threads");

// ---------------------------------------------------------------------- badges
const badge = (client) => {
    const room = client.getRoom(roomId);
    return [Total, Highlight].map((kind) => [room.getRoomUnreadNotificationCount(kind) ?? 0, room.getThreadUnreadNotificationCount(root, kind) ?? 0]).flat();
};
const badges = async (what, want, ...clients) => {
    for (const client of clients)
        await until(`badges of ${client.getUserId()} ${client.getDeviceId()} after ${what} to be ${want}`, () => String(badge(client)) === String(want))
            .catch((e) => { throw new Error(`${e.message}; they are ${badge(client)}`); });
};
// The root of a thread stands in the room, its replies in the thread.
const lastEvent = async (client, threaded) =>
    (await events(client, roomId)).filter((e) => !!(e.threadRootId && e.getId() !== root) === threaded && !e.isState()).at(-1);
for (const client of [alice, bob]) for (const threaded of [false, true]) await client.sendReadReceipt(await lastEvent(client, threaded));
await badges("reading all", [0, 0, 0, 0], alice, alice2, bob, bob2);
await say(alice, "one");
await say(alice, "two");
await relate(alice, inThread, { msgtype: "m.text", body: "in the thread" });
await badges("two messages and a reply", [2, 1, 0, 0], bob, bob2);
await badges("what they said themselves", [0, 0, 0, 0], alice, alice2, third);
await alice.sendMessage(roomId, { "msgtype": "m.text", "body": "bob!", "m.mentions": { user_ids: [bob.getUserId()] } });
await badges("a mention", [3, 1, 1, 0], bob, bob2);
await bob2.sendReadReceipt(await lastEvent(bob2, true));
await badges("a threaded receipt for the thread", [3, 0, 1, 0], bob, bob2);
const main = await lastEvent(bob, false);
await bob.sendReadReceipt(main, sdk.ReceiptType.ReadPrivate);
await badges("a private receipt for the rest", [0, 0, 0, 0], bob, bob2);
expectSame("alice of bob's private receipt", alice.getRoom(roomId).getEventReadUpTo(bob.getUserId()) === main.getId(), false);
await bob.sendReadReceipt(main);
await until("bob's receipt", () => alice.getRoom(roomId).getEventReadUpTo(bob.getUserId()) === main.getId());
step("badges of room and thread rise and fall alike on both devices");

// ---------------------------------------------------------------------- away
const wake = [await away(alice2), await away(bob2)];
const missed = [];
for (let i = 0; i < AWAY_MESSAGES; i++) {
    missed.push(`away ${i}`);
    await say(i % 2 ? alice : bob, missed.at(-1));
    if (i % 20 === 19) for (const client of [alice, bob]) await client.getCrypto().forceDiscardSession(roomId);
}
for (const client of [alice, bob]) await reads(client, roomId, missed.at(-1), missed.at(-2));
[alice2, bob2] = await Promise.all(wake.map((open) => open()));
for (const client of [alice2, bob2]) {
    await reads(client, roomId, missed.at(-1));
    const timeline = client.getRoom(roomId).getLiveTimeline();   // a gap since the last sync began a new one
    while (!(await bodies(client, roomId)).includes(missed[0]) && await client.paginateEventTimeline(timeline, { backwards: true, limit: 30 }));
    const missing = async () => { const read = await bodies(client, roomId); return missed.filter((text) => !read.includes(text)); };
    await until(`${client.getDeviceId()} to read what it missed`, async () => !(await missing()).length).catch(async (e) => {
        const failed = (await events(client, roomId)).filter((event) => event.isDecryptionFailure());
        throw new Error(`${e.message}; it lacks ${await missing()}; not decrypted: ${failed.map((event) => `${event.getId()} ${event.decryptionFailureReason}`)}`);
    });
}
const keys = new Set((await events(alice2, roomId)).map((e) => e.getWireContent().session_id).filter(Boolean));
if (keys.size < AWAY_MESSAGES / ROTATION) throw new Error(`the keys were changed ${keys.size} times only`);
for (const client of [alice2, bob2]) await say(client, `back ${client.getUserId()}`);
for (const client of [alice, alice2, bob, bob2, third]) await reads(client, roomId, `back ${alice2.getUserId()}`, `back ${bob2.getUserId()}`);
step("two devices that were away read all that was said meanwhile, with keys that changed, and are heard again");

// ---------------------------------------------------------------------- upgrade
const { replacement_room: newRoom } = await alice.upgradeRoom(roomId, "12");
await alice.invite(newRoom, bob.getUserId());
for (const client of [bob, bob2])
    await until("the tombstone", () => client.getRoom(roomId).currentState.getStateEvents("m.room.tombstone", "")?.getContent().replacement_room === newRoom);
await until("the invitation to the new room", () => bob2.getRoom(newRoom)?.getMyMembership() === "invite");
await bob2.joinRoom(newRoom);
for (const client of everybody()) await until("the new room", () => client.getRoom(newRoom)?.getJoinedMemberCount() === 2);
expectSame("the predecessor", bob.getRoom(newRoom).findPredecessor()?.roomId, roomId);
expectSame("the new room is encrypted", await bob.getCrypto().isEncryptionEnabledInRoom(newRoom), true);
await alice2.sendTextMessage(newRoom, "up here");
for (const client of [...everybody(), third]) await reads(client, newRoom, "up here");
step("the room is upgraded, and the talk goes on, encrypted, in the new one");

// ---------------------------------------------------------------------- logout
const devicesOf = async (client, userId) => [...(await client.getCrypto().getUserDeviceInfo([userId])).get(userId).keys()].sort();
await third.logout(true);
const rest = [alice.getDeviceId(), alice2.getDeviceId()].sort();
for (const client of [bob, bob2])
    await until("the third device to be gone", async () => String(await devicesOf(client, alice.getUserId())) === String(rest));
expectSame("a token after logout", await third.whoami().then(() => "none", (e) => e.errcode), "M_UNKNOWN_TOKEN");
await bob.sendTextMessage(newRoom, "without the third");
for (const client of [alice, alice2, bob2]) await reads(client, newRoom, "without the third");
for (const client of everybody()) await client.logout(true);
step("a device that logged out is gone for all, and the others log out");
process.exit(0);
