"""Every setting, declared once, read once, frozen. All problems are named at once, each with the way to mend it.

::

    environment, .env, files of secrets          bot.environment    texts by name
                 │
                 ▼
    load()                                       reading            every problem of them, or the settings
       ├── one text by itself                    declaration        names, types, defaults; by `rules`
       ├── several together                      together
       └── what is no mistake for certain        doubts             unknown names, odd keys: told, and started with
    settings_for(project)                        per_project        what one project may have of its own

`.env.example` says what each setting means; `tests/test_docs.py` holds it against `Settings.model_fields`. Nothing
happens at import.
"""

from bot.settings.declaration import Settings
from bot.settings.hints import REQUIRED, WHERE
from bot.settings.per_project import ProjectSettings, settings_for
from bot.settings.problems import Problem, SettingsError
from bot.settings.reading import load

__all__ = ["REQUIRED", "WHERE", "Problem", "ProjectSettings", "Settings", "SettingsError", "load", "settings_for"]
