"""What bounds sign-ins of programs and pages of the operator."""

from __future__ import annotations

from hypha.limits.bound import Bound, Section

BOUNDS = {
    Section.PEOPLE: (
        Bound(
            "logins_of_programs",
            "Sign-ins begun by programs: that wait; whose programs wait for an answer; of one person or "
            "address; of one of them; life",
            "in all",
            "`LimitReached` with a time to wait",
            (
                "hypha.features.login.pending.MAX_PENDING",
                "hypha.features.login.pending.MAX_WAITING",
                "hypha.features.login.pending.MAX_WAITING_PER_PARTY",
                "hypha.features.login.pending.MAX_WAITING_PER_KEY",
                "maximum_login_time_s",
            ),
        ),
        Bound(
            "mistakes_of_logins",
            "Addresses of whom mistakes with login keys are known",
            "in all",
            "The oldest are forgotten",
            ("hypha.limits.buckets.MAX_TRACKED",),
        ),
        Bound(
            "page_of_a_custom_login",
            "Body of a custom login page",
            "request",
            "413",
            ("hypha.features.login.functions_page.MAX_BODY_BYTES",),
        ),
    ),
}
