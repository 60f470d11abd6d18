"""Local accounts with a clock to turn and a mailbox to read."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from hypha.auth.tokens import TokenAuthority
from hypha.features.accounts.accounts import LocalAccounts
from hypha.features.accounts.codes import Codes
from hypha.features.accounts.mail import Letter, Mail
from hypha.features.accounts.options import AccountOptions
from hypha.features.accounts.passwords import Passwords
from hypha.features.accounts.records import Accounts
from hypha.features.accounts.throttle import Throttle
from hypha.store import Store
from tests.kit.clock import Clock

PASSWORD = "correct horse battery"


HERE = "192.0.2.1"


class Bench:
    """Local accounts with a clock to turn and a mailbox to read."""

    def __init__(self, store: Store) -> None:
        self.clock = Clock(time.time())
        self.letters: list[Letter] = []
        self.work: list[Any] = []
        self.records = Accounts(store)
        self.tokens = TokenAuthority("secret-that-is-long-enough-for-hs256", clock=self.clock)

        async def nothing(_: str) -> None:
            return None

        def start(work: Any, _: str) -> bool:
            self.work.append(work)
            return True

        self.accounts = LocalAccounts(
            self.records,
            self.tokens,
            SimpleNamespace(load=nothing),  # type: ignore[arg-type]
            AccountOptions(verification_max_pending=3),
            Codes("secret", self.clock),
            mail=Mail(self.letters.append),
            base_url="http://here",
            start=start,
            passwords=Passwords(time_cost=1, memory_kib=64),
            throttle=Throttle(clock=self.clock),
            clock=self.clock,
        )

    async def account(self, email: str = "ann@example.org") -> None:
        _, code = await self.accounts.sign_up("Ann", email, PASSWORD, HERE)
        await self.accounts.verify_email(email, code, HERE)
