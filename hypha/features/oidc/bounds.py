"""What bounds sign-ins with providers."""

from __future__ import annotations

from hypha.limits.bound import Bound, Section

BOUNDS = {
    Section.PEOPLE: (
        Bound(
            "provider_sign_ins",
            "Sign-ins with a provider remembered as used; an answer of a provider; roles",
            "in all; answer",
            "The oldest are forgotten; refused; the rest is left out",
            (
                "hypha.features.oidc.attempts.MAX_USED",
                "hypha.features.oidc.web.MAX_ANSWER_BYTES",
                "hypha.features.oidc.claims.MAX_ROLES",
            ),
        ),
    ),
}
