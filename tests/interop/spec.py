# SPDX-License-Identifier: Apache-2.0
"""
Where the specification and Synapse disagree, or where Synapse looks at another time than when it reads a PDU. Each function returns the
place in the specification that decides, or None: then it is a difference.
"""
SYNAPSE_UNHASHED = {"age_ts", "outlier", "destinations"}
FIELDS = "Rooms, event format: "


def of_pdu(name, pdu, wrong, got):
    cites = [_of_pdu(name, pdu, what, got) for what in wrong]
    return cites[0] if all(cites) else None


def _of_pdu(name, pdu, what, got):
    if what == "hash_ok" and SYNAPSE_UNHASHED & set(pdu):
        return "SS-API, calculating the content hash: unsigned, signatures and hashes are removed, nothing else"
    if what == "refused":
        return _refused(name, pdu, got["refused"])
    if what.startswith("accepted") and not isinstance(pdu.get("unsigned", {}), dict):
        return "SS-API, signing events: unsigned is covered by neither hash nor signature, and dropped"
    return None


def _refused(name, pdu, why):
    signatures = pdu.get("signatures")
    if "signatures is no object" in why and not (isinstance(signatures, dict)
                                                 and all(isinstance(s, dict) for s in signatures.values())):
        return FIELDS + "signatures is required (Synapse misses it when it checks signatures)"
    if "hashes holds no sha256" in why and not isinstance(pdu.get("hashes", {}).get("sha256"), str):
        return FIELDS + "hashes is required (Synapse misses it when it checks hashes)"
    if "sender is no user id" in why and server(pdu["sender"]) is None:
        return FIELDS + "sender is a user id (Synapse fails when it looks for the sender's server)"
    if "redacts is no string" in why and not isinstance(pdu["redacts"], str):
        return FIELDS + "redacts is a string"
    return None


def server(user):
    return user.split(":", 1)[1] if isinstance(user, str) and ":" in user else None


def of_decision(name, event, state, got, theirs):
    create = next((p for p in state if p["type"] == "m.room.create"), {"sender": "", "content": {}})
    if event["type"] == "m.room.member" and not got["refused"]:
        target = server(event.get("state_key"))
        if "unfederatable" in theirs and server(event["sender"]) == server(create["sender"]) != target:
            return "Rooms, rule on m.federate: only the sender's domain is compared, not the target's"
        if "Invalid ID" in theirs and target is None:
            return "Rooms, rule on m.room.member: the state_key need not be a user id"
    if event["type"] == "m.room.power_levels" and event.get("state_key") != "" and "power level" in got["refused"]:
        return "Rooms, rules on m.room.power_levels: the previous m.room.power_levels event in the room is the one that counts"
    return None


def of_dag(room, wrong):
    return None
