// SPDX-License-Identifier: Apache-2.0
// Encrypted talk with matrix-js-sdk and its Rust crypto: cross-signing, an encrypted room, key backup, and a new device that restores it
// and is trusted by its signature.   usage: node walk_js_e2ee.mjs BASE_URL [NODE_MODULES]
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const base = process.argv[2];
const require = createRequire(pathToFileURL((process.argv[3] ?? process.cwd()) + "/"));
const sdk = await import(pathToFileURL(require.resolve("matrix-js-sdk")).href);
const { logger } = await import(pathToFileURL(require.resolve("matrix-js-sdk/lib/logger.js")).href);
logger.setLevel?.("silent");

const password = "correct horse battery";
const stamp = Date.now().toString(36);
const until = async (what, check, seconds = 30) => {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const got = await check();
        if (got) return got;
        if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
};
const step = (text) => console.log(`ok - ${text}`);

async function register(name) {
    const wanted = { username: `${name}-${stamp}`, password, initial_device_display_name: "walk" };
    const anonymous = sdk.createClient({ baseUrl: base });
    const session = await anonymous.registerRequest(wanted).then(() => { throw new Error("no authentication was asked for"); }, (e) => e.data.session);
    return anonymous.registerRequest({ ...wanted, auth: { type: "m.login.dummy", session } });
}

async function start(session) {
    const secrets = { key: undefined };
    const client = sdk.createClient({
        baseUrl: base, accessToken: session.access_token, userId: session.user_id, deviceId: session.device_id,
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => (secrets.key ? [Object.keys(keys)[0], secrets.key] : null),
            cacheSecretStorageKey: (_id, _info, key) => { secrets.key = key; },
        },
    });
    client.secrets = secrets;
    await client.initRustCrypto({ useIndexedDB: false });
    await client.startClient({ initialSyncLimit: 20 });
    await until("the first sync", () => client.isInitialSyncComplete());
    return client;
}

const authenticate = (session) => (makeRequest) => makeRequest({
    type: "m.login.password", identifier: { type: "m.id.user", user: session.user_id }, password });

// Told by /sync that the keys changed, a client asks for them again.
const seesSigned = (client, other) => until("a device that is signed by its owner", async () => {
    await client.getCrypto().getUserDeviceInfo([other.getUserId()], true);
    return (await client.getCrypto().getDeviceVerificationStatus(other.getUserId(), other.getDeviceId()))?.signedByOwner;
});

const bodies = async (client, roomId) => {
    const events = client.getRoom(roomId)?.getLiveTimeline().getEvents() ?? [];
    await Promise.all(events.map((e) => client.decryptEventIfNeeded(e)));
    return events.filter((e) => e.getType() === "m.room.message" && !e.isDecryptionFailure()).map((e) => e.getContent().body);
};

const [aliceSession, bobSession] = [await register("alice"), await register("bob")];
const [alice, bob] = [await start(aliceSession), await start(bobSession)];
for (const [client, session] of [[alice, aliceSession], [bob, bobSession]])
    await client.getCrypto().bootstrapCrossSigning({ authUploadDeviceSigningKeys: authenticate(session) });
for (const client of [alice, bob]) await seesSigned(client, client);
step("two users have cross-signing keys, and their devices are signed");

const { room_id: roomId } = await alice.createRoom({
    preset: "private_chat", invite: [bob.getUserId()],
    initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }] });
await until("the invitation", () => bob.getRoom(roomId)?.getMyMembership() === "invite");
await bob.joinRoom(roomId);
await until("both members", () => alice.getRoom(roomId)?.getJoinedMemberCount() === 2);
await until("bob's keys", async () => (await alice.getCrypto().getUserDeviceInfo([bob.getUserId()], true)).get(bob.getUserId())?.size);
await alice.sendTextMessage(roomId, "from alice");
await until("alice's message", async () => (await bodies(bob, roomId)).includes("from alice"));
await bob.sendTextMessage(roomId, "from bob");
await until("bob's message", async () => (await bodies(alice, roomId)).includes("from bob"));
step("they read each other in an encrypted room");

const recovery = await alice.getCrypto().createRecoveryKeyFromPassphrase();
await alice.getCrypto().bootstrapSecretStorage({ createSecretStorageKey: async () => recovery, setupNewKeyBackup: true, setupNewSecretStorage: true });
await until("the backup to hold the keys", async () => (await alice.getKeyBackupVersion())?.count >= 2);
step("the keys of the room are backed up");

const login = await sdk.createClient({ baseUrl: base }).login("m.login.password", {
    identifier: { type: "m.id.user", user: alice.getUserId() }, password });
const second = await start(login);
second.secrets.key = recovery.privateKey;
await second.getCrypto().bootstrapCrossSigning({});
const restored = await second.restoreKeyBackupWithSecretStorage(await second.getKeyBackupVersion());
await second.getCrypto().checkKeyBackupAndEnable();
if (restored.imported < 2) throw new Error(`restored ${restored.imported} of ${restored.total}`);
await until("the old messages", async () => {
    const read = await bodies(second, roomId);
    return read.includes("from alice") && read.includes("from bob");
});
step("a new device restores the backup and reads what was said before it was");

await seesSigned(bob, second);
await bob.sendTextMessage(roomId, "to both");
await until("both devices to read", async () => (await bodies(second, roomId)).includes("to both") && (await bodies(alice, roomId)).includes("to both"));
step("it is signed by its owner, and both devices read what comes");

for (const client of [alice, bob, second]) client.stopClient();
process.exit(0);
