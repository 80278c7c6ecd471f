"""The kinds of secrets that we have rules of our own for, besides labels, keys, numbers and the vendored rules. Pure.

One row per kind. What the vendored rules know is not repeated here, unless they miss it in prose or cut off, or ask
for the exact length that somebody's shortened copy does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from bot.safety.plausible import is_assigned, token, worded


class SecretKind(NamedTuple):
    """A kind of secret and how it looks. The group, where there is one, is what is replaced; else all.

    `hints`: one of them, in lower case, stands in every text that `pattern` matches, in whatever case. Where they
    `lead`, the match begins with it, and is looked for nowhere else.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    plausible: Callable[[str], bool] = lambda value: True
    leads: bool = True

    def span(self, found: re.Match[str]) -> tuple[int, int] | None:
        """Where the secret stands in what was found; None where it is a word about one."""
        group = found.lastgroup or 0
        return found.span(group) if self.plausible(found[group]) else None


def _login(value: str) -> bool:
    """`-p2222` is a port, `user:password` an example."""
    return is_assigned(value) and not value.isdigit()


def _any(value: str) -> bool:
    return True


_NAMED = r"(?i:password|passwd|pwd|secret|token|api_?key)"
_NAMES = ("password", "passwd", "pwd", "secret", "token", "apikey", "api_key")
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

_ROWS: tuple[tuple[str, tuple[str, ...], str, Callable[[str], bool]], ...] = (
    # --- tokens that begin with a sign of their own ---
    ("Anthropic API key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{8,}", _any),
    ("OpenAI API key", ("sk-",), r"\bsk-(?!ant-)(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,}", _any),
    (
        "AWS access key",
        ("akia", "asia", "abia", "acca"),
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
        _any,
    ),
    ("GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{20,}", _any),
    ("GitHub token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{20,}", _any),
    (
        "GitLab token",
        (
            "glpat-",
            "gldt-",
            "glrt-",
            "glrtr-",
            "glptt-",
            "glft-",
            "glsoat-",
            "glcbt-",
            "glimt-",
            "glagent-",
            "gloas-",
            "glffct-",
            "glwt-",
        ),
        r"\bgl(?:pat|dt|rtr?|ptt|ft|soat|cbt|imt|agent|oas|ffct|wt)-[A-Za-z0-9_=.-]{14,}",
        _any,
    ),
    ("Slack token", ("xox",), r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}", _any),
    ("Slack token", ("xapp-",), r"xapp-\d-[A-Za-z0-9-]{8,}", _any),
    (
        "Slack webhook",
        ("https://hooks.slack",),
        r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/+-]{16,}",
        _any,
    ),
    (
        "Atlassian token",
        ("atatt", "atctt", "atstt", "atbb"),
        r"\bAT(?:ATT|CTT|STT|BB)[A-Za-z0-9_-]{16,}(?:=[A-Fa-f0-9]{4,16})?",
        _any,
    ),
    ("Google API key", ("aiza",), r"AIza[A-Za-z0-9_-]{30,}", _any),
    ("Google access token", ("ya29.",), r"\bya29\.[A-Za-z0-9_-]{20,}", _any),
    ("Google client secret", ("gocspx-",), r"GOCSPX-[A-Za-z0-9_-]{20,}", _any),
    ("Google refresh token", ("1//0",), r"\b1//0[A-Za-z0-9_-]{30,}", _any),
    (
        "Stripe key",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
        r"\b(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{10,}",
        _any,
    ),
    ("npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{30,}", _any),
    ("PyPI token", ("pypi-age",), r"pypi-AgE[A-Za-z0-9_-]{20,}", _any),
    ("SendGrid key", ("sg.",), r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}", _any),
    ("Twilio key", tuple(f"sk{digit}" for digit in "0123456789abcdef"), r"\bSK[0-9a-f]{32}\b", _any),
    ("DigitalOcean token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"\bdo[opr]_v1_[a-f0-9]{64}", _any),
    ("Databricks token", ("dapi",), r"\bdapi[a-f0-9]{32}", _any),
    ("Shopify token", ("shpat_", "shpca_", "shppa_", "shpss_"), r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", _any),
    ("Vault token", ("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}", _any),
    ("New Relic key", ("nrak-", "nrii-", "nrjs-", "nrra-"), r"\bNR(?:AK|II|JS|RA)-[A-Za-z0-9_-]{19,}", _any),
    ("Notion token", ("secret_",), r"(?<![A-Za-z0-9])secret_[A-Za-z0-9]{40,}", _any),
    ("HubSpot token", ("pat-na", "pat-eu"), rf"\bpat-(?:na|eu)\d-{_UUID}", _any),
    ("Yandex key", ("aqvn",), r"\bAQVN[A-Za-z0-9_-]{35,38}", _any),
    ("SonarQube token", ("sqa_", "squ_", "sqp_"), r"\bsq[apu]_[a-f0-9]{40}", _any),
    ("LaunchDarkly key", ("sdk-", "mob-"), rf"\b(?:sdk|mob)-{_UUID}", _any),
    ("GoCardless token", ("live_",), r"(?<![A-Za-z0-9_])live_[A-Za-z0-9_-]{30,}", _any),
    ("Flutterwave secret", ("flwseck",), r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,}(?:-X)?", _any),
    ("Braintree token", ("access_token$",), r"access_token\$\w{4,12}\$[0-9a-z]{16}\$[0-9a-f]{32}", _any),
    ("Plaid token", ("access-",), rf"\baccess-(?:sandbox|development|production)-{_UUID}", _any),
    ("Square token", ("eaaa", "sq0"), r"\b(?:EAAA[A-Za-z0-9_-]{50,}|sq0[a-z]{3}-[A-Za-z0-9_-]{20,})", _any),
    ("Facebook token", ("eaac",), r"\bEAAC[A-Za-z0-9]{60,}", _any),
    ("Azure client secret", ("7q~", "8q~"), r"(?<=(?<![\w~.-])[\w~.-]{3})[78]Q~[\w~.-]{31,34}(?![\w~-])", _any),
    (
        # A JWT has three parts, the last of which may be cut off; a JWE has five, of which one may be empty.
        "JSON web token",
        ("eyj",),
        r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,8000}\.(?:eyJ[A-Za-z0-9_-]{4,8000}(?:\.[A-Za-z0-9_-]{0,2000})?"
        r"|[A-Za-z0-9_-]{0,2000}\.[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{1,20000}(?:\.[A-Za-z0-9_-]{0,200})?)",
        _any,
    ),
    (
        "password hash",
        ("$2", "$apr1$", "$5$", "$6$", "$1$", "$y$", "$argon2"),
        r"\$(?:2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|(?:apr1|[156y])\$[^\s:]{20,200}|argon2(?:id?|d)\$[^\s:]{20,300})",
        _any,
    ),
    # --- headers, cookies and addresses ---
    ("Bearer token", ("bearer",), r"(?i:\bbearer)[ \t]{0,2}:?[ \t]{1,3}(?P<value>[A-Za-z0-9._~+/%=-]{12,})", token),
    (
        "Authorization header",
        ("authorization",),
        r"(?i:authorization)\W{1,4}(?i:basic|token|ssws|apikey)[ \t]{1,3}(?P<value>[A-Za-z0-9+/=_.-]{8,})",
        _any,
    ),
    (
        "session cookie",
        ("sess", "sid", "csrf", "xsrf", "auth", "jwt", "remember", "cloud.session"),
        r"(?i:sess(?:ion)?(?:[_-]?(?:id|token|key))?|sid|(?:cs|xs)rf[\w-]{0,12}|jwt|remember[_-]\w{1,12}"
        r"|auth(?:[_-]?(?:token|session|cookie))?|cloud\.session\.token)=(?P<value>[A-Za-z0-9%._~+/:=-]{16,4000})",
        token,
    ),
    ("webhook address", ("/api/webhooks/",), r"/api/webhooks/\d{5,25}/(?P<value>[\w-]{20,})", _any),
    ("webhook address", (".webhook.office.com/",), r"\.webhook\.office\.com/(?P<value>[\w/@-]{30,})", _any),
    (
        "signed address",
        ("sig=", "signature="),
        r"(?<=[?&-])(?i:sig|signature)=(?P<value>[A-Za-z0-9%+/=_-]{16,})",
        _any,
    ),
    ("signed address", ("code=",), r"(?<=[?&])code=(?P<value>[A-Za-z0-9_%-]{40,}={0,2})", _any),
    (
        "password in a URL",
        ("://",),
        r"(?<=[A-Za-z0-9+.-])://[^\s/:@<>\"'()\[\]]{0,200}:(?P<value>[^\s/@<>\"']{1,200})@",
        is_assigned,
    ),
    ("token in a URL", ("://",), r"://(?P<value>[A-Za-z0-9_-]{20,200})@[\w.-]", token),
    ("one-time password seed", ("otpauth://",), r"otpauth://\S{1,400}?[?&]secret=(?P<value>[A-Za-z2-7]{10,})", _any),
    # --- command lines and files ---
    (
        "curl login",
        ("curl",),
        r"curl\b[^\n]{0,300}?[ ](?:-u|--user)[ =]?[\"']?[\w.@+%-]{1,80}:(?P<value>[^\s\"']{3,200})",
        _login,
    ),
    (
        "password on a command line",
        ("mysql", "mariadb"),
        r"\b(?:mysql|mariadb)\w{0,10}\b[^\n]{0,200}?[ ]-p(?P<value>[^\s-][^\s]{3,100})",
        _login,
    ),
    (
        "password on a command line",
        ("sshpass", "docker", "podman", "helm", "mongo"),
        r"\b(?:sshpass|(?:docker|podman|helm)[^\n]{0,40}?login|mongo\w{0,8})\b[^\n]{0,200}?[ ](?:-p|--password)[ =]?"
        r"[\"']?(?P<value>[^\s\"'-][^\s\"']{3,100})",
        _login,
    ),
    (
        "password on a command line",
        ("--pass", "--token", "--secret", "--api-key", "--auth", "add-authtoken", "wandb login"),
        r"(?:--(?:pass(?:word|wd|phrase)?|token|secret|api-key|auth)|add-authtoken|wandb[ ]login)[ =][\"']?"
        r"(?P<value>[^\s\"'-][^\s\"']{4,200})",
        worded,
    ),
    (
        "password on a command line",
        ("sqlcmd", "osql", "redis-cli", "ldap"),
        r"(?i:(?:sqlcmd|osql)\b[^\n]{0,200}?[ ](?-i:-P)|redis-cli\b[^\n]{0,200}?[ ](?-i:-a)"
        r"|ldap[a-z]{3,12}\b[^\n]{0,200}?[ ](?-i:-w))"
        r"[ ]?[\"']?(?P<value>[^\s\"'-][^\s\"']{3,100})",
        _login,
    ),
    (
        "password on a command line",
        ("htpasswd", "rabbitmqctl", "net use"),
        r"(?i:htpasswd[ ]-[a-z]{0,6}b[a-z]{0,6}[ ]\S{1,200}|rabbitmqctl[^\n]{0,60}?[ ](?:add_user|change_password)"
        r"|net[ ]use\b[^\n]{0,200}?(?=/user:))[ ]?\S{1,100}[ ][\"']?(?P<value>[^\s\"'/-][^\s\"']{3,100})",
        _login,
    ),
    (
        "password in a script",
        ("convertto-securestring", "identified "),
        r"(?i:convertto-securestring[^\n|;]{0,60}?|identified[ ](?:with[ ]\w{1,40}[ ])?(?:by|as))[ ]"
        r"[\"'](?P<value>[^\"'\s]{4,200})[\"']",
        worded,
    ),
    ("Wi-Fi password", ("wifi:",), r"(?i:wifi):[^\n]{0,200}?(?<=[:;])P:(?P<value>[^;\n]{4,100});", _any),
    (
        "netrc login",
        ("machine",),
        r"\bmachine\s{1,9}\S{1,200}\s{1,9}login\s{1,9}\S{1,200}\s{1,9}password\s{1,9}(?P<value>\S{3,200})",
        is_assigned,
    ),
    (
        "pgpass login",
        (":5432:", ":5433:", ":6432:", ":*:"),
        r":(?:5432|5433|6432|\*):[A-Za-z*][\w*-]{0,60}:[A-Za-z*][\w*-]{0,60}:(?P<value>\S{4,200})",
        worded,
    ),
    (
        "password in an environment",
        _NAMES,
        rf"{_NAMED}\w{{0,20}}[\"']?,?\s{{1,40}}[\"']?(?i:value)[\"']?\s{{0,3}}:\s{{0,3}}[\"']?(?P<value>[^\s\"',}}]{{4,300}})",
        worded,
    ),
    (
        "password in XML",
        _NAMES,
        rf"{_NAMED}(?:\w{{0,10}}>(?P<value>[^<\s]{{4,300}})</"
        rf"|[^\"\n]{{0,30}}\"[ ]{{1,3}}value=\"(?P<attribute>[^\"\n]{{4,300}})\")",
        worded,
    ),
    ("registry login", ('"auth"',), r"\"auth\"[ ]?:[ ]?\"(?P<value>[A-Za-z0-9+/=_-]{12,})", _any),
    ("registry login", ("_auth",), r"_auth(?:Token)?[ ]?=[ ]?(?P<value>[A-Za-z0-9+/=_-]{12,})", _any),
    ("client key", ("client-key-data",), r"client-key-data:\s{0,3}(?P<value>[A-Za-z0-9+/=]{20,})", _any),
)

KINDS: tuple[SecretKind, ...] = (
    *(SecretKind(name, hints, re.compile(pattern), plausible) for name, hints, pattern, plausible in _ROWS),
    # Two that begin with something that stands in any text.
    SecretKind("Telegram bot token", (":aa",), re.compile(r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}"), leads=False),
    SecretKind(
        "Firebase server key", (":apa91b",), re.compile(r"\b[A-Za-z0-9_-]{11}:APA91b[A-Za-z0-9_-]{100,}"), leads=False
    ),
)
