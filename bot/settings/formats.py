"""What the text of one setting must look like. Each rule raises `wrong(sentence)`; the sentence follows the name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from bot.safety.misplaced import SHORTEST_SECRET, is_plain, shown_or_hidden
from bot.settings.problems import wrong
from bot.settings.standup_time import parse_standup

BOT_TOKEN, APP_TOKEN = "xoxb-", "xapp-"
_SLACK_TOKENS = {
    "xoxp-": "a person's token: replies would go out under that person's name",
    "xoxb-": "the other token: this one is the bot's, for SLACK_BOT_TOKEN",
    "xapp-": "the other token: this one is the app's, for SLACK_APP_TOKEN",
    "xoxe": "a token that expires (the Slack app has token rotation on, which is not supported)",
}


def listed(value: object) -> object:
    """The parts of a comma-separated text."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def listed_where_set(value: object) -> object:
    """The same of a list that may be left out. Commas alone are a slip: for some lists none means all."""
    parts = listed(value)
    if value and parts == ():
        raise wrong("is blank: nothing stands between its commas")
    return parts


def slack_token(token: str, begins: str) -> None:
    """A token of this kind, which Slack tells by its beginning."""
    if token.startswith(begins):
        return
    kind = next((words for prefix, words in _SLACK_TOKENS.items() if token.startswith(prefix)), "")
    raise wrong(f"is {kind}" if kind else f"is not a token that begins with {begins}")


def header(text: str) -> None:
    """A token that can be sent: it goes into a header of every request."""
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise wrong("holds a space or a character that no token has: copy it once more, without quotes around it")


def webhook_secrets(secrets: tuple[str, ...]) -> None:
    """Secrets that nobody guesses."""
    for number, secret in enumerate(secrets, 1):
        which = f"number {number} of {len(secrets)} (comma-separated) " if len(secrets) > 1 else ""
        # A file with one secret a line would be a single secret, which fits no signature.
        if re.search(r"[\x00-\x1f\x7f]", secret):
            raise wrong(f"{which}holds a line break or another control character: commas separate several secrets")
        if len(secret) < SHORTEST_SECRET:
            raise wrong(f"{which}is too short: {len(secret)} characters of at least {SHORTEST_SECRET}")


def address(value: str, *, secure: bool = True) -> None:
    """The address of a service, without anything that does not belong to one. `secure`: https, or this machine."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise wrong("is not an address such as https://example.atlassian.net") from None
    if not value.lower().startswith(("https://", "http://")):
        raise wrong("is not an address such as https://example.atlassian.net: it has to begin with https://")
    if not re.fullmatch(r"[a-z0-9_:-]+(\.[a-z0-9_:-]+)*", host) or re.search(r"[\s\\]", value):
        raise wrong("is not an address such as https://example.atlassian.net")
    if "@" in parts.netloc:
        raise wrong("holds a user or a password before the host: only the address belongs here")
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise wrong("goes on after the address (? or #): leave that away")
    if secure and parts.scheme != "https" and not _this_machine(host):
        raise wrong("begins with http://, which would send the token readable for everybody on the way: use https://")


def site(value: str) -> None:
    """The address of a Jira site: a host and nothing after it. A stand-in on this machine may have a path."""
    address(value)
    parts = urlsplit(value)
    if parts.path.strip("/") and not _this_machine(parts.hostname or ""):
        whole = f"{parts.scheme}://{parts.netloc}" if is_plain(parts.netloc) else "what stands before it"
        raise wrong(f"has a path after the host: {whole} is the whole address")


def database(url: str) -> None:
    """The address of a PostgreSQL database, as libpq reads it. No part of it is repeated: one of them is a password."""
    if not url.lower().startswith(("postgresql://", "postgres://")):
        raise wrong("is not an address such as postgresql://user:password@host/database: it begins with postgresql://")
    try:
        parts = urlsplit(url)
        parts.port, parts.hostname  # noqa: B018 - both raise for what is none
        odd = parts.netloc.count("@") > 1
    except ValueError:
        odd = "," not in url.rpartition("@")[2]  # several hosts are libpq's, and no URL to anybody else
    if odd or re.search(r"[\s\x00-\x1f]|%(?![0-9A-Fa-f]{2})", url):
        raise wrong(
            "is not an address such as postgresql://user:password@host/database: in a password, write %40 for @, "
            "%2F for /, %3A for :, %23 for #, %3F for ?, %25 for %"
        )


def database_passwords(url: str) -> tuple[str, ...]:
    """The passwords in the address of a database, as they are and as they are written there."""
    authority = url.partition("://")[2].partition("/")[0].rpartition("@")[0]
    written = authority.partition(":")[2]
    query = parse_qs(url.partition("?")[2])
    found = [written, unquote(written), *query.get("password", ()), *query.get("sslpassword", ())]
    return tuple(dict.fromkeys(filter(None, found)))


def _this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def email(value: str) -> None:
    """An e-mail address, as far as that matters."""
    if not re.fullmatch(r"[\x21-\x7e]+@[\x21-\x7e]+", value):
        raise wrong(f"{shown_or_hidden(value)} is not an e-mail address")


def cloud_id(value: str) -> None:
    """The id of an Atlassian site, which becomes a part of addresses."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise wrong("is not a cloud id such as 11223344-a1b2-3b33-c444-def123456789")


def project_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Keys of Jira projects, in upper case."""
    for key in keys:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", key.upper()):
            raise wrong(f"{shown_or_hidden(key)} is not a project key such as ECD (several: ECD,SUP)")
    return tuple(key.upper() for key in keys)


def channel(value: str) -> None:
    """The id of a Slack channel."""
    if not re.fullmatch(r"[CGD][A-Z0-9]{2,20}", value):
        raise wrong(
            f"{shown_or_hidden(value)} is not a channel id such as C0123ABCD (a name does not do: names change)"
        )


def people(values: Iterable[str], *, word: bool) -> None:
    """Ids of Slack users and user groups. `word`: `channel` may stand there as well."""
    for value in values:
        if not (word and value == "channel") and not re.fullmatch(r"[UWS][A-Z0-9]{2,20}", value):
            also = ", nor the word channel" if word else ""
            raise wrong(f"{shown_or_hidden(value)} is neither a Slack user id (U…) nor a user group id (S…){also}")


def model(value: str) -> None:
    """A model's id."""
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise wrong(f"{shown_or_hidden(value)} is not a model's id such as claude-sonnet-5-5")


def folder(value: Path) -> None:
    """A path as it is: nobody but a shell knows whose home `~` is."""
    if str(value).startswith("~"):
        raise wrong(f"{shown_or_hidden(value)} begins with ~, which only a shell understands: write the whole path")


def host(value: str) -> None:
    """An address of this machine to listen on."""
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", value) or re.fullmatch(r"[^:]*:\d*", value):
        raise wrong(
            f"{shown_or_hidden(value)} is not an address to listen on such as 127.0.0.1 (the port is PMAGENT_PORT)"
        )


def proxies(values: Iterable[str]) -> None:
    """IP addresses and networks."""
    for value in values:
        try:
            ip_network(value, strict=False)
        except ValueError:
            raise wrong(
                f"{shown_or_hidden(value)} is not an IP address or network such as 127.0.0.1 or 10.0.0.0/8"
            ) from None


def timezone(value: str) -> None:
    """An IANA time zone."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = {name.lower(): name for name in available_timezones()} if is_plain(value) else {}
        near = difflib.get_close_matches(value.lower(), known, n=1, cutoff=0.8)
        hint = f": did you mean {known[near[0]]}?" if near else " such as Europe/Berlin"
        raise wrong(f"{shown_or_hidden(value)} is not an IANA time zone{hint}") from None


def standup(value: str) -> None:
    """A time of day and its weekdays."""
    try:
        parse_standup(value)
    except ValueError as error:
        raise wrong(str(error)) from None


def rate(value: str) -> None:
    """Deliveries a time span, or nothing."""
    if not value:
        return
    from limits import parse_many

    try:
        rates = parse_many(value)
    except ValueError:
        raise wrong(f"{shown_or_hidden(value)} is not a rate such as 6000/minute") from None
    if any(rate.amount == 0 for rate in rates):
        raise wrong("lets nothing through; leave it empty for no limit")
