"""Writes `bot/support/words.json`: names of months and weekdays, units of time and number words of 16 languages.

They come from CLDR (by babel) and num2words, which are 36 MB on disk and 25 MB in memory, and change once in years: so
they are looked up here, and the program holds the 20 kB that it needs. To make the file anew::

    pip install babel==2.19.0 num2words==0.5.14
    python -m tests.support.make_words > bot/support/words.json
"""

from __future__ import annotations

import json
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "sv", "da", "nb", "fi", "cs", "tr", "ja", "zh")
NUMBERS = (*range(2, 32), *range(40, 100, 10), 100)
NUM2WORDS = {"nb": "no"}
UNITS = ("minute", "hour", "day", "week", "month", "year")
COMMON = {
    # Words by which a text in the language is known.
    "en": "the is and of it was are not has for with to on in at by this that",
    "de": "der die das ist und nicht noch hat dem ein von im",
    "fr": "le la les est et une des du pas il dans par",
    "es": "el los es está y una de del no ha por",
    "pt": "o os é está e uma do da não foi em de",
    "it": "il è e di una del non ha gli che per",
    "nl": "de het is en van een niet heeft zijn er nog op",
    "pl": "jest i nie w na z do od się są to",
    "sv": "och är det inte som av för med har en",
    "da": "og er det ikke som af for med har en til",
    "nb": "og er det ikke som av for med har en til på",
    "fi": "on ja ei se ovat että oli",
    "cs": "je a není na v se do to od jsou",
    "tr": "ve bir bu için değil ile var",
    "ja": "",
    "zh": "",
}
MORE: dict[str, dict[str, Any]] = {
    # What people write and neither of them has: inflected forms, everyday words.
    "en": {"relative": {"yesterday": -1, "tomorrow": 1}, "since": "been …for",
           "units": {"working days": "workday", "working day": "workday", "business days": "workday",
                     "business day": "workday", "workdays": "workday"},
           "away": ("left", "away", "to go", "from now")},
    "de": {"relative": {"gestern": -1, "vorgestern": -2, "morgen": 1, "übermorgen": 2},
           "since": "seit", "remain": "noch",
           "units": {"tagen": "day", "monaten": "month", "jahren": "year", "arbeitstage": "workday",
                     "arbeitstagen": "workday", "werktage": "workday", "werktagen": "workday"}},
    "fr": {"relative": {"hier": -1, "avant-hier": -2, "demain": 1, "après-demain": 2},
           "since": "depuis", "remain": "il reste",
           "units": {"jours ouvrés": "workday", "jours ouvrables": "workday"}},
    "es": {"relative": {"ayer": -1, "anteayer": -2, "antier": -2}, "since": "desde hace", "remain": "faltan",
           "units": {"días hábiles": "workday", "días laborables": "workday"}},
    "pt": {"relative": {"ontem": -1, "anteontem": -2, "amanhã": 1}, "numbers": {"duas": 2},
           "units": {"dias úteis": "workday"},
           "weekdays": {"terça": 1, "quarta": 2, "quinta": 3, "sexta": 4}},
    "it": {"relative": {"ieri": -1, "domani": 1, "dopodomani": 2}, "units": {"giorni lavorativi": "workday"}},
    "nl": {"relative": {"gisteren": -1, "eergisteren": -2, "morgen": 1, "overmorgen": 2}, "since": "sinds",
           "units": {"werkdagen": "workday"}},
    "pl": {"relative": {"wczoraj": -1, "przedwczoraj": -2, "jutro": 1, "pojutrze": 2},
           "units": {"dni robocze": "workday", "dni roboczych": "workday"},
           "numbers": {"dwie": 2, "dwóch": 2, "trzech": 3, "czterech": 4, "pięciu": 5, "sześciu": 6, "siedmiu": 7,
                       "ośmiu": 8, "dziewięciu": 9, "dziesięciu": 10},
           "weekdays": {"środę": 2, "sobotę": 5, "niedzielę": 6, "piątku": 4, "poniedziałku": 0}},
    "sv": {"relative": {"igår": -1, "imorgon": 1}},
    "da": {"relative": {"i går": -1, "i morgen": 1}},
    "nb": {"relative": {"i går": -1, "i morgen": 1}},
    "fi": {"relative": {"eilen": -1, "huomenna": 1}},
    "cs": {"relative": {"včera": -1, "předevčírem": -2, "zítra": 1, "pozítří": 2}, "numbers": {"dvě": 2}},
    "tr": {"relative": {"dün": -1, "yarın": 1}},
    "ja": {"relative": {"昨日": -1, "一昨日": -2, "明日": 1, "明後日": 2}},
    "zh": {"relative": {"昨天": -1, "前天": -2, "明天": 1, "后天": 2}},
}  # fmt: skip


def language(name: str) -> dict[str, Any]:
    from babel import Locale
    from num2words import num2words

    locale, more = Locale.parse(name), MORE[name]
    found: dict[str, Any] = {"weekdays": {}, "months": {}, "short_months": {}, "units": {}, "future": [], "past": []}
    for form in ("format", "stand-alone"):
        found["weekdays"] |= {v.lower(): k for k, v in locale.days[form]["wide"].items()}
        found["months"] |= {v.lower(): k for k, v in locale.months[form]["wide"].items()}
        found["short_months"] |= {v.lower().rstrip("."): k for k, v in locale.months[form]["abbreviated"].items()}
    found["short_months"] = {k: v for k, v in found["short_months"].items() if k not in found["months"]}
    for unit in UNITS:
        words = {str(p) for p in locale._data["unit_patterns"][f"duration-{unit}"]["long"].values()}
        bare = {w.replace("{0}", "").strip().lower() for w in words if w.startswith("{0}")}
        found["units"] |= {w: unit for w in bare if " " not in w and not w.startswith("/")}
        for sign in ("future", "past"):
            for pattern in locale._data["date_fields"][unit][sign].values():
                phrase = str(pattern).replace("{0}", "#").lower()
                found[sign].append(f"{phrase}={unit}")
    found["units"] |= more.get("units", {})
    if "since" in more:  # "open since (for) 14 days"
        found["past"] += [f"{more['since']} # {word}={unit}" for word, unit in found["units"].items()]
    if "remain" in more:
        found["future"] += [f"{more['remain']} # {word}={unit}" for word, unit in found["units"].items()]
    for word in more.get("away", ()):
        found["future"] += [f"# {unit_word} {word}={unit}" for unit_word, unit in found["units"].items()]
    for sign in ("future", "past"):
        found[sign] = sorted(set(found[sign]))
    if name not in ("ja", "zh"):
        found["numbers"] = {num2words(n, lang=NUM2WORDS.get(name, name)).lower(): n for n in NUMBERS}
    found["numbers"] = found.get("numbers", {}) | more.get("numbers", {})
    found["weekdays"] |= more.get("weekdays", {})
    found["relative"] = more["relative"]
    found["common"] = COMMON[name].split()
    return found


if __name__ == "__main__":
    print("{")
    lines = [f'"{name}": {json.dumps(language(name), ensure_ascii=False, sort_keys=True)}' for name in LANGUAGES]
    print(",\n".join(lines))
    print("}")
