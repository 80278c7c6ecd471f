"""The prompt files: read once at start, each known by the hash of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bot.errors import UserError

FOLDER = Path(__file__).resolve().parents[2] / "prompts"
PROMPTS = ("team", "voice", "triage", "reply", "claims", "standup", "learning")
"""The files' names without `.md`. `prompts/README.md` tells a project manager what each of them does."""


def version_of(text: str) -> str:
    """The first 12 hex digits of the SHA-256 of the text in UTF-8: enough to find the wording again in git."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Prompts:
    """The texts of `prompts/*.md`, without white space at their ends."""

    team: str
    voice: str
    triage: str
    reply: str
    claims: str
    standup: str
    learning: str

    def system_for_triage(self) -> str:
        return f"{self.team}\n\n{self.triage}"

    def system_for_reply(self, *, with_triage: bool = False) -> str:
        """Team, voice, reply, claims. `with_triage`: the reply's author also decides whether an answer is due."""
        triage = (self.triage,) if with_triage else ()
        return "\n\n".join((self.team, self.voice, *triage, self.reply, self.claims))

    def system_for_claims(self) -> str:
        return self.claims

    def system_for_standup(self) -> str:
        return f"{self.team}\n\n{self.standup}"

    def versions(self) -> dict[str, str]:
        """Name → version of every instruction that can be sent; each covers all its files."""
        return {
            "triage": version_of(self.system_for_triage()),
            "reply": version_of(self.system_for_reply()),
            "claims": version_of(self.system_for_claims()),
            "standup": version_of(self.system_for_standup()),
            "learning": version_of(self.learning),
        }


def load_prompts(folder: Path | None = None) -> Prompts:
    """Read the files of `folder` (default: the project's `prompts/`). Raises `UserError` naming every bad file."""
    where = folder or FOLDER
    texts: dict[str, str] = {}
    problems: list[str] = []
    for name in PROMPTS:
        try:
            # Universal newlines and a forgiven BOM: an edit on Windows must not look like another wording.
            texts[name] = (where / f"{name}.md").read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            problems.append(f"prompts/{name}.md cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            problems.append(f"prompts/{name}.md is not UTF-8 text: save it as UTF-8")
        else:
            if not texts[name]:
                problems.append(f"prompts/{name}.md is empty: restore it with `git checkout prompts/{name}.md`")
    if problems:
        raise UserError("\n".join(problems))
    return Prompts(**texts)
