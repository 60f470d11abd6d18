"""The e-mails that are sent, word for word."""

from __future__ import annotations

from hypha.features.accounts.mail import Letter


def _minutes(life_s: float) -> str:
    minutes = max(1, round(life_s / 60))
    return "1 minute" if minutes == 1 else f"{minutes} minutes"


def sign_up_letter(email: str, code: str, life_s: float, base_url: str) -> Letter:
    """The code that ends a sign-up."""
    text = (
        f"Your code is {code}\n\n"
        f"Type it on the page where you signed up at {base_url} within {_minutes(life_s)}.\n\n"
        "If you did not sign up there, ignore this message: without the code nothing happens.\n"
    )
    return Letter(email, f"{code} is your code for Hypha", text)


def reset_letter(email: str, code: str, life_s: float, base_url: str) -> Letter:
    """The code that allows a new password."""
    text = (
        f"Your code to set a new password is\n\n    {code}\n\n"
        f"Type it on the page where you asked for it at {base_url} within {_minutes(life_s)}.\n\n"
        "If you did not ask for it, ignore this message: your password stays as it is.\n"
    )
    return Letter(email, "Set a new password for Hypha", text)
