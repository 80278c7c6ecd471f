"""How long a person waits: from the question in Jira to the card, and from the click to its acknowledgement.

    python -m tests.bench.card [--questions 30]

The real program as a process, the stand-ins in this one, an instant Claude. The ratio is to the time of one webhook
delivery (verify, parse, store, answer) in the same run, so that runs on different machines can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import time

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage

REPLY = {"should_respond": True, "reasoning": "A question.", "response_text": "Ana has it.", "confidence": 0.9}


async def measure(questions: int) -> dict[str, list[float]]:
    """Seconds by name, one per question; the first question, to a program that has just started, stands apart."""
    found: dict[str, list[float]] = {"first card": [], "webhook": [], "card": [], "ack": [], "comment": []}
    async with Stage() as stage:
        await stage.start_bot()
        for number in range(questions + 1):
            key = f"ECD-{number + 1}"
            stage.claude.script(REPLY)
            stage.jira.issue(key, status="In Progress", assignee="ana")
            started = time.perf_counter()
            await stage.jira.comment(key, "ben", "Is anybody looking at this?")
            answered = time.perf_counter()
            card = await stage.slack.card(key, button="Approve")
            shown = time.perf_counter()
            ack = await stage.slack.click(DANA, card, "Approve")
            await stage.jira.until(lambda key=key: stage.jira.posted(key))  # type: ignore[misc]  # bound at once
            posted = time.perf_counter()
            found["card" if number else "first card"].append(shown - started)
            if number:
                found["webhook"].append(answered - started)
                found["ack"].append(ack.ms / 1000)
                found["comment"].append(posted - shown)
            await stage.slack.changes(card, "Posted")
            await asyncio.sleep(1.1)  # Slack takes about one message a second in a channel
        await stage.stop_bot()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=30)
    found = asyncio.run(measure(parser.parse_args().questions))
    base = statistics.median(found["webhook"])
    print(f"Python {platform.python_version()}, {platform.machine()}, {len(found['card'])} questions; milliseconds")
    print(f"{'':32}{'median':>9}{'p95':>9}{'max':>9}{'× webhook':>11}")
    names = {
        "first card": "question → card, just started", "webhook": "question → 202", "card": "question → card",
        "ack": "click → acknowledged", "comment": "click → comment in Jira",
    }  # fmt: skip
    for name, title in names.items():
        values = sorted(found[name])
        middle, high = statistics.median(values), values[min(len(values) - 1, int(len(values) * 0.95))]
        print(f"{title:32}{middle * 1e3:9.1f}{high * 1e3:9.1f}{values[-1] * 1e3:9.1f}{middle / base:11.1f}")


if __name__ == "__main__":
    main()
