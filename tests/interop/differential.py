# SPDX-License-Identifier: Apache-2.0
"""
The event engine against Synapse: random PDUs, random decisions of the auth rules, random rooms. Every difference is printed, shrunk and
written down as a case. Run by test_differential.py with the Python of .build/synapse-venv; by hand:
    .build/synapse-venv/bin/python tests/interop/differential.py --engine .build/out/tests/interop/engine --seed 1 --events 1000 --dags 100
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

import generate
import spec
import synapse_side as synapse

BATCH = 500
MAX_SHOWN = int(os.environ.get('MX_SHOWN', 10))


class Engine:
    def __init__(self, path):
        self.path = path

    def ask(self, questions):
        text = "".join(json.dumps(q, ensure_ascii=False) + "\n" for q in questions)
        done = subprocess.run([self.path], input=text.encode(), stdout=subprocess.PIPE, check=False)
        lines = done.stdout.decode().split("\n")[:-1]
        if len(lines) != len(questions):
            raise SystemExit(f"the engine died ({done.returncode}) of {json.dumps(questions[len(lines)])}")
        return [json.loads(line) for line in lines]


class Score:
    def __init__(self, folder):
        self.folder = folder
        self.checked = self.differences = self.broken = 0
        self.spec_wins, self.kinds = {}, {}

    def has_room(self):
        return self.differences < MAX_SHOWN

    def differ(self, case):
        self.differences += 1
        for what in case["wrong"] or [""]:
            what = (what + " | " + case.get("why", ""))[:120]
            self.kinds[what] = self.kinds.get(what, 0) + 1
        if self.differences <= MAX_SHOWN:
            print("DIFFERENCE " + json.dumps(case, ensure_ascii=True)[:1500])
            if self.folder:
                pathlib.Path(self.folder).mkdir(parents=True, exist_ok=True)
                pathlib.Path(self.folder, f"{case['kind']}-{self.differences}.json").write_text(json.dumps(case, indent=1) + "\n")

    def spec_won(self, cite):
        self.spec_wins[cite] = self.spec_wins.get(cite, 0) + 1


# ---------------------------------------------------------------------- PDUs

def pdu_differences(name, text, got):
    """What the engine said of a PDU where Synapse says otherwise; [] if they agree."""
    pdu = json.loads(text)
    event, why = synapse.read(name, pdu)
    wrong = []
    if "canonical" in got:
        if got["canonical"] != synapse.canonical(pdu):
            wrong.append("canonical")
        try:
            pruned = synapse.redacted(name, pdu)
            pruned.pop("unsigned", None)
            if json.loads(got["redacted"]) != pruned or got["redacted"] != synapse.canonical(pruned):
                wrong.append("redacted")
        except Exception:
            pass
    if bool(got["refused"]) != (event is None):
        wrong.append("refused" if got["refused"] else "accepted, though: " + why)
    elif event is not None:
        if got["event_id"] != event.event_id:
            wrong.append("event_id")
        ours = {k: v for k, v in pdu.items() if k not in ("unsigned",) + (("event_id",) if int(name) > 2 else ())}
        if got["hash_ok"] != (ours["hashes"].get("sha256") == synapse.content_hash(ours)):
            wrong.append("hash_ok")
        if "signatures" not in got:            # no room for one more signature
            return wrong
        signed = synapse.signatures(name, {**ours, "signatures": {}})[synapse.SERVER]
        if got.get("signatures", {}).get(synapse.SERVER, {}).get("ed25519:1") != signed["ed25519:1"]:
            wrong.append("signature")
        if got["verified"] != (ours.get("signatures", {}).get(synapse.SERVER) == signed):
            wrong.append("verified")
    return wrong


def shrink_object(obj, still_wrong):
    """Drops members as long as the difference stays."""
    changed = True
    while changed:
        changed = False
        for key in list(obj):
            less = {k: v for k, v in obj.items() if k != key}
            if still_wrong(less):
                obj, changed = less, True
                break
        if not changed and isinstance(obj.get("content"), dict):
            for key in list(obj["content"]):
                less = {**obj, "content": {k: v for k, v in obj["content"].items() if k != key}}
                if still_wrong(less):
                    obj, changed = less, True
                    break
    return obj


def shrink_pdu(engine, name, text, wrong):
    def still(pdu):
        again = json.dumps(pdu)
        answer = engine.ask([{"op": "event", "version": name, "pdu": again}])[0]
        return pdu_differences(name, again, answer) == wrong and not spec.of_pdu(name, pdu, wrong, answer)
    pdu = json.loads(text)
    return json.dumps(shrink_object(pdu, still)) if still(pdu) else text


def events(engine, rng, count, score):
    for start in range(0, count, BATCH):
        batch = []
        for _ in range(min(BATCH, count - start)):
            name = rng.choice(generate.VERSIONS)
            pdu = generate.pdu(rng, name)
            if rng.random() < 0.9:
                pdu = generate.hashed(name, pdu)
            if rng.random() < 0.3 and isinstance(pdu.get("signatures"), dict):
                try:
                    pdu["signatures"] = synapse.signatures(name, pdu)
                except Exception:
                    pass
            batch.append((name, generate.text_of(rng, pdu)))
        answers = engine.ask([{"op": "event", "version": name, "pdu": text} for name, text in batch])
        for (name, text), got in zip(batch, answers):
            score.checked += 1
            wrong = pdu_differences(name, text, got)
            if not wrong:
                continue
            cite = spec.of_pdu(name, json.loads(text), wrong, got)
            if cite:
                score.spec_won(cite)
                continue

            score.differ({"kind": "event", "version": name, "wrong": wrong, "why": got["refused"],
                          "pdu": shrink_pdu(engine, name, text, wrong) if score.has_room() else text})


# ---------------------------------------------------------------------- decisions

def decision(rng, name):
    """(event, state) as PDUs: a room's last state, bent, and an event of any kind."""
    room = generate.Room(rng, name)
    for _ in range(rng.randrange(6)):
        room.step()
    state = room.state_at([room.tips[-1]])
    by_id = room.pdu_by_id
    held = {key: by_id[i] for key, i in state.items() if i not in [room.order[n] for n in room.redacted]}
    size = len(room.order)
    room.step()
    if len(room.order) == size:
        return None
    event = json.loads(json.dumps(room.pdus[-1]))
    bend = rng.random()
    if bend < 0.15 and ("m.room.power_levels", "") in held:
        held["m.room.power_levels", ""] = json.loads(json.dumps(held["m.room.power_levels", ""]))
        held["m.room.power_levels", ""]["content"] = generate.power_levels(rng, name, held["m.room.power_levels", ""]["content"])
    elif bend < 0.25 and len(held) > 1:
        del held[rng.choice([k for k in held if k[0] != "m.room.create"] or list(held))]
    elif bend < 0.35:
        event["sender"] = rng.choice(generate.USERS)
    elif bend < 0.45:
        event["content"].update(generate.content(rng, event["type"]))
        if event["type"] == "m.room.power_levels":
            generate.spoil_levels(rng, event["content"])
    elif bend < 0.5 and "state_key" in event:
        event["state_key"] = rng.choice(["", "@x:y", "h"] + generate.USERS)
    elif bend < 0.53:
        event.pop("state_key", None)
    elif bend < 0.56:
        event["type"] = rng.choice(generate.TYPES)
    return event, list(held.values())


def decision_differences(name, event, state, got):
    try:
        ours = synapse.event_of(name, event)
        theirs = synapse.refused(ours, [synapse.event_of(name, p) for p in state])
        if ours.type == "m.room.create":
            from synapse.event_auth import _check_create
            try:
                _check_create(ours)
            except synapse.AuthError as error:
                theirs = str(error)
    except synapse.Broken:
        return None
    except Exception:
        return None
    if got["error"]:
        return None
    if bool(got["refused"]) == bool(theirs):
        return []
    return [f"engine: {got['refused'] or 'allowed'} - synapse: {theirs or 'allowed'}"]


def decisions(engine, rng, count, score):
    done = 0
    while done < count:
        batch = []
        while len(batch) < min(BATCH, count - done):
            name = rng.choice(generate.VERSIONS)
            made = decision(rng, name)
            if made:
                batch.append((name,) + made)
        done += len(batch)
        answers = engine.ask([question(*b) for b in batch])
        for (name, event, state), got in zip(batch, answers):
            score.checked += 1
            wrong = decision_differences(name, event, state, got)
            if wrong is None:
                score.broken += 1
            elif wrong:
                cite = spec.of_decision(name, event, state, got, wrong[0])
                if cite:
                    score.spec_won(cite)
                else:
                    if score.has_room():
                        event, state = shrink_decision(engine, name, event, state)
                    score.differ({"kind": "decision", "version": name, "wrong": wrong, "event": event, "state": state})


def question(name, event, state):
    return {"op": "auth", "version": name, "event": json.dumps(event), "state": [json.dumps(p) for p in state]}


def shrink_decision(engine, name, event, state):
    def still(ev, st):
        got = engine.ask([question(name, ev, st)])[0]
        wrong = decision_differences(name, ev, st, got)
        return bool(wrong) and not spec.of_decision(name, ev, st, got, wrong[0])
    for one in list(state):
        less = [p for p in state if p is not one]
        if still(event, less):
            state = less
    return shrink_object(event, lambda ev: "content" in ev and still(ev, state)), state


# ---------------------------------------------------------------------- rooms

def dag_question(room):
    return {"op": "dag", "version": room.name, "events": [synapse.canonical(p) for p in room.pdus], "redact": room.redacted,
            "tips": room.tips}


def dag_differences(room, got):
    if got["error"]:
        return ["engine: " + got["error"]]
    wrong = []
    for n, (event_id, *rest) in enumerate(got["events"]):
        if event_id != room.order[n]:
            return [f"event {n}: id {event_id} for {room.order[n]}"]
        if bool(rest[0]) != bool(room.verdicts[event_id]):
            wrong.append(f"event {n}: engine {rest[0] or 'allowed'} - synapse {room.verdicts[event_id] or 'allowed'}")
        if len(rest) > 1:
            wrong += state_difference(room, f"the state before event {n}", rest[1], room.before[event_id])
        if wrong:
            return wrong
    return state_difference(room, "the last state", got["state"], room.state_at(room.tips))


def state_difference(room, what, ours, theirs):
    if ours == sorted(theirs.values()):
        return []
    only_ours, only_theirs = set(ours) - set(theirs.values()), set(theirs.values()) - set(ours)
    named = [sorted(room.store.events[i].type + "|" + room.store.events[i].get_state_key() for i in ids)
             for ids in (only_ours, only_theirs)]
    return [f"{what}: engine alone {named[0]}, synapse alone {named[1]}"]


class Replay(generate.Room):
    """A room made anew from some PDUs of another; what refers to the missing ones is left out too."""

    def __init__(self, name, pdus, redacted=(), includes_state=False):
        self.rng, self.name, self.store = random.Random(1), name, synapse.Store()
        self.store.includes_state = includes_state
        self.pdus, self.order, self.after, self.verdicts, self.before, self.redacted, self.tips = [], [], {}, {}, {}, [], []
        self.pdu_by_id, self.met = {}, {}
        self.room_id = pdus[0].get("room_id", "")
        for n, p in enumerate(pdus):
            plain = [r[0] if isinstance(r, list) else r for r in p["prev_events"] + p["auth_events"]]
            prevs = [r[0] if isinstance(r, list) else r for r in p["prev_events"]]
            if all(r in self.after for r in plain):
                self.receive(p, self.state_at(prevs), prevs, n in redacted)


def replay_differences(engine, name, pdus, redacted, includes_state=False):
    try:
        room = Replay(name, pdus, redacted, includes_state)
        return room, dag_differences(room, engine.ask([dag_question(room)])[0])
    except synapse.Broken:
        return None, []


def shrink_dag(engine, room):
    pdus, redacted = list(room.pdus), set(room.redacted)
    step = max(1, len(pdus) // 2)
    while step:
        at = 1
        while at < len(pdus):
            less = pdus[:at] + pdus[at + step:]
            marks = {n if n < at else n - step for n in redacted if n < at or n >= at + step}
            again, wrong = replay_differences(engine, room.name, less, marks)
            if wrong and not spec.of_dag(again, wrong):
                pdus, redacted = list(again.pdus), set(again.redacted)
            else:
                at += step
        step //= 2
    return pdus, sorted(redacted)


def dags(engine, rng, count, score):
    made, sizes = 0, 0
    while made < count:
        rooms = [generate.room(rng) for _ in range(min(50, count - made))]
        made += len(rooms)
        for room, got in zip(rooms, engine.ask([dag_question(r) for r in rooms])):
            score.checked += 1
            sizes += len(room.order)
            wrong = dag_differences(room, got)
            if not wrong:
                continue
            cite = spec.of_dag(room, wrong)
            if cite:
                score.spec_won(cite)
                continue
            pdus, redacted = shrink_dag(engine, room) if score.has_room() else (room.pdus, room.redacted)
            _, shrunk = replay_differences(engine, room.name, pdus, redacted)
            score.differ({"kind": "dag", "version": room.name, "wrong": shrunk or wrong, "pdus": pdus, "redacted": redacted})
    return sizes


# ---------------------------------------------------------------------- cases in git

def replay(engine, path, score):
    """A case that mattered once. `spec` says where the specification decides against Synapse; then both answers are fixed."""
    case = json.loads(path.read_text())
    score.checked += 1
    if case["kind"] == "event":
        got = engine.ask([{"op": "event", "version": case["version"], "pdu": case["pdu"]}])[0]
        wrong, ours = pdu_differences(case["version"], case["pdu"], got), got["refused"]
    elif case["kind"] == "decision":
        got = engine.ask([question(case["version"], case["event"], case["state"])])[0]
        wrong, ours = decision_differences(case["version"], case["event"], case["state"], got), got["refused"]
    else:
        room, wrong = replay_differences(engine, case["version"], case["pdus"], case["redacted"], case.get("includes_state", False))
        ours = ""
    if "allowed" in case and case["allowed"] == bool(ours):
        score.differ({**case, "wrong": [f"{path.name}: the engine says {ours or 'allowed'}"]})
    elif bool(wrong) != ("spec" in case) and wrong is not None:
        score.differ({**case, "wrong": [f"{path.name}: {wrong or 'Synapse agrees by now'}"]})


def replay_all(engine, rng, count, score):
    for path in sorted((pathlib.Path(__file__).parent / "cases").glob("*.json")):
        replay(engine, path, score)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--part", choices=["cases", "pdus", "decisions", "rooms"], help="one part instead of all")
    parser.add_argument("--seed", type=int, default=0, help="0: a new one")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--dags", type=int, default=300)
    parser.add_argument("--cases", help="folder for the differences that are found")
    options = parser.parse_args()
    seed = options.seed or random.SystemRandom().randrange(1, 2**31)
    print(f"seed {seed}", flush=True)
    engine = Engine(options.engine)
    parts = {"cases": (replay_all, 0), "pdus": (events, options.events), "decisions": (decisions, options.events),
             "rooms": (dags, options.dags)}
    failed = 0
    for what in [options.part] if options.part else parts:
        run, count = parts[what]
        score, start = Score(options.cases), time.monotonic()
        extra = run(engine, random.Random(f"{seed} {what}"), count, score)
        print(f"{what}: {score.checked} compared{f' of {extra} events' if extra else ''}, {score.differences} differences, "
              f"{score.broken} that Synapse could not decide, {time.monotonic() - start:.0f} s")
        for cite, times in sorted(score.spec_wins.items()):
            print(f"    the specification against Synapse, {times} times: {cite}")
        for kind, times in sorted(score.kinds.items(), key=lambda item: -item[1])[:40]:
            print(f"    differs {times} times: {kind}")
        sys.stdout.flush()
        failed += score.differences
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
