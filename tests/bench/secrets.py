"""What passes the search for secrets, what it finds that is none, and what it costs.

    python -m tests.bench.secrets [--names]

The lists are those of `tests/secret_lists`; the half that the rules were not made with is marked. Times are of `tidy`,
which every text from outside goes through, on prose and on a text of nothing but sentences about passwords and keys.
`--names` tells which entries pass, and which comments change: not to be used on the held-out half while rules change.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

from bot.safety import clean, tidy
from tests.secret_lists import Half, kinds, ordinary, spellings

HALVES: dict[Half, str] = {"seen": "seen", "held_out": "held out"}
PROSE = (
    "The export of ECD-142 is slow since Monday, nobody knows why. Ana looked at the log, there is a timeout at 10:42. "
)


def texts(size: int) -> dict[str, str]:
    about = "\n\n".join(ordinary("seen"))
    return {"prose": (PROSE * (size // len(PROSE) + 1))[:size], "about secrets": clean(about[:size])}


def milliseconds(text: str, times: int = 51) -> float:
    """The median time of one `tidy`, of this thread alone: others on the machine do not count."""
    taken = []
    for _ in range(times):
        started = time.thread_time()
        tidy(text)
        taken.append(time.thread_time() - started)
    return statistics.median(taken) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", action="store_true", help="name what passes, on the seen half")
    names = parser.parse_args().names
    print(f"Python {platform.python_version()}, {platform.machine()}")
    print(f"{'':24}{'entries':>9}{'pass':>7}{'share':>8}{'bar':>6}")
    for half, title in HALVES.items():
        for what, entries, bar in (("spellings", spellings(half), "3 %"), ("kinds", kinds(half), "5 %")):
            passed = [entry.name for entry in entries if entry.passes()]
            share = f"{100 * len(passed) / len(entries):.1f} %"
            print(f"{f'{what}, {title}':24}{len(entries):9}{len(passed):7}{share:>8}{bar:>6}")
            if names and half == "seen":
                print(*(f"    passes: {name}" for name in passed), sep="\n", end="\n" if passed else "")
        comments = ordinary(half)
        false = [comment for comment in comments if tidy(comment) != clean(comment)]
        print(f"{f'false alarms, {title}':24}{len(comments):9}{len(false):7}{'':8}{'2':>6}")
        if names and half == "seen":
            print(*(f"    changes: {comment!r}" for comment in false), sep="\n", end="\n" if false else "")
    print(f"\n{'milliseconds':24}{'300':>9}{'4,000':>9}{'32,000':>9}  characters")
    for kind in texts(1):
        print(f"{kind:24}" + "".join(f"{milliseconds(texts(size)[kind]):9.2f}" for size in (300, 4_000, 32_000)))


if __name__ == "__main__":
    main()
