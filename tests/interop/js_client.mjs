// SPDX-License-Identifier: Apache-2.0
// What the walks with matrix-js-sdk share: users, devices that can be switched off and on again, waiting, and verification by emoji.
// The program's arguments are BASE_URL [NODE_MODULES].
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export const base = process.argv[2];
const require = createRequire(pathToFileURL((process.argv[3] ?? process.cwd()) + "/"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

// A browser has a database, which outlives the page; in Node there is this one, which outlives the client object.
await load("fake-indexeddb/auto");
export const sdk = await load("matrix-js-sdk");
const { VerificationPhase, VerifierEvent, CryptoEvent } = await load("matrix-js-sdk/lib/crypto-api/index.js");
const { logger } = await load("matrix-js-sdk/lib/logger.js");
const { default: loglevel } = await load("loglevel");
for (const l of [logger, ...Object.values(loglevel.getLoggers())]) l.setLevel?.("silent");
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, getChild: () => quiet };

const password = "correct horse battery";
const stamp = Date.now().toString(36);
const POLL_MS = 50;

export const step = (text) => console.log(`ok - ${text}`);

export async function until(what, check, seconds = 30) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const got = await check();
        if (got) return got;
        if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
}

export function expectSame(what, have, want) {
    if (JSON.stringify(have) !== JSON.stringify(want)) throw new Error(`${what}: ${JSON.stringify(have)}, wanted ${JSON.stringify(want)}`);
}

export async function register(name) {
    const wanted = { username: `${name}-${stamp}`, password, initial_device_display_name: `${name}'s first` };
    const anonymous = sdk.createClient({ baseUrl: base });
    const session = await anonymous.registerRequest(wanted).then(() => { throw new Error("no authentication was asked for"); }, (e) => e.data.session);
    return anonymous.registerRequest({ ...wanted, auth: { type: "m.login.dummy", session } });
}

export const login = (userId) => sdk.createClient({ baseUrl: base }).loginRequest({
    type: "m.login.password", identifier: { type: "m.id.user", user: userId }, password, initial_device_display_name: "another" });

export const authenticate = (userId) => (makeRequest) => makeRequest({
    type: "m.login.password", identifier: { type: "m.id.user", user: userId }, password });

// A client object on the databases of its device. `secrets.key` is the recovery key, once somebody has typed it in.
export async function start(session, secrets = { key: undefined }) {
    const store = new sdk.IndexedDBStore({ indexedDB: globalThis.indexedDB, dbName: `sync-${session.device_id}` });
    const client = sdk.createClient({
        baseUrl: base, accessToken: session.access_token, userId: session.user_id, deviceId: session.device_id, store, logger: quiet,
        verificationMethods: ["m.sas.v1"],
        cryptoCallbacks: {
            getSecretStorageKey: async ({ keys }) => (secrets.key ? [Object.keys(keys)[0], secrets.key] : null),
            cacheSecretStorageKey: (_id, _info, key) => { secrets.key = key; },
        },
    });
    Object.assign(client, { session, secrets, requests: [] });
    client.on(CryptoEvent.VerificationRequestReceived, (request) => client.requests.push(request));
    await store.startup();
    await client.initRustCrypto({ cryptoDatabasePrefix: `crypto-${session.device_id}` });
    await client.startClient({ initialSyncLimit: 20, threadSupport: true });
    await until("the first sync", () => client.isInitialSyncComplete());
    return client;
}

// The page is closed: what was synced is in the database, the client object is gone.
export async function away(client) {
    await client.store.save(true);
    client.stopClient();
    return () => start(client.session, client.secrets);
}

// Events of the timeline and of its threads, decrypted where the device can.
export async function events(client, roomId) {
    const room = client.getRoom(roomId);
    const all = new Map((room?.getLiveTimeline().getEvents() ?? []).map((e) => [e.getId(), e]));
    for (const thread of room?.getThreads() ?? []) for (const e of thread.events) all.set(e.getId(), e);
    await Promise.all([...all.values()].map((e) => client.decryptEventIfNeeded(e)));
    return [...all.values()];
}

export async function bodies(client, roomId) {
    return (await events(client, roomId)).filter((e) => e.getType() === "m.room.message" && !e.isDecryptionFailure())
        .map((e) => e.getContent().body);
}

export const reads = (client, roomId, ...texts) => until(`${client.getUserId()} ${client.getDeviceId()} to read ${texts}`, async () => {
    const read = await bodies(client, roomId);
    return texts.every((text) => read.includes(text));
});

// Told by /sync that the keys changed, a client asks for them again.
export const seesSigned = (client, other) => until(`${client.getUserId()} to see that ${other.getDeviceId()} is signed by its owner`, async () => {
    await client.getCrypto().getUserDeviceInfo([other.getUserId()], true);
    return (await client.getCrypto().getDeviceVerificationStatus(other.getUserId(), other.getDeviceId()))?.signedByOwner;
});

const emojiOf = (verifier) => new Promise((resolve) => {
    const shown = verifier.getShowSasCallbacks();
    if (shown) resolve(shown);
    else verifier.on(VerifierEvent.ShowSas, resolve);
});

// The one who asked and the one who is asked look at the same seven emoji and both say so. CS-API: Short Authentication String verification.
export async function verifyByEmoji(asking, request, asked) {
    const received = await until("the request to verify", () => asked.requests.find((r) => r.transactionId === request.transactionId));
    await received.accept();
    await until("both to be ready", () => request.phase === VerificationPhase.Ready);
    const first = await request.startVerification("m.sas.v1");
    const second = await until("the start of the verification", () => received.verifier);
    const ends = [first.verify(), second.verify()];
    const [mine, theirs] = await Promise.all([emojiOf(first), emojiOf(second)]);
    if (mine.sas.emoji?.length !== 7) throw new Error("there are no seven emoji");
    expectSame("what the other shows", theirs.sas.emoji, mine.sas.emoji);
    await Promise.all([mine.confirm(), theirs.confirm()]);
    await Promise.all(ends);
    for (const r of [request, received]) await until("the end of the verification", () => r.phase === VerificationPhase.Done);
    asked.requests.length = 0;
}
