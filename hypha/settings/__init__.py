"""All options of the server, each declared once, in the module of its group.

The command line, the environment variables and `docs/options.md` are generated from these
fields. Import of this package must stay cheap: `--help` waits for it.
"""

from hypha.settings.checks import check_settings
from hypha.settings.loading import get_argparser, inactive_flags, load_settings
from hypha.settings.settings import Settings

__all__ = ["Settings", "check_settings", "get_argparser", "inactive_flags", "load_settings"]
