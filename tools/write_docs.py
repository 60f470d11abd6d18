"""Write the generated pages of docs/: run by `make docs`, compared by the docs tests."""

from __future__ import annotations

from pathlib import Path

from hypha.options import Option, options_of, shown_default
from hypha.settings import Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"

HEAD = """# Options

<!-- Written by `make docs` from hypha/settings.py: change it there. -->

Every option is declared once, in `hypha/settings.py`.

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
    for option in options_of(Settings):
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


PAGES = {"options.md": options_page}


def main() -> None:
    """Write every generated page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
