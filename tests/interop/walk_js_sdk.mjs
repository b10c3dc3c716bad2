// SPDX-License-Identifier: Apache-2.0
// The walk with matrix-js-sdk: two users register, create, invite, join, talk, and see each other's messages by their
// own sync loops.   usage: node walk_js_sdk.mjs BASE_URL [NODE_MODULES]
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const base = process.argv[2];
const require = createRequire(pathToFileURL((process.argv[3] ?? process.cwd()) + "/"));
const sdk = await import(pathToFileURL(require.resolve("matrix-js-sdk")).href);
const { logger } = await import(pathToFileURL(require.resolve("matrix-js-sdk/lib/logger.js")).href);
logger.setLevel?.("error");

const password = "correct horse battery";
const stamp = Date.now().toString(36);

async function register(name) {
    const anonymous = sdk.createClient({ baseUrl: base });
    const wanted = { username: `${name}-${stamp}`, password, initial_device_display_name: "walk" };
    let session;
    try {
        await anonymous.registerRequest(wanted);
        throw new Error("registered without user-interactive authentication");
    } catch (e) {
        if (e.httpStatus !== 401) throw e;
        session = e.data.session;
    }
    const r = await anonymous.registerRequest({ ...wanted, auth: { type: "m.login.dummy", session } });
    return sdk.createClient({ baseUrl: base, accessToken: r.access_token, userId: r.user_id, deviceId: r.device_id });
}

function started(client) {
    return new Promise((resolve, reject) => {
        client.on(sdk.ClientEvent.Sync, (state, _old, data) => {
            if (state === "PREPARED") resolve();
            if (state === "ERROR") reject(data?.error ?? new Error("sync failed"));
        });
        client.startClient({ initialSyncLimit: 10 });
    });
}

function until(what, check, ms = 15000) {
    return new Promise((resolve, reject) => {
        const end = Date.now() + ms;
        const timer = setInterval(() => {
            const value = check();
            if (value) { clearInterval(timer); resolve(value); }
            else if (Date.now() > end) { clearInterval(timer); reject(new Error(`timed out waiting for ${what}`)); }
        }, 20);
    });
}

const bodies = (client, roomId) =>
    (client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [])
        .filter((e) => e.getType() === "m.room.message")
        .map((e) => `${e.getSender()} ${e.getContent().body}`);

function step(text) { console.log(`ok - ${text}`); }

const alice = await register("alice");
const bob = await register("bob");
step("two users registered");
await Promise.all([started(alice), started(bob)]);
step("both sync loops are running");

const { room_id: roomId } = await alice.createRoom({ name: "Walk", topic: "two people talking", preset: "private_chat" });
await alice.invite(roomId, bob.getUserId());
await until("the invite", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
step("the invited user sees the invite");
if (bob.getRoom(roomId).name !== "Walk") throw new Error(`the invite calls the room ${bob.getRoom(roomId).name}`);
await bob.joinRoom(roomId);
await until("the join", () => alice.getRoom(roomId)?.getJoinedMemberCount() === 2);
step("the inviter sees the join");

// The client shows its own messages at once, wherever the others' are: so each waits for the other before it answers.
const want = [];
for (let i = 0; i < 10; i++) {
    const [me, other] = i % 2 ? [bob, alice] : [alice, bob];
    await me.sendTextMessage(roomId, `message ${i}`);
    want.push(`${me.getUserId()} message ${i}`);
    await until(`message ${i}`, () => bodies(other, roomId).length === i + 1);
}
for (const client of [alice, bob]) {
    const have = bodies(client, roomId);
    if (JSON.stringify(have) !== JSON.stringify(want)) throw new Error(`${client.getUserId()} saw ${JSON.stringify(have)}`);
}
step("both see all messages, once, in order");

await bob.sendTyping(roomId, true, 10000);
await until("typing", () => alice.getRoom(roomId).getMember(bob.getUserId())?.typing);
const last = alice.getRoom(roomId).getLiveTimeline().getEvents().at(-1);
await alice.sendReadReceipt(last);
await until("the receipt", () => bob.getRoom(roomId).getEventReadUpTo(alice.getUserId()) === last.getId());
step("typing and receipts arrive");

await alice.setDisplayName("Alice A.");
await until("the new name", () => bob.getRoom(roomId).getMember(alice.getUserId())?.rawDisplayName === "Alice A.");
const redacted = (await alice.sendTextMessage(roomId, "slip of the tongue")).event_id;
await until("the slip", () => bob.getRoom(roomId).findEventById(redacted));
await alice.redactEvent(roomId, redacted);
await until("the redaction", () => bob.getRoom(roomId).findEventById(redacted)?.isRedacted());
step("a new name and a redaction arrive");

const history = await bob.createMessagesRequest(roomId, null, 100, sdk.Direction.Backward);
if (!history.chunk.some((e) => e.type === "m.room.create")) throw new Error("history does not reach the room's creation");
await bob.leave(roomId);
await until("the leave", () => alice.getRoom(roomId).getMember(bob.getUserId())?.membership === "leave");
step("history reaches back and the leave is seen");

alice.stopClient();
bob.stopClient();
await alice.logout(true);
process.exit(0);
