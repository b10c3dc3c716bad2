# SPDX-License-Identifier: Apache-2.0
"""CS-API: invite permission (m.invite_permission_config), and MSC4155: lists of users and servers. The plain block: test_inviting.py."""
import pytest

from harness import V3, quote

LISTS = "org.matrix.msc4155.invite_permission_config"


def put(user, type, content):
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/{type}", content)


def invite(inviter, invitee, **expect):
    room_id = inviter.create_room()
    inviter.call("POST", f"{V3}/rooms/{quote(room_id)}/invite", {"user_id": invitee.user_id}, **expect)
    return room_id


def is_blocked(inviter, invitee):
    room_id = inviter.create_room()
    ways = [("POST", f"{V3}/rooms/{quote(room_id)}/invite", {"user_id": invitee.user_id}),
            ("POST", f"{V3}/createRoom", {"invite": [invitee.user_id]}),
            ("POST", f"{V3}/createRoom", {"initial_state": [{"type": "m.room.member", "state_key": invitee.user_id,
                                                             "content": {"membership": "invite"}}]}),
            ("PUT", f"{V3}/rooms/{quote(room_id)}/state/m.room.member/{quote(invitee.user_id)}", {"membership": "invite"})]
    replies = [inviter.call(*way, status=None) for way in ways]
    blocked = [r.status_code == 403 and r["errcode"] == "M_INVITE_BLOCKED" for r in replies]
    if not all(blocked):
        assert not blocked[0] and not blocked[1] and not blocked[3], replies
    return blocked[0]


def test_invite_permission_001_versions_say_so(server):
    features = server.call("GET", "/_matrix/client/versions", token=None)["unstable_features"]
    assert features["org.matrix.msc4155"] and features["org.matrix.msc4380"] and features["org.matrix.msc4380.stable"]


@pytest.mark.parametrize("type", ["m.invite_permission_config", "org.matrix.msc4380.invite_permission_config"])
def test_invite_permission_002_blocks_and_hides_what_is_there(user, user2, type):
    """CS-API: "invite events for this user already in the database … MUST NOT be served over client synchronisation endpoints"."""
    before = invite(user2, user)
    put(user, type, {"default_action": "block"})
    assert is_blocked(user2, user) and before not in user.sync()["rooms"]["invite"]
    # "Other endpoints, such as GET /rooms/{roomId}/state, are not affected"
    assert user2.get_state(before, "m.room.member", user.user_id)["membership"] == "invite"
    put(user, type, {})
    assert not is_blocked(user2, user) and before in user.sync()["rooms"]["invite"]


@pytest.mark.parametrize("config, blocked", [
    ({"blocked_users": ["{other}"]}, True), ({"blocked_users": ["@nobody:*"]}, False), ({"blocked_users": ["@*:{server}"]}, True),
    ({"blocked_users": ["*"], "allowed_users": ["{other}"]}, False), ({"blocked_servers": ["{server}"]}, True),
    ({"blocked_servers": ["*"]}, True), ({"blocked_servers": ["*.example.com"]}, False),
    ({"blocked_servers": ["*"], "allowed_users": ["{other}"]}, False), ({"blocked_servers": ["*"], "allowed_servers": ["{server}"]}, False),
    ({"blocked_users": ["{other}"], "allowed_servers": ["*"]}, True), ({"blocked_users": ["{other}"], "ignored_users": ["*"]}, False),
    ({"blocked_users": "{other}"}, False), ({"blocked_users": [1, None, "", {}]}, False), ({"blocked_users": ["*" * 300]}, False),
    ({"blocked_users": ["{OTHER}"]}, True), ([], False),
])
def test_invite_permission_003_lists_go_users_first_then_allow_ignore_block(server, user, user2, config, blocked):
    def fill(value):
        if isinstance(value, str):
            return value.replace("{other}", user2.user_id).replace("{OTHER}", user2.user_id.upper()).replace("{server}", server.server_name)
        if isinstance(value, list):
            return [fill(v) for v in value]
        return {k: fill(v) for k, v in value.items()} if isinstance(value, dict) else value
    if config != []:
        put(user, LISTS, fill(config))
    assert is_blocked(user2, user) is blocked


def test_invite_permission_004_ignored_ones_are_accepted_and_not_shown(server, user, user2, new_user):
    """MSC4155: "handle an invite normally as if accepted. However, the server MUST not include the invite down" /sync."""
    friend = new_user()
    put(user, LISTS, {"ignored_users": [user2.user_id]})
    since = user.sync()["next_batch"]
    hidden, shown = invite(user2, user), invite(friend, user)
    for answer in (user.sync(since), user.sync()):
        assert hidden not in answer["rooms"]["invite"] and shown in answer["rooms"]["invite"]
    put(user, LISTS, {"ignored_servers": [server.server_name], "allowed_users": [user2.user_id]})
    assert hidden in user.sync()["rooms"]["invite"] and shown not in user.sync()["rooms"]["invite"]


def test_invite_permission_005_globs_that_would_take_long_do_not(user, user2):
    put(user, LISTS, {"blocked_users": ["*a" * 120 + "b"] * 900, "blocked_servers": ["*"]})
    assert is_blocked(user2, user)


def test_invite_permission_006_who_is_in_stays_in(user, user2):
    room_id = invite(user2, user)
    user.join(room_id)
    put(user, "m.invite_permission_config", {"default_action": "block"})
    assert room_id in user.sync()["rooms"]["join"]
    user2.call("POST", f"{V3}/rooms/{quote(room_id)}/invite", {"user_id": user.user_id}, status=403, errcode="M_FORBIDDEN")
