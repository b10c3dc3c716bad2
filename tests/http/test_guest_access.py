# SPDX-License-Identifier: Apache-2.0
"""CS-API: guest access: what guests may do in rooms, and which rooms let them in."""
import pytest

from harness import V3, User, quote
from room_calls import R0, membership, room_path

CAN_JOIN = [{"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}]


@pytest.fixture(scope="module")
def guests(make_module_server):
    return make_module_server("--conf-line", "MatrixRegistrationGuests on", name="guest-access")


@pytest.fixture
def guest(guests):
    return User(guests, guests.call("POST", f"{V3}/register?kind=guest", {}).json(), None)


def test_guest_access_001_guests_join_where_they_may(guests, guest):
    """"Servers MUST only allow guest users to join rooms if the m.room.guest_access … can_join"."""
    owner = guests.register()
    open_room = owner.create_room(preset="public_chat", initial_state=CAN_JOIN)
    closed = owner.create_room(preset="public_chat")
    for base in (R0, V3):
        guest.call("POST", f"{base}/rooms/{quote(closed)}/join", {}, status=403, errcode="M_GUEST_ACCESS_FORBIDDEN")
        guest.call("POST", f"{base}/join/{quote(closed)}", {}, status=403, errcode="M_GUEST_ACCESS_FORBIDDEN")
        guest.call("POST", f"{base}/rooms/{quote(open_room)}/join", {})
    guest.put_state(closed, "m.room.member", {"membership": "join"}, guest.user_id, status=403, errcode="M_GUEST_ACCESS_FORBIDDEN")
    guest.send(open_room, "hello")
    for tail in ("messages?dir=b", "members", "state"):
        guest.call("GET", room_path(open_room, tail))
    guest.leave(open_room)


def test_guest_access_002_what_is_not_for_guests(guests, guest):
    owner = guests.register()
    room_id = owner.create_room(preset="public_chat", initial_state=CAN_JOIN)
    guest.join(room_id)
    forbidden = {"status": 403, "errcode": "M_GUEST_ACCESS_FORBIDDEN"}
    guest.call("POST", f"{V3}/createRoom", {}, **forbidden)
    guest.call("POST", f"{V3}/knock/{quote(room_id)}", {}, **forbidden)
    guest.call("POST", f"{V3}/publicRooms", {}, **forbidden)
    for tail in ("invite", "kick", "ban", "unban"):
        guest.call("POST", room_path(room_id, tail), {"user_id": owner.user_id}, **forbidden)
    guest.call("POST", room_path(room_id, "forget"), {}, **forbidden)
    alias = quote(f"#{guests.unused_name()}:{guests.server_name}")
    guest.call("PUT", f"{V3}/directory/room/{alias}", {"room_id": room_id}, **forbidden)
    guest.call("DELETE", f"{V3}/directory/room/{alias}", **forbidden)
    guest.call("PUT", f"{V3}/directory/list/room/{quote(room_id)}", {}, **forbidden)


def test_guest_access_003_a_world_readable_room_is_read_without_joining(guests, guest):
    owner = guests.register()
    state = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]
    room_id = owner.create_room(initial_state=state)
    event_id = owner.send(room_id, "for all")
    for tail in ("messages?dir=b", "members", "state", f"event/{quote(event_id)}", f"context/{quote(event_id)}"):
        guest.call("GET", room_path(room_id, tail))


def test_guest_access_004_guests_leave_when_they_may_no_longer_be_there(guests, guest):
    """"If the m.room.guest_access event is changed …, the server MUST set those users' m.room.member state to leave"."""
    owner, member = guests.register(), guests.register()
    room_id = owner.create_room(preset="public_chat", initial_state=CAN_JOIN)
    guest.join(room_id)
    member.join(room_id)
    owner.put_state(room_id, "m.room.guest_access", {"guest_access": "can_join", "org.example.x": 1})
    assert membership(owner, room_id, guest.user_id) == "join"
    owner.put_state(room_id, "m.room.guest_access", {"guest_access": "forbidden"})
    assert membership(owner, room_id, guest.user_id) == "leave"
    assert membership(owner, room_id, member.user_id) == "join"


def test_guest_access_005_guests_upgrade_no_rooms(guests, guest):
    """CS-API: guest access: upgrading is not among what guests may do."""
    guest.call("POST", room_path("!" + "A" * 43, "upgrade"), {"new_version": "12"}, status=403,
               errcode="M_GUEST_ACCESS_FORBIDDEN")
