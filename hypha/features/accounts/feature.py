"""Plugs local accounts into the login service."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypha.auth.guard import Guard
from hypha.auth.tokens import TokenAuthority
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
from hypha.features.sign_in import Login, LoginProvider
from hypha.store.workspaces import Workspaces as StoredWorkspaces
from hypha.web.signing_in import LOGIN_PAGE
from hypha.workspaces.catalogue import Catalogue
from hypha.workspaces.lifecycle import Workspaces

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from hypha.findings import Findings
    from hypha.settings import Settings

logger = logging.getLogger(__name__)

HEADER = b"x-local-auth"


def is_wanted(settings: Settings) -> bool:
    """Asked for, or the default because no other way to sign in is set up."""
    has_other_way = bool(settings.auth0_domain) or any(each.lets_sign_in for each in settings.of_features)
    return settings.of(AccountOptions).enable_local_auth or not has_other_way


class AccountsFeature(Feature):
    """Accounts with e-mail and password, and the page on which people sign in."""

    name = "accounts"
    needs = (TokenAuthority, Workspaces, Catalogue, Guard)
    uses = (Login,)

    def __init__(self) -> None:
        self._accounts: LocalAccounts | None = None

    async def start(self, context: FeatureContext) -> None:
        """Join the login service, without which there is nothing to do."""
        login = context.find(Login)
        if login is None:
            logger.warning("There is no login service: nobody can sign in with an account of this server")
            return
        if is_wanted(context.settings):
            await self._open(context, login)
        page = LoginPage(
            context.settings,
            context.base_url,
            context.http,
            context.get(TokenAuthority),
            context.get(Guard),
            context.get(Workspaces),
            login,
            self._accounts,
        )
        login.use(LoginProvider(page=page.answer))
        context.http.add_routes(*page.routes())

    async def _open(self, context: FeatureContext, login: Login) -> None:
        connections, catalogue, audit = (
            context.data.connections,
            context.get(Catalogue),
            context.get(Guard).audit,
        )
        held = Held(
            context.get(Workspaces),
            StoredWorkspaces(connections),
            HeldWorkspaces(connections),
            catalogue.on_deleted,
            catalogue.on_changed,
        )
        accounts = self._accounts = _local_accounts(context, held)
        page_url = context.base_url + LOGIN_PAGE
        functions = AccountFunctions(accounts, held, login, audit)
        invitations = InvitationFunctions(accounts.admittance, page_url, audit)
        login.add_functions({**functions.handlers(), **invitations.handlers()})
        context.http.accept_token_in(header=HEADER, cookie=OLD_COOKIE.encode())
        link = await accounts.new_admin_link(page_url)
        if link:
            context.tell_operator(
                "admin  become the administrator, once and within an hour:", f"       {link}"
            )

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
    connections, options = context.data.connections, context.settings.of(AccountOptions)
    return LocalAccounts(
        Accounts(connections),
        context.get(TokenAuthority),
        context.get(Workspaces),
        options,
        Codes(context.data.secret("accounts")),
        mail=mail_of(options),
        base_url=context.base_url,
        held=held,
        invitations=Invitations(connections),
        start=context.tasks.start,
        admit=context.get(Guard).blocklist.check_user,
    )
