# SPDX-License-Identifier: Apache-2.0
"""CS-API: GET /joined_rooms."""
import pytest

from room_calls import R0, V3, refuses_strangers


@pytest.mark.parametrize("base", [R0, V3])
def test_list_joined_rooms_001_only_what_is_joined(user, user2, base):
    assert user.call("GET", f"{base}/joined_rooms").json() == {"joined_rooms": []}
    mine, left = user.create_room(), user.create_room()
    user.leave(left)
    user2.create_room(invite=[user.user_id])
    assert user.call("GET", f"{base}/joined_rooms").json() == {"joined_rooms": [mine]}


def test_list_joined_rooms_002_credentials(server):
    refuses_strangers(server, "GET", "/joined_rooms")
