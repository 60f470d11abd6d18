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


def taken_letter(email: str, base_url: str) -> Letter:
    """What the owner of an account gets when somebody signs up with its address once more."""
    text = (
        f"Somebody, maybe you, signed up at {base_url} with this e-mail address.\n\n"
        "You have an account there already: sign in with its password, or set a new one on the page\n"
        "for signing in if you forgot it.\n\n"
        "If it was not you, ignore this message: nothing has changed.\n"
    )
    return Letter(email, "You have an account for Hypha already", text)


def proof_letter(email: str, code: str, life_s: float, base_url: str) -> Letter:
    """The code by which somebody who is signed in proves that the account's address is theirs."""
    text = (
        f"Your code to prove this e-mail address is\n\n    {code}\n\n"
        f"Type it on your profile at {base_url} within {_minutes(life_s)}, and nowhere else.\n\n"
        "If you did not ask for it, give it to nobody: somebody made an account with your address.\n"
        "Setting a new password there makes the account yours and ends all that was done with it.\n"
    )
    return Letter(email, "Prove your e-mail address for Hypha", text)
