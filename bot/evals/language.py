"""Whether a text is in the language that was expected: by script, and by the commonest words. Pure.

That is enough here, because the expected language is known and the texts are replies of some twenty words.
"""

from __future__ import annotations

import re

_COMMON = {
    "en": "the is and of to it has in not are was by for on this that with no yet be who which since",
    "de": "der die das ist und nicht es von mit den ein eine hat für auf zu noch im wer seit dem bei wird",
    "fr": "le la les est et pas une des du en par sur qui pour dans ce il elle au ne depuis encore",
    "es": "el la los es está y no una de por que en para con se del lo al quién desde aún",
    "it": "il la è e non un una di per che in con del si da lo al chi ancora dal",
    "pt": "o a os é está e não uma de por que em para com do da se no quem ainda desde",
    "nl": "de het een is en niet van met voor op nog in wie sinds door er dat deze",
    "pl": "jest i nie na w z do się przez od kto jeszcze to dla ma po",
    "tr": "bir ve bu için henüz kim ile değil var yok de da tarafından",
}
_SCRIPTS = {
    "ja": r"[\u3040-\u30ff]", "ko": r"[\uac00-\ud7af]", "zh": r"[\u4e00-\u9fff]", "ru": r"[\u0400-\u04ff]",
    "el": r"[\u0370-\u03ff]", "ar": r"[\u0600-\u06ff]", "he": r"[\u0590-\u05ff]",
}  # fmt: skip
_QUOTED = re.compile(r"`[^`]*`|“[^”]*”|\"[^\"]*\"|„[^“]*“|«[^»]*»|「[^」]*」")


def is_in(text: str, language: str) -> bool:
    """Whether the words of `text`, but those in quotes, are in `language` (ISO 639-1).

    Raises KeyError for a language that is not known here.
    """
    plain = _QUOTED.sub(" ", text)
    for name, letters in _SCRIPTS.items():
        if re.search(letters, plain):
            return name == language
    if language in _SCRIPTS:
        return False
    words = re.findall(r"[^\W\d_]+", plain.lower())
    counts = {name: sum(word in common.split() for word in words) for name, common in _COMMON.items()}
    return counts[language] == max(counts.values())
