"""What local accounts add to the service `hypha-login`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import NOTHING, permission
from hypha.errors import InvalidRequest, NotAuthenticated, RateLimited
from hypha.features.accounts.accounts import TOKEN_LIFE_S, LocalAccounts, SignedIn
from hypha.features.accounts.answers import Answer, FunctionGroup, answered

if TYPE_CHECKING:
    from hypha.auth.audit import AuditLog
    from hypha.features.accounts.held import Held
    from hypha.features.sign_in import Handler, Login

NAMES = (
    "signup",
    "verify_email",
    "resend_code",
    "login",
    "update_profile",
    "request_password_reset",
    "reset_password",
    "prove_email",
    "held_workspaces",
    "keep_workspace",
    "drop_workspace",
    "create_administrator",
)


class AccountFunctions(FunctionGroup):
    """Accounts with e-mail and password.

    Every answer has `success`; where it is false, `error` says why and `code` names the kind.
    """

    def __init__(self, accounts: LocalAccounts, held: Held, login: Login, audit: AuditLog) -> None:
        super().__init__(audit)
        self._accounts = accounts
        self._held = held
        self._login = login

    def handlers(self) -> dict[str, Handler]:
        """All functions by name."""
        return {name: getattr(self, name) for name in NAMES}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def signup(
        self,
        name: str = "",
        email: str = "",
        password: str = "",
        invitation: str | None = None,
        *,
        context: Context,
    ) -> Answer:
        """Begin a new account; it exists once `verify_email` was called with the code.

        The code goes to the e-mail address. A server that sends no e-mail gives it in the answer.

        Args:
            name: what others call you, such as Ann Lee; every script is fine.
            email: your address; upper and lower case are the same.
            password: 8 characters to 1024 bytes.
            invitation: the link of an invitation, or the part of it behind `invitation=`, where one is
                needed.

        Returns:
            `verification_required`, `email`, and `dev_code` where no e-mail is sent.
        """
        given, code = await self._accounts.sign_up(name, email, password, self._origin(context), invitation)
        return {"verification_required": True, "email": given, **self._shown(code)}

    def _shown(self, code: str | None) -> Answer:
        return {"dev_code": code} if code is not None and self._accounts.mail is None else {}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def verify_email(
        self, email: str = "", code: str = "", password: str | None = None, *, context: Context
    ) -> Answer:
        """Finish a sign-up with the code that was sent.

        Args:
            email: the address given at sign-up.
            code: the six digits.
            password: the one given at sign-up; with it nobody else's sign-up can be confirmed by mistake.

        Returns:
            `user_id` and `email_verified`.
        """
        account = await self._accounts.verify_email(email, str(code), self._origin(context), password)
        self._note("account_made", account.id, context)
        return {"user_id": account.id, "email_verified": True}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def resend_code(self, email: str = "", *, context: Context) -> Answer:
        """Send the code of a sign-up once more; the old one no longer counts.

        Args:
            email: the address given at sign-up.
        """
        given, code = await self._accounts.resend_code(email, self._origin(context))
        return {"email": given, **self._shown(code)}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def login(
        self,
        email: str = "",
        password: str = "",
        workspace: str | None = None,
        key: str | None = None,
        *,
        context: Context,
    ) -> Answer:
        """Sign in; gives a token that is good for 24 hours.

        Args:
            email: the account's address.
            password: its password.
            workspace: limits the token to one workspace in which you have rights already.
            key: the key of a program that waits in `check`; it receives the token too.

        Returns:
            `token`, `user_id`, `email`, `name`, `workspace` and `expires_in` (seconds).
        """
        try:
            signed = await self._accounts.sign_in(email, password, self._origin(context), workspace)
        except (NotAuthenticated, RateLimited):
            self._note("sign_in_refused", await self._accounts.id_of(email), context)
            raise
        account = signed.account
        self._note("signed_in", account.id, context)
        if key:
            await self._complete(key, signed)
        return {
            "token": signed.token,
            "user_id": account.id,
            "email": account.email,
            "name": account.name,
            "workspace": signed.workspace,
            "expires_in": int(TOKEN_LIFE_S),
        }

    async def _complete(self, key: str, signed: SignedIn) -> None:
        account = signed.account
        profile = {
            "email": account.email,
            "email_verified": account.is_proven,
            "name": account.name,
            "nickname": account.name,
            "user_id": account.id,
        }
        try:
            await self._login.complete(key, signed.token, expires_in=TOKEN_LIFE_S, profile=profile)
        except InvalidRequest:
            raise InvalidRequest("Invalid login key") from None

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def update_profile(
        self,
        user_email: str = "",
        name: str | None = None,
        current_password: str | None = None,
        new_password: str | None = None,
        revoke_tokens: bool = False,
        *,
        context: Context,
    ) -> Answer:
        """Change the name or the password of your account.

        Signed in you may change the name; a new password needs the current one, always. It ends
        all your sign-ins but this one, and those of programs that you allowed to act for you.

        Args:
            user_email: the account's address; may be left out when you are signed in.
            name: the new name.
            current_password: the password as it is.
            new_password: the password as it shall be.
            revoke_tokens: with a new password, end the tokens that you generated as well.

        Returns:
            `message`: what was done, and `tokens_ended`: how many tokens ended.
        """
        changed = await self._accounts.update_profile(
            context.user,
            user_email,
            name,
            current_password,
            new_password,
            self._origin(context),
            revoke_tokens=revoke_tokens is True,
        )
        if changed.has_new_password:
            self._note("password_changed", changed.account_id, context, tokens_ended=changed.ended)
        return {"message": "Profile updated successfully", "tokens_ended": changed.ended}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def request_password_reset(self, email: str = "", *, context: Context) -> Answer:
        """Send a code by which a new password can be set; the answer never tells if there is an account.

        Args:
            email: the account's address.
        """
        await self._accounts.request_reset(email, self._origin(context))
        return {"message": "If there is an account with this address, a code is on its way."}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def reset_password(
        self,
        email: str = "",
        code: str = "",
        new_password: str = "",
        revoke_tokens: bool = False,
        *,
        context: Context,
    ) -> Answer:
        """Set a new password with the code that was sent; ends all sign-ins of the account.

        Args:
            email: the account's address.
            code: the code from the e-mail; it works once.
            new_password: 8 characters to 1024 bytes.
            revoke_tokens: end the tokens that were generated by the account as well.

        Returns:
            `message`, and `tokens_ended`: how many tokens ended.
        """
        changed = await self._accounts.confirm_reset(
            email, code, new_password, self._origin(context), revoke_tokens=revoke_tokens is True
        )
        self._note("password_reset", changed.account_id, context, tokens_ended=changed.ended)
        return {"message": "The new password is set.", "tokens_ended": changed.ended}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def prove_email(
        self, current_password: str = "", code: str | None = None, *, context: Context
    ) -> Answer:
        """Prove the address of your account, if it was made while the server sent no e-mail.

        Call it signed in, first without a code: one is sent. With the code the address counts as
        yours. Whoever had a part in the account before has none then: all your tokens but this one
        end, and workspaces that you made wait in `held_workspaces`.

        Args:
            current_password: the account's password.
            code: the code from the e-mail.

        Returns:
            `code_sent` or `email_verified`, and with the latter `tokens_ended`.
        """
        origin = self._origin(context)
        if not code:
            await self._accounts.send_proof(context.user, current_password, origin)
            return {"code_sent": True}
        changed = await self._accounts.confirm_proof(context.user, current_password, code, origin)
        self._note("address_proven", changed.account_id, context, tokens_ended=changed.ended)
        return {"email_verified": True, "tokens_ended": changed.ended}

    async def _person(self, context: Context) -> str:
        account = await self._accounts.account_of(context.user)
        if account is None:
            raise NotAuthenticated("Please sign in with an account of this server first.")
        return account.id

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def held_workspaces(self, *, context: Context) -> Answer:
        """List workspaces that your account made before its address was proven.

        Nobody can use them, you included, until you keep or drop each.

        Returns:
            `workspaces`, each with `id`, `name`, `description`, `owners_before` (others than you) and
            `held_at` (Unix time).
        """
        return {"workspaces": await self._held.list(await self._person(context))}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def keep_workspace(self, workspace: str = "", *, context: Context) -> Answer:
        """Become the only owner of a workspace of `held_workspaces`.

        Look through it then: its variables, services and description are as they were left.

        Args:
            workspace: its id.
        """
        return await self._settle(workspace, context, keep=True)

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def drop_workspace(self, workspace: str = "", *, context: Context) -> Answer:
        """Delete a workspace of `held_workspaces` with everything in it.

        Args:
            workspace: its id.
        """
        return await self._settle(workspace, context, keep=False)

    async def _settle(self, workspace: object, context: Context, *, keep: bool) -> Answer:
        person = await self._person(context)
        await self._held.settle(person, workspace, keep=keep)
        self._note("workspace_kept" if keep else "workspace_dropped", person, context, workspace=workspace)
        return {"workspace": workspace}

    @permission(Level.NONE, on=NOTHING)
    @answered
    async def create_administrator(
        self, link: str = "", name: str = "", email: str = "", password: str = "", *, context: Context
    ) -> Answer:
        """Make the first account with the role admin, by the one-time link that the server printed.

        Args:
            link: the link, or the part of it behind `administrator=`.
            name: what others call you.
            email: your address.
            password: 8 characters to 1024 bytes.

        Returns:
            `user_id`.
        """
        account = await self._accounts.make_admin(link, name, email, password, self._origin(context))
        self._note("administrator_made", account.id, context)
        return {"user_id": account.id}
