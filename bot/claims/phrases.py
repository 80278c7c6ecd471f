"""The table of phrases: every way of stating a checkable fact that is understood. English; data, no logic.

The patterns are matched against a normalised sentence (see `bot.claims.prose`): single spaces, no contractions, and
each pull request or issue that is named replaced by a mark. `{…}` are the pieces below, put in by `_made`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bot.claims.claim import Kind

PULL, TICKET = "P", "I"
MARK = "\ue000(?P<{name}>[PI]\\d+)\ue001"
"""How a named pull request or issue stands in a normalised sentence: P or I, and its place in the list of them."""
GAP = "\ufffc"
"""Stands for what is not read: code, quoted words, struck-out words."""

# Pieces

_ADVERBS = (
    "already|now|just|still|currently|also|both|all|finally|indeed|actually|yet|meanwhile|right now|officially|recently"
    "|successfully|today|since yesterday|since today"
)
MODS = rf"(?:(?:{_ADVERBS}|not|no longer) )*"
"""Adverbs before a state, each with its space. One `not` or `no longer` among them negates it."""
AUX = re.compile(
    rf"(?:(?P<now>is|are|remains?|stays?)|(?P<past>was|were)|(?:has|have) (?P<mods0>{MODS})been) (?P<mods>{MODS})"
)
HAS = re.compile(rf"(?:has|have) (?P<mods>{MODS})(?:only )?(?!been )")
BARE = re.compile(rf"(?P<mods>{MODS})")
"""What stands before a state: "is not yet ", "has ", or, once a verb has been said, adverbs alone."""
ASIDE = re.compile(r", ?| ?\(")
"""Leads to an apposition: "PR #12, approved by Chen", "PR #12 (not merged yet)"."""
AND = re.compile(r"\)?,? (?:and|but|yet) |\)?, |\) ")
"""Leads to one more state of the same subject: "is approved but not merged"."""
TAIL = r"(?P<tail>(?: (?:yet|so far|now|already|at the moment|right now|again))?)"
END = r"(?=$|\s*[,;:.!)\u2013\u2014]| (?:and|but|so|with|since|because|as|though|although|while|yet|now)\b)"
"""What may follow a state that is true now: the end, or a word that leaves it as it is."""
NUMBER = r"(?:\d{1,2}|no|zero|one|two|three|four|five|six|seven|eight|nine|ten)"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NAME = r"(?:[A-Z\u00c0-\u00de][\w'-]*(?: [A-Z\u00c0-\u00de][\w'-]*){0,2})"
NAMES = rf"(?:{NAME}(?:(?:,| and|, and) {NAME})*)"

# Sentences that state nothing about now

HEDGES = re.compile(
    r"\b(?:once|if|when|whenever|as soon as|as long as|after|before|until|till|unless|whether|provided|providing"
    r"|assuming|assumed?|suppos\w+|in case|so that|in order to|by the time|(?<!at )the moment|would|should|could|might"
    r"|ought"
    r"|think|thinks|thought|believe[sd]?|guess|hopes?|hoped|hopefully|expects?|expected|wish(?:es)?|imagine|pretend"
    r"|said|says|say|saying|wrote|writes|written|mention(?:s|ed)|told|tells|reported|reports|claims?|claimed|asks"
    r"|confirmed|confirms|according|announced|states|stated|quotes?|seems?|seemed|appears?|apparently|probably|perhaps"
    r"|maybe|likely|possibly|presumably|plan|plans|planned|goal|target date|idea|proposal|ideally|scenario|example"
    r"|e\.g\.|hypothetical\w*|theor\w+|either|neither|nor|or|except|instead|almost|nearly|half|partly|partially"
    r"|while|make sure|ensures?|verify|confirm|please check|sure|unsure|unclear|wonder\w*|doubt\w*"
    r"|wrong|false|incorrect|untrue"
    r"|then|tomorrow|tonight|next (?:week|month|sprint|release|year|quarter)|had|as of|used to|back then|at the time)\b"
    r"|\?|\bonly (?:when|if|after|once)\b",
    re.IGNORECASE,
)
"""A sentence with one of these (a condition, a report of somebody's words, an opinion, a plan) holds no claim."""
DUE_HEDGES = re.compile(HEDGES.pattern.replace("|tomorrow|tonight", ""), re.IGNORECASE)
"""The same for a due date, which may well be tomorrow."""
LIST_HEDGES = re.compile(
    r"\b(?:need\w*|requir\w+|remain\w*|to ?do|next|steps?|criteria|conditions?|checklist|definition of done|must"
    r"|missing|left|open points|tasks?|goals?|expected|blockers? for|wait\w*)\b",
    re.IGNORECASE,
)
"""A list or section under such words holds what is to be done, not what is so."""

# What leads to a subject: the beginning, a mark, or one of these words

LEAD = re.compile(
    r"(?:^|[,;:(\u2013\u2014] ?|- |\b(?:and|but|so|also|both|currently|now|meanwhile|still|however|though|although"
    r"|because|as) )(?:(?:the|this|our|your|his|her|their|linked|related|blocking|[A-Z]\w*['\u2019]s)"
    r" ){0,2}(?:(?:issue|ticket|blocker|bug|story|task|fix|change) )?$",
    re.IGNORECASE,
)
"""The text before a named subject ends so; after any other word ("the fix for ECD-5 is done") it is not the subject."""
IT = re.compile(
    r"(?:^|[,;:(\u2013\u2014] ?|\b(?:and|but|so|also|currently|now|though|although|because|while|as) )(?P<it>it|which) "
    r"(?=is\b|are\b|has\b|was\b|remains\b|stays\b)",
    re.IGNORECASE,
)


class Phrase(NamedTuple):
    """One way to say it. `value` "" is in the pattern's one named group; "-…" is the opposite of a value. `now`: it
    counts only in the present ("is open"), since what was so on some day can have passed.
    """

    kind: Kind
    value: str
    pattern: re.Pattern[str]
    now: bool = False


def _made(text: str) -> re.Pattern[str]:
    pieces = {"NAMES": NAMES, "NAME": NAME, "END": END, "TAIL": TAIL, "NUMBER": NUMBER}
    for name, piece in pieces.items():
        text = text.replace(f"{{{name}}}", piece)
    return re.compile(text.replace("{KEY}", MARK.format(name="key")))


_PERFECT = r"{TAIL}{END}"
_DONE_ON = r"{TAIL}(?:{END}|(?= (?:into|to|in|by|with|via|on|at|this|yesterday|earlier|last|two|three|\d)\b))"

PULL_STATES: tuple[Phrase, ...] = (
    Phrase("state", "MERGED", _made(r"merged" + _PERFECT)),
    Phrase("state", "MERGED", _made(r"merged (?:in|in)to [\w./-]+" + _PERFECT)),
    Phrase("state", "-MERGED", _made(r"unmerged" + _PERFECT), now=True),
    Phrase("state", "OPEN", _made(r"(?:open|in review|under review|(?:up|out|ready) for review)" + _PERFECT), now=True),
    Phrase("state", "DECLINED", _made(r"(?:declined|rejected)(?: without being merged)?" + _PERFECT)),
    Phrase("state", "CLOSED", _made(r"closed" + _PERFECT)),
    Phrase("state", "DRAFT", _made(r"(?:a draft|in draft)" + _PERFECT), now=True),
    Phrase("approved", "all", _made(r"fully approved" + _PERFECT)),
    Phrase("approved", "all", _made(r"approved by (?:everybody|everyone|all)(?: asked| reviewers)?" + _PERFECT)),
    Phrase("approved_by", "", _made(r"approved by (?P<names>{NAMES})" + _PERFECT)),
    Phrase("approved", "some", _made(r"approved" + _PERFECT)),
    Phrase("approvals", "0", _made(r"without (?:any )?approvals?" + _PERFECT), now=True),
)  # fmt: skip
"""After "PR #12 is", in this order."""
_LATER: tuple[Phrase, ...] = (
    Phrase("state", "MERGED", _made(r"merged" + _DONE_ON)),
    Phrase("state", "DECLINED", _made(r"(?:declined|rejected)" + _DONE_ON)),
    Phrase("approved_by", "", _made(r"approved by (?P<names>{NAMES})" + _DONE_ON)),
)
PULL_PAST = (*(phrase for phrase in PULL_STATES if not phrase.now), *_LATER)
"""After "PR #12 was" or "has been": what happened stays so, whenever it was."""
PULL_HAS: tuple[Phrase, ...] = (
    Phrase("approvals", "", _made(r"(?P<count>{NUMBER}) of (?:the )?{NUMBER} (?:required )?approvals?" + _PERFECT)),
    Phrase("approvals", "", _made(r"(?P<count>{NUMBER}) approvals?" + _PERFECT)),
)  # fmt: skip
"""After "PR #12 has"; the first also as an apposition."""

_BEGIN = r"(?:^|[,;:(\u2013\u2014] ?|\b(?:and|but|so|also|while) )"
BUILD = re.compile(
    rf"(?:{MARK.format(name='of1')}['\u2019]s |{_BEGIN}(?:(?:the|its|latest|last|current) ){{0,2}})"
    rf"(?P<what>builds?|pipelines?|CI(?: build| pipeline)?)(?: (?:of|on|for|in) {MARK.format(name='of2')})? ",
    re.IGNORECASE,
)
BUILD_STATES: tuple[Phrase, ...] = (
    Phrase("build", "green", _made(r"(?:green|successful|passing)" + _PERFECT), now=True),
    Phrase("build", "failed", _made(r"(?:red|failing|failed|broken)" + _PERFECT), now=True),
    Phrase("build", "running", _made(r"(?:running|in progress|inprogress)" + _PERFECT), now=True),
)
BUILD_VERBS: tuple[Phrase, ...] = (
    Phrase("build", "green", _made(r"(?:passes|passed|succeeded)" + _PERFECT)),
    Phrase("build", "failed", _made(r"(?:fails|failed)" + _PERFECT)),
)
"""After "the build" or "the build has"."""

APPROVER = re.compile(
    rf"{_BEGIN}(?P<names>{NAMES})(?: (?:has|have) (?P<mods>{MODS})| )(?:already )?approved "
    rf"(?:{MARK.format(name='of')}|(?P<it>it)){TAIL}{END}"
)
ASSIGNED = re.compile(
    rf"{_BEGIN}(?P<name>{NAME}|nobody|no one) is (?P<mods>{MODS})"
    rf"(?:assigned(?: to (?:{MARK.format(name='of1')}|(?P<it>it)))?"
    rf"|the assignee(?: of {MARK.format(name='of2')})?){TAIL}{END}"
)
"""People first: "Chen has approved PR #12", "Ana is assigned", "nobody is assigned yet"."""

TICKET_HAS: tuple[Phrase, ...] = (
    Phrase("due", "none", _made(r"no due date" + _PERFECT)),
    Phrase("due", "", _made(r"(?:a|the) due date of (?P<date>[^;:()]{3,40}?)(?=$|\s*[,;.!)]|\s(?:and|but)\b)")),
    Phrase("assignee", "", _made(r"no assignee" + _PERFECT)),
)
TICKET_STATES: tuple[Phrase, ...] = (
    Phrase("assignee", "", _made(r"(?:unassigned|assigned to (?:nobody|no one))" + _PERFECT), now=True),
    Phrase("assignee", "-", _made(r"assigned(?: to (?:anybody|anyone|somebody|someone))?" + _PERFECT), now=True),
    Phrase("assignee", "", _made(r"assigned to @?(?P<name>{NAME})" + _PERFECT), now=True),
    Phrase("blocked", "", _made(r"blocked by {KEY}" + r"(?: \([^()]{1,300}\))?" + _PERFECT), now=True),
    Phrase("due", "", _made(r"due (?P<date>[^;:()]{3,40}?)(?=$|\s*[,;.!)]|\s(?:and|but|which)\b)"), now=True),
)
"""After "ECD-5 is". Statuses come from the site's own names, besides (`bot.claims.reading`)."""
DUE_DATE = re.compile(
    rf"{_BEGIN}(?P<said>(?:the|its) due date)(?: (?:on|of|for) {MARK.format(name='of')})? is "
    r"(?:(?:now|still|currently) )*(?P<date>[^;:]{3,40}?)(?=$|\s*[;.!]|, (?!\d)| (?:and|but)\b)",
    re.IGNORECASE,
)
NO_DUE_DATE = re.compile(
    rf"{_BEGIN}(?P<said>(?:there is )?no due date)(?: is set| is recorded| has been set)?"
    rf"(?: (?:on|for|in) {MARK.format(name='of')})?{TAIL}{END}",
    re.IGNORECASE,
)
COMMON_STATUSES = (
    "To Do", "In Progress", "In Review", "Done", "Open", "Closed", "Resolved", "Reopened", "Backlog",
    "Selected for Development", "Waiting for support", "Waiting for customer", "Ready for QA", "In QA", "In Testing",
)  # fmt: skip
"""Status names that count wherever the issue's own do not say them."""
DONE = ("done", "closed", "resolved", "finished", "completed", "complete")
"""Words that say "finished", whatever the site calls the status."""
