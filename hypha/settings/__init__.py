"""The options of the core, each declared once, in the module of its group; features declare their own.

The command line, the environment variables and `docs/options.md` are generated from these
fields (`hypha.configuration`). Import of this package must stay cheap: `--help` waits for it.
"""

from hypha.settings.checks import check_settings
from hypha.settings.settings import Settings

__all__ = ["Settings", "check_settings"]
