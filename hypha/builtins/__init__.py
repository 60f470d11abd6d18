'''Services of the server itself: what they are made of, and how to add a function to one.

A built-in service is an object whose public coroutines are its functions. Type hints, docstring and declared
permission give the RPC function, the HTTP route, the JSON schema, the OpenAPI text, the row in
docs/permissions.md and the tests of who is refused:

    class Greeter:
        """Says hello."""

        @permission(Level.READ)
        async def greet(self, name: str, times: int = 1, *, context: Context) -> str:
            """Greet somebody.

            Args:
                name: Who is greeted, such as `Anna`.
                times: How often.
            """
            return f"Hello {name}! " * times

- `@permission` (`permission.py`) names the level that the caller needs in its current workspace; that is
  checked before the function runs. A right on something else (the workspace in an argument, a token) is
  declared with `on=` and checked first thing inside: `context.require(Level.READ, workspace)`.
- `context` (`hypha/auth/users.py`) says who calls, and from where. The server makes it; callers cannot.
- The docstring is product text, and the type hints are the schema (`schema.py`).
- Raise the narrowest error of `hypha/errors.py`; return plain values.

A new service is offered with `offer(BuiltinService.of(Greeter(), id="greeter"))` (`service.py`). Features
find `offer` in their context; `hypha/registry/offering.py` puts the service on the wire and in the registry.
The functions of the workspace manager stand in `hypha/workspaces/functions_*.py`, their names in the
`service.py` there. At the end run `make docs`.
'''
