"""The readiness page as a browser sees it.

Writes an event log of thirty days with a known story, lets crossgate make the page of it, and loads
that in headless Chromium: no message on the console, no request of any kind but for the page, and
every number of the story in what is shown. With `--keep DIRECTORY`, log, page and pictures of it
stay there for a person to look at.

    readiness_page.py CROSSGATE [--keep DIRECTORY]
"""

import argparse
import datetime
import html.parser
import json
import pathlib
import random
import subprocess
import sys
import tempfile

OWNER = "59bcbfa6ea2f006b4ed7094c1a08dcdd"
PARTNER = "f71446b6474d45bf81196da45de13940"
LATE = "b2c3d4e5f60718293a4b5c6d7e8f9012"
SILENT = "0f9e8d7c6b5a49382716051423324150"
STRANGER = "9d1c2b3a4f5e60718293a4b5c6d7e8f0"
MANY = "c0ffee00c0ffee00c0ffee00c0ffee00"
HOSTILE = '<img src=x onerror="alert(1)">'
END = datetime.datetime(2025, 10, 31, tzinfo=datetime.UTC)
BEGIN = END - datetime.timedelta(days=30)
DAY = datetime.timedelta(days=1)
# Days of the window without a proxy.
DARK = range(11, 13)
LOST = 7


class Log:
    """Lines of an event log; each run of the proxy has a name and numbers of its own."""

    def __init__(self):
        self.lines = []
        self.instance = ""
        self.numbers = random.Random(7)

    def finish(self, lost_on):
        """Lines in the order of time, numbered; right before a day some numbers are left out."""
        self.lines.sort(key=lambda line: line["eventTime"])
        sequences, lost = {}, False
        for line in self.lines:
            response = line["responseData"]
            sequence = sequences.get(response["instance"], 0) + 1
            if not lost and lost_on.isoformat() <= line["eventTime"]:
                lost, sequence = True, sequence + LOST
            sequences[response["instance"]] = response["sequence"] = sequence
        return self.lines

    def append(self, at, owner, action, request, response, initiator=None, target=""):
        number = self.numbers.getrandbits
        self.lines.append({
            "action": action,
            "eventTime": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 10000:02}+0000",
            "id": f"{number(32):08x}-0000-7000-8000-{number(48):012x}",
            "initiator": initiator or {"id": "loopback", "name": ""},
            "target": {"id": target},
            "requestData": {"resource": {"attributes": {"accountId": owner}}, **request},
            "responseData": {**response, "instance": self.instance},
        })

    def evaluation(self, at, caller, identity, decision, resource, kind="user", owner=OWNER):
        number, name = identity
        reason = "account_allowlisted" if decision == "Permit" else "account_not_allowed"
        self.append(
            at, owner, "iam-access-management.account-settings.eval",
            {"action": "orders:GetOrder", "subject": {"attributes": {
                "id": number, "token.account.bss": caller, "identityType": kind}}},
            {"isEnforced": False, "decision": decision, "mode": "report-only",
             "layer": "perimeter", "candidate": False, "reason": reason,
             "decisionId": f"{self.numbers.getrandbits(64):x}"},
            {"id": number, "name": name}, f"arn:aws:orders::{owner}:order/{resource}")

    def update(self, at, before, after):
        self.append(
            at, OWNER, "iam-access-management.account-settings.update",
            {"update": [{"updateType": "user.setting", "initialValue": before, "newValue": after}]},
            {"revision": 3})


def story():
    """The log, and the numbers that the page has to show."""
    log, counts, numbers = Log(), {}, random.Random(11)

    def evaluation(at, caller, identity, decision, *rest, **more):
        counts[caller, decision] = counts.get((caller, decision), 0) + 1
        log.evaluation(at, caller, identity, decision, *rest, **more)

    log.instance = "orders-1111"
    for day in range(30):
        if day in DARK:
            continue
        if day == DARK.stop:
            log.instance = "orders-2222"
        begin = BEGIN + day * DAY
        moments = sorted(begin + DAY * numbers.random() for _ in range(14))
        # Another account's events show that the proxy runs, also where this one is quiet.
        for at in (begin, begin + DAY * 0.999):
            log.evaluation(at, PARTNER, ("IBMid-other", ""), "Permit", 1, owner="other")
        if day == 15:
            log.update(moments[0], f"report-only [{PARTNER}]", f"report-only [{PARTNER}, {LATE}]")
        if day in (5, 6):
            moments = []
        for index, at in enumerate(moments):
            evaluation(at, PARTNER, (f"IBMid-P{index % 5}", f"p{index % 5}@partner.example"),
                       "Permit", index)
            decision = "Permit" if 15 <= day else "Deny"
            if index % 3 == 0:
                evaluation(at, LATE, ("IBMid-L1", "batch@late.example"), decision, index)
            if index % 4 == 0 and 8 <= day:
                evaluation(at, MANY, (f"iam-ServiceId-{index + day}", ""), "Deny", index,
                           kind="service_id")
            if index == 3 and day % 2:
                evaluation(at, STRANGER, ("IBMid-EVE", HOSTILE), "Deny", day % 4)
    return log.finish(BEGIN + 20 * DAY), counts


class Page(html.parser.HTMLParser):
    """The text of a page, and whatever would load or run something."""

    def __init__(self):
        super().__init__()
        self.words, self.active, self.hidden = [], [], 0

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "img", "iframe", "object", "embed"):
            self.active.append(tag)
        for name, value in attributes:
            if name.startswith("on") or name in ("src", "href") and value != "data:,":
                self.active.append(f"{tag} {name}={value}")
        self.hidden += tag == "style"

    def handle_endtag(self, tag):
        self.hidden -= tag == "style"

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)


def chromium(directory, *arguments):
    """Runs Chromium with a profile and a log of its network of its own."""
    network = directory / "network.json"
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-default-apps", "--disable-extensions", "--hide-scrollbars",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={directory / 'profile'}",
         "--enable-logging=stderr", "--v=0", f"--log-net-log={network}", *arguments],
        capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr, json.loads(network.read_text())


def requested(network):
    """The URLs that a page asked for; what Chromium wants for itself comes from no origin."""
    asked = [event["params"] for event in network["events"] if "params" in event]
    return {each["url"] for each in asked
            if "url" in each and each.get("initiator", "not an origin") != "not an origin"}


def loaded(directory, page):
    """A page's document, what it said on the console, and what it asked for."""
    document, messages, network = chromium(directory, "--dump-dom", page.as_uri())
    told = [line for line in messages.splitlines() if "CONSOLE" in line]
    return document, told, requested(network)


def check_the_check(directory):
    """What the page must not do is seen where a page does it."""
    twin = directory / "twin.html"
    twin.write_text('<!doctype html><script>console.log("!")</script>'
                    '<img src="http://elsewhere.invalid/x.png">')
    _, told, asked = loaded(directory, twin)
    assert told and asked == {"http://elsewhere.invalid/x.png"}, (told, asked)


def check(crossgate, directory):
    lines, counts = story()
    events = directory / "events"
    events.mkdir()
    (events / "crossgate-story-20251001T000000Z-000000.ndjson").write_text(
        "".join(json.dumps(line) + "\n" for line in lines))
    settings = directory / "settings.yaml"
    settings.write_text(
        f'accounts:\n  "{OWNER}":\n    mode: report-only\n'
        f'    allowlist: ["{PARTNER}", "{LATE}", "{SILENT}"]\n')
    made = subprocess.run(
        [crossgate, "report", "readiness", "--account", OWNER, "--dir", events, "--settings",
         settings, "--since", BEGIN.isoformat(), "--until", END.isoformat(), "--format", "html"],
        capture_output=True, text=True, check=False)
    assert made.returncode == 1, made
    page = directory / "readiness.html"
    page.write_text(made.stdout)

    check_the_check(directory)
    dom, told, asked = loaded(directory, page)
    assert not told and not asked, (told, asked)
    parsed = Page()
    parsed.feed(dom)
    assert not parsed.active, parsed.active
    text = " ".join(" ".join(parsed.words).split())

    denied = {caller: count for (caller, decision), count in counts.items() if decision == "Deny"}
    late = counts[LATE, "Permit"]
    for part in [
        "NOT READY",
        f"{denied[STRANGER] + denied[MANY]} requests would be denied, from 2 accounts",
        f"would be denied {denied[STRANGER] + denied[MANY]} caller accounts 2 ",
        f"events lost {LOST}",
        f"{LOST} events are missing",
        "2025-10-11 23:58:33 2025-10-14 00:00:00 2 d between two runs of the proxy",
        "2 quiet",
        f"{STRANGER} {denied[STRANGER]} requests of 1 identity",
        f"{MANY} {denied[MANY]} requests of",
        f"{LATE} {denied[LATE]} requests of 1 identity",
        "the account was admitted since",
        HOSTILE,
        f"{PARTNER} {counts[PARTNER, 'Permit']} ",
        "1 of 3 entries admitted nobody",
        SILENT,
        f"{LATE} user 2025-10-16",
        f" {late} ",
    ]:
        assert part in text, f"`{part}` is not in {text}"
    # Each bar tells its number, also to who can't see it.
    assert dom.count('<rect class="c0"') > 10, "the plots have no bars"
    return page


def pictures(directory, page):
    for name, size, dark in [("wide", "1100,2400", False), ("dark", "1100,2400", True),
                             ("phone", "500,3000", False)]:
        mode = ["--force-dark-mode", "--enable-features=WebContentsForceDark"] if dark else []
        mode = ["--blink-settings=preferredColorScheme=0"] if dark else mode
        chromium(directory, f"--window-size={size}", *mode,
                 f"--screenshot={directory / (name + '.png')}", page.as_uri())
    chromium(directory, f"--print-to-pdf={directory / 'page.pdf'}", page.as_uri())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("crossgate", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    crossgate = arguments.crossgate.resolve()
    if arguments.keep:
        arguments.keep.mkdir(parents=True)
        page = check(crossgate, arguments.keep.resolve())
        pictures(arguments.keep.resolve(), page)
    else:
        with tempfile.TemporaryDirectory() as directory:
            check(crossgate, pathlib.Path(directory))
    print("the page loads nothing else, says nothing on the console, and has every number")


if __name__ == "__main__":
    sys.exit(main())
