"""What bounds accounts, their letters and what people try."""

from __future__ import annotations

from hypha.limits.bound import Bound, Section

BOUNDS = {
    Section.PEOPLE: (
        Bound(
            "sign_in_attempts",
            "Wrong passwords and codes in ten minutes; sign-ins; those of whom that is known",
            "account and address; address; in all",
            "429",
            (
                "sign_in_attempts_per_account",
                "sign_in_attempts_per_address",
                "hypha.features.accounts.throttle.MAX_TRACKED",
            ),
        ),
        Bound(
            "letters",
            "E-mails in an hour; that wait to be sent",
            "recipient; network address that asks; all sign-ups, and all passwords; in all",
            "429",
            (
                "letters_per_recipient",
                "letters_per_address",
                "letters_per_hour",
                "hypha.features.accounts.mail.MOST_WAITING",
            ),
        ),
        Bound(
            "sign_ups_that_wait",
            "Sign-ups that wait for their code; wrong codes",
            "in all; sign-up",
            "Refused; it begins anew",
            ("verification_max_pending", "verification_max_attempts"),
        ),
        Bound(
            "passwords_at_work",
            "Passwords that wait to be checked",
            "in all; account",
            "429",
            (
                "hypha.features.accounts.passwords.MOST_WAITING",
                "hypha.features.accounts.passwords.MOST_PER_PLACE",
            ),
        ),
        Bound(
            "texts_of_accounts",
            "Password; name; e-mail address; body of a page of accounts",
            "request",
            "Refused; 413",
            (
                "hypha.features.accounts.passwords.MAX_BYTES",
                "hypha.features.accounts.names.MAX_NAME_CHARS",
                "hypha.features.accounts.names.MAX_EMAIL_CHARS",
                "hypha.features.accounts.page.MAX_BODY_BYTES",
            ),
        ),
        Bound(
            "invitations",
            "Invitations; accounts of one; letters of a note; in a listing",
            "in all; invitation",
            "Refused",
            (
                "hypha.features.accounts.invitations.MAX_KEPT",
                "hypha.features.accounts.invitations.MAX_USES",
                "hypha.features.accounts.invitations.MAX_NOTE_CHARS",
                "hypha.features.accounts.invitations.MAX_LISTED",
            ),
        ),
        Bound(
            "known_places",
            "Addresses from which an account signed in",
            "account",
            "The oldest are forgotten",
            ("hypha.features.accounts.records.MAX_PLACES",),
        ),
    ),
}
