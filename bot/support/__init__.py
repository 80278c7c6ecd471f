"""The support check: which facts in a draft do not stand in the data that Claude was given. Pure.

::

    data of the request → Given              `given`: its dates, numbers, keys, names; kept with the draft
    unsupported(text, given) → words         `checking`, over what `reading` finds in the text, by the words in `names`

Numbers, dates, versions, keys and pull requests are found by rule, in any language; persons and statuses by what the
model says that it named, since no rule knows a name in every language.
"""

from bot.support.checking import unsupported
from bot.support.given import Given, given

__all__ = ["Given", "given", "unsupported"]
