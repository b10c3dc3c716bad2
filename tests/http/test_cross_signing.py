# SPDX-License-Identifier: Apache-2.0
# CS-API: end-to-end encryption, cross-signing
import pytest
from accounts import failed_challenge, first_challenge, password_auth
from harness import V3
from key_calls import Device, Key, b64, changed, query
from room_calls import refuses_strangers

UPLOAD, SIGN = f"{V3}/keys/device_signing/upload", f"{V3}/keys/signatures/upload"
FLOW = ["m.login.password"]


class Identity:
    """A user's three keys."""

    def __init__(self, user):
        self.user, self.master, self.self_signing, self.user_signing = user, Key(), Key(), Key()

    def object(self, usage, key, **change):
        return {"user_id": self.user.user_id, "usage": [usage], "keys": {key.id: key.public}, **change}

    def body(self):
        signed = {u: self.master.sign(self.user.user_id, self.object(u, k))
                  for u, k in (("self_signing", self.self_signing), ("user_signing", self.user_signing))}
        return {"master_key": self.object("master", self.master), **{f"{u}_key": o for u, o in signed.items()}}

    def upload(self):
        self.user.call("POST", UPLOAD, self.body())
        return self


def sign(user, body):
    return user.call("POST", SIGN, body)["failures"]


def bare(key):
    return {k: v for k, v in key.items() if k not in ("signatures", "unsigned")}


def test_cross_signing_001_strangers_are_refused(server):
    refuses_strangers(server, "POST", "/keys/device_signing/upload", {})
    refuses_strangers(server, "POST", "/keys/signatures/upload", {})


def test_cross_signing_002_the_first_keys_need_no_authentication(user, user2):
    identity = Identity(user).upload()
    own, others = query(user, user.user_id).json(), query(user2, user.user_id).json()
    for answer in (own, others):
        master = answer["master_keys"][user.user_id]
        assert master == {**identity.body()["master_key"], "signatures": {}}
        assert answer["self_signing_keys"][user.user_id] == identity.body()["self_signing_key"]
    assert own["user_signing_keys"] == {user.user_id: identity.body()["user_signing_key"]}
    assert others["user_signing_keys"] == {}, "a user-signing key is its owner's affair"


def test_cross_signing_003_the_same_keys_again_need_none_others_do(user, user2):
    identity = Identity(user).upload()
    identity.upload()
    user.call("POST", UPLOAD, {"master_key": identity.body()["master_key"]})
    new = Identity(user)
    session = first_challenge(user.call("POST", UPLOAD, new.body(), status=401), FLOW)
    wrong = user.call("POST", UPLOAD, {**new.body(), "auth": password_auth(user, session, password="no")}, status=401)
    failed_challenge(wrong, "M_FORBIDDEN", FLOW)
    assert query(user2, user.user_id)["master_keys"][user.user_id]["keys"] == {identity.master.id: identity.master.public}
    user.call("POST", UPLOAD, {**new.body(), "auth": password_auth(user, session)})
    assert query(user2, user.user_id)["master_keys"][user.user_id]["keys"] == {new.master.id: new.master.public}
    # CS-API: a self-signing key alone is a new key too
    other = new.master.sign(user.user_id, new.object("self_signing", Key()))
    first_challenge(user.call("POST", UPLOAD, {"self_signing_key": other}, status=401), FLOW)


def test_cross_signing_004_the_authentication_must_be_the_owners(user, user2):
    Identity(user).upload()
    new = Identity(user).body()
    session = first_challenge(user.call("POST", UPLOAD, new, status=401), FLOW)
    user.call("POST", UPLOAD, {**new, "auth": password_auth(user2, session)}, status=401)
    assert query(user2, user.user_id)["master_keys"][user.user_id]["keys"] != new["master_key"]["keys"]


def test_cross_signing_005_a_new_master_key_ends_the_keys_of_the_old(user, user2):
    Identity(user).upload()
    new = {"master_key": Identity(user).body()["master_key"]}
    session = first_challenge(user.call("POST", UPLOAD, new, status=401), FLOW)
    user.call("POST", UPLOAD, {**new, "auth": password_auth(user, session)})
    answer = query(user, user.user_id).json()
    assert answer["self_signing_keys"] == answer["user_signing_keys"] == {}
    assert answer["master_keys"][user.user_id]["keys"] == new["master_key"]["keys"]


def test_cross_signing_006_bodies_that_are_none(user, user2):
    identity = Identity(user)
    body = identity.body()
    user.call("POST", UPLOAD, {}, errcode="M_MISSING_PARAM", status=400)
    user.call("POST", UPLOAD, {"self_signing_key": body["self_signing_key"]}, errcode="M_MISSING_PARAM", status=400)
    user.call("POST", UPLOAD, {"master_key": []}, errcode="M_BAD_JSON", status=400)
    user.call("POST", UPLOAD, {"master_key": {**body["master_key"], "n": 0.5}}, errcode="M_BAD_JSON", status=400)
    for change in ({"user_id": user2.user_id}, {"usage": ["self_signing"]}, {"usage": "master"}, {"keys": {}}, {"keys": None},
                   {"keys": {identity.master.id: identity.master.public, "ed25519:x": "x"}}, {"keys": {"ed25519:x": "y"}},
                   {"keys": {"ed25519:short": "short"}}, {"keys": {identity.master.public: identity.master.public}}):
        user.call("POST", UPLOAD, {**body, "master_key": {**body["master_key"], **change}}, errcode="M_INVALID_PARAM", status=400)
    user.call("POST", UPLOAD, data="", errcode="M_NOT_JSON", status=400)
    assert query(user, user.user_id)["master_keys"] == {}


def test_cross_signing_007_signatures_must_be_the_master_keys(user):
    identity, other = Identity(user), Key()
    body = identity.body()
    stranger = other.sign(user.user_id, identity.object("self_signing", identity.self_signing))
    for bad in (stranger, bare(stranger), {**body["self_signing_key"], "more": 1}):
        user.call("POST", UPLOAD, {**body, "self_signing_key": bad}, errcode="M_INVALID_SIGNATURE", status=400)
    assert query(user, user.user_id)["master_keys"] == {}


def test_cross_signing_008_a_key_that_is_the_id_of_a_device(server, user):
    identity = Identity(user)
    server.login(user.user_id, device_id=identity.master.public)
    user.call("POST", UPLOAD, identity.body(), errcode="M_FORBIDDEN", status=403)


def test_cross_signing_009_a_master_key_signed_by_a_device(user, user2):
    device, identity = Device(user), Identity(user)
    device.upload()
    body = identity.body()
    forged = {**body["master_key"], "signatures": {user.user_id: {device.key.id: b64(b"x" * 64)}}}
    user.call("POST", UPLOAD, {**body, "master_key": forged}, errcode="M_INVALID_SIGNATURE", status=400)
    signed = Key().sign(user.user_id, device.key.sign(user.user_id, body["master_key"]))
    user.call("POST", UPLOAD, {**body, "master_key": signed})
    kept = query(user2, user.user_id)["master_keys"][user.user_id]["signatures"]
    assert kept == {user.user_id: {device.key.id: signed["signatures"][user.user_id][device.key.id]}}, "an unknown key's signature is not kept"


# ---------------------------------------------------------------------- signatures

def test_cross_signing_020_a_device_is_signed_by_the_self_signing_key(user, user2):
    device, identity = Device(user), Identity(user).upload()
    device.upload()
    room = user.create_room(preset="public_chat")
    user2.join(room)
    at = user2.sync()["next_batch"]
    signed = identity.self_signing.sign(user.user_id, bare(device.keys()))
    assert sign(user, {user.user_id: {user.device_id: signed}}) == {}
    told = query(user2, user.user_id)["device_keys"][user.user_id][user.device_id]["signatures"]
    assert set(told[user.user_id]) == {device.key.id, identity.self_signing.id}
    assert changed(user2.sync(at)) == {user.user_id}
    # uploading the device's keys again takes nothing away
    device.upload()
    assert query(user2, user.user_id)["device_keys"][user.user_id][user.device_id]["signatures"] == told


def test_cross_signing_021_the_own_master_key_is_signed_by_a_device(user, user2):
    device, identity = Device(user), Identity(user).upload()
    device.upload()
    signed = device.key.sign(user.user_id, identity.body()["master_key"])
    assert sign(user, {user.user_id: {identity.master.public: signed}}) == {}
    assert query(user2, user.user_id)["master_keys"][user.user_id]["signatures"] == signed["signatures"]


def test_cross_signing_022_anothers_master_key_and_who_sees_it(server, user, user2):
    """CS-API: cross-signing, key and signature security: signatures of others' keys are their maker's affair."""
    mine, theirs, third = Identity(user).upload(), Identity(user2).upload(), server.register()
    at, other = user.sync()["next_batch"], user2.sync()["next_batch"]
    signed = mine.user_signing.sign(user.user_id, theirs.body()["master_key"])
    assert sign(user, {user2.user_id: {theirs.master.public: signed}}) == {}
    assert query(user, user2.user_id)["master_keys"][user2.user_id]["signatures"] == signed["signatures"]
    for viewer in (user2, third):
        assert query(viewer, user2.user_id)["master_keys"][user2.user_id]["signatures"] == {}
    assert changed(user.sync(at)) == {user2.user_id} and changed(user2.sync(other)) == set()


def test_cross_signing_023_signatures_that_are_not_good(user, user2):
    mine, theirs, device, foreign = Identity(user).upload(), Identity(user2).upload(), Device(user), Device(user2)
    device.upload()
    foreign.upload()
    keys = bare(device.keys())
    good = mine.self_signing.sign(user.user_id, keys)
    bad = {
        "forged": {user.user_id: {user.device_id: {**keys, "signatures": {user.user_id: {mine.self_signing.id: b64(b"x" * 64)}}}}},
        "other text": {user.user_id: {user.device_id: mine.self_signing.sign(user.user_id, {**keys, "more": 1})}},
        "text changed after": {user.user_id: {user.device_id: {**good, "more": 1}}},
        "master key on device": {user.user_id: {user.device_id: mine.master.sign(user.user_id, keys)}},
        "stranger's key": {user.user_id: {user.device_id: Key().sign(user.user_id, keys)}},
        "none": {user.user_id: {user.device_id: keys}},
        "another's device": {user2.user_id: {user2.device_id: mine.user_signing.sign(user.user_id, bare(foreign.keys()))}},
        "another's self-signing key": {user2.user_id: {theirs.self_signing.public: mine.user_signing.sign(
            user.user_id, bare(theirs.body()["self_signing_key"]))}},
        "in another's name": {user2.user_id: {theirs.master.public: theirs.self_signing.sign(user2.user_id, theirs.body()["master_key"])}},
    }
    for what, body in bad.items():
        failures = sign(user, body)
        (owner, key), = [(u, k) for u, ks in body.items() for k in ks]
        assert failures[owner][key]["errcode"] == "M_INVALID_SIGNATURE" and failures[owner][key]["error"], what
    assert query(user, user.user_id)["device_keys"][user.user_id][user.device_id]["signatures"] == device.keys()["signatures"]
    assert query(user, user2.user_id)["master_keys"][user2.user_id]["signatures"] == {}
    failures = sign(user, {user.user_id: {"NONE": keys, user.device_id: good}, "@nobody:x.example": {"D": {}}})
    assert {u: {k: e["errcode"] for k, e in ks.items()} for u, ks in failures.items()} == {
        user.user_id: {"NONE": "M_NOT_FOUND"}, "@nobody:x.example": {"D": "M_NOT_FOUND"}}
    assert mine.self_signing.id in query(user2, user.user_id)["device_keys"][user.user_id][user.device_id]["signatures"][user.user_id]


@pytest.mark.parametrize("body", [{"@a:b": 1}, {"@a:b": {"D": 1}}, {"@a:b": []}])
def test_cross_signing_024_signature_bodies_that_are_none(user, body):
    user.call("POST", SIGN, body, errcode="M_BAD_JSON", status=400)
    user.call("POST", SIGN, data="", errcode="M_NOT_JSON", status=400)
    assert sign(user, {}) == {}


def test_cross_signing_025_signatures_go_with_the_device(server, user):
    second, identity = server.login(user.user_id, device_id="SECOND"), Identity(user).upload()
    device = Device(second)
    device.upload()
    assert sign(user, {user.user_id: {"SECOND": identity.self_signing.sign(user.user_id, bare(device.keys()))}}) == {}
    second.call("POST", f"{V3}/logout", {})
    again = Device(server.login(user.user_id, device_id="SECOND"))
    again.upload()
    assert set(query(user, user.user_id)["device_keys"][user.user_id]["SECOND"]["signatures"][user.user_id]) == {again.key.id}


def test_cross_signing_026_a_session_of_null_is_none(user):
    """CS-API: user-interactive authentication, session: "only if the homeserver gave one"; the Rust SDK sends null before it has one."""
    auth, new = {**password_auth(user), "session": None}, Identity(user)
    user.call("POST", UPLOAD, {**Identity(user).body(), "auth": auth})
    user.call("POST", UPLOAD, {**new.body(), "auth": auth})
    assert query(user, user.user_id)["master_keys"][user.user_id]["keys"] == {new.master.id: new.master.public}
    user.call("POST", UPLOAD, {**Identity(user).body(), "auth": password_auth(user, session=7)}, status=400, errcode="M_BAD_JSON")
