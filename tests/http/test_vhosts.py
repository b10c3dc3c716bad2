# SPDX-License-Identifier: Apache-2.0
"""Two server names in one httpd: each has its own users, rooms, key and database. DESIGN: a <VirtualHost> is a homeserver."""
import pytest

from harness import V3, User, free_ports, quote


@pytest.fixture(scope="module")
def both(make_module_server):
    plain, tls = free_ports(2)
    one = make_module_server("--extra-vhost", f"two.example={plain},{tls}", name="both")
    return one, one.vhosts[0]


def test_vhosts_001_each_has_its_own_users(both):
    for server in both:
        assert server.register("alice").user_id == f"@alice:{server.server_name}"
    one, two = both
    assert one.server_name != two.server_name
    one.call("GET", f"{V3}/register/available?username=alice", status=400, errcode="M_USER_IN_USE")
    assert one.dsn != two.dsn


def test_vhosts_002_a_token_of_one_is_unknown_to_the_other(both):
    one, two = both
    user = one.register()
    two.call("GET", f"{V3}/account/whoami", token=user.token, status=401, errcode="M_UNKNOWN_TOKEN")
    assert user.call("GET", f"{V3}/account/whoami")["user_id"] == user.user_id


def test_vhosts_003_a_room_of_one_is_unknown_to_the_other(both):
    one, two = both
    mine, theirs = one.register(), two.register()
    room_id = mine.create_room(preset="public_chat", visibility="public")
    theirs.call("POST", f"{V3}/rooms/{quote(room_id)}/join", {}, status=None, errcode="M_NOT_FOUND")
    assert room_id not in two.call("GET", f"{V3}/publicRooms", token=theirs.token).text


def test_vhosts_004_each_tells_its_own_name(both):
    for server in both:
        told = server.request("GET", "/.well-known/matrix/server").json()["m.server"]
        assert server.server_name.split(":")[0] in told
        user = server.register()
        room_id = user.create_room()
        assert user.get_state(room_id, "m.room.member", user.user_id)["membership"] == "join"


def test_vhosts_005_news_of_one_wake_nobody_of_the_other(both):
    one, two = both
    users = [server.register() for server in both]
    rooms = [user.create_room() for user in users]
    since = [user.sync()["next_batch"] for user in users]
    users[0].send(rooms[0], "only here")
    assert rooms[0] in users[0].sync(since[0], 5000)["rooms"]["join"]
    assert not users[1].sync(since[1], 500)["rooms"]["join"]


def test_vhosts_006_plain_and_tls_doors_are_one_homeserver(both):
    for server in both:
        user = server.register()
        secure = User(server, {"user_id": user.user_id, "access_token": user.token, "device_id": user.device_id}, None, https=True)
        assert secure.call("GET", f"{V3}/account/whoami")["user_id"] == user.user_id
        room_id = user.create_room()
        since = user.sync()["next_batch"]
        secure.send(room_id, "through the other door")
        assert room_id in user.sync(since, 5000)["rooms"]["join"]
