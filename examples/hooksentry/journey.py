#!/usr/bin/env python3
"""A webhook's way through HookSentry's API, from a new tenant to a delivery that failed and was replayed.

    python3 examples/hooksentry/journey.py http://127.0.0.1:5143

It needs Python 3.9 or later and nothing else, and a server on this machine; README.md beside it says how to start one.
Read `journey` from top to bottom: each call names its method, its path and the status it expects. The first answer that
is another one ends the program with exit code 1.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import queue
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlencode, urlsplit

# How long an answer, a delivery or a state may take to come, in seconds.
PATIENCE = 20
# Of an event that has one of these states nothing more is to be expected.
FINAL = ("Succeeded", "CriticalFailure", "AuthenticationFailed", "Cancelled")

# What the web shop of this story sends.
ORDER = {
    "order": {"number": 1042, "customer": {"name": "Zoë Łukasiewicz", "card": "4242 4242 4242 4242"}},
    "items": [{"sku": "tea", "price": 3.5}, {"sku": "cup", "price": 9.25}],
    "paid": True,
}
# What the receiver wants to know of it: names of output fields, and where each takes its value from.
MAPPING = {
    "order": "order:number",
    "customer": "order:customer:name",
    "total": "items[0]:price+items[1]:price",
    "skus": ["items[0]:sku", "items[1]:sku"],
    "paid": "paid",
}
MAPPED = {"order": 1042, "customer": "Zoë Łukasiewicz", "total": 12.75, "skus": ["tea", "cup"], "paid": True}


class Unexpected(Exception):
    """Something is not as the API promises; the text says what was expected, and what came."""


def expect(what, got, wanted):
    if got != wanted:
        raise Unexpected(f"{what} should be {wanted!r}, but is {got!r}")


def field(document, name):
    """One field of an answer."""
    if not isinstance(document, dict) or name not in document:
        raise Unexpected(f"an answer should have the field {name!r}, but is {document!r}")
    return document[name]


def parse(what, text):
    try:
        return json.loads(text)
    except ValueError:
        raise Unexpected(f"{what} should be JSON, but is {text!r}") from None


class Api:
    """The server. Most calls name an access token; those that need none are for everybody."""

    def __init__(self, base):
        wrong = Unexpected(f"the server's URL should be one such as http://127.0.0.1:5143, but is {base}")
        try:
            url = urlsplit(base)
            self.base, self.host, self.port, self.path = base, url.hostname, url.port, url.path.rstrip("/")
        except ValueError:
            raise wrong from None
        if url.scheme not in ("http", "https") or not self.host:
            raise wrong
        self.kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection

    def call(self, method, path, status, body=None, access=None, headers=None):
        """Sends one request and returns what the JSON of its answer says; None, where the answer has no body."""
        headers = dict(headers or {})
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        if access is not None:
            headers["Authorization"] = f"Bearer {access}"
        connection = self.kind(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request(method, self.path + path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unexpected(f"{method} {path} should be answered by {self.base}, but: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status != status:
            raise Unexpected(f"{method} {path} should be answered {status}, but is {answer.status}: {text or 'an empty body'}")
        return parse(f"the answer to {method} {path}", text) if text else None


class Receiver:
    """Your own service in this story: it takes what is posted to it and answers `status`."""

    def __init__(self):
        self.status = 200
        self.deliveries = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                # The signature is over these very bytes. To parse them and to print them again would make others.
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.deliveries.put((self.headers.get("X-HookSentry-Signature", ""), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format, *args):
                """What arrives is printed by the journey."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/orders"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def next(self):
        """The signature and the body of the next delivery."""
        try:
            return self.deliveries.get(timeout=PATIENCE)
        except queue.Empty:
            raise Unexpected(f"a delivery should reach {self.url} within {PATIENCE} seconds, but none does") from None


def signature_of(secret, body):
    """What a receiver compares with X-HookSentry-Signature. The key is the text of the secret, as it was shown."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def wait_for(api, access, event, status):
    """Reads an event until it has a status, and returns it. Events go their way while nobody looks."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = api.call("GET", f"/api/v1/events/{event}", 200, access=access)
        if field(found, "status") == status:
            return found
        if found["status"] in FINAL or time.monotonic() > deadline:
            # What each attempt came to says why. This route is Hookyard's; the original has none.
            attempts = api.call("GET", f"/api/v1/events/{event}/attempts", 200, access=access)
            raise Unexpected(f"event {event} should become {status}, but is {found['status']} after these attempts: {attempts}")
        time.sleep(0.05)


def journey(api, receiver, say):
    # A tenant is made without any credential, together with its first user, the owner. Names and addresses are
    # taken once each, so these are new ones. With one attempt in all, what fails has failed for good at once.
    name = secrets.token_hex(4)
    owner = {"email": f"owner@{name}.example", "password": secrets.token_urlsafe(16)}
    new = {"name": f"Tea Shop {name}", "ownerEmail": owner["email"], "ownerPassword": owner["password"], "maxTrys": 1}
    made = api.call("POST", "/api/v1/tenants", 201, new)
    tenant, secret = field(made, "tenantId"), field(made, "webhookSecret")
    expect("the first user's role", field(made, "ownerRole"), "Owner")
    expect("the number of attempts", field(made, "maxTrys"), 1)
    say(f"Made the tenant {new['name']!r} with its owner {owner['email']}; its webhook secret will sign every delivery.")

    tokens = api.call("POST", "/api/v1/auth/login", 200, owner)
    access, refresh = field(tokens, "accessToken"), field(tokens, "refreshToken")
    say(f"Logged in as the owner: the access token opens the routes below for {field(tokens, 'expiresIn') // 60} minutes.")

    destination = api.call("POST", "/api/v1/destinations", 201, {"url": receiver.url}, access)
    expect("a new destination's status", field(destination, "status"), "Active")
    say(f"Made a destination: deliveries will be posted to {receiver.url}, a receiver that this program runs itself.")

    path = f"/api/v1/destinations/{field(destination, 'id')}/senders"
    sender = api.call("POST", path, 201, {"label": "web shop"}, access)
    ingest = f"/api/v1/ingest/{tenant}/{quote(field(sender, 'ingestToken'))}"
    expect("whether a new sender has a mapping", field(sender, "hasMapping"), False)
    say("Made the sender 'web shop' of that destination: its own ingest token, shown only now, says who sends.")

    # Trying a mapping before it is saved is Hookyard's; the original can only save it.
    mapping = f"/api/v1/senders/{sender['id']}/mapping"
    tried = api.call("POST", f"{mapping}/preview", 200, {"mapping": MAPPING, "payload": ORDER}, access)
    expect("the previewed payload", field(tried, "payload"), MAPPED)
    api.call("GET", mapping, 404, access=access)
    say(f"Tried a mapping on an order before saving it: it would make {json.dumps(MAPPED, ensure_ascii=False)}.")

    saved = api.call("POST", mapping, 200, MAPPING, access)
    expect("the saved mapping", field(saved, "mapping"), MAPPING)
    say("Saved the mapping: from now on the receiver gets that, without the card number that the order holds.")

    # The token says what is sending, the key that the caller may send. An access token is worth nothing here.
    key = field(api.call("POST", "/api/v1/apikeys", 201, {"name": "web shop, production"}, access), "key")
    api.call("POST", ingest, 401, ORDER, access)
    say("Made an API key, shown only now: without it the sender's ingest URL answers 401.")

    credentials = {"X-Api-Key": key, "X-Idempotency-Key": f"order-1042-{name}"}
    accepted = api.call("POST", ingest, 202, ORDER, headers=credentials)
    event = field(accepted, "eventId")
    say(f"Sent the order: 202, it is stored as event {event}.")

    again = api.call("POST", ingest, 200, ORDER, headers=credentials)
    expect("the event of a repeated order", field(again, "eventId"), event)
    say("Sent it once more with the same X-Idempotency-Key: 200 and the same event, so nothing is delivered twice.")

    delivered = wait_for(api, access, event, "Succeeded")
    signature, body = receiver.next()
    expect("the delivered payload", parse("the delivered payload", body), MAPPED)
    expect("the payload that the event shows", field(delivered, "payload"), body.decode())
    if not hmac.compare_digest(signature, signature_of(secret, body)):
        raise Unexpected(f"the signature of {body!r} should be {signature_of(secret, body)}, but is {signature!r}")
    say(f"The receiver got what the mapping made of it, with the right X-HookSentry-Signature: {signature[:20]}…")

    verify = f"/api/v1/tenants/{tenant}/webhook-secret/verify"
    signed = {"payload": body.decode(), "signature": signature}
    expect("the verdict on it", api.call("POST", verify, 200, signed, access), {"valid": True})
    signed["payload"] += " "
    expect("the verdict on a changed body", api.call("POST", verify, 200, signed, access), {"valid": False})
    say("Asked the server to verify it, too: valid; and with one more blank in the body: not valid.")

    filters = {"DestinationUrlId": destination["id"], "From": field(delivered, "acceptedAt"), "Qt": 5, "Pg": 1}

    def listed(status):
        page = api.call("GET", f"/api/v1/events?{urlencode({**filters, 'Status': status})}", 200, access=access)
        ids = [field(item, "id") for item in field(page, "items")]
        expect("the total of a list that fits on one page", field(page, "total"), len(ids))
        return ids

    expect("the list of events that succeeded", listed("Succeeded"), [event])
    expect("the list of events that failed", listed("CriticalFailure"), [])
    say("Listed the destination's events since then: one has the status Succeeded, none has CriticalFailure.")

    receiver.status = 500
    accepted = api.call("POST", ingest, 202, ORDER, headers={"X-Api-Key": key})
    failing = field(accepted, "eventId")
    wait_for(api, access, failing, "CriticalFailure")
    _, first = receiver.next()
    expect("the list of events that failed", listed("CriticalFailure"), [failing])
    say("Sent an order while the receiver answers 500: its only attempt failed, and the event is a CriticalFailure.")

    receiver.status = 200
    replayed = api.call("POST", f"/api/v1/events/{failing}/replay", 200, access=access)
    expect("the replayed event", field(replayed, "id"), failing)
    wait_for(api, access, failing, "Succeeded")
    signature, second = receiver.next()
    expect("the body of the second attempt", second, first)
    expect("its signature", signature, signature_of(secret, second))
    say("Mended the receiver and replayed the event: the same body arrived again, and the event has Succeeded.")

    renewed = api.call("POST", "/api/v1/auth/refresh", 200, {"refreshToken": refresh})
    fresh, refresh = field(renewed, "accessToken"), field(renewed, "refreshToken")
    mine = api.call("GET", f"/api/v1/tenants/{tenant}", 200, access=fresh)
    expect("the tenant's name", field(mine, "name"), new["name"])
    say("Traded the refresh token, which is good for one use, for a new pair of tokens; the new access token works.")

    # The first access token belongs to the same log-in and goes with it; in the original it goes on until it runs out.
    api.call("POST", "/api/v1/auth/logout", 204, {"refreshToken": refresh}, fresh)
    for dead in (fresh, access):
        api.call("GET", f"/api/v1/tenants/{tenant}", 401, access=dead)
    api.call("POST", "/api/v1/auth/refresh", 401, {"refreshToken": refresh})
    say("Logged out: both access tokens and the refresh token are dead at once, each is answered 401.")


def main():
    parser = argparse.ArgumentParser(description="Plays a webhook's way through HookSentry's API against a running server.")
    parser.add_argument("base_url", help="where the server listens, such as http://127.0.0.1:5143")
    arguments = parser.parse_args()
    steps = 0

    def say(line):
        nonlocal steps
        steps += 1
        print(f"{steps:2}. {line}", flush=True)

    if hasattr(sys.stdout, "reconfigure"):
        # Whatever the terminal's language is: what it cannot show is escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with Receiver() as receiver:
            journey(Api(arguments.base_url), receiver, say)
    except Unexpected as unexpected:
        print(f"After step {steps}: {unexpected}", file=sys.stderr)
        return 1
    print("All of it was as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
