"""What the documents promise is there: settings, commands, files, CI. An undocumented setting or command fails here."""

from __future__ import annotations

import ast
import io
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bot.settings import REQUIRED, Settings, SettingsError, load
from bot.settings.cautions import PLANNED, doubts
from bot.settings.reading import secret_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SETTINGS = {name.upper() for name in Settings.model_fields}
LINE = re.compile(r"^(# )?([A-Z][A-Z0-9_]+)=(\S.*?|)  # (\S.*)$")


def example() -> dict[str, tuple[bool, str, str]]:
    """Variable → (commented out, value as a shell would read it, its explanation), in the file's order."""
    found = {}
    for line in EXAMPLE.splitlines():
        if match := LINE.match(line):
            value = dotenv_values(stream=io.StringIO(f"X={match[3]}"))["X"]
            found[match[2]] = (bool(match[1]), value or "", match[4])
    return found


def command(name: str) -> str:
    """The command in the README behind this marker: what `.ci/run` and a newcomer run."""
    match = re.search(rf"<!-- command: {name} -->\n```sh\n(.+)\n```\n", README)
    assert match, f"README.md has no command {name}"
    return match[1]


# .env.example


def test_example_has_every_setting_once_in_one_line_each() -> None:
    assert set(example()) == SETTINGS
    lines = [line for line in EXAMPLE.splitlines() if "=" in line]
    assert len(lines) == len(SETTINGS)


def test_required_settings_come_first_and_are_blank() -> None:
    names = list(example())
    assert set(names[: len(REQUIRED)]) == set(REQUIRED)
    for name in REQUIRED:
        assert example()[name][:2] == (False, "")


def test_optional_settings_show_their_default() -> None:
    for name, (commented, value, _) in example().items():
        field = Settings.model_fields[name.lower()]
        if commented and field.default not in (None, (), ""):
            default = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default).lower()
            assert value.lower().removeprefix("./").removesuffix(".0") == default.removesuffix(".0"), name


def test_a_copied_example_names_what_is_still_blank() -> None:
    with pytest.raises(SettingsError) as caught:
        load({k: v or "" for k, v in dotenv_values(stream=io.StringIO(EXAMPLE)).items()})
    assert {p.variable for p in caught.value.problems} == {*REQUIRED, "SLACK_APP_TOKEN"}


def test_every_line_uncommented_can_be_read() -> None:
    whole = dotenv_values(stream=io.StringIO(re.sub(r"(?m)^# (?=[A-Z_]+=)", "", EXAMPLE)))
    assert set(whole) == SETTINGS
    assert not [value for value in whole.values() if value and "#" in value]


def test_every_name_that_tests_and_deployment_set_is_known() -> None:
    """What the program would call a slip must not stand anywhere in the tree."""
    files = [*ROOT.glob("deploy/*"), *ROOT.glob("bot/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob(".ci/*")]
    files.remove(ROOT / "tests" / "test_settings.py")  # slips are what these are about
    files.remove(ROOT / "tests" / "acceptance" / "test_settings.py")
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
    names = set(re.findall(r"\bPMAGENT_[A-Z_]*[A-Z]\b(?!_)", text)) - PLANNED
    assert names >= {"PMAGENT_FAILPOINT", "PMAGENT_SITE", "PMAGENT_REINS", "PMAGENT_TEST_SPEED"}
    named = dict.fromkeys(names, "")
    assert [p.variable for p in doubts(named, {}, sorted(SETTINGS), secret_names())] == []


# README


def test_readme_names_only_settings_that_exist() -> None:
    named = set(re.findall(r"\b((?:PMAGENT|JIRA|SLACK|ATLASSIAN|BITBUCKET|ANTHROPIC)_[A-Z_]+)\b", README))
    assert named <= SETTINGS
    assert set(REQUIRED) <= named


def test_readme_names_only_files_that_exist() -> None:
    paths = set(re.findall(r"`((?:bot|handlers|prompts|deploy|tests|\.ci)/[\w./-]*)`", README))
    paths |= set(re.findall(r"\]\((?!https?:|#)([^)]+)\)", README))
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert missing == []


def test_every_promise_names_a_test_that_exists() -> None:
    promises = [
        line for line in (ROOT / "docs/security.md").read_text(encoding="utf-8").splitlines() if "tests/" in line
    ]
    named = [re.search(r"`(tests/[\w/]+\.py)::(\w+)` \|$", line) for line in promises if line.startswith("|")]
    assert len(named) >= 20
    for found in named:
        assert found, "a row without its test"
        assert re.search(rf"def {found[2]}\(", (ROOT / found[1]).read_text(encoding="utf-8")), found[0]


@pytest.mark.parametrize("path", ["bot/__init__.py", "handlers/__init__.py", "bot/workflow/__init__.py"])
def test_the_maps_in_the_code_name_only_what_exists(path: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or ""
    files = set(re.findall(r"\b(?:bot|handlers|prompts|tests)/[\w./*-]*", text))
    assert sorted(file for file in files if not any(ROOT.glob(file.rstrip("/.")))) == []
    for name in re.findall(r"`(bot\.[a-z_.]+)`", text):
        pkgutil.resolve_name(name)  # raises for what is not there


def test_every_module_of_the_doors_is_in_their_table() -> None:
    text = (ROOT / "handlers" / "__init__.py").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "handlers").glob("*.py")} - {"__init__"}
    assert {name for name in modules if not re.search(rf"`{name}[`.]", text)} == set()


def test_every_pmagent_word_is_in_the_readme_and_the_other_way_round() -> None:
    from handlers.slash_command.words import COMMANDS

    assert set(re.findall(r"`/pmagent (\w+)", README)) == set(COMMANDS)


def documented() -> list[tuple[str, ...]]:
    """The commands in the README's table, as words: ("audit", "verify")."""
    rows = re.findall(r"^\| `python -m bot ?([a-z ]*)", README, flags=re.MULTILINE)
    return sorted({tuple(row.split()) for row in rows})


def options(words: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bot", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("words", documented(), ids=lambda words: " ".join(words) or "bot")
def test_every_documented_command_has_help_with_its_options(words: tuple[str, ...]) -> None:
    text = options(words)
    row = re.search(rf"^\| `python -m bot ?{' '.join(words)}([^`]*)`", README, flags=re.MULTILINE)
    assert row
    for option in re.findall(r"--?[a-z][a-z-]*", row[1]):
        assert re.search(rf"(?<![\w-]){option}\b", text), f"{option} is not in --help"


def test_every_command_is_documented() -> None:
    listed = set(re.findall(r"^    ([a-z]+)  ", options(()), flags=re.MULTILINE))
    assert listed == {words[0] for words in documented() if words} | {"run"}


def test_the_two_commands_install_what_they_need() -> None:
    start = "python3 -m venv .venv && .venv/bin/pip install -q -r "
    assert command("demo") == f"{start}requirements.txt && .venv/bin/python -m bot demo"
    assert command("tests") == f"{start}requirements-dev.txt && .venv/bin/python -m pytest -n 4"


# CI


def test_ci_runs_the_readmes_command() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    extract = next(line for line in run.splitlines() if line.startswith("tests="))
    done = subprocess.run(
        ["bash", "-c", f'{extract}\nprintf %s "$tests"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert done.stdout == command("tests")
    assert run.rstrip().endswith('bash -c "$tests"')  # nothing after it: its last line and exit code are the run's
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_ci_script_is_sound() -> None:
    path = ROOT / ".ci" / "run"
    subprocess.run(["bash", "-n", str(path)], check=True, timeout=10)
    assert path.stat().st_mode & 0o111, ".ci/run is not executable"


def test_hooks_download_nothing() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    assert set(re.findall(r"language: (\S+)", text)) == {"system"}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-tools.txt"])
def test_every_requirement_is_pinned(name: str) -> None:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "-r")):
            assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+", line), line


def test_the_version_is_said_once() -> None:
    from bot import __version__

    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
