"""Write the generated pages of docs/: run by `make docs`, compared by the docs tests."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from hypha.assembly import Server
from hypha.builtins.service import BuiltinService
from hypha.builtins.table import table_of
from hypha.configuration import all_options, flags_for_all, get_argparser, load_settings
from hypha.options import Option, shown_default

sys.path.insert(0, str(Path(__file__).parent))
from credentials_table import table as credentials_table
from limits_table import limits_page

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """# Options

<!-- Written by `make docs` from hypha/settings/ and the options.py of each feature: change it there. -->

Every option is declared once, in `hypha/settings/` or, if a feature's, in the `options.py` of its folder.

- A **flag** is given on the command line: `python -m hypha.server --port 9000`. Its variable is
  `HYPHA_` and the flag's name in capitals (`--enable-s3`: `HYPHA_ENABLE_S3`). These variables are read
  only with `--from-env`, by `python -m hypha` without arguments, and by `uvicorn hypha.server:app`. A
  given flag wins; the ignored variable is warned about.
- A **variable** without a flag is always read.
- Switches are true for `true`, `1`, `yes`, `y` and `on` in any case, else false. Lists are split on
  whitespace. A value that does not convert is warned about and skipped.
- A `.env` file in the working directory, or the nearest one above it, is loaded first; variables
  that are set already win.
- *Later*: accepted, but the feature is not active in this version; the server warns once at start.
"""


def options_page() -> str:
    """The text of docs/options.md."""
    lines = [HEAD]
    section = ""
    for option in all_options():
        if option.section != section:
            section = option.section
            lines += [f"## {section}", "", "| option | default | meaning |", "|---|---|---|"]
        lines.append(f"| {_names(option)} | {_default(option)} | {_meaning(option)} |")
    text = "\n".join(lines) + "\n"
    return text.replace("|\n## ", "|\n\n## ")


def _names(option: Option) -> str:
    names = ([option.flag] if option.is_flag else []) + list(option.variables)
    return ", ".join(f"`{name}`" for name in names)


def _default(option: Option) -> str:
    shown = shown_default(option)
    return f"`{shown}`" if shown else "–"


def _meaning(option: Option) -> str:
    text = option.help.replace("|", "\\|")
    if option.choices:
        text += f" ({', '.join(option.choices)})"
    return text + (" *Later.*" if option.feature else "")


PERMISSIONS_HEAD = """# Permissions

<!-- Written by `make docs` from the declarations beside the functions: change them there. -->

Every function of the built-in services, and what its caller needs. A row is declared once, beside the
function; the check before a call, this page and a test of every function, caller and target are made
from it.

- Levels: `read` < `read_write` < `admin`. A higher one includes the lower ones.
- *current workspace*: where the caller acts, which its connection or credential fixes.
- *target workspace*: the one that an argument names, or the current one where none is named.
- *token*: the token that an argument names. Its maker may, and admins of its workspace.
- *service*: public and unlisted ones are for everybody; protected ones need read permission in their
  workspace, or the caller's workspace in their `authorized_workspaces`.
- *own workspace*: kept in the caller's own workspace; what is named must be readable.
- *the role admin*: root and holders of the role `admin`. No token inherits it.
"""


def permissions_page() -> str:
    """The text of docs/permissions.md, from a server with every feature switched on."""
    lines = [PERMISSIONS_HEAD]
    service = ""
    for row in table_of(asyncio.run(built_in_services())):
        if row.service != service:
            service = row.service
            title = "The workspace manager (`~`)" if service == "default" else f"`{service}`"
            lines += [f"## {title}", "", "| function | caller needs | what it does |", "|---|---|---|"]
        lines.append(f"| `{row.function}` | {row.permission.text} | {row.summary.replace('|', '&#124;')} |")
    text = "\n".join(lines) + "\n"
    return text.replace("|\n## ", "|\n\n## ")


async def built_in_services() -> list[BuiltinService]:
    """All services of the server itself."""
    flags = ["--data-dir=:memory:", f"--root-token={'r' * 64}", *flags_for_all()]
    settings, _ = load_settings(get_argparser().parse_args(flags), {})
    server = Server(settings)
    await server.start()
    await asyncio.sleep(0)  # its background work begins, so that it can be ended
    try:
        return [server.parts.tenants.manager, *server.parts.core.offering.services()]
    finally:
        await server.stop()


BEGIN = "<!-- Written by `make docs` from hypha/web/arrival.py and credentials.py: change them there. -->\n"
END = "<!-- The end of what is written. -->\n"


def security_page() -> str:
    """The text of docs/security.md, with the table of credentials in its place."""
    text = (DOCS / "security.md").read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{credentials_table()}\n{END}{after}"


PAGES = {
    "limits.md": limits_page,
    "options.md": options_page,
    "permissions.md": permissions_page,
    "security.md": security_page,
}


def main() -> None:
    """Write every generated page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
