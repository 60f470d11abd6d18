"""Plugs local accounts into the login service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.features.accounts.accounts import LocalAccounts
from hypha.features.accounts.codes import Codes
from hypha.features.accounts.doctor import examine_mail, examine_sign_up, examine_tries
from hypha.features.accounts.functions import AccountFunctions
from hypha.features.accounts.functions_invitations import InvitationFunctions
from hypha.features.accounts.held import Held
from hypha.features.accounts.held_records import HeldWorkspaces
from hypha.features.accounts.invitation_records import Invitations
from hypha.features.accounts.mail import mail_of
from hypha.features.accounts.options import AccountOptions
from hypha.features.accounts.page import OLD_COOKIE, LoginPage
from hypha.features.accounts.records import Accounts, has_admin
from hypha.features.base import Feature, FeatureContext
from hypha.web.signing_in import LOGIN_PAGE

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hypha.features.login.providers import Login
    from hypha.findings import Findings
    from hypha.settings import Settings

WELCOME = "welcome"
"""In `FeatureContext.shared`: lines of the start-up block."""
HEADER = b"x-local-auth"


def is_wanted(settings: Settings) -> bool:
    """Asked for, or the default because no other way to sign in is set up."""
    has_other_way = bool(settings.auth0_domain) or any(each.lets_sign_in for each in settings.of_features)
    return settings.of(AccountOptions).enable_local_auth or not has_other_way


class AccountsFeature(Feature):
    """Accounts with e-mail and password, and the page on which people sign in."""

    name = "accounts"

    def __init__(self) -> None:
        self._accounts: LocalAccounts | None = None

    async def start(self, context: FeatureContext) -> None:
        """Join the login service; print nothing, leave the administrator's link for the start-up block."""
        login: Login = context.shared["login"]
        if is_wanted(context.settings):
            await self._open(context, login)
        page = LoginPage(context, login, self._accounts)
        login.page = page.answer
        context.routes[:0] = page.routes()

    async def _open(self, context: FeatureContext, login: Login) -> None:
        store, catalogue = context.store, context.tenancy.catalogue
        held = Held(
            context.tenancy.workspaces,
            store,
            HeldWorkspaces(store),
            catalogue.on_deleted,
            catalogue.on_changed,
        )
        accounts = self._accounts = _local_accounts(context, held)
        page_url, audit = context.base_url + LOGIN_PAGE, context.guard.audit
        functions = AccountFunctions(accounts, held, login, audit)
        invitations = InvitationFunctions(accounts.admittance, page_url, audit)
        login.add_functions({**functions.handlers(), **invitations.handlers()})
        context.credentials.headers.append(HEADER)
        context.credentials.cookies.append(OLD_COOKIE.encode())
        link = await accounts.new_admin_link(page_url)
        if link:
            notes = context.shared.setdefault(WELCOME, [])
            notes.append("admin  become the administrator, once and within an hour:")
            notes.append(f"       {link}")

    async def stop(self) -> None:
        """Let threads go."""
        if self._accounts is not None:
            self._accounts.close()

    @classmethod
    def examine(cls, settings: Settings) -> Findings:
        """What `doctor` says of letters, and of who may make an account."""
        options = settings.of(AccountOptions)
        yield from examine_mail(options)
        yield from examine_tries(options)
        if is_wanted(settings):
            yield from examine_sign_up(options)

    @classmethod
    def has_administrator(cls, database: Connection) -> bool:
        """Whether an account has the role admin."""
        return has_admin(database)


def _local_accounts(context: FeatureContext, held: Held) -> LocalAccounts:
    store, options = context.store, context.settings.of(AccountOptions)
    return LocalAccounts(
        Accounts(store),
        context.tokens,
        context.tenancy.workspaces,
        options,
        Codes(context.secret("accounts")),
        mail=mail_of(options),
        base_url=context.base_url,
        held=held,
        invitations=Invitations(store),
        start=context.start,
        admit=context.guard.blocklist.check_user,
    )
